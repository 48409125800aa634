//! The two things that the keeper asks of a TPM: how often it was reset, and the value of a PCR.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use imalab_ima::{Bank, Digest};
use nix::errno::Errno;

use crate::system_calls::errno;

/// `TPM2_ReadClock` without sessions: tag, size, command code (TPM 2.0 Library, Part 3, 29.1).
const READ_CLOCK: [u8; 10] = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x81];

/// Where the response has `resetCount`: header, time, clock (Part 2, 10.11.1 and 10.11.6).
const RESET_COUNT: std::ops::Range<usize> = 26..30;

/// How often the TPM behind the device at `path` was reset since it was cleared: it rises with each cold boot, and with no kexec.
///
/// `None`: there is no such device.
///
/// # Errors
///
/// The device's; EPROTO for an answer that is none.
pub(crate) fn resets(path: &Path) -> Result<Option<u32>, Errno> {
    let mut device = match File::options().read(true).write(true).open(path) {
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::ENODEV)) => {
            return Ok(None);
        }
        device => device.map_err(errno)?,
    };
    device.write_all(&READ_CLOCK).map_err(errno)?;
    let mut response = [0; 64];
    let length = device.read(&mut response).map_err(errno)?;
    reset_count(response.get(..length).unwrap_or_default()).map(Some).ok_or(Errno::EPROTO)
}

fn reset_count(response: &[u8]) -> Option<u32> {
    let size = u32::from_be_bytes(response.get(2..6)?.try_into().ok()?);
    let code = u32::from_be_bytes(response.get(6..10)?.try_into().ok()?);
    if size as usize != response.len() || code != 0 {
        return None;
    }
    Some(u32::from_be_bytes(response.get(RESET_COUNT)?.try_into().ok()?))
}

/// Where the kernel shows the PCRs of the TPM behind the device at `path`; `None` for a name that no TPM's device has.
pub(crate) fn folder(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix("tpmrm").or_else(|| name.strip_prefix("tpm"))?;
    let number: u32 = number.parse().ok()?;
    Some(Path::new("/sys/class/tpm").join(format!("tpm{number}")))
}

/// The value of a PCR, as the kernel has read it for `folder`, that of a TPM in sysfs; `None` where it has no such bank.
pub(crate) fn pcr(folder: &Path, bank: Bank, pcr: u32) -> Result<Option<Digest>, Errno> {
    let text = match fs::read_to_string(folder.join(format!("pcr-{bank}/{pcr}"))) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(errno)?,
    };
    value(bank, &text).map(Some).ok_or(Errno::EPROTO)
}

fn value(bank: Bank, text: &str) -> Option<Digest> {
    let text = text.trim_end();
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    Digest::from_bytes(bank, &bytes?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of swtpm 0.7.
    const ANSWER: [u8; 35] = [
        0x80, 0x01, 0, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0x11, 0x22, 0, 0, 0, 0, 0, 0x0a, 0x11,
        0x23, 0, 0, 0, 7, 0, 0, 0, 2, 1,
    ];

    #[test]
    fn resets_stand_where_part_2_says() {
        assert_eq!(reset_count(&ANSWER), Some(7));
        for length in 0..ANSWER.len() {
            assert_eq!(reset_count(&ANSWER[..length]), None, "{length}");
        }
        // TPM_RC_RETRY.
        assert_eq!(reset_count(&[0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x09, 0x22]), None);
    }

    #[test]
    fn where_there_is_no_tpm_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(resets(&folder.path().join("tpmrm0")), Ok(None));
        assert_eq!(pcr(folder.path(), Bank::Sha256, 10), Ok(None));
    }

    #[test]
    fn the_device_and_the_pcrs_are_of_one_tpm() {
        let folder = |path: &str| folder(Path::new(path)).map(|folder| folder.display().to_string());
        assert_eq!(folder("/dev/tpmrm0").as_deref(), Some("/sys/class/tpm/tpm0"));
        assert_eq!(folder("/dev/tpm12").as_deref(), Some("/sys/class/tpm/tpm12"));
        assert_eq!(folder("/dev/tpmrm"), None);
        assert_eq!(folder("/dev/null"), None);
    }

    #[test]
    fn a_pcr_is_read_as_the_kernel_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pcr-sha1")).unwrap();
        let path = folder.path().join("pcr-sha1/10");
        fs::write(&path, "00112233445566778899AABBCCDDEEFF00112233\n").unwrap();
        let value = pcr(folder.path(), Bank::Sha1, 10).unwrap().unwrap();
        assert_eq!(value.to_string(), "00112233445566778899aabbccddeeff00112233");
        for text in [
            "",
            "0011\n",
            "zz112233445566778899AABBCCDDEEFF00112233\n",
            "00112233445566778899AABBCCDDEEFF0011223\n",
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(pcr(folder.path(), Bank::Sha1, 10), Err(Errno::EPROTO), "{text:?}");
        }
    }
}
