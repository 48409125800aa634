//! Files of a kernel's source that our tests quote, kept beside its image.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::build::Meta;
use super::source;
use crate::cache::{self, Cache};

/// What is kept: the document of staging, and the sources that promises, scenarios and rules of the model name.
const FILES: &[&str] = &[
    "Documentation/ABI/testing/ima_policy",
    "Documentation/security/IMA-export-delete.rst",
    "fs/seq_file.c",
    "include/linux/kstrtox.h",
    "kernel/capability.c",
    "security/integrity/ima/Kconfig",
    "security/integrity/ima/ima.h",
    "security/integrity/ima/ima_api.c",
    "security/integrity/ima/ima_fs.c",
    "security/integrity/ima/ima_init.c",
    "security/integrity/ima/ima_kexec.c",
    "security/integrity/ima/ima_main.c",
    "security/integrity/ima/ima_policy.c",
    "security/integrity/ima/ima_queue.c",
    "security/integrity/ima/ima_template.c",
];

/// Name of their folder beside the image.
const FOLDER: &str = "quoted";

/// The folder with those of the files that the kernel's source has; it is made when it is not there, or of other files.
pub(crate) fn ensure(cache: &Cache, kernel: &Path, meta: &Meta) -> Result<PathBuf> {
    let source = meta.source.as_ref().context("a kernel of a developer's own tree keeps no sources")?;
    let folder = kernel.join(FOLDER);
    let (list, listed) = (kernel.join(format!("{FOLDER}.list")), FILES.join("\n"));
    let _lock = cache::lock(&folder, "keeping the sources that are quoted")?;
    if folder.is_dir() && fs::read_to_string(&list).is_ok_and(|found| found == listed) {
        return Ok(folder);
    }
    cache::remove(&folder)?;
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files: BTreeSet<&Path> = FILES.iter().map(Path::new).collect();
    source::unpack_files(cache, source, &folder, &files, &kernel.join(format!("{FOLDER}.log")))?;
    cache::write_atomically(&list, listed.as_bytes())?;
    Ok(folder)
}
