//! Where kernels and image of a bundle are found: in the bundle, in the cache, or built again. They are known by their digests; no
//! path that a bundle names is looked at.

use std::path::{Path, PathBuf};

use miette::miette;

use super::{Failure, kernels};
use crate::carried;
use crate::report::print;
use crate::report::run_dir::{HashedFile, KernelUsed, RunDir, hash_file};
use imalab_kernels::cache::Cache;
use imalab_kernels::stop::Stop;
use imalab_kernels::{find, initramfs, interrupt};
use imalab_print::{front, printable};

/// Where things are looked for.
pub(super) struct Places<'a> {
    /// The bundle's folder.
    pub(super) dir: &'a RunDir,
    /// The cache's.
    pub(super) cache: &'a Path,
}

/// A file, and whether it is the bundle's.
pub(super) struct Brought {
    pub(super) path: PathBuf,
    pub(super) is_same: bool,
}

impl Places<'_> {
    /// The kernel of a bundle, or the image that is given instead.
    pub(super) fn kernel(&self, given: Option<&Path>, used: &KernelUsed) -> Result<Brought, Failure> {
        if let Some(given) = given {
            return brought(given, &used.image);
        }
        let built = match self.image(&used.image)? {
            Some(path) => Ok(path),
            None => self.again(used)?,
        };
        let path =
            built.map_err(|why| missing_kernel(&used.name, used.release.as_deref(), &used.image, &why))?;
        Ok(Brought { path, is_same: true })
    }

    /// A kernel that the guest goes on in.
    pub(super) fn other(&self, name: &str, used: &HashedFile) -> Result<PathBuf, Failure> {
        self.image(used)?.ok_or_else(|| missing_kernel(name, None, used, ""))
    }

    /// The image of a bundle's guest, or what is given instead.
    pub(super) fn initramfs(&self, given: Option<&Path>, used: &HashedFile) -> Result<Brought, Failure> {
        if let Some(given) = given {
            return brought(given, used);
        }
        if let Some(path) = self.dir.carried(used) {
            return Ok(Brought { path, is_same: true });
        }
        let find = || {
            // So that it lies in the cache.
            carried::image(self.cache)?;
            initramfs::find(&Cache::at(self.cache.to_path_buf())?, &used.sha256, used.bytes)
        };
        let found = find().map_err(|error| Failure::of_kernels(&error))?;
        let path = found.ok_or_else(|| {
            Failure::usage(miette!(
                help = "it is another imalab's, or has files of `--add`: run that imalab, or name an image with --initramfs; \
                        `test --bundle full` makes bundles that carry it",
                "the bundle's initramfs is not here: sha256 {}",
                printable(&used.sha256)
            ))
        })?;
        Ok(Brought { path, is_same: true })
    }

    fn image(&self, used: &HashedFile) -> Result<Option<PathBuf>, Failure> {
        if let Some(path) = self.dir.carried(used) {
            return Ok(Some(path));
        }
        let find = || find::image(&Cache::at(self.cache.to_path_buf())?, &used.sha256);
        find().map_err(|error| Failure::of_kernels(&error))
    }

    /// The kernel of that name, built again, when what it is built of is still the same; else why not.
    fn again(&self, used: &KernelUsed) -> Result<Result<PathBuf, String>, Failure> {
        if let Err(why) = self.can_be_built(used) {
            return Ok(Err(why));
        }
        print::note(&format!("kernel {} of the bundle is not here; building it again", used.name));
        let kernels = kernels::open(self.cache)?;
        match interrupt::during(|| kernels.again(&used.name, &used.image.sha256)) {
            Ok(image) => Ok(Ok(image)),
            Err(error) if matches!(error.downcast_ref(), Some(Stop::Interrupted)) => {
                Err(Failure::of_kernels(&error))
            }
            Err(error) => Ok(Err(format!("{error:#}"))),
        }
    }

    fn can_be_built(&self, used: &KernelUsed) -> Result<(), String> {
        let kernels = kernels::open(self.cache).map_err(|failure| failure.error.to_string())?;
        let Some(key) = &used.key else {
            return Err("it was not built by name, so that nothing builds it again".to_owned());
        };
        let today = match kernels.key(&used.name) {
            Ok(Some(today)) => today,
            Ok(None) => return Err("no kernel of that name can be built here".to_owned()),
            Err(error) => return Err(format!("it cannot be built here: {error:#}")),
        };
        if today != *key {
            return Err("a kernel of that name would be another one here: its source, patches, configuration or compiler is"
                .to_owned());
        }
        Ok(())
    }
}

/// What somebody names instead of the bundle's, which it may well be.
fn brought(given: &Path, used: &HashedFile) -> Result<Brought, Failure> {
    let found = hash_file(given).map_err(Failure::of_file)?;
    Ok(Brought { path: given.to_owned(), is_same: found.sha256 == used.sha256 })
}

fn missing_kernel(name: &str, release: Option<&str>, used: &HashedFile, why: &str) -> Failure {
    let front = front();
    let release = release.map(|release| format!(" ({release})")).unwrap_or_default();
    let name = printable(name);
    let why = if why.is_empty() { String::new() } else { format!("; {why}") };
    Failure::usage(miette!(
        help = format!(
            "`{front} kernel export {name} FILE` where the bundle was made and `{front} kernel import FILE` here bring it; --image \
             names another one; `test --bundle full` makes bundles that carry it"
        ),
        "the bundle's kernel {name}{} is not here: sha256 {}{why}",
        printable(&release),
        printable(&used.sha256)
    ))
}
