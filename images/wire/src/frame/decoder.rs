//! Takes frames out of a stream of bytes that arrive in any portions.

use super::{FrameError, HEADER, Header, Kind, MAX_PADDING, MAX_PAYLOAD, Reason, from_postcard, verify};
use crate::Message;

/// Takes messages out of a stream, in memory for one frame.
///
/// Give it bytes with [`push`](Self::push), take messages with [`next`](Self::next) until there is none, say
/// with [`finish`](Self::finish) that the stream has ended. After the first error it gives nothing more.
///
/// ```
/// # use imalab_wire::{Message, frame};
/// let mut decoder = frame::Decoder::new();
/// let done = Message::Done { ops: 0, frames: 0 };
/// let stream = frame::encode(0, &done)?;
/// let mut rest = stream.as_slice();
/// while !rest.is_empty() {
///     let taken = decoder.push(rest);
///     rest = &rest[taken..];
///     while let Some(frame) = decoder.next() {
///         assert_eq!(frame?, (0, done.clone()));
///     }
/// }
/// decoder.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes that no message was made of yet; at most one whole frame.
    pending: Vec<u8>,
    /// Where `pending` begins in the stream.
    offset: u64,
    /// Sequence number that the next frame must have.
    expected: u64,
    /// Bytes of padding since the last frame, where frames may follow it.
    between: usize,
    /// Whether the guest may go on in another kernel.
    kexecs: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Frames follow. After a fault, an agent that gives up sends padding instead.
    #[default]
    Frames,
    AfterFault,
    /// So many bytes of padding came after the last frame, which was the last message or a fault.
    Padding {
        bytes: usize,
        done: bool,
    },
    Failed,
}

impl Decoder {
    /// Most bytes that it holds at a time.
    const CAPACITY: usize = HEADER + MAX_PAYLOAD;

    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder for a program that executes a kexec: padding may come between two frames, since the agent empties
    /// its port before each attempt, and after any frame the stream may start over at number 0 with a
    /// [`Message::Hello`]. How many boots there should be is for the caller to judge.
    #[must_use]
    pub fn across_kexecs() -> Self {
        Self { kexecs: true, ..Self::default() }
    }

    /// Takes bytes from the front of `bytes` and returns how many: as many as fit. That is at least one when
    /// [`next`](Self::next) has returned `None` since the last call and `bytes` is not empty. After an error all are
    /// taken and ignored.
    #[must_use = "the bytes beyond those taken have to be given again"]
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        if self.state == State::Failed {
            return bytes.len();
        }
        let taken = bytes.len().min(Self::CAPACITY - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next message and its sequence number, `None` when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "None is not the end: more bytes may come")]
    pub fn next(&mut self) -> Option<Result<(u64, Message), FrameError>> {
        if self.state == State::AfterFault && self.pending.first() == Some(&0) {
            self.state = State::Padding { bytes: 0, done: false };
        }
        match self.state {
            State::Failed => None,
            State::Padding { bytes, done } => {
                self.padding(bytes, done).err().map(|reason| Err(self.fail(reason)))
            }
            State::Frames | State::AfterFault => {
                self.skip_padding();
                self.frame().map_err(|reason| self.fail(reason)).transpose()
            }
        }
    }

    /// Takes the padding before a frame, where there may be some. More than the most that there may be is left, and is
    /// no frame.
    fn skip_padding(&mut self) {
        if !self.kexecs {
            return;
        }
        let zeros =
            self.pending.iter().take(MAX_PADDING - self.between).take_while(|byte| **byte == 0).count();
        self.pending.drain(..zeros);
        self.between += zeros;
        self.offset += zeros as u64;
    }

    /// Whether [`Message::Done`] has been given and nothing was wrong.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Padding { done: true, .. })
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// [`Reason::Truncated`] when it ended within a frame. A stream that ended between two frames without a
    /// [`Message::Done`] is for the caller to judge: see [`is_done`](Self::is_done).
    pub fn finish(&mut self) -> Result<(), FrameError> {
        if self.state != State::Failed && !self.pending.is_empty() {
            return Err(self.fail(Reason::Truncated { have: self.pending.len() }));
        }
        Ok(())
    }

    fn fail(&mut self, reason: Reason) -> FrameError {
        self.state = State::Failed;
        self.pending = Vec::new();
        FrameError { offset: self.offset, reason }
    }

    fn padding(&mut self, before: usize, done: bool) -> Result<(), Reason> {
        let zeros = self.pending.iter().take(MAX_PADDING - before).take_while(|byte| **byte == 0).count();
        self.offset += zeros as u64;
        if zeros < self.pending.len() {
            return Err(Reason::AfterEnd);
        }
        self.pending.clear();
        self.state = State::Padding { bytes: before + zeros, done };
        Ok(())
    }

    fn frame(&mut self) -> Result<Option<(u64, Message)>, Reason> {
        let Some((head, rest)) = self.pending.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let header = Header::parse(head, Kind::Message, MAX_PAYLOAD)?;
        let Some(payload) = rest.get(..header.len) else {
            return Ok(None);
        };
        verify(&header, head, payload)?;
        let next_boot = self.kexecs && header.seq == 0;
        if header.seq != self.expected && !next_boot {
            return Err(Reason::Gap { found: header.seq, expected: self.expected });
        }
        let message = from_postcard(payload)?;
        if header.seq != self.expected && !matches!(message, Message::Hello { .. }) {
            return Err(Reason::Gap { found: header.seq, expected: self.expected });
        }
        self.state = match message {
            Message::Done { frames, .. } if frames != header.seq => {
                return Err(Reason::Count { stated: frames, found: header.seq });
            }
            Message::Done { .. } => State::Padding { bytes: 0, done: true },
            Message::Fault { .. } => State::AfterFault,
            _ => State::Frames,
        };
        self.expected = header.seq + 1;
        self.between = 0;
        let used = HEADER + header.len;
        self.pending.drain(..used);
        self.offset += used as u64;
        Ok(Some((header.seq, message)))
    }
}
