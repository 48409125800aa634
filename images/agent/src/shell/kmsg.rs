//! The kernel's messages.

use std::io::{self, Write};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::read;

/// Largest record, `PRINTKRB_RECORD_MAX` and its prefix (`kernel/printk/internal.h`), rounded up.
const RECORD: usize = 8192;

/// Prints every message that the kernel still has. The outer error is about the kernel's log, the inner about `out`.
pub(super) fn show(out: &mut impl Write) -> io::Result<io::Result<()>> {
    let log = open("/dev/kmsg", OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut record = vec![0; RECORD];
    loop {
        match read(&log, &mut record) {
            Ok(0) | Err(Errno::EAGAIN) => return Ok(Ok(())),
            Ok(len) => {
                if let Err(error) = writeln!(out, "{}", line(&String::from_utf8_lossy(&record[..len]))) {
                    return Ok(Err(error));
                }
            }
            // EPIPE: records were overwritten before they were read; the next read goes on after them.
            Err(Errno::EPIPE | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// `dmesg`'s form of a record, `PRIORITY,NUMBER,MICROSECONDS,FLAGS;TEXT` and lines with its properties
/// (`Documentation/ABI/testing/dev-kmsg`).
fn line(record: &str) -> String {
    let record = record.lines().next().unwrap_or_default();
    let Some((prefix, text)) = record.split_once(';') else {
        return record.to_owned();
    };
    match prefix.split(',').nth(2).and_then(|field| field.parse::<u64>().ok()) {
        Some(at) => format!("[{:5}.{:06}] {text}", at / 1_000_000, at % 1_000_000),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_as_dmesg_shows_it() {
        assert_eq!(
            line("6,12,1234567,-;ima: No TPM chip found\n SUBSYSTEM=x\n"),
            "[    1.234567] ima: No TPM chip found"
        );
        assert_eq!(line("odd"), "odd");
        assert_eq!(line("6;odd"), "odd");
    }
}
