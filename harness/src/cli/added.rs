//! Files that a user brings into the guest: `--add DIR`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use miette::miette;

use super::Failure;
use imalab_kernels::cache::Cache;
use imalab_kernels::initramfs;
use imalab_machine::initramfs::{Kind, with_files};
use imalab_print::printable;

/// Most bytes of all files: the guest unpacks them into its memory.
const MOST_BYTES: u64 = 512 << 20;

/// Most files.
const MOST_FILES: usize = 100_000;

/// What the agent itself is or mounts something on, by the first part of the path.
const TAKEN: &[&str] = &["dev", "init", "kernels", "m", "proc", "sys"];

/// The image with the files of these directories in its root, in the cache: where two have the same path, the later one's.
pub(super) fn image_with(image: &Path, dirs: &[PathBuf], cache: &Path) -> Result<PathBuf, Failure> {
    let mut files = Files::default();
    for dir in dirs {
        files.take(dir, "")?;
    }
    let bytes = fs::read(image)
        .map_err(|error| Failure::usage(miette!("cannot read {}: {error}", image.display())))?;
    let files: Vec<_> = files.found.into_iter().map(|(path, (mode, kind))| (path, mode, kind)).collect();
    let whole = with_files(bytes, &files).map_err(Failure::setup)?;
    let store = || initramfs::store(&Cache::at(cache.to_path_buf())?, &whole);
    store().map_err(|error| Failure::of_kernels(&error))
}

/// Files of the guest by their paths; a folder's path is the beginning of those in it, and so comes before them.
#[derive(Default)]
struct Files {
    found: BTreeMap<String, (u32, Kind)>,
    bytes: u64,
}

impl Files {
    /// Takes all that is in `folder`, which is `within` in the guest.
    fn take(&mut self, folder: &Path, within: &str) -> Result<(), Failure> {
        let cannot = |path: &Path, error: std::io::Error| {
            Failure::usage(miette!("--add: cannot read {}: {error}", path.display()))
        };
        for entry in fs::read_dir(folder).map_err(|error| cannot(folder, error))? {
            let path = entry.map_err(|error| cannot(folder, error))?.path();
            let refuse = |why: &str| {
                Failure::usage(miette!("--add: {} {why}", printable(&path.display().to_string())))
            };
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or_else(|| refuse("has a name that is no UTF-8"))?;
            if within.is_empty() && TAKEN.contains(&name) {
                return Err(refuse("would be in the way of the agent in the guest"));
            }
            let place = if within.is_empty() { name.to_owned() } else { format!("{within}/{name}") };
            let meta = fs::symlink_metadata(&path).map_err(|error| cannot(&path, error))?;
            let kind = match meta.file_type() {
                kind if kind.is_dir() => Kind::Folder,
                kind if kind.is_symlink() => {
                    let target = fs::read_link(&path).map_err(|error| cannot(&path, error))?;
                    Kind::Link(
                        target.to_str().ok_or_else(|| refuse("leads to a name that is no UTF-8"))?.to_owned(),
                    )
                }
                kind if kind.is_file() => {
                    self.bytes = self.bytes.saturating_add(meta.len());
                    if self.bytes > MOST_BYTES {
                        return Err(refuse("is more than a guest takes: all files may have 512 MiB"));
                    }
                    Kind::File(fs::read(&path).map_err(|error| cannot(&path, error))?)
                }
                _ => return Err(refuse("is no file, folder or symbolic link")),
            };
            let is_folder = kind == Kind::Folder;
            if self.found.get(&place).is_some_and(|(_, other)| (*other == Kind::Folder) != is_folder) {
                return Err(refuse("is a folder in one directory and none in another"));
            }
            self.found.insert(place.clone(), (meta.permissions().mode() & 0o7777, kind));
            if self.found.len() > MOST_FILES {
                return Err(refuse("is one file too many: there may be 100,000"));
            }
            if is_folder {
                self.take(&path, &place)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn taken(dirs: &[&Path]) -> Result<Vec<(String, u32, Kind)>, String> {
        let mut files = Files::default();
        for dir in dirs {
            files.take(dir, "").map_err(|failure| failure.error.to_string())?;
        }
        Ok(files.found.into_iter().map(|(path, (mode, kind))| (path, mode, kind)).collect())
    }

    #[test]
    fn all_that_is_in_a_directory_is_taken_and_a_later_one_wins() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, text) in [(&one, "one"), (&two, "two")] {
            fs::create_dir(dir.path().join("bin")).unwrap();
            fs::write(dir.path().join("bin/agent"), text).unwrap();
            fs::set_permissions(dir.path().join("bin/agent"), PermissionsExt::from_mode(0o755)).unwrap();
            fs::set_permissions(dir.path().join("bin"), PermissionsExt::from_mode(0o755)).unwrap();
        }
        symlink("agent", one.path().join("bin/old")).unwrap();
        let expected = [
            ("bin".to_owned(), 0o755, Kind::Folder),
            ("bin/agent".to_owned(), 0o755, Kind::File(b"two".to_vec())),
            ("bin/old".to_owned(), 0o777, Kind::Link("agent".to_owned())),
        ];
        assert_eq!(taken(&[one.path(), two.path()]).unwrap(), expected);
    }

    #[test]
    fn a_folder_of_one_is_no_file_of_another() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(one.path().join("bin")).unwrap();
        fs::write(two.path().join("bin"), "").unwrap();
        for dirs in [[one.path(), two.path()], [two.path(), one.path()]] {
            assert!(
                taken(&dirs).unwrap_err().ends_with("bin is a folder in one directory and none in another")
            );
        }
    }

    #[test]
    fn what_cannot_be_brought_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(taken(&[&dir.path().join("gone")]).unwrap_err().starts_with("--add: cannot read "));
        fs::write(dir.path().join("init"), "").unwrap();
        assert!(
            taken(&[dir.path()]).unwrap_err().ends_with("init would be in the way of the agent in the guest")
        );
        fs::remove_file(dir.path().join("init")).unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(taken(&[dir.path()]).unwrap_err().ends_with("pipe is no file, folder or symbolic link"));
        fs::remove_file(pipe).unwrap();
        let large = fs::File::create(dir.path().join("large")).unwrap();
        large.set_len(MOST_BYTES + 1).unwrap();
        assert!(taken(&[dir.path()]).unwrap_err().contains("more than a guest takes"));
    }
}
