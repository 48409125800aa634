//! What this program carries of the checkout that it was built from, so that it works where there is none: the scenarios, the
//! kernels' catalogue with fragments and patches, and the guest's image.
//!
//! The files of the tree are their only home; `build.rs` has them put in. Within a checkout its files count, but for the image: that
//! belongs to the program, which speaks with the agent in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use imalab_kernels::cache::{self, Cache, Unfinished};
use imalab_kernels::{checkout, initramfs};
use include_dir::{Dir, DirEntry, include_dir};

/// Folder of the scenarios below a checkout.
pub const SCENARIOS: &str = "scenarios";

static TREE: [(&str, &Dir<'_>); 2] = [
    (SCENARIOS, &include_dir!("$CARGO_MANIFEST_DIR/scenarios")),
    ("kernel-config", &include_dir!("$CARGO_MANIFEST_DIR/kernel-config")),
];

static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/initramfs.cpio"));

/// Room of the cache in which the files lie while they are used.
const ROOM: &str = "carried";

/// The folder with scenarios and kernels: the checkout that the environment names or that this is in, else what is carried.
///
/// # Errors
/// When the checkout is gone, or the cache cannot be written to.
pub fn home(cache: &Path) -> Result<PathBuf> {
    match checkout::found()? {
        Some(root) => Ok(root),
        None => unpacked(&Cache::at(cache.to_path_buf())?),
    }
}

/// The guest's image that this program carries, in a file; none in a developer's build.
///
/// # Errors
/// When the cache cannot be written to.
pub fn image(cache: &Path) -> Result<Option<PathBuf>> {
    if IMAGE.is_empty() {
        return Ok(None);
    }
    initramfs::store(&Cache::at(cache.to_path_buf())?, IMAGE).map(Some)
}

/// What is carried, as files. They are compared, and written again where one was changed.
fn unpacked(cache: &Cache) -> Result<PathBuf> {
    let files = files();
    let named = files.iter().map(|(path, content)| (path.to_str().unwrap_or_default(), *content));
    let digest = cache::sha256_of_parts(named);
    let folder = cache.room(ROOM)?.join(&digest[..16]);
    cache::touch(&folder);
    if !is_whole(&folder, &files) {
        let lock = cache::lock(&folder, "unpacking scenarios and kernels")?;
        if !is_whole(&folder, &files) {
            let unfinished = Unfinished::start(&folder, lock)?;
            for (path, content) in &files {
                let path = unfinished.path().join(path);
                let parent = path.parent().unwrap_or(&path);
                fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
                fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
            }
            unfinished.finish()?;
        }
    }
    Ok(folder)
}

fn is_whole(folder: &Path, files: &[(PathBuf, &[u8])]) -> bool {
    // One more would be a scenario of somebody else.
    cache::files(folder).is_ok_and(|found| found.len() == files.len())
        && files
            .iter()
            .all(|(path, content)| fs::read(folder.join(path)).is_ok_and(|there| there == *content))
}

/// All files that are carried, by path below a checkout.
fn files() -> Vec<(PathBuf, &'static [u8])> {
    let mut files = Vec::new();
    for (name, dir) in TREE {
        let mut left = vec![dir];
        while let Some(dir) = left.pop() {
            for entry in dir.entries() {
                match entry {
                    DirEntry::Dir(dir) => left.push(dir),
                    DirEntry::File(file) => files.push((Path::new(name).join(file.path()), file.contents())),
                }
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use imalab_kernels::Kernels;

    use super::*;

    #[test]
    fn what_is_carried_is_the_tree_and_can_be_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (name, _) in TREE {
            for path in cache::files(&root.join(name)).unwrap() {
                let below = path.strip_prefix(&root).unwrap();
                let carried = files().into_iter().find(|(path, _)| path == below);
                let carried = carried.unwrap_or_else(|| panic!("{} is not carried", below.display()));
                assert_eq!(carried.1, fs::read(&path).unwrap(), "{}", below.display());
            }
        }
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().to_path_buf()).unwrap();
        let folder = unpacked(&cache).unwrap();
        assert!(Kernels::open(&folder, cache).unwrap().has("mainline"));
        let scenarios = imalab_language::scenario::load_all(&folder.join(SCENARIOS)).unwrap();
        assert!(scenarios.iter().any(|scenario| scenario.id == "stage/once"));
    }

    #[test]
    fn files_that_were_changed_removed_or_added_are_put_right() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().to_path_buf()).unwrap();
        let folder = unpacked(&cache).unwrap();
        let scenario = folder.join("scenarios/stage/once.yaml");
        let (added, whole) = (folder.join("scenarios/stage/more.yaml"), fs::read(&scenario).unwrap());
        let spoil: [&dyn Fn(); 3] = [
            &|| fs::write(&scenario, "summary: another").unwrap(),
            &|| fs::remove_file(&scenario).unwrap(),
            &|| fs::write(&added, "summary: another").unwrap(),
        ];
        for spoil in spoil {
            spoil();
            assert!(!is_whole(&folder, &files()));
            assert_eq!(unpacked(&cache).unwrap(), folder);
            assert_eq!(fs::read(&scenario).unwrap(), whole);
            assert!(!added.exists());
        }
    }
}
