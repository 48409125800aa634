//! Finds the records that a PCR value accounts for, as an attestation agent does.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use nix::unistd::{Whence, lseek, read, write};

use super::file::{buffer, size};
use super::{Failure, Report};
use crate::pcr::{self, Digest};
use crate::replay::Search;
use crate::uplink::Uplink;

/// Bytes read and not sent after which the operation says that it goes on.
const QUIET: u64 = 4 * 1024 * 1024;

/// How much of the list a task has accounted for.
#[derive(Debug, Default)]
pub(crate) struct Attested {
    /// Value of the PCR up to which the records are accounted for.
    accounted: Digest,
    /// What the last search found: a number of records and the value that they lead to.
    found: Option<(u64, Digest)>,
    /// The number that was read last.
    number: Option<i64>,
}

/// Bytes that a number is looked for in.
const NUMBER: usize = 64;

impl Attested {
    /// Reads the PCR, then the list, and finds the records that lead from the one value to the other.
    pub(super) fn find<U: Uplink>(
        &mut self,
        tpm: &str,
        list: impl AsFd,
        chunk: u32,
        send: bool,
        account: bool,
        report: &mut Report<'_, U>,
    ) -> Result<i64, Failure> {
        self.found = None;
        let device = open(tpm, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let goal = pcr::read(&device)?;
        // Nobody else can use the device while it is open.
        drop(device);
        let mut search = Search::new(self.accounted, goal);
        let mut buffer = buffer(size(chunk).max(1))?;
        lseek(&list, 0, Whence::SeekSet)?;
        let (mut total, mut told) = (0u64, 0);
        loop {
            let len = read(&list, &mut buffer)?;
            if len == 0 {
                break;
            }
            let bytes = &buffer[..len];
            search.push(bytes)?;
            total += len as u64;
            if send {
                report.data(bytes)?;
            } else if total - told >= QUIET {
                told = total;
                report.progress(total)?;
            }
        }
        let records = search.found().ok_or(Errno::ENODATA)?;
        self.found = Some((records, goal));
        if account {
            self.accounted = goal;
        }
        Ok(records.cast_signed())
    }

    /// Writes the number that was found last, after which these records are accounted for.
    ///
    /// # Errors
    /// `ENODATA` when nothing was found.
    pub(super) fn write_found(&mut self, file: impl AsFd) -> Result<i64, Failure> {
        let (records, value) = self.found.ok_or(Errno::ENODATA)?;
        if records > 0 {
            let text = format!("{records}\n");
            if write(file, text.as_bytes())? != text.len() {
                return Err(Errno::EIO.into());
            }
        }
        self.accounted = value;
        Ok(records.cast_signed())
    }

    /// Reads the number that a file shows, and keeps it.
    ///
    /// # Errors
    /// `EPROTO` when it begins with none.
    pub(super) fn read_number(&mut self, file: impl AsFd) -> Result<i64, Failure> {
        self.number = None;
        let mut buffer = [0; NUMBER];
        let length = pread(file, &mut buffer, 0)?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let digits = text.split(|other: char| !other.is_ascii_digit()).next().unwrap_or_default();
        let number = digits.parse().map_err(|_| Errno::EPROTO)?;
        self.number = Some(number);
        Ok(number)
    }

    /// Writes a text that is filled in with what is known.
    ///
    /// # Errors
    /// `ENODATA` when it needs what is not.
    pub(super) fn write_filled(&mut self, file: impl AsFd, text: &str) -> Result<i64, Failure> {
        let found = self.found.map(|(records, _)| records.cast_signed());
        let filled = imalab_wire::filled(text, self.number, found).ok_or(Errno::ENODATA)?;
        let needs_found = imalab_wire::filled(text, self.number, None).is_none();
        if needs_found && found == Some(0) {
            return Ok(0);
        }
        let written = write(file, filled.as_bytes())?;
        if let Some((_, value)) = self.found.filter(|_| needs_found) {
            self.accounted = value;
        }
        // A request is far shorter than 2^63 bytes.
        Ok(i64::try_from(written).unwrap_or(i64::MAX))
    }
}
