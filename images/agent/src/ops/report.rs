//! What an operation tells while it runs.

use std::os::fd::{BorrowedFd, OwnedFd};

use imalab_wire::frame::HEADER;
use imalab_wire::{Message, Piece, StepId, TaskId};
use nix::errno::Errno;

use super::Failure;
use crate::packet::{Notice, Order, Request};
use crate::uplink::{Answer, Broken, ToFirst, Uplink};

/// Bytes in a piece: a frame of it, with an envelope of at most 25 bytes (a tag, five numbers), is what one `write`
/// to the port takes, 32 KiB.
const PIECE: usize = 32 * 1024 - HEADER - 25;

/// The way of one operation's data to the harness.
#[derive(Debug)]
pub(crate) struct Report<'a, U> {
    task: TaskId,
    step: StepId,
    op: u16,
    uplink: &'a mut U,
    /// Not yet a whole piece.
    pending: Vec<u8>,
    sent: u64,
}

impl<'a, U: Uplink> Report<'a, U> {
    pub(crate) fn new(task: TaskId, step: StepId, op: u16, uplink: &'a mut U) -> Self {
        Self { task, step, op, uplink, pending: Vec::new(), sent: 0 }
    }

    /// Adds to the operation's data. What it got in small portions leaves in large pieces.
    pub(crate) fn data(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while self.pending.len() + bytes.len() >= PIECE {
            let (head, rest) = bytes.split_at(PIECE - self.pending.len());
            self.pending.extend_from_slice(head);
            bytes = rest;
            self.send_piece()?;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends the rest of the data.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        if self.pending.is_empty() { Ok(()) } else { self.send_piece() }
    }

    fn send_piece(&mut self) -> Result<(), Broken> {
        let bytes = std::mem::take(&mut self.pending);
        let len = bytes.len() as u64;
        let piece = Piece { task: self.task, step: self.step, op: self.op, offset: self.sent, bytes };
        self.uplink.send(&Message::Data(piece))?;
        self.sent += len;
        Ok(())
    }

    /// Says at once how far the operation is.
    pub(crate) fn progress(&mut self, done: u64) -> Result<(), Broken> {
        self.uplink.send(&Message::Progress { task: self.task, step: self.step, done })?;
        self.uplink.flush()
    }

    /// Says that the program itself is wrong.
    pub(crate) fn fault(&mut self, text: &str) -> Result<(), Broken> {
        let text = format!("task {}, step {}, operation {}: {text}", self.task, self.step, self.op);
        self.uplink.send(&Message::Fault { text })
    }

    /// Tells the harness to let go of what a mark holds.
    pub(super) fn release_hold(&mut self, hold: u64) -> Result<i64, Failure> {
        self.uplink.send(&Message::ReleaseHold { task: self.task, hold })?;
        self.uplink.flush()?;
        Ok(0)
    }

    /// Says something that is not of this operation.
    pub(crate) fn tell(&mut self, message: &Message) -> Result<(), Broken> {
        self.uplink.send(message)
    }

    /// Lets what was said leave.
    pub(crate) fn leave(&mut self) -> Result<(), Broken> {
        self.uplink.flush()
    }

    /// See [`Uplink::orders`].
    pub(crate) fn orders(&self) -> Option<BorrowedFd<'_>> {
        self.uplink.orders()
    }

    /// See [`Uplink::order`].
    pub(crate) fn next_order(&mut self) -> Result<Option<Order>, Broken> {
        self.uplink.order()
    }

    /// Has the task that runs a program do this operation.
    pub(super) fn order(&mut self, task: TaskId) -> Result<i64, Failure> {
        self.request(Request::Order { task, step: self.step, op: self.op })
    }

    pub(crate) fn notify(&mut self, notice: Notice) -> Result<(), Broken> {
        self.uplink.notify(notice)
    }

    /// See [`Uplink::of_fellow`].
    pub(super) fn of_fellow(&self, task: TaskId, answers: OwnedFd) -> Option<ToFirst> {
        self.uplink.of_fellow(task, answers)
    }

    /// See [`Uplink::ask`].
    pub(super) fn ask(
        &mut self,
        request: Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Result<Answer, Errno>, Broken> {
        self.uplink.ask(request, descriptor)
    }

    /// Asks PID 1 for what is answered with the operation's value.
    pub(super) fn request(&mut self, request: Request) -> Result<i64, Failure> {
        Ok(self.ask(request, None)??.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Sleep;

    #[derive(Debug, Default)]
    struct Kept(Vec<Message>);

    impl Uplink for Kept {
        fn send(&mut self, message: &Message) -> Result<(), Broken> {
            self.0.push(message.clone());
            Ok(())
        }
        fn flush(&mut self) -> Result<(), Broken> {
            Ok(())
        }
        fn sleeps(&mut self, _: Sleep) {}
        fn notify(&mut self, _: Notice) -> Result<(), Broken> {
            Ok(())
        }
        fn ask(&mut self, _: Request, _: Option<BorrowedFd<'_>>) -> Result<Result<Answer, Errno>, Broken> {
            Ok(Ok(0.into()))
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

    fn pieces(portions: &[usize]) -> Vec<(u64, usize)> {
        let mut kept = Kept::default();
        let mut report = Report::new(1, 2, 3, &mut kept);
        for portion in portions {
            report.data(&vec![7; *portion]).unwrap();
        }
        report.finish().unwrap();
        let piece = |message| match message {
            Message::Data(piece) => (piece.offset, piece.bytes.len()),
            other => panic!("{other:?}"),
        };
        kept.0.into_iter().map(piece).collect()
    }

    #[test]
    fn data_leaves_in_whole_pieces() {
        assert_eq!(pieces(&[]), []);
        assert_eq!(pieces(&[1, 2, 3]), [(0, 6)]);
        assert_eq!(pieces(&[PIECE]), [(0, PIECE)]);
        assert_eq!(pieces(&[PIECE - 1, 2]), [(0, PIECE), (PIECE as u64, 1)]);
        assert_eq!(pieces(&[2 * PIECE + 5]), [(0, PIECE), (PIECE as u64, PIECE), (2 * PIECE as u64, 5)]);
    }

    #[test]
    fn a_frame_of_a_piece_is_one_write() {
        let piece =
            Piece { task: u16::MAX, step: u32::MAX, op: u16::MAX, offset: u64::MAX, bytes: vec![0; PIECE] };
        let frame = imalab_wire::frame::encode(u64::MAX, &Message::Data(piece)).unwrap();
        assert!(frame.len() <= 32 * 1024, "{}", frame.len());
    }
}
