//! Where the one who runs steps sends messages: a task to PID 1, and PID 1 to the port.

use std::os::fd::OwnedFd;

use imalab_wire::{Message, frame};
use nix::errno::Errno;

use crate::packet::{self, Batch};
use crate::port::{Port, PortError};
use crate::sockets;

/// The way of messages to the harness.
pub(crate) trait Uplink {
    /// Takes a message; it may wait for others until [`flush`](Self::flush).
    fn send(&mut self, message: &Message) -> Result<(), Broken>;
    /// Lets what was sent leave before something is attempted that may not come back.
    fn flush(&mut self) -> Result<(), Broken>;
    /// Waits until `parties` have come to the barrier. The inner error is the operation's.
    fn barrier(&mut self, id: u16, parties: u16) -> Result<Result<(), Errno>, Broken>;
}

/// Nobody takes messages any more; the sender has no reason to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the agent's first process has gone: {0}")]
    Socket(Errno),
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A task's way: packets to PID 1.
#[derive(Debug)]
pub(crate) struct ToFirst {
    socket: OwnedFd,
    batch: Batch,
}

impl ToFirst {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, batch: Batch::new() }
    }
}

impl Uplink for ToFirst {
    fn send(&mut self, message: &Message) -> Result<(), Broken> {
        let payload = frame::payload(message);
        if !self.batch.fits(payload.len()) {
            self.flush()?;
        }
        self.batch.push(&payload, matches!(message, Message::OpStarted { .. }));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        if !self.batch.is_empty() {
            sockets::send_packet(&self.socket, self.batch.bytes()).map_err(Broken::Socket)?;
            self.batch.clear();
        }
        Ok(())
    }

    fn barrier(&mut self, id: u16, parties: u16) -> Result<Result<(), Errno>, Broken> {
        self.flush()?;
        sockets::send_packet(&self.socket, &packet::arrived(id, parties)).map_err(Broken::Socket)?;
        let mut answer = [0; 4];
        match sockets::receive(&self.socket, &mut answer).map_err(Broken::Socket)? {
            4 => Ok(match i32::from_le_bytes(answer) {
                0 => Ok(()),
                errno => Err(Errno::from_raw(errno)),
            }),
            _ => Err(Broken::Socket(Errno::EPIPE)),
        }
    }
}

/// PID 1's way: straight into the stream.
#[derive(Debug)]
pub(crate) struct ToPort<'a>(pub(crate) &'a mut Port);

impl Uplink for ToPort<'_> {
    fn send(&mut self, message: &Message) -> Result<(), Broken> {
        self.0.count_ops(u32::from(matches!(message, Message::OpStarted { .. })));
        Ok(self.0.message(message)?)
    }

    fn flush(&mut self) -> Result<(), Broken> {
        Ok(self.0.flush()?)
    }

    /// Every task has ended, so nobody else will come.
    fn barrier(&mut self, _: u16, parties: u16) -> Result<Result<(), Errno>, Broken> {
        Ok(match parties {
            0 => Err(Errno::EINVAL),
            1 => Ok(()),
            _ => Err(Errno::EDEADLK),
        })
    }
}
