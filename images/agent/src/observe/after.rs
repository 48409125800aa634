//! What is left of a program that has ended: its status, and lines that nobody has come by.

use imalab_wire::Op;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::output::Lines;
use crate::packet::{Notice, Order};
use crate::sockets::retry;
use crate::task::Task;
use crate::uplink::{Broken, Uplink};

/// A program that has ended, or could not be run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(super) lines: Lines,
    pub(super) ended: Result<i64, Errno>,
}

impl Ended {
    /// Answers who asks for it, until nobody is left who could.
    pub(crate) fn answer(mut self, task: &Task, uplink: &mut impl Uplink) -> Result<(), Broken> {
        loop {
            uplink.flush()?;
            let Some(orders) = uplink.orders() else { return Ok(()) };
            let mut fds = [PollFd::new(orders, PollFlags::POLLIN)];
            retry(|| poll(&mut fds, PollTimeout::NONE)).map_err(Broken::Socket)?;
            let Some(order) = uplink.order()? else { continue };
            let Order::Operation { from, step, op } = order else { return Ok(()) };
            let result = match task.operation(from, step, op) {
                Some(Op::AwaitLine { text, .. }) if self.lines.find(text) => Ok(0),
                Some(Op::AwaitEnd { .. }) => self.ended,
                Some(_) => Err(Errno::ESRCH),
                None => Err(Errno::EINVAL),
            };
            let (errno, value) = match result {
                Ok(value) => (0, value),
                Err(errno) => (errno as i32, 0),
            };
            uplink.notify(Notice::Answer { to: from, errno, value })?;
        }
    }
}
