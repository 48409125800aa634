//! Gives the kernel an IMA policy.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{close, write};

use crate::sockets::retry;

/// Writes the rules and makes them the kernel's policy by closing the file.
///
/// The kernel takes a rule a `write` and says how long it was (`ima_write_policy`, `security/integrity/ima/ima_fs.c`),
/// so the text goes in by as many calls as there are rules.
pub(crate) fn load(ima: &Path, rules: &[u8]) -> Result<(), String> {
    let path = ima.join("policy");
    let failed = |what: &str, errno: Errno| format!("{what} {}: {errno}", path.display());
    let file = open(&path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| failed("cannot open", errno))?;
    let mut rest = rules;
    while !rest.is_empty() {
        match retry(|| write(&file, rest)) {
            Ok(0) => return Err(failed("nothing was taken by", Errno::EIO)),
            Ok(len) => rest = &rest[len..],
            Err(errno) => {
                let rule = String::from_utf8_lossy(rest.split(|byte| *byte == b'\n').next().unwrap_or(rest));
                return Err(failed(&format!("rule `{rule}` is refused by"), errno));
            }
        }
    }
    close(file).map_err(|errno| failed("cannot close", errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("policy"), "").unwrap();
        load(dir.path(), b"measure func=FILE_CHECK\nmeasure func=POLICY_CHECK\n").unwrap();
        let written = std::fs::read_to_string(dir.path().join("policy")).unwrap();
        assert_eq!(written, "measure func=FILE_CHECK\nmeasure func=POLICY_CHECK\n");
    }

    #[test]
    fn a_kernel_without_a_policy_file_is_named() {
        let error = load(Path::new("/nonexistent"), b"measure\n").unwrap_err();
        assert_eq!(error, "cannot open /nonexistent/policy: ENOENT: No such file or directory");
    }
}
