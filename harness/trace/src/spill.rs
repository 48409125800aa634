//! Bytes that may be many: what comes first goes into a file without a name, memory holds the end of them.
//!
//! What few bytes there are in a short run never leave memory. Without room for a file all of them stay there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are written at once.
const PORTION: usize = 256 * 1024;

/// Bytes in the order in which they were added.
#[derive(Debug, Default)]
pub struct Spill {
    /// Made in the folder for temporary files once there are many, unless it was there from the start.
    file: Option<File>,
    /// The disk is full: what is not written yet stays in memory.
    full: bool,
    /// Bytes in the file.
    written: u64,
    /// Those that come after.
    rest: Vec<u8>,
}

impl Spill {
    /// With a file in `folder`, which is made at once; none when it cannot be made.
    pub fn within(folder: &Path) -> Option<Spill> {
        let file = tempfile::tempfile_in(folder).ok()?;
        Some(Spill { file: Some(file), ..Spill::default() })
    }

    /// With a file that takes whatever is written and gives none of it back: what a check has to tell from evidence.
    pub fn unreadable() -> Spill {
        Spill { file: File::options().write(true).open("/dev/null").ok(), ..Spill::default() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.written + self.rest.len() as u64
    }

    /// Adds some.
    pub fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        if self.rest.len() >= PORTION && !self.full {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.file.is_none() {
            self.file = tempfile::tempfile().ok();
        }
        let written = self.file.as_ref().map(|file| file.write_all_at(&self.rest, self.written));
        match written {
            Some(Ok(())) => {
                self.written += self.rest.len() as u64;
                self.rest.clear();
            }
            Some(Err(_)) | None => self.full = true,
        }
    }

    /// Leaves the first `length` of them.
    pub fn truncate(&mut self, length: u64) {
        match length.checked_sub(self.written) {
            Some(left) => self.rest.truncate(usize::try_from(left).unwrap_or(usize::MAX)),
            None => {
                self.written = length;
                self.rest.clear();
            }
        }
    }

    /// Fills the buffer with those that begin at `at`, as far as there are so many.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(behind) = at.checked_sub(self.written) else {
            let Some(file) = &self.file else { return Ok(0) };
            let within = usize::try_from(self.written - at).unwrap_or(usize::MAX).min(buffer.len());
            file.read_exact_at(&mut buffer[..within], at)?;
            return Ok(within);
        };
        let rest =
            usize::try_from(behind).ok().and_then(|behind| self.rest.get(behind..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at % 251) as u8).collect()
    }

    fn read(spill: &Spill, at: usize, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let mut buffer = vec![0; length - all.len()];
            match spill.read((at + all.len()) as u64, &mut buffer).unwrap() {
                0 => break,
                got => all.extend_from_slice(&buffer[..got]),
            }
        }
        all
    }

    #[test]
    fn few_bytes_make_no_file_and_many_come_back() {
        let all = bytes(3 * PORTION + 5);
        let mut spill = Spill::default();
        spill.push(&all[..100]);
        assert!(spill.file.is_none());
        all[100..].chunks(1_000).for_each(|chunk| spill.push(chunk));
        assert!(spill.file.is_some() && spill.rest.len() < PORTION);
        assert_eq!(spill.len(), all.len() as u64);
        assert!(read(&spill, 0, all.len()) == all);
        // Across the end of what is in the file.
        let border = usize::try_from(spill.written).unwrap();
        assert_eq!(read(&spill, border - 3, 6), all[border - 3..border + 3]);
        assert_eq!(read(&spill, all.len() - 2, 9), all[all.len() - 2..]);
        assert_eq!(read(&spill, all.len() + 9, 9), b"");
    }

    #[test]
    fn what_is_cut_off_is_gone_wherever_it_was() {
        let all = bytes(PORTION + 10);
        for left in [PORTION + 4, PORTION, PORTION - 7, 0] {
            let mut spill = Spill::default();
            spill.push(&all[..PORTION]);
            spill.push(&all[PORTION..]);
            spill.truncate(left as u64);
            spill.push(b"then");
            assert_eq!(spill.len(), left as u64 + 4);
            assert!(read(&spill, 0, all.len()) == [&all[..left], b"then"].concat(), "{left}");
        }
    }

    #[test]
    fn a_full_disk_leaves_them_in_memory() {
        let all = bytes(2 * PORTION);
        let mut spill =
            Spill { file: File::options().write(true).open("/dev/full").ok(), ..Spill::default() };
        all.chunks(1_000).for_each(|chunk| spill.push(chunk));
        assert_eq!((spill.written, spill.len()), (0, all.len() as u64));
        assert!(read(&spill, 0, all.len()) == all);
    }
}
