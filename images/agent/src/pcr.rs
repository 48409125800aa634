//! Reads PCR 10 of the SHA-256 bank, past IMA, by a command of the agent's own.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::{read as read_file, write};

/// A SHA-256 digest.
pub(crate) type Digest = [u8; 32];

/// PCR that IMA extends (`CONFIG_IMA_MEASURE_PCR_IDX`).
pub(crate) const PCR: u32 = 10;

/// `TPM2_PCR_Read` (TPM 2.0 Library Part 3, 22.4): no sessions, 20 bytes, one selection, SHA-256, three bytes of a
/// bit map of which PCR 10 is bit 2 of the second.
const COMMAND: [u8; 20] =
    [0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7e, 0, 0, 0, 1, 0x00, 0x0b, 3, 0, 1 << (PCR % 8), 0];

/// Largest answer the kernel's device gives, `TPM_BUFSIZE` (`drivers/char/tpm/tpm.h`).
const ANSWER: usize = 4096;

/// Asks the TPM device.
///
/// # Errors
/// `EIO` when the TPM refuses, `EOPNOTSUPP` when it has no such bank, `EPROTO` for what is no answer.
pub(crate) fn read(device: impl AsFd) -> nix::Result<Digest> {
    if write(&device, &COMMAND)? != COMMAND.len() {
        return Err(Errno::EIO);
    }
    let mut answer = [0; ANSWER];
    let len = read_file(&device, &mut answer)?;
    value(&answer[..len])
}

/// The digest in an answer: a header of ten bytes whose last four are the response code, the update counter, the
/// selection, and a list of digests.
fn value(answer: &[u8]) -> Result<Digest, Errno> {
    const HEADER: usize = 10;
    const COUNTER: usize = 4;
    const SELECTION: usize = 4 + 2 + 1 + 3;
    match answer.get(6..HEADER).ok_or(Errno::EPROTO)? {
        [0, 0, 0, 0] => {}
        _ => return Err(Errno::EIO),
    }
    // A bank that is not active is in the answer's selection with no bits, or not at all.
    let body = &answer[HEADER..];
    if body.get(COUNTER..COUNTER + 4) == Some(&[0; 4]) {
        return Err(Errno::EOPNOTSUPP);
    }
    let digests = body.get(COUNTER + SELECTION..).ok_or(Errno::EPROTO)?;
    match digests {
        [0, 0, 0, 0, ..] => Err(Errno::EOPNOTSUPP),
        [0, 0, 0, 1, 0, 32, digest @ ..] => digest.try_into().map_err(|_| Errno::EPROTO),
        _ => Err(Errno::EPROTO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(digests: &[u8]) -> Vec<u8> {
        let head = [0x80, 1, 0, 0, 0, 62, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 11, 3, 0, 4, 0];
        [&head[..], digests].concat()
    }

    #[test]
    fn the_digest_is_taken_from_the_answer() {
        let digests = [&[0, 0, 0, 1, 0, 32][..], &[7; 32]].concat();
        assert_eq!(value(&answer(&digests)), Ok([7; 32]));
        assert_eq!(value(&answer(&digests)[..61]), Err(Errno::EPROTO));
        assert_eq!(value(&answer(&[0; 4])), Err(Errno::EOPNOTSUPP));
        assert_eq!(value(&[0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x43]), Err(Errno::EIO));
        assert_eq!(value(&[0x80, 1]), Err(Errno::EPROTO));
    }
}
