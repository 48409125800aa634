//! Bytes that may be many: what comes first goes into a file without a name, memory holds the end of them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are written at once.
const PORTION: usize = 256 * 1024;

/// Bytes in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Spill {
    file: File,
    /// The disk is full: what is not written yet stays in memory.
    full: bool,
    /// Bytes in the file.
    written: u64,
    /// Those that come after.
    rest: Vec<u8>,
}

impl Spill {
    /// With a file in `folder`; none when it cannot be made.
    pub(crate) fn within(folder: &Path) -> Option<Spill> {
        tempfile::tempfile_in(folder).ok().map(Spill::to)
    }

    fn to(file: File) -> Spill {
        Spill { file, full: false, written: 0, rest: Vec::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.written + self.rest.len() as u64
    }

    /// Adds some.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        if self.rest.len() >= PORTION && !self.full {
            self.write();
        }
    }

    fn write(&mut self) {
        match self.file.write_all_at(&self.rest, self.written) {
            Ok(()) => {
                self.written += self.rest.len() as u64;
                self.rest.clear();
            }
            Err(_) => self.full = true,
        }
    }

    /// Fills the buffer with those that begin at `at`, as far as there are so many.
    pub(crate) fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(behind) = at.checked_sub(self.written) else {
            let within = usize::try_from(self.written - at).unwrap_or(usize::MAX).min(buffer.len());
            self.file.read_exact_at(&mut buffer[..within], at)?;
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
    fn many_bytes_come_back() {
        let all = bytes(3 * PORTION + 5);
        let mut spill = Spill::to(tempfile::tempfile().unwrap());
        all.chunks(1_000).for_each(|chunk| spill.push(chunk));
        assert!(spill.written > 0 && spill.rest.len() < PORTION);
        assert_eq!(spill.len(), all.len() as u64);
        assert!(read(&spill, 0, all.len()) == all);
        // Across the end of what is in the file.
        let border = usize::try_from(spill.written).unwrap();
        assert_eq!(read(&spill, border - 3, 6), all[border - 3..border + 3]);
        assert_eq!(read(&spill, all.len() - 2, 9), all[all.len() - 2..]);
        assert_eq!(read(&spill, all.len() + 9, 9), b"");
    }

    #[test]
    fn a_full_disk_leaves_them_in_memory() {
        let all = bytes(2 * PORTION);
        let mut spill = Spill::to(File::options().write(true).open("/dev/full").unwrap());
        all.chunks(1_000).for_each(|chunk| spill.push(chunk));
        assert_eq!((spill.written, spill.len()), (0, all.len() as u64));
        assert!(read(&spill, 0, all.len()) == all);
    }
}
