//! Which files are observed: those of one folder as they are before any program runs. A file is known by its device and number, so
//! that no other path to it, and nothing that is mounted over it, makes a difference.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use imalab_wire::{Op, Program};

static KNOWN: OnceLock<Watched> = OnceLock::new();

/// Device and number of a file.
type Identity = (u64, u64);

/// The observed files, and their paths.
#[derive(Debug, Default)]
pub(crate) struct Watched(BTreeMap<Identity, Arc<str>>);

impl Watched {
    /// Looks at the folder that the programs of `program` are observed in. Called before any task starts.
    pub(crate) fn look(program: &Program) {
        let ops = program.tasks.iter().flat_map(|task| &task.steps).flat_map(|step| &step.ops);
        let folder = ops.into_iter().find_map(|op| match op {
            Op::Run { run } => Some(run.watch.as_str()),
            _ => None,
        });
        if let Some(folder) = folder {
            KNOWN.get_or_init(|| Watched::of(Path::new(folder)));
        }
    }

    pub(super) fn known() -> &'static Watched {
        KNOWN.get_or_init(Watched::default)
    }

    /// Its files; links lead to one of them. A folder that is not there has none.
    fn of(folder: &Path) -> Watched {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            if let (true, Some(path)) = (about.is_file(), entry.path().to_str()) {
                files.insert((about.dev(), about.ino()), Arc::from(path));
            }
        }
        Watched(files)
    }

    /// The observed file that a path leads to.
    pub(super) fn at(&self, path: &Path) -> Option<Arc<str>> {
        let about = fs::metadata(path).ok()?;
        self.0.get(&(about.dev(), about.ino())).cloned()
    }

    /// The observed file behind a descriptor of a process.
    pub(super) fn behind(&self, pid: i32, descriptor: i32) -> Option<Arc<str>> {
        self.at(Path::new(&format!("/proc/{pid}/fd/{descriptor}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_whatever_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list_sha1");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("list_sha1", folder.path().join("list")).unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        let watched = Watched::of(folder.path());
        let path: Arc<str> = Arc::from(file.to_str().unwrap());
        assert_eq!(watched.0.len(), 1);
        assert_eq!(watched.at(&folder.path().join("list")), Some(Arc::clone(&path)));
        assert_eq!(watched.at(&folder.path().join("folder/../list_sha1")), Some(path));
        assert_eq!(watched.at(folder.path()), None);
        assert_eq!(watched.at(&folder.path().join("none")), None);
        assert!(Watched::of(&folder.path().join("none")).0.is_empty());
    }
}
