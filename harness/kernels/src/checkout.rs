//! The checkout whose kernels, images and harness are meant.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Names another checkout than the one this program was built from; the tests do.
const CHECKOUT: &str = "IMALAB_CHECKOUT";

/// Its root.
///
/// # Errors
/// When it is gone.
pub fn root() -> Result<PathBuf> {
    let root = std::env::var_os(CHECKOUT)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), PathBuf::from);
    root.canonicalize().with_context(|| format!("the checkout {} is gone", root.display()))
}
