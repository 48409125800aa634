//! Files that are being written, under names of their own beside their places.
//!
//! Each is locked by its writer for as long as it is written. One whose writer was killed is no longer locked, and the next
//! call that writes there removes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use tempfile::{NamedTempFile, TempPath};

/// How the name of every such file ends.
const SUFFIX: &str = ".partial";
/// Letters and digits that make its name its own.
const RANDOM: usize = 6;

/// Makes one for the file `name` in `folder`, after removing those that killed writers left there.
///
/// # Errors
/// When the folder cannot be written to.
pub fn create(folder: &Path, name: &str) -> io::Result<(File, TempPath)> {
    remove_abandoned(folder, |of| of == name);
    loop {
        let (file, path) = make(folder, name)?.into_parts();
        // Where files cannot be locked, nobody takes it away either.
        let _ = file.lock();
        // Between its making and its locking it looked abandoned.
        if file.metadata()?.nlink() > 0 {
            return Ok((file, path));
        }
    }
}

fn make(folder: &Path, name: &str) -> io::Result<NamedTempFile> {
    // The crate's own errors name the partial file, which means nothing to a reader: the system's are kept.
    let mut refusal = None;
    let create = |partial: &Path| {
        // Mode 0666 as `creat(2)` would, for the umask to decide: 0600 would hide results from a CI's collector.
        File::options().write(true).create_new(true).mode(0o666).open(partial).inspect_err(|error| {
            refusal = error.raw_os_error();
        })
    };
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(SUFFIX)
        .rand_bytes(RANDOM)
        .make_in(folder, create)
        .map_err(|error| refusal.map_or(error, io::Error::from_raw_os_error))
}

/// The file that one of this name is to become.
fn becomes(partial: &str) -> Option<&str> {
    let (name, random) = partial.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let sound = random.len() == RANDOM && random.chars().all(|c| c.is_ascii_alphanumeric());
    (sound && !name.is_empty()).then_some(name)
}

/// Removes those in `folder` whose writers are gone and that were to become one of the files that are `wanted`.
pub fn remove_abandoned(folder: &Path, wanted: impl Fn(&str) -> bool) {
    // Whatever cannot be looked at is left to the next call.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_wanted = name.to_str().and_then(becomes).is_some_and(&wanted);
        if is_wanted && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
            let file = OpenOptions::new().read(true).custom_flags(flags).open(entry.path());
            // Locked until it is removed: whoever makes one sees then that it is gone.
            if let Ok(file) = file
                && file.try_lock().is_ok()
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(".plan.json.aB3dE9.partial", Some("plan.json"))]
    #[case("plan.json.aB3dE9.partial", None)]
    #[case(".plan.json.aB3d.partial", None)]
    #[case(".aB3dE9.partial", None)]
    #[case("..aB3dE9.partial", None)]
    #[case(".plan.json.aB3-E9.partial", None)]
    fn only_our_own_names(#[case] partial: &str, #[case] of: Option<&str>) {
        assert_eq!(becomes(partial), of);
    }

    fn paths(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_living_writer_keeps_its_file_and_a_dead_one_loses_it() {
        let folder = tempfile::tempdir().unwrap();
        let living = create(folder.path(), "r.json").unwrap();
        // As a killed one leaves it: there, and locked by nobody.
        let dead = folder.path().join(".r.json.abcdef.partial");
        let others = [folder.path().join(".other.abcdef.partial"), folder.path().join(".r.json.abc.partial")];
        fs::write(&dead, "half").unwrap();
        others.iter().for_each(|path| fs::write(path, "somebody's").unwrap());
        let second = create(folder.path(), "r.json").unwrap();
        assert!(!dead.exists());
        assert!(living.1.exists() && second.1.exists() && others.iter().all(|path| path.exists()));
        drop((living, second));
        assert_eq!(paths(folder.path()).len(), 2);
    }

    #[test]
    fn a_link_of_that_name_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "x").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join(".r.abcdef.partial")).unwrap();
        remove_abandoned(folder.path(), |_| true);
        assert_eq!(paths(folder.path()).len(), 2);
    }

    #[test]
    fn writers_at_once_do_not_take_each_others_files() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let (file, path) = create(folder.path(), "r.json").unwrap();
                        assert!(file.metadata().unwrap().nlink() == 1 && path.exists());
                    }
                });
            }
        });
        assert!(paths(folder.path()).is_empty());
    }
}
