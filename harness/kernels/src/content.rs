//! What stands at a path of a source tree: a file with its mode, or a link. A link is never followed, and no path that
//! leads over one is read or written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file.
    File {
        /// Its bytes.
        content: Vec<u8>,
        /// Whether its owner may run it; git knows no other mode.
        executable: bool,
    },
    /// A symbolic link, and where it leads to.
    Link(OsString),
}

/// What stands at paths of a tree; `None` where there is nothing.
pub(crate) type Contents = BTreeMap<PathBuf, Option<Entry>>;

/// The first folder above `path` in `tree` that is a link.
pub(crate) fn link_above(tree: &Path, path: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> =
        path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()).collect();
    above.reverse();
    above.into_iter().find(|part| tree.join(part).is_symlink()).map(Path::to_path_buf)
}

/// What stands at `path` of `tree`; folders and devices count as nothing.
pub(crate) fn read(tree: &Path, path: &Path) -> Result<Option<Entry>> {
    let place = tree.join(path);
    if link_above(tree, path).is_some() {
        return Ok(None);
    }
    let entry = || -> io::Result<Option<Entry>> {
        let metadata = fs::symlink_metadata(&place)?;
        Ok(if metadata.is_symlink() {
            Some(Entry::Link(fs::read_link(&place)?.into_os_string()))
        } else if metadata.is_file() {
            Some(Entry::File { content: fs::read(&place)?, executable: metadata.mode() & 0o100 != 0 })
        } else {
            None
        })
    };
    match entry() {
        // Also where a part of the path is a file.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        other => other.with_context(|| format!("cannot read {}", place.display())),
    }
}

/// Puts `entry` at `path` of `tree`, in place of whatever is there, and makes the folders above it.
///
/// # Errors
/// When a folder above it is a link or a file, or when there is a folder that is not empty.
pub(crate) fn write(tree: &Path, path: &Path, entry: &Entry) -> Result<()> {
    if let Some(link) = link_above(tree, path) {
        bail!("{} is beyond the symbolic link {}", path.display(), link.display());
    }
    let place = tree.join(path);
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let put = || -> io::Result<()> {
        match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir(&place)?,
            Ok(_) => fs::remove_file(&place)?,
            Err(_) => {}
        }
        match entry {
            Entry::Link(target) => symlink(target, &place),
            Entry::File { content, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                // A new file: whatever was linked to the old one stays what it is.
                let mut file = File::options().write(true).create_new(true).mode(mode).open(&place)?;
                file.write_all(content)
            }
        }
    };
    put().with_context(|| format!("cannot write {}", place.display()))
}

/// Removes the file or link at `path` of `tree`, and the folders above it that are empty then.
pub(crate) fn remove(tree: &Path, path: &Path) -> Result<()> {
    let place = tree.join(path);
    if link_above(tree, path).is_some() || fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    cache::remove(&place)?;
    for folder in path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()) {
        // The first one that is not empty ends this.
        if fs::remove_dir(tree.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Whether a link at `path` of a tree to `target` stays in the tree. Steps up are allowed at the beginning alone: after a
/// name they would start from wherever that name leads.
pub(crate) fn stays_inside(path: &Path, target: &Path) -> bool {
    let up = target.components().take_while(|part| matches!(part, Component::ParentDir)).count();
    let depth = path.components().count().saturating_sub(1);
    up <= depth
        && target.components().skip(up).all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn file(content: &str, executable: bool) -> Entry {
        Entry::File { content: content.into(), executable }
    }

    #[test]
    fn links_and_modes_are_kept_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, outside) = (folder.path().join("tree"), folder.path().join("outside"));
        fs::create_dir_all(&tree).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        symlink(&outside, tree.join("folder")).unwrap();
        symlink(outside.join("secret"), tree.join("link")).unwrap();

        assert_eq!(read(&tree, Path::new("folder/secret")).unwrap(), None);
        assert_eq!(read(&tree, Path::new("link")).unwrap(), Some(Entry::Link(outside.join("secret").into())));
        let error = write(&tree, Path::new("folder/new"), &file("x", false)).unwrap_err().to_string();
        assert_eq!(error, "folder/new is beyond the symbolic link folder");
        write(&tree, Path::new("link"), &file("mine", true)).unwrap();
        assert_eq!(read(&tree, Path::new("link")).unwrap(), Some(file("mine", true)));
        remove(&tree, Path::new("folder/secret")).unwrap();
        assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(read(&tree, Path::new("link/below")).unwrap(), None);
        assert_eq!(read(&tree, Path::new("")).unwrap(), None);
    }

    #[test]
    fn a_folder_that_has_become_empty_makes_way_for_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        write(tree, Path::new("a/b/c"), &file("x", false)).unwrap();
        assert!(write(tree, Path::new("a/b"), &Entry::Link("c".into())).is_err());
        remove(tree, Path::new("a/b/c")).unwrap();
        assert!(!tree.join("a").exists());
        write(tree, Path::new("a/b"), &Entry::Link("../d".into())).unwrap();
        assert_eq!(read(tree, Path::new("a/b")).unwrap(), Some(Entry::Link("../d".into())));
    }

    #[rstest]
    #[case("include/a.h", "b.h", true)]
    #[case("include/a.h", "../kernel/b.h", true)]
    #[case("include/a.h", "../../etc/shadow", false)]
    #[case("a.h", "../b.h", false)]
    #[case("a.h", "/etc/shadow", false)]
    #[case::through_another_link("a.h", "p/deep/../../x", false)]
    fn a_link_stays_in_the_tree(#[case] path: &str, #[case] target: &str, #[case] expected: bool) {
        assert_eq!(stays_inside(Path::new(path), Path::new(target)), expected);
    }
}
