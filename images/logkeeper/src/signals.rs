//! Signals, as something to wait for.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

/// Signals that came: a byte in the pipe for each, and what each asks for.
#[derive(Debug)]
pub struct Signals {
    pipe: UnixStream,
    end: Arc<AtomicBool>,
    now: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn listen() -> io::Result<Signals> {
        let (pipe, far) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let (end, now) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGTERM, SIGINT, SIGUSR1] {
            let flag = if signal == SIGUSR1 { &now } else { &end };
            // The flag is set before the byte is there.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, far.try_clone()?)?;
        }
        Ok(Signals { pipe, end, now })
    }

    /// Whether one has asked for the end.
    pub fn end(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether one has asked for something now, since this was looked at last.
    pub fn take_now(&self) -> bool {
        self.now.swap(false, Ordering::Relaxed)
    }

    /// Has [`take_now`](Signals::take_now) say so again.
    pub fn ask_again(&self) {
        self.now.store(true, Ordering::Relaxed);
    }

    /// Waits for one, or until there is something to be read of `other`, or for so long. Gives whether there is something to be read.
    pub fn wait(&mut self, other: Option<BorrowedFd<'_>>, timeout: PollTimeout) -> bool {
        let mut waiting = vec![PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        waiting.extend(other.map(|other| PollFd::new(other, PollFlags::POLLIN)));
        // An error is a signal that came meanwhile.
        let _ = poll(&mut waiting, timeout);
        let readable = waiting.get(1).and_then(PollFd::any).unwrap_or(false);
        while self.pipe.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        readable
    }
}
