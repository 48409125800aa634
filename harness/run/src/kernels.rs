//! The initramfs of a machine whose guest goes on in other kernels: composed once, shared by all runs that need the
//! same.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::context::RunContext;
use imalab_language::capability::Capability;
use imalab_language::plan::Plan;
use imalab_machine::initramfs::with_kernels;
use imalab_wire::kernels::{NO_KERNEL, SAME, TRUNCATED};

/// A kernel to run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name in this suite.
    pub name: String,
    /// x86 boot image.
    pub image: PathBuf,
    /// What it must offer: lacking it fails the suite.
    pub offers: BTreeSet<Capability>,
    /// Whether it is a release that nobody has patched.
    pub stock: bool,
}

impl Kernel {
    /// A kernel of which nothing is known.
    pub fn new(name: impl Into<String>, image: impl Into<PathBuf>) -> Kernel {
        Kernel { name: name.into(), image: image.into(), offers: BTreeSet::new(), stock: false }
    }
}

/// Why there is no such initramfs.
#[derive(Debug, thiserror::Error)]
pub enum KernelsError {
    /// A kernel is not there.
    #[error("the scenario kexecs into kernel `{0}`, which was not given")]
    Unknown(String),
    /// A kernel or the image cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Kernels of `known` that `plan` goes on in beside the one it begins with.
///
/// # Errors
/// The first name that is not known.
pub fn others<'a>(plan: &Plan, known: &'a [Kernel]) -> Result<Vec<&'a Kernel>, KernelsError> {
    plan.kernels()
        .into_iter()
        .filter(|name| ![SAME, TRUNCATED, NO_KERNEL].contains(name))
        .map(|name| {
            let found = known.iter().find(|kernel| kernel.name == name);
            found.ok_or_else(|| KernelsError::Unknown(name.to_owned()))
        })
        .collect()
}

/// The archive that the machine of `plan` starts from: that of `context`, or one with kernels, which lives as long as the
/// scratch folder.
///
/// # Errors
/// [`KernelsError`].
pub(super) fn initramfs(plan: &Plan, context: RunContext<'_>) -> Result<PathBuf, KernelsError> {
    if plan.kernels().is_empty() {
        return Ok(context.initramfs.to_owned());
    }
    let others = others(plan, context.kernels)?;
    let path = context.scratch.path().join(format!("with-kernels-{}.cpio", key(context, &others)));
    if path.exists() {
        return Ok(path);
    }
    let same = read(context.kernel)?;
    let contents = others
        .iter()
        .map(|kernel| Ok((kernel.name.as_str(), read(&kernel.image)?)))
        .collect::<Result<Vec<_>, KernelsError>>()?;
    let write = |source| KernelsError::Write { path: path.clone(), source };
    let archive = with_kernels(read(context.initramfs)?, &same, &contents).map_err(write)?;
    // Two runs may compose it at once; either renames the same bytes.
    let mut file = tempfile::NamedTempFile::new_in(context.scratch.path()).map_err(write)?;
    file.write_all(&archive).map_err(write)?;
    file.persist(&path).map_err(|error| write(error.error))?;
    Ok(path)
}

/// Files do not change while a suite runs, so their paths say what is in it.
fn key(context: RunContext<'_>, others: &[&Kernel]) -> String {
    let mut hash = Sha256::new();
    let names = others.iter().map(|kernel| (kernel.name.as_str(), kernel.image.as_path()));
    for (name, path) in [("", context.initramfs), (SAME, context.kernel)].into_iter().chain(names) {
        hash.update(format!("{name}\0{}\0", path.display()));
    }
    hex::encode(&hash.finalize()[..8])
}

fn read(path: &Path) -> Result<Vec<u8>, KernelsError> {
    fs::read(path).map_err(|source| KernelsError::Read { path: path.to_owned(), source })
}
