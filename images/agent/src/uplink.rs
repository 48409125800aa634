//! Where the one who runs steps sends messages and requests: a task to PID 1, and PID 1 to the port and itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use imalab_wire::{Message, TaskId, frame};
use nix::errno::Errno;

use crate::packet::{self, Batch, Notice, Order, Request, Sleep, Word};
use crate::port::{Port, PortError};
use crate::sockets::{self, Taken};

/// The way of messages to the harness.
pub(crate) trait Uplink {
    /// Takes a message; it may wait for others until [`flush`](Self::flush).
    fn send(&mut self, message: &Message) -> Result<(), Broken>;
    /// Lets what was sent leave before something is attempted that may not come back.
    fn flush(&mut self) -> Result<(), Broken>;
    /// Says what it means from here on when the sender sleeps.
    fn sleeps(&mut self, sleep: Sleep);
    /// Tells PID 1 something.
    fn notify(&mut self, notice: Notice) -> Result<(), Broken>;
    /// Asks PID 1 for something, with a descriptor for it where the request has one, and waits for the answer. The
    /// inner error is the operation's.
    fn ask(
        &mut self,
        request: Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Result<Answer, Errno>, Broken>;
    /// The way of another task that is to run in this process or in a child of it, and gets its answers by `answers`;
    /// `None` where none may.
    fn of_fellow(&self, task: TaskId, answers: OwnedFd) -> Option<ToFirst>;
    /// Where orders come from, to wait for; `None` where none do.
    fn orders(&self) -> Option<BorrowedFd<'_>>;
    /// The next order that is there.
    fn order(&mut self) -> Result<Option<Order>, Broken>;
}

/// What a request led to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The number.
    pub(crate) value: i64,
    /// The descriptor, of requests that are answered with one.
    pub(crate) descriptor: Option<OwnedFd>,
}

impl From<i64> for Answer {
    fn from(value: i64) -> Self {
        Self { value, descriptor: None }
    }
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
    task: TaskId,
    /// That of all tasks.
    up: Arc<OwnedFd>,
    answers: OwnedFd,
    batch: Batch,
    sleep: Sleep,
}

impl ToFirst {
    pub(crate) fn new(task: TaskId, up: Arc<OwnedFd>, answers: OwnedFd) -> Self {
        Self { task, up, answers, batch: Batch::new(task), sleep: Sleep::Outside }
    }

    /// What a child of this process has to keep open.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.up.as_fd(), self.answers.as_fd()]
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>, bool), Broken> {
        match sockets::receive(&self.answers, buffer).map_err(Broken::Socket)? {
            Taken::Packet { len, descriptor, cut } => Ok((len, descriptor, cut)),
            Taken::Nothing | Taken::Gone => Err(Broken::Socket(Errno::EPIPE)),
        }
    }
}

impl Uplink for ToFirst {
    fn send(&mut self, message: &Message) -> Result<(), Broken> {
        let payload = frame::payload(message);
        if !self.batch.fits(payload.len()) {
            self.flush()?;
        }
        self.batch.push(message, &payload);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        if !self.batch.is_empty() {
            sockets::send_packet(&self.up, self.batch.bytes(self.sleep)).map_err(Broken::Socket)?;
            self.batch.clear();
        }
        Ok(())
    }

    fn sleeps(&mut self, sleep: Sleep) {
        self.sleep = sleep;
    }

    fn notify(&mut self, notice: Notice) -> Result<(), Broken> {
        self.flush()?;
        sockets::send_packet(&self.up, &Word::Notice(notice).packet(self.task)).map_err(Broken::Socket)
    }

    fn ask(
        &mut self,
        request: Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Result<Answer, Errno>, Broken> {
        self.flush()?;
        let packet = Word::Request(request).packet(self.task);
        match sockets::send_with(&self.up, &packet, descriptor) {
            Ok(()) => {}
            // Too many descriptors of this user are on their way (`RLIMIT_NOFILE`, unix(7)).
            Err(errno @ Errno::ETOOMANYREFS) => return Ok(Err(errno)),
            Err(errno) => return Err(Broken::Socket(errno)),
        }
        let mut buffer = [0; 16];
        let (len, descriptor, cut) = self.receive(&mut buffer)?;
        let result = packet::parse_answer(&buffer[..len]).ok_or(Broken::Socket(Errno::EPROTO))?;
        if descriptor.is_some() || cut {
            // PID 1 has closed its own copy when it sends this.
            self.receive(&mut buffer)?;
        }
        if cut {
            return Ok(Err(Errno::EMFILE));
        }
        Ok(result.map(|value| Answer { value, descriptor }))
    }

    fn of_fellow(&self, task: TaskId, answers: OwnedFd) -> Option<ToFirst> {
        Some(Self::new(task, Arc::clone(&self.up), answers))
    }

    fn orders(&self) -> Option<BorrowedFd<'_>> {
        Some(self.answers.as_fd())
    }

    fn order(&mut self) -> Result<Option<Order>, Broken> {
        let mut buffer = [0; 64];
        match sockets::take(&self.answers, &mut buffer).map_err(Broken::Socket)? {
            Taken::Packet { len, .. } => {
                Order::parse(&buffer[..len]).map(Some).ok_or(Broken::Socket(Errno::EPROTO))
            }
            Taken::Nothing => Ok(None),
            Taken::Gone => Err(Broken::Socket(Errno::EPIPE)),
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

    fn sleeps(&mut self, _: Sleep) {}

    fn notify(&mut self, _: Notice) -> Result<(), Broken> {
        Ok(())
    }

    /// Every task has ended, so nobody else will come, and there is nobody to send anything to.
    fn ask(&mut self, request: Request, _: Option<BorrowedFd<'_>>) -> Result<Result<Answer, Errno>, Broken> {
        Ok(match request {
            Request::Barrier { parties: 0, .. } | Request::Spawn { .. } => Err(Errno::EINVAL),
            Request::Barrier { parties: 1, .. } => Ok(0.into()),
            Request::Barrier { .. } | Request::Receive => Err(Errno::EDEADLK),
            Request::Send { .. }
            | Request::Take { .. }
            | Request::Kill { .. }
            | Request::AwaitBlocked { .. }
            | Request::Order { .. } => Err(Errno::ESRCH),
            Request::Drain => {
                self.0.drain()?;
                Ok(0.into())
            }
        })
    }
    fn of_fellow(&self, _: TaskId, _: OwnedFd) -> Option<ToFirst> {
        None
    }

    fn orders(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn order(&mut self) -> Result<Option<Order>, Broken> {
        Ok(None)
    }
}
