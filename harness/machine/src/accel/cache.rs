//! What the probe found, kept for this boot of the host and this QEMU.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Choice;

const FILE: &str = "accelerator.json";

/// What the probe's guest does; another number for another guest, whose predecessors' findings are void.
const PROBE: u32 = 2;

/// What a finding holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// [`PROBE`].
    probe: u32,
    /// The host's boot (`/proc/sys/kernel/random/boot_id`, random(4)).
    boot: String,
    /// QEMU's file: path, size, and time of change in nanoseconds. An upgrade changes it, and unlike its
    /// version it is known without running it.
    qemu: (PathBuf, u64, i64),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: Key,
    choice: Choice,
}

impl Key {
    /// Of `qemu` on this host; none when it is not found or the system does not tell.
    pub(super) fn of(qemu: &Path) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let path = on_path(qemu)?;
        let data = fs::metadata(&path).ok()?;
        Some(Self {
            probe: PROBE,
            boot,
            qemu: (path, data.len(), data.mtime() * 1_000_000_000 + data.mtime_nsec()),
        })
    }
}

/// Where the system would find `program`.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// What was found for `key`; none when there is nothing, or nothing that makes sense.
pub(super) fn load(dir: &Path, key: &Key) -> Option<Choice> {
    let stored: Stored = serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()?;
    (stored.key == *key).then_some(stored.choice)
}

/// Keeps `choice`, whole or not at all; a cache that cannot be written costs a probe, no more.
pub(super) fn store(dir: &Path, key: &Key, choice: &Choice) {
    let stored = Stored { key: key.clone(), choice: choice.clone() };
    let _ = (|| -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&serde_json::to_vec(&stored)?)?;
        file.persist(dir.join(FILE))?;
        Ok(())
    })();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accel::Accel;

    fn key(boot: &str) -> Key {
        Key { probe: PROBE, boot: boot.into(), qemu: ("/usr/bin/qemu".into(), 1, 2) }
    }

    #[test]
    fn holds_for_the_same_boot_only() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        let choice = Choice { accel: Accel::Kvm, reason: "it ran".into() };
        assert_eq!(load(&dir, &key("a")), None);
        store(&dir, &key("a"), &choice);
        assert_eq!(load(&dir, &key("a")), Some(choice.clone()));
        assert_eq!(load(&dir, &key("b")), None);
        store(&dir, &key("b"), &choice);
        assert_eq!(load(&dir, &key("b")), Some(choice));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no scratch file is left");
    }

    #[test]
    fn a_damaged_file_is_no_finding() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"{\"key\": {}").unwrap();
        assert_eq!(load(dir.path(), &key("a")), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_failure() {
        let choice = Choice { accel: Accel::Tcg, reason: "x".into() };
        store(Path::new("/proc/imalab"), &key("a"), &choice);
        assert_eq!(load(Path::new("/proc/imalab"), &key("a")), None);
    }

    #[test]
    fn the_key_changes_with_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let qemu = dir.path().join("qemu");
        assert_eq!(Key::of(&qemu), None);
        fs::write(&qemu, "1").unwrap();
        let first = Key::of(&qemu).unwrap();
        fs::write(&qemu, "22").unwrap();
        assert_ne!(Key::of(&qemu).unwrap(), first);
        assert!(Key::of(Path::new("sh")).is_some(), "looked up in PATH");
    }
}
