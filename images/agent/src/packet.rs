//! What tasks and PID 1 send each other, a packet each.
//!
//! A task sends encoded messages, which PID 1 passes on without a look; notices; and requests, each of which PID 1
//! answers, at once or when there is something to answer. All tasks send into one socket, so that what one of them did
//! because of another comes after it; answers come by a socket of the task's own.

use imalab_wire::frame::MAX_PAYLOAD;
use imalab_wire::{Message, StepId, TaskId};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

/// Largest packet: a whole message, and room for small ones beside it.
pub(crate) const MAX: usize = MAX_PAYLOAD + 4096;

const MESSAGES: u8 = 0;
const OTHER: u8 = 1;
/// The kind and the sender.
const SENDER: usize = 3;
/// These, the number of operations, the last of them by step and index, and what sleeping means.
const HEAD: usize = SENDER + 11;

/// What it means when a task sleeps in a system call after it has sent this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Nothing: it is between two operations.
    #[default]
    Outside,
    /// The call is one of its operation's.
    Operation,
    /// As before, and a call that maps memory is one of them.
    Mapping,
    /// Nothing: the operation's own calls wait for nobody but the agent; a child that it names executes a file.
    Agent,
}

impl Sleep {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Outside, Self::Operation, Self::Mapping, Self::Agent]
            .into_iter()
            .find(|sleep| *sleep as u8 == byte)
    }
}

/// Messages on their way into one packet.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Operations that the messages say are about to be attempted.
    started: u32,
    /// The last that they, or earlier messages, say that of.
    last: (StepId, u16),
}

impl Batch {
    pub(crate) fn new(sender: TaskId) -> Self {
        let mut bytes = head(MESSAGES, sender);
        bytes.resize(HEAD, 0);
        Self { bytes, started: 0, last: (0, 0) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD
    }

    /// Whether a message of so many bytes still fits.
    pub(crate) fn fits(&self, payload: usize) -> bool {
        self.bytes.len() + 4 + payload <= MAX
    }

    /// Adds a message, encoded as `payload`.
    pub(crate) fn push(&mut self, message: &Message, payload: &[u8]) {
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(payload);
        if let Message::OpStarted { step, op, .. } = message {
            self.started += 1;
            self.last = (*step, *op);
        }
    }

    /// The packet.
    pub(crate) fn bytes(&mut self, sleep: Sleep) -> &[u8] {
        let (step, op) = self.last;
        let head = self.started.to_le_bytes().into_iter().chain(step.to_le_bytes()).chain(op.to_le_bytes());
        for (place, byte) in self.bytes[SENDER..HEAD].iter_mut().zip(head.chain([sleep as u8])) {
            *place = byte;
        }
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(HEAD);
        self.started = 0;
    }
}

fn head(kind: u8, sender: TaskId) -> Vec<u8> {
    let [low, high] = sender.to_le_bytes();
    vec![kind, low, high]
}

/// What a task tells PID 1 without a message to the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// First packet of a task that another one has started: who it is.
    Born {
        /// Its process.
        pid: i32,
        /// Its thread.
        tid: i32,
        /// It is not the first thread of its process.
        thread: bool,
    },
    /// In its present operation this process executes a file.
    Child(i32),
    /// It has no more steps.
    Finished,
    /// It runs a program, and this is the answer to what PID 1 passed on of another task: an errno or 0, and the value.
    Answer { to: TaskId, errno: i32, value: i64 },
}

/// What a task asks of PID 1. The value of the answer is that of [`imalab_wire::Op`] unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// To wait at a barrier.
    Barrier { id: u16, parties: u16 },
    /// To start a task; the answer is its socket.
    Spawn { task: TaskId },
    /// To put the descriptor that comes with the packet into the task's inbox.
    Send { to: TaskId },
    /// To take a descriptor out of the own inbox.
    Receive,
    /// To take a descriptor of the file that a task is reading or writing.
    Take { task: TaskId },
    /// To kill a task's process.
    Kill { task: TaskId, signal: i32 },
    /// To wait until a task sleeps.
    AwaitBlocked { task: TaskId },
    /// To wait until the host has taken all that was sent.
    Drain,
    /// To have the task that runs a program do the operation, of this step and index, that concerns it.
    Order { task: TaskId, step: StepId, op: u16 },
}

/// What PID 1 passes on to a task that runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To do this operation of another task, and to answer it.
    Operation { from: TaskId, step: StepId, op: u16 },
    /// To kill the program: nobody is left who could.
    End,
}

impl Order {
    pub(crate) fn packet(&self) -> Vec<u8> {
        // As `Word::packet`.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// Packet of a notice or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    Notice(Notice),
    Request(Request),
}

impl Word {
    pub(crate) fn packet(&self, sender: TaskId) -> Vec<u8> {
        // Postcard into a Vec fails for sequences of unknown length alone; a packet of one byte is refused.
        postcard::to_extend(self, head(OTHER, sender)).unwrap_or_else(|_| vec![OTHER])
    }
}

/// A packet as PID 1 sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Encoded messages, how many operations they say are about to be attempted, the last that the task has announced, and
    /// what sleeping means then.
    Messages {
        payloads: Vec<&'a [u8]>,
        started: u32,
        last: (StepId, u16),
        sleep: Sleep,
    },
    Notice(Notice),
    Request(Request),
}

/// The sender and what it sent; `None` for what no task sends.
pub(crate) fn parse(bytes: &[u8]) -> Option<(TaskId, Packet<'_>)> {
    let ([kind, sender @ ..], rest) = bytes.split_first_chunk::<SENDER>()?;
    let packet = match *kind {
        MESSAGES => messages(rest)?,
        OTHER => match postcard::take_from_bytes(rest).ok()? {
            (Word::Notice(notice), []) => Packet::Notice(notice),
            (Word::Request(request), []) => Packet::Request(request),
            _ => return None,
        },
        _ => return None,
    };
    Some((TaskId::from_le_bytes(*sender), packet))
}

fn messages(bytes: &[u8]) -> Option<Packet<'_>> {
    let ([s0, s1, s2, s3, step @ .., o0, o1, sleep], mut rest) =
        bytes.split_first_chunk::<{ HEAD - SENDER }>()?;
    let mut payloads = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let (payload, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        payloads.push(payload);
        rest = after;
    }
    let started = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
    let last = (StepId::from_le_bytes(*step), u16::from_le_bytes([*o0, *o1]));
    let sleep = Sleep::from_byte(*sleep)?;
    rest.is_empty().then_some(Packet::Messages { payloads, started, last, sleep })
}

/// PID 1's answer to a request: a value, or the errno with which the operation fails.
pub(crate) fn answer(result: Result<i64, Errno>) -> [u8; 12] {
    let (errno, value) = match result {
        Ok(value) => (0, value),
        Err(errno) => (errno as i32, 0),
    };
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&errno.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// Reads back what [`answer`] made.
pub(crate) fn parse_answer(bytes: &[u8]) -> Option<Result<i64, Errno>> {
    let (errno, value) = bytes.split_first_chunk()?;
    Some(match i32::from_le_bytes(*errno) {
        0 => Ok(i64::from_le_bytes(value.try_into().ok()?)),
        errno => Err(Errno::from_raw(errno)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        let mut batch = Batch::new(258);
        assert!(batch.is_empty());
        let starts = |op| Message::OpStarted { task: 258, step: 70_000, op, at_ns: 0 };
        batch.push(&starts(1), b"one");
        batch.push(&Message::Progress { task: 258, step: 70_000, done: 0 }, b"");
        batch.push(&starts(259), b"three");
        for sleep in [Sleep::Operation, Sleep::Mapping, Sleep::Agent, Sleep::Outside] {
            let payloads: Vec<&[u8]> = vec![b"one", b"", b"three"];
            let expected = Packet::Messages { payloads, started: 2, last: (70_000, 259), sleep };
            assert_eq!(parse(batch.bytes(sleep)), Some((258, expected)));
        }
        batch.clear();
        // What it announced last still holds.
        let (payloads, last) = (vec![], (70_000, 259));
        let nothing = Packet::Messages { payloads, started: 0, last, sleep: Sleep::Outside };
        assert_eq!(parse(batch.bytes(Sleep::Outside)), Some((258, nothing)));
    }

    #[test]
    fn the_largest_message_fits_an_empty_batch_alone() {
        let mut batch = Batch::new(258);
        assert!(batch.fits(MAX_PAYLOAD));
        batch.push(&Message::Progress { task: 258, step: 1, done: 0 }, &vec![0; MAX_PAYLOAD]);
        assert!(batch.fits(100));
        assert!(!batch.fits(MAX_PAYLOAD));
        assert!(batch.bytes(Sleep::Operation).len() <= MAX);
    }

    #[test]
    fn notices_requests_and_answers_come_back() {
        let born = Notice::Born { pid: 70_000, tid: 70_001, thread: true };
        assert_eq!(parse(&Word::Notice(born).packet(7)), Some((7, Packet::Notice(born))));
        let barrier = Request::Barrier { id: 258, parties: 3 };
        assert_eq!(parse(&Word::Request(barrier).packet(7)), Some((7, Packet::Request(barrier))));
        for result in [Ok(i64::MIN), Ok(7), Err(Errno::EDEADLK)] {
            assert_eq!(parse_answer(&answer(result)), Some(result));
        }
    }

    #[test]
    fn what_no_task_sends_is_refused() {
        let too_long = [Word::Notice(Notice::Finished).packet(0), vec![0]].concat();
        for bytes in [
            &b""[..],
            &[0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 4],
            &[2, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0],
            &[1, 0, 0, 9],
            &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
            &too_long,
        ] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
        assert_eq!(parse_answer(&[0; 11]), None);
        assert_eq!(parse_answer(&[0; 13]), None);
    }
}
