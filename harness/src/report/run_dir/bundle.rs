//! What a run that did not pass leaves behind for `repro`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BUNDLE, RunDir};
use crate::report::input;
use crate::report::json::{ReadError, SCHEMA};
use crate::report::words;
use imalab_check::outcome::{Outcome, RunResult};
use imalab_files::atomic::FileError;
use imalab_language::lane::Lane;
use imalab_language::plan::Parameters;

/// The bundle's own document; the evidence lies beside it in the same folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Version of this form.
    pub schema: u32,
    /// Version of the imalab that ran it.
    pub imalab: String,
    /// As [`RunResult::scenario`]; its text is `scenario.yaml` beside this file.
    pub scenario: String,
    /// The matrix values.
    pub parameters: Parameters,
    /// The run's seed.
    pub seed: u64,
    /// What decided the order in which the guest's processors ran.
    pub lane: Lane,
    /// The kernel.
    pub kernel: KernelUsed,
    /// What became of the run.
    pub outcome: Outcome,
    /// Why, as a sentence for whoever opens it; `result.json` beside it has the finding.
    pub reason: String,
    /// The folder's other files by path below it, with the sha256 of each.
    pub files: BTreeMap<String, String>,
}

/// A kernel with what it was booted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelUsed {
    /// Its name in the suite.
    pub name: String,
    /// `uname -r`, once known.
    pub release: Option<String>,
    /// The image.
    pub image: HashedFile,
    /// Key of its build: a digest over source, patches, configuration and compiler. None of an image that imalab did not build by
    /// name.
    #[serde(default)]
    pub key: Option<String>,
    /// Its configuration, where it is known.
    pub config: Option<HashedFile>,
    /// The initial file system.
    pub initramfs: HashedFile,
    /// Images of the kernels that the guest goes on in beside it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, HashedFile>,
}

/// A file outside of the bundle, which is found again by its digest; nobody opens its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashedFile {
    /// Where it was.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its sha256 in hexadecimal.
    pub sha256: String,
}

/// A bundle is of no use.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum BundleError {
    /// It cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Read(#[from] ReadError),
    /// Its evidence is no longer what it was.
    #[error("{} is not what its run left: {name}{}", path.display(), and_more(*more))]
    #[diagnostic(help(
        "its sha256 differs from bundle.json, or it is not a file of the bundle; use the unmodified bundle"
    ))]
    Altered {
        /// The bundle.
        path: PathBuf,
        /// The first file.
        name: String,
        /// How many further files.
        more: usize,
    },
}

fn and_more(more: usize) -> String {
    if more == 0 { " has changed".to_owned() } else { format!(" and {more} more have changed") }
}

impl KernelUsed {
    /// What is said of a kernel of this name and release, by the files that it was booted from.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of<'a>(
        name: &str,
        release: Option<&str>,
        image: &Path,
        initramfs: &Path,
        others: impl IntoIterator<Item = (&'a str, &'a Path)>,
    ) -> Result<KernelUsed, FileError> {
        let config = Some(image.with_file_name("config")).filter(|config| config.exists());
        let others = others.into_iter().map(|(name, image)| Ok((name.to_owned(), hash_file(image)?)));
        Ok(KernelUsed {
            name: name.to_owned(),
            release: release.map(str::to_owned),
            image: hash_file(image)?,
            key: imalab_kernels::find::key_of(image),
            config: config.map(|config| hash_file(&config)).transpose()?,
            initramfs: hash_file(initramfs)?,
            others: others.collect::<Result<_, FileError>>()?,
        })
    }
}

impl Bundle {
    /// The document for a run whose evidence is in `dir` already.
    ///
    /// # Errors
    /// When a file of the folder cannot be read.
    pub fn of(run: &RunResult, kernel: KernelUsed, dir: &RunDir) -> Result<Bundle, FileError> {
        let mut files = BTreeMap::new();
        hash_folder(dir.path(), "", &mut files)?;
        files.remove(BUNDLE);
        Ok(Bundle {
            schema: SCHEMA,
            imalab: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: run.scenario.clone(),
            parameters: run.parameters.clone(),
            seed: run.seed,
            lane: run.lane,
            kernel,
            outcome: run.outcome,
            reason: run.reason.as_ref().map_or_else(String::new, words::reason),
            files,
        })
    }

    /// Evidence that is missing or no longer what it was, by path below the folder; empty when all of it is sound.
    /// What a bundle names outside of its folder, or by way of a link, is not its evidence.
    pub fn altered(&self, dir: &RunDir) -> Vec<String> {
        let sound = |name: &str, sum: &str| within(dir.path(), name).is_some_and(|path| is(&path, sum));
        self.files.iter().filter(|(name, sum)| !sound(name, sum)).map(|(name, _)| name.clone()).collect()
    }
}

/// The file of this name below a folder, where no part of the name leads out of it.
pub(super) fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in name.split('/') {
        if matches!(part, "" | "." | "..") || part.contains('\0') {
            return None;
        }
        path.push(part);
        if path.symlink_metadata().ok()?.is_symlink() {
            return None;
        }
    }
    Some(path)
}

pub(super) fn is(path: &Path, sum: &str) -> bool {
    hash_file(path).is_ok_and(|found| found.sha256 == sum)
}

fn hash_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<(), FileError> {
    let error = |error| FileError::new("read", folder, error);
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(error)?;
        if kind.is_dir() {
            hash_folder(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(name, hash_file(&entry.path())?.sha256);
        }
    }
    Ok(())
}

/// Size and sha256 of a file.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(path: &Path) -> Result<HashedFile, FileError> {
    let digest = || -> io::Result<(u64, String)> {
        let mut file = input::open(path, input::HASHED).map_err(|error| error.source)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok((bytes, hex::encode(digest.finalize())));
            }
            digest.update(&buffer[..read]);
            bytes += read as u64;
        }
    };
    let (bytes, sha256) = digest().map_err(|error| FileError::new("read", path, error))?;
    Ok(HashedFile { path: path.to_owned(), bytes, sha256 })
}
