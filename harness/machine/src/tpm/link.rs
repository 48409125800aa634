//! The way to one swtpm: its control channel and its data channel, one command under way at a time.

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::control::{self, ControlError};
use super::frame::{self, Received};

/// Why swtpm gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// swtpm ended, or the link was cut.
    #[error("swtpm closed its data channel")]
    Closed,
    /// An answer that is no TPM answer.
    #[error("answer of swtpm: {0}")]
    Answer(frame::BadFrame),
    /// An earlier failure left the channels in an unknown state.
    #[error("swtpm was lost earlier")]
    Lost,
    /// The control channel failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// swtpm did not answer in the time it was given.
    #[error("swtpm does not answer")]
    Silent,
    /// The data channel failed.
    #[error("data channel: {0}")]
    Io(#[from] io::Error),
}

impl LinkError {
    /// Whether only the first of these is news.
    pub(super) fn is_repeat(&self) -> bool {
        matches!(self, LinkError::Lost)
    }
}

/// Both channels to a running swtpm.
///
/// Lock order: data before control.
#[derive(Debug)]
pub struct Link {
    data: Mutex<Data>,
    control: Mutex<UnixStream>,
    /// The same sockets, to wake whoever blocks on them.
    wake: [UnixStream; 2],
}

/// The data channel, and what swtpm was last told about it.
#[derive(Debug)]
pub(super) struct Data {
    stream: UnixStream,
    /// Locality that swtpm has; unknown at first and after a reset.
    locality: Option<u8>,
    lost: bool,
}

impl Link {
    /// Opens both channels to a swtpm that was just started with the other end of `control`.
    ///
    /// Until a tap is started on the link, each of its operations fails when swtpm takes longer than `patience`
    /// for an answer; making the state of a new TPM takes longest, some 10 ms.
    pub fn open(control: UnixStream, patience: Duration) -> Result<Link, LinkError> {
        let (stream, theirs) = UnixStream::pair()?;
        for socket in [&control, &stream] {
            socket.set_read_timeout(Some(patience))?;
        }
        control::command(&control, control::SET_DATAFD, &[], Some(theirs.as_raw_fd()))?;
        let wake = [control.try_clone()?, stream.try_clone()?];
        let data = Data { stream, locality: None, lost: false };
        Ok(Link { data: Mutex::new(data), control: Mutex::new(control), wake })
    }

    /// From now on an answer may take as long as it wants; only [`Link::cut`] ends the waiting.
    pub(super) fn wait_without_limit(&self) -> io::Result<()> {
        self.wake.iter().try_for_each(|socket| socket.set_read_timeout(None))
    }

    /// Ends both channels: everybody who waits for swtpm gets an error at once, and swtpm ends.
    pub fn cut(&self) {
        for socket in &self.wake {
            // Fails only when the peer is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Takes the data channel: nobody else's command reaches swtpm until the guard is dropped.
    pub(super) fn lock(&self) -> Exclusive<'_> {
        Exclusive { link: self, data: self.data.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Passes a control request on and returns swtpm's answer.
    pub(super) fn control(&self, request: &[u8]) -> Result<Vec<u8>, ControlError> {
        control::ask(&self.control.lock().unwrap_or_else(PoisonError::into_inner), request, None)
    }

    /// Sends a control command of our own.
    pub(super) fn command(&self, code: u32, payload: &[u8]) -> Result<(), ControlError> {
        control::command(&self.control.lock().unwrap_or_else(PoisonError::into_inner), code, payload, None)
    }
}

/// The data channel, held.
pub(super) struct Exclusive<'a> {
    link: &'a Link,
    data: MutexGuard<'a, Data>,
}

impl Exclusive<'_> {
    /// Sends one whole command at `locality` and returns the whole answer.
    pub(super) fn exchange(&mut self, locality: u8, command: &[u8]) -> Result<Vec<u8>, LinkError> {
        if self.data.lost {
            return Err(LinkError::Lost);
        }
        let result = self.try_exchange(locality, command);
        self.data.lost = result.is_err();
        result
    }

    fn try_exchange(&mut self, locality: u8, command: &[u8]) -> Result<Vec<u8>, LinkError> {
        if self.data.locality != Some(locality) {
            self.link.command(control::SET_LOCALITY, &[locality])?;
            self.data.locality = Some(locality);
        }
        self.data.stream.write_all(command)?;
        match frame::receive(&mut self.data.stream, None) {
            Ok(Received::Whole(answer)) => Ok(answer),
            Ok(Received::Bad(_, bad)) => Err(LinkError::Answer(bad)),
            Ok(Received::Closed) => Err(LinkError::Closed),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(LinkError::Silent),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes a control request on that changes what commands do.
    pub(super) fn control(&mut self, request: &[u8]) -> Result<Vec<u8>, ControlError> {
        self.data.locality = None;
        self.link.control(request)
    }
}
