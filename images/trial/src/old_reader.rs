//! A program that knows nothing of staged records: it opens a list once, remembers at which byte it was, and goes on from there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};

use crate::guest::Result;

/// What it has read until it was stopped.
pub(crate) struct Read {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// How often it has read what it had read before.
    pub(crate) again: u64,
    /// What went wrong, in words.
    pub(crate) trouble: Option<String>,
}

/// Reads on and on in a thread of its own: what is new, and what is old, at places of no order.
pub(crate) fn read_on(folder: &Path, name: &str, stop: &Arc<AtomicBool>) -> Result<JoinHandle<Read>> {
    let file = File::open(folder.join(name))?;
    let (name, stop) = (name.to_owned(), Arc::clone(stop));
    Ok(spawn(move || {
        let mut read = Read { name, bytes: Vec::new(), again: 0, trouble: None };
        let mut random = 88_172_645_463_325_252_u64;
        while !stop.load(Ordering::Relaxed) && read.trouble.is_none() {
            read.trouble = read.more(&file).and_then(|()| read.compare(&file, &mut random)).err();
        }
        // All that there is now.
        if read.trouble.is_none() {
            read.trouble = read.more(&file).err();
        }
        read
    }))
}

impl Read {
    fn more(&mut self, file: &File) -> std::result::Result<(), String> {
        let mut buffer = [0; 3000];
        loop {
            match file.read_at(&mut buffer, self.bytes.len() as u64) {
                Ok(0) => return Ok(()),
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(format!("at byte {}: {error}", self.bytes.len())),
            }
        }
    }

    fn compare(&mut self, file: &File, random: &mut u64) -> std::result::Result<(), String> {
        for _ in 0..4 {
            // Xorshift (Marsaglia 2003).
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            let at = usize::try_from(*random).unwrap_or(0) % self.bytes.len().max(1);
            let mut buffer = [0; 700];
            let count = file
                .read_at(&mut buffer, at as u64)
                .map_err(|error| format!("again at byte {at}: {error}"))?;
            let known = &self.bytes[at..];
            let both = count.min(known.len());
            if count == 0 || buffer[..both] != known[..both] {
                return Err(format!("other bytes than before at byte {at}"));
            }
            self.again += 1;
        }
        Ok(())
    }
}
