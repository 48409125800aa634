//! What tells saved machines apart.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::context::RunContext;
use super::super::guest::machine_spec;
use super::super::kernels;
use imalab_language::plan::Plan;

/// Everything that a machine's state depends on up to where its agent waits for a program: its command line but for the
/// program, its banks, and its files, which are known by their places, sizes and times of change. Machines of different keys
/// share nothing; whatever changes a file changes the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(String);

impl Key {
    /// That of the machine that `plan` runs on.
    pub(super) fn of(plan: &Plan, context: RunContext<'_>) -> Key {
        let spec = machine_spec(context, &plan.machine, context.initramfs.to_owned(), None);
        let others = kernels::others(plan, context.kernels).unwrap_or_default();
        let others = (!plan.kernels().is_empty()).then(|| {
            others.into_iter().map(|kernel| (&kernel.name, identity(&kernel.image))).collect::<Vec<_>>()
        });
        let programs =
            [context.qemu, context.swtpm].map(|program| found(program).map(|path| identity(&path)));
        let files = [context.kernel, context.initramfs].map(identity);
        let lane = context.seeded.map(|seeded| identity(seeded.plugin));
        Key(format!("{spec:?} {:?} {others:?} {programs:?} {files:?} {lane:?}", plan.machine.banks))
    }
}

/// A file that is there, as long as nobody changes it.
type Identity = (PathBuf, Option<[i128; 6]>);

fn identity(path: &Path) -> Identity {
    let of = |file: fs::Metadata| {
        let time = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        [
            file.dev().into(),
            file.ino().into(),
            file.size().into(),
            file.mode().into(),
            time(file.mtime(), file.mtime_nsec()),
            time(file.ctime(), file.ctime_nsec()),
        ]
    };
    (path.to_owned(), fs::metadata(path).ok().map(of))
}

/// Where a program is that is looked up in `PATH` when it is a bare name.
fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() != 1 {
        return Some(program.to_owned());
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qemu");
        assert_eq!(identity(&path).1, None);
        fs::write(&path, "one").unwrap();
        let one = identity(&path);
        assert_eq!(identity(&path), one);
        // In its place, of the same size.
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(identity(&path), one);
        assert_eq!(found(&path), Some(path));
        assert!(found(Path::new("sh")).is_some_and(|path| path.is_absolute()));
        assert_eq!(found(Path::new("no-such-program")), None);
    }
}
