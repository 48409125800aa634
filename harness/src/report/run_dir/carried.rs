//! Kernels and image that a bundle carries, so that it can be shown again where neither is.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::RunDir;
use super::bundle::{HashedFile, KernelUsed, is, within};
use imalab_files::atomic::{self, FileError};

/// Folder of a bundle with a folder for each file, which the file's digest names.
const CARRIED: &str = "carried";
/// Name of each such file.
const FILE: &str = "file";
/// What a build of imalab has beside its image, and a run may want.
const BESIDE: [&str; 2] = ["System.map", "config"];
/// Digits of a digest in a folder's name.
const DIGITS: usize = 16;

impl RunDir {
    /// Copies what the run was booted from into the folder.
    ///
    /// # Errors
    /// When one cannot be read or written.
    pub fn carry(&self, used: &KernelUsed) -> Result<(), FileError> {
        for file in [&used.image, &used.initramfs].into_iter().chain(used.others.values()) {
            let folder = self.path().join(CARRIED).join(&file.sha256[..DIGITS]);
            std::fs::create_dir_all(&folder)
                .map_err(|error| FileError::new("create the folder", &folder, error))?;
            copy(&file.path, &folder.join(FILE))?;
            for name in BESIDE {
                let beside = file.path.with_file_name(name);
                // An initramfs has none beside it.
                if file != &used.initramfs && beside.is_file() {
                    copy(&beside, &folder.join(name))?;
                }
            }
        }
        Ok(())
    }

    /// The file that the bundle carries and that still is what `used` says.
    pub fn carried(&self, used: &HashedFile) -> Option<PathBuf> {
        let digest = used.sha256.get(..DIGITS)?;
        // It is a part of a path, and somebody else may have written it.
        let sound = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = within(self.path(), &format!("{CARRIED}/{digest}/{FILE}")).filter(|_| sound)?;
        is(&path, &used.sha256).then_some(path)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let mut file = File::open(from).map_err(|error| FileError::new("read", from, error))?;
    atomic::write_with(to, |to| io::copy(&mut file, to).map(drop))
}

#[cfg(test)]
mod tests {
    use super::super::hash_file;
    use super::*;

    #[test]
    fn what_is_carried_is_found_by_its_digest_and_not_when_it_is_another() {
        let (place, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = ["bzImage", "System.map", "initramfs"].map(|name| place.path().join(name));
        for path in &paths {
            std::fs::write(path, path.as_os_str().as_encoded_bytes()).unwrap();
        }
        let used = KernelUsed::of("k", None, &paths[0], &paths[2], []).unwrap();
        let dir = RunDir::existing(folder.path());
        assert_eq!(dir.carried(&used.image), None);
        dir.carry(&used).unwrap();
        let found = dir.carried(&used.image).unwrap();
        assert_eq!(hash_file(&found).unwrap().sha256, used.image.sha256);
        assert!(found.with_file_name("System.map").exists());
        assert!(!dir.carried(&used.initramfs).unwrap().with_file_name("System.map").exists());
        std::fs::write(&found, "another").unwrap();
        assert_eq!(dir.carried(&used.image), None);
        std::fs::remove_file(&found).unwrap();
        std::os::unix::fs::symlink(&paths[0], &found).unwrap();
        assert_eq!(dir.carried(&used.image), None, "a link may lead anywhere");
        for sha256 in ["../../../../etc/p", "", "é"] {
            assert_eq!(dir.carried(&HashedFile { sha256: sha256.into(), ..used.image.clone() }), None);
        }
    }
}
