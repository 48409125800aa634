//! What a task sends to PID 1, a packet of its socket each: encoded messages, or that it came to a barrier.

use imalab_wire::frame::MAX_PAYLOAD;

/// Largest packet: a whole message, and room for small ones beside it.
pub(crate) const MAX: usize = MAX_PAYLOAD + 4096;

const MESSAGES: u8 = 0;
const ARRIVED: u8 = 1;
/// The kind and the number of operations.
const HEAD: usize = 5;

/// Messages on their way into one packet.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Operations that the messages say are about to be attempted.
    started: u32,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![MESSAGES; HEAD], started: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD
    }

    /// Whether a message of so many bytes still fits.
    pub(crate) fn fits(&self, payload: usize) -> bool {
        self.bytes.len() + 4 + payload <= MAX
    }

    pub(crate) fn push(&mut self, payload: &[u8], starts_op: bool) {
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(payload);
        self.started += u32::from(starts_op);
    }

    /// The packet.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        self.bytes[1..HEAD].copy_from_slice(&self.started.to_le_bytes());
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(HEAD);
        self.started = 0;
    }
}

/// The packet of an arrival at a barrier.
pub(crate) fn arrived(id: u16, parties: u16) -> [u8; 5] {
    let ([a, b], [c, d]) = (id.to_le_bytes(), parties.to_le_bytes());
    [ARRIVED, a, b, c, d]
}

/// A packet as PID 1 sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Encoded messages, and how many operations they say are about to be attempted.
    Messages { payloads: Vec<&'a [u8]>, started: u32 },
    /// The sender waits at a barrier.
    Arrived { id: u16, parties: u16 },
}

/// `None` for what no task sends.
pub(crate) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    match bytes.split_first_chunk::<HEAD>()? {
        ([ARRIVED, a, b, c, d], []) => {
            Some(Packet::Arrived { id: u16::from_le_bytes([*a, *b]), parties: u16::from_le_bytes([*c, *d]) })
        }
        ([MESSAGES, started @ ..], mut rest) => {
            let mut payloads = Vec::new();
            while let Some((len, after)) = rest.split_first_chunk::<4>() {
                let (payload, after) =
                    after.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
                payloads.push(payload);
                rest = after;
            }
            rest.is_empty().then_some(Packet::Messages { payloads, started: u32::from_le_bytes(*started) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        let mut batch = Batch::new();
        assert!(batch.is_empty());
        batch.push(b"one", true);
        batch.push(b"", false);
        batch.push(b"three", true);
        let expected = Packet::Messages { payloads: vec![b"one", b"", b"three"], started: 2 };
        assert_eq!(parse(batch.bytes()), Some(expected));
        batch.clear();
        assert_eq!(parse(batch.bytes()), Some(Packet::Messages { payloads: vec![], started: 0 }));
    }

    #[test]
    fn the_largest_message_fits_an_empty_batch_alone() {
        let mut batch = Batch::new();
        assert!(batch.fits(MAX_PAYLOAD));
        batch.push(&vec![0; MAX_PAYLOAD], false);
        assert!(batch.fits(100));
        assert!(!batch.fits(MAX_PAYLOAD));
        assert!(batch.bytes().len() <= MAX);
    }

    #[test]
    fn an_arrival_comes_back() {
        assert_eq!(parse(&arrived(258, 3)), Some(Packet::Arrived { id: 258, parties: 3 }));
    }

    #[test]
    fn what_no_task_sends_is_refused() {
        for bytes in
            [&b""[..], &[0, 0, 0, 0], &[2, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 1, 0, 0, 0]]
        {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
