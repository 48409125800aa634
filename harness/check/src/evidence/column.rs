//! Many bytes of which a check looks at a few at a time, mostly one after the other.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use imalab_trace::spill::Spill;

/// Bytes that are read at once by who goes on where the last read ended, and by who does not.
const AHEAD: usize = 64 * 1024;
const ASTRAY: usize = 512;

/// Why some of a run's evidence could not be read back, once that has happened.
pub(crate) type Trouble = Rc<OnceCell<String>>;

/// Bytes in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Column {
    spill: Spill,
    window: RefCell<Window>,
    trouble: Trouble,
}

/// The part that was read last.
#[derive(Debug, Default)]
struct Window {
    from: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Those that begin at `at`, if they are in it.
    fn get(&self, at: u64, length: usize) -> Option<&[u8]> {
        let skip = usize::try_from(at.checked_sub(self.from)?).ok()?;
        self.bytes.get(skip..skip.checked_add(length)?)
    }

    /// Whether what begins at `at` begins in it, or right behind it.
    fn leads_to(&self, at: u64) -> bool {
        let end = self.from + self.bytes.len() as u64;
        at >= self.from && at <= end
    }
}

impl Column {
    /// Empty. What cannot be read back is told to `trouble`.
    pub(crate) fn new(trouble: &Trouble) -> Column {
        Column { spill: Spill::default(), window: RefCell::default(), trouble: Rc::clone(trouble) }
    }

    pub(crate) fn len(&self) -> u64 {
        self.spill.len()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.spill.push(bytes);
    }

    /// Leaves the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: u64) {
        self.spill.truncate(length);
        self.window = RefCell::default();
    }

    /// What `look` makes of so many bytes at a place; nothing when there are not so many.
    pub(crate) fn look<T>(&self, at: u64, length: usize, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut window = self.window.borrow_mut();
        if window.get(at, length).is_none() {
            let wanted = if window.leads_to(at) { AHEAD } else { ASTRAY };
            self.read(&mut window, at, wanted.max(length));
        }
        window.get(at, length).map(look)
    }

    fn read(&self, window: &mut Window, at: u64, wanted: usize) {
        // Not more than there is: memory follows.
        let left = usize::try_from(self.len().saturating_sub(at)).unwrap_or(usize::MAX);
        window.from = at;
        window.bytes.resize(wanted.min(left), 0);
        let mut got = 0;
        while got < window.bytes.len() {
            match self.spill.read(at + got as u64, &mut window.bytes[got..]) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) => {
                    let why =
                        format!("the checks' own scratch file cannot be read from byte {at} on: {error}");
                    // The first says it all.
                    let _ = self.trouble.set(why);
                    break;
                }
            }
        }
        window.bytes.truncate(got);
    }
}

/// As many as eight bytes as a number, the lowest first.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_in_whatever_order() {
        let all: Vec<u8> = (0..600_000_u32).map(|at| (at % 253) as u8).collect();
        let trouble = Trouble::default();
        let mut column = Column::new(&trouble);
        all.chunks(77).for_each(|chunk| column.push(chunk));
        for at in (0..all.len() - 100).step_by(90).chain((0..all.len() - 100).rev().step_by(7_001)) {
            assert_eq!(column.look(at as u64, 100, <[u8]>::to_vec).as_deref(), Some(&all[at..at + 100]));
        }
        assert_eq!(column.look(600_000 - 3, 4, <[u8]>::to_vec), None);
        assert_eq!(column.look(600_000, 0, <[u8]>::len), Some(0));
        column.truncate(10);
        column.push(b"new");
        assert_eq!(column.look(8, 5, <[u8]>::to_vec), Some([&all[8..10], b"new"].concat()));
        assert_eq!(trouble.get(), None);
    }

    #[test]
    fn what_cannot_be_read_back_is_told() {
        let trouble = Trouble::default();
        // A file that cannot be read.
        let mut column = Column { spill: Spill::unreadable(), ..Column::new(&trouble) };
        column.push(&[1; 1 << 20]);
        assert_eq!(column.look(5, 5, <[u8]>::to_vec), None);
        let why = trouble.get().map_or("", String::as_str);
        assert!(why.starts_with("the checks' own scratch file cannot be read from byte 5 on: "), "{why}");
    }
}
