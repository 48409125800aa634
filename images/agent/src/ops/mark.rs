//! The mark: a TPM command that the tap answers itself.

use imalab_wire::MARK_COMMAND;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{read, write};

use super::Failure;

/// `TPM_ST_NO_SESSIONS` (TPM 2.0 Library Part 2, 6.9).
const NO_SESSIONS: u16 = 0x8001;
/// Bytes of the command.
const COMMAND: u8 = 18;
/// Largest answer the kernel's device gives, `TPM_BUFSIZE` (`drivers/char/tpm/tpm.h`).
const ANSWER: usize = 4096;

/// The device holds one command at a time: `write` carries it out and returns with the answer ready to be read
/// (`tpm_common_write`, `drivers/char/tpm/tpm-dev-common.c`).
pub(super) fn run(path: &str, number: u64) -> Result<i64, Failure> {
    let device = open(path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let command = command(number);
    if write(&device, &command)? != command.len() {
        return Err(Errno::EIO.into());
    }
    let mut answer = [0; ANSWER];
    let len = read(&device, &mut answer)?;
    Ok(response_code(&answer[..len])?)
}

fn command(number: u64) -> [u8; COMMAND as usize] {
    let mut bytes = [0; COMMAND as usize];
    bytes[..2].copy_from_slice(&NO_SESSIONS.to_be_bytes());
    bytes[2..6].copy_from_slice(&u32::from(COMMAND).to_be_bytes());
    bytes[6..10].copy_from_slice(&MARK_COMMAND.to_be_bytes());
    bytes[10..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The code of an answer: a tag, a size and the code, ten bytes at least (Part 3, 5.4).
fn response_code(answer: &[u8]) -> Result<i64, Errno> {
    match answer {
        [_, _, _, _, _, _, a, b, c, d, ..] => Ok(i64::from(u32::from_be_bytes([*a, *b, *c, *d]))),
        _ => Err(Errno::EPROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_as_the_tap_expects_it() {
        assert_eq!(command(0x0102), [0x80, 1, 0, 0, 0, 18, 0x20, 0, 0x49, 0x4d, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn the_code_is_read_from_the_answer() {
        assert_eq!(response_code(&[0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x43]), Ok(0x143));
        assert_eq!(response_code(&[0x80, 1, 0, 0, 0, 10, 0, 0, 1]), Err(Errno::EPROTO));
    }
}
