//! Kernels that are there already, by the digest of their image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::apt::Refresh;
use crate::build::{self, META, Meta};
use crate::cache::{self, Cache};
use crate::recipe;
use crate::source::{self, Offers};
use crate::{Kernels, Over};

/// The image in `cache` that has this SHA-256, when all of its build is still what was built.
///
/// # Errors
/// When the cache cannot be read.
pub fn image(cache: &Cache, sha256: &str) -> Result<Option<PathBuf>> {
    let trees = fs::read_dir(cache.room("trees")?).into_iter().flatten().flatten();
    let trees = trees.filter_map(|entry| {
        let folder = entry.path().join("kernel");
        build::described(&folder).map(|meta| (folder, meta))
    });
    let built = build::all(&cache.room("kernels")?).into_iter().chain(trees);
    let mut fitting = built.filter(|(_, meta)| meta.bzimage_sha256 == sha256);
    Ok(fitting.find(|(folder, _)| build::finished(folder).is_some()).map(|(folder, _)| {
        cache::touch(&folder);
        folder.join("bzImage")
    }))
}

/// The key of the build that `image` is of: a digest over source, patches, configuration and compiler. None of an image that is
/// none of ours, and of a developer's tree.
pub fn key_of(image: &Path) -> Option<String> {
    let meta: Meta = serde_json::from_slice(&fs::read(image.with_file_name(META)).ok()?).ok()?;
    Some(meta.key).filter(|key| !key.is_empty())
}

impl Kernels {
    /// The key that a build of the kernel `name` has today; none for a name that the catalogue has not, and for a tree.
    ///
    /// # Errors
    /// When the source or a compiler cannot be found.
    pub fn key(&self, name: &str) -> Result<Option<String>> {
        let Ok(entry) = self.catalogue.entry(name) else { return Ok(None) };
        let offers = Offers::new(&self.cache, &self.catalogue, Refresh::WhenStale);
        let Some(source) = source::resolve(&entry, &offers)? else { return Ok(None) };
        Ok(Some(self.recipe(&entry)?.key(&source, &recipe::compiler()?)))
    }

    /// Builds the kernel `name` again, and gives its image, which has this SHA-256.
    ///
    /// # Errors
    /// As [`Kernels::ensure`], and when the build gives another image.
    pub fn again(&self, name: &str, sha256: &str) -> Result<PathBuf> {
        let image = self.ensure(Some(name), &Over::default(), Refresh::WhenStale)?.image();
        let found = cache::sha256_of_file(&image)?;
        if found != sha256 {
            bail!("kernel {name} was built again, and its sha256 is {found}, not {sha256}");
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build of before, with so much in its image.
    fn built(folder: &Path, content: &[u8]) -> String {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("bzImage"), content).unwrap();
        fs::write(folder.join("config"), "").unwrap();
        let digest = |name: &str| cache::sha256_of_file(&folder.join(name)).unwrap();
        let meta = serde_json::json!({
            "schema": 2, "release": "7.3.4", "source": null, "tree": null, "key": "k", "recipe": "", "compiler": "",
            "bzimage_sha256": digest("bzImage"), "config_sha256": digest("config"), "objects": 0, "unpack_seconds": 0.0,
            "make_seconds": 0.0
        });
        fs::write(folder.join(META), meta.to_string()).unwrap();
        digest("bzImage")
    }

    #[test]
    fn an_image_is_found_by_its_digest_while_it_is_what_was_built() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().to_path_buf()).unwrap();
        let (one, other) = (cache.room("kernels").unwrap().join("one"), place.path().join("trees/t/kernel"));
        let (first, second) = (built(&one, b"one"), built(&other, b"other"));
        assert_eq!(image(&cache, &first).unwrap(), Some(one.join("bzImage")));
        assert_eq!(image(&cache, &second).unwrap(), Some(other.join("bzImage")));
        assert_eq!(image(&cache, "00").unwrap(), None);
        assert_eq!(key_of(&one.join("bzImage")).as_deref(), Some("k"));
        assert_eq!(key_of(&place.path().join("bzImage")), None);
        fs::write(one.join("bzImage"), b"two").unwrap();
        assert_eq!(image(&cache, &first).unwrap(), None, "it says so of itself, and is another");
    }
}
