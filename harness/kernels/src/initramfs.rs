//! Images of guests in the cache.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cache::{self, Cache, Unfinished};
use crate::say::say;

/// Room of the cache, and the file in each of its folders.
const ROOM: &str = "images";
const FILE: &str = "initramfs.cpio";

/// Puts an archive into the cache, where it lies under the digest of its content.
///
/// # Errors
/// When the cache cannot be written to.
pub fn store(cache: &Cache, archive: &[u8]) -> Result<PathBuf> {
    let key = cache::sha256_of_parts([("initramfs", archive)]);
    let folder = cache.room(ROOM)?.join(&key[..16]);
    let path = folder.join(FILE);
    cache::touch(&folder);
    let whole = || fs::read(&path).is_ok_and(|there| there == archive);
    if !whole() {
        let lock = cache::lock(&folder, "writing an image")?;
        if !whole() {
            if path.exists() {
                say!("{} is not what was built; writing it again", path.display());
            }
            let unfinished = Unfinished::start(&folder, lock)?;
            fs::write(unfinished.path().join(FILE), archive).context("cannot write the initramfs")?;
            unfinished.finish()?;
        }
    }
    Ok(path)
}

/// The archive in the cache that has this SHA-256 and so many bytes.
///
/// # Errors
/// When the cache cannot be read.
pub fn find(cache: &Cache, sha256: &str, bytes: u64) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(cache.room(ROOM)?).context("cannot read the images in the cache")?;
    let paths = entries.flatten().map(|entry| entry.path().join(FILE));
    let mut long_enough = paths.filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() == bytes));
    Ok(long_enough.find(|path| cache::sha256_of_file(path).is_ok_and(|found| found == sha256)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_was_changed_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let path = store(&cache, b"archive").unwrap();
        fs::write(&path, b"archivE").unwrap();
        assert_eq!(store(&cache, b"archive").unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"archive");
    }

    #[test]
    fn an_image_is_found_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let path = store(&cache, b"archive").unwrap();
        store(&cache, b"another").unwrap();
        let sha256 = cache::sha256_of_file(&path).unwrap();
        assert_eq!(find(&cache, &sha256, 7).unwrap(), Some(path.clone()));
        assert_eq!(find(&cache, &sha256, 8).unwrap(), None);
        fs::write(&path, b"archivE").unwrap();
        assert_eq!(find(&cache, &sha256, 7).unwrap(), None);
    }
}
