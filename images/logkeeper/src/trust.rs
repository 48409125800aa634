//! Whether anybody but root could have changed a file or folder: owner and mode tell.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Why a file or folder is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is somebody else's.
    #[error("expected root as its owner")]
    Owner,
    /// Its mode lets others in.
    #[error("others than its owner may write to it")]
    Writable,
    /// It is a folder, a pipe or a device.
    #[error("expected a file")]
    NotAFile,
}

/// Whether root alone, or whoever runs this, could have changed it.
pub(crate) fn trust(about: &Metadata) -> Result<(), Untrusted> {
    trust_owner(about.uid())?;
    if about.mode() & 0o022 == 0 { Ok(()) } else { Err(Untrusted::Writable) }
}

/// The same of what has to be a file.
pub(crate) fn trust_file(about: &Metadata) -> Result<(), Untrusted> {
    if !about.is_file() {
        return Err(Untrusted::NotAFile);
    }
    trust(about)
}

fn trust_owner(owner: u32) -> Result<(), Untrusted> {
    let ours = owner == 0 || owner == nix::unistd::geteuid().as_raw();
    if ours { Ok(()) } else { Err(Untrusted::Owner) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn owner_and_mode_tell() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        for (mode, expected) in [
            (0o600, Ok(())),
            (0o644, Ok(())),
            (0o620, Err(Untrusted::Writable)),
            (0o602, Err(Untrusted::Writable)),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(trust_file(&fs::metadata(&path).unwrap()), expected, "{mode:o}");
        }
        assert_eq!(trust_file(&fs::metadata(folder.path()).unwrap()), Err(Untrusted::NotAFile));
        assert_eq!(trust_owner(12345), Err(Untrusted::Owner));
    }
}
