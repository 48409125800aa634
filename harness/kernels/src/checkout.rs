//! The checkout whose kernels, images and scenarios are meant.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Names a checkout; the front door and tests do.
pub const CHECKOUT: &str = "IMALAB_CHECKOUT";

/// Files by which a folder is seen to be one.
const SIGNS: &[&str] = &["kernel-config/kernels.yaml", "scenarios", "harness/Cargo.toml"];

/// The one that this program was built from, or that the environment names.
///
/// # Errors
/// When it is gone.
pub fn root() -> Result<PathBuf> {
    let root = std::env::var_os(CHECKOUT)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), PathBuf::from);
    root.canonicalize().with_context(|| format!("the checkout {} is gone", root.display()))
}

/// The one that the environment names, or that the working directory is in.
///
/// # Errors
/// When the one that is named is gone.
pub fn found() -> Result<Option<PathBuf>> {
    if std::env::var_os(CHECKOUT).is_some() {
        return root().map(Some);
    }
    Ok(std::env::current_dir().ok().and_then(|here| around(&here)))
}

/// The checkout that `here` is in.
fn around(here: &Path) -> Option<PathBuf> {
    let is_one = |folder: &&Path| SIGNS.iter().all(|sign| folder.join(sign).exists());
    here.ancestors().find(is_one).map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_seen_from_any_folder_in_it() {
        let place = tempfile::tempdir().unwrap();
        let inside = place.path().join("scenarios/stage");
        std::fs::create_dir_all(&inside).unwrap();
        assert_eq!(around(&inside), None, "a folder called scenarios is no checkout");
        for sign in ["kernel-config/kernels.yaml", "harness/Cargo.toml"] {
            std::fs::create_dir_all(place.path().join(sign).parent().unwrap()).unwrap();
            std::fs::write(place.path().join(sign), "").unwrap();
        }
        assert_eq!(around(&inside).as_deref(), Some(place.path()));
    }
}
