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
}
