//! Built kernels between machines: `kernel export` and `kernel import`.
//!
//! A file is a tar archive: `meta.json`, then each file that it names, all known by their digests. It may be somebody else's work: it
//! has a bounded size, names no place on this machine, and is in the cache whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, Entry, EntryType, Header};

use crate::Kernel;
use crate::build::{self, KUNIT, META, Meta};
use crate::cache::{self, Cache, Unfinished};
use crate::recipe::SCHEMA;
use crate::source::Resolved;
use crate::stop::Stop;

/// Files that every build has.
const NEEDED: [&str; 4] = ["bzImage", "config", "System.map", "vmlinux"];
/// Most bytes of `meta.json`.
const LONGEST_META: u64 = 1 << 20;
/// Most files of a build.
const MOST_FILES: usize = 1000;
/// Most bytes of all files. A kernel with debug information has some hundred million.
const MOST_BYTES: u64 = 4 << 30;
/// Most letters of a version that is part of a folder's name.
const LONGEST_LABEL: usize = 100;

/// Writes the build of `kernel` to `file`, and gives the file's SHA-256.
///
/// # Errors
/// When the build is a tree's, or a file cannot be read or written.
pub fn export(kernel: &Kernel, file: &Path) -> Result<String> {
    let folder = &kernel.folder;
    // As it was built, and compared with it now.
    let mut meta = build::finished(folder).with_context(|| format!("{} is no build", folder.display()))?;
    if meta.source.is_none() {
        return Err(refused(
            "a kernel of a tree on this machine has no name elsewhere; `test --image` takes its bzImage",
        ));
    }
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = |error: io::Error| Stop::Usage(format!("cannot write {}: {error}", file.display()));
    let mut whole = tempfile::NamedTempFile::new_in(parent).map_err(wrong)?;
    // What a build has left beside them is for this machine.
    meta.files.retain(|name, _| stays_within(name));
    if let Some(name) = NEEDED.into_iter().find(|name| !meta.files.contains_key(*name)) {
        let folder = folder.display();
        return Err(refused(format!(
            "{folder} was built by an older imalab, which kept no digest of {name}: build it again"
        )));
    }
    let mut archive = Builder::new(BufWriter::new(whole.as_file_mut()));
    let text = serde_json::to_vec_pretty(&meta)?;
    archive.append_data(&mut header(text.len() as u64), META, text.as_slice()).map_err(wrong)?;
    for name in meta.files.keys() {
        let path = folder.join(name);
        let unreadable = || format!("cannot read {}", path.display());
        let mut content = File::open(&path).with_context(unreadable)?;
        let length = content.metadata().with_context(unreadable)?.len();
        archive.append_data(&mut header(length), name, &mut content).map_err(wrong)?;
    }
    archive.into_inner().and_then(|mut out| out.flush()).map_err(wrong)?;
    whole.as_file().sync_all().map_err(wrong)?;
    let sha256 = cache::sha256_of_file(whole.path())?;
    whole.persist(file).map_err(|error| wrong(error.error))?;
    Ok(sha256)
}

/// The same for the same file, whenever it was built.
fn header(length: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    header
}

/// What an import has brought.
#[derive(Debug)]
pub struct Imported {
    /// `uname -r` of the kernel.
    pub release: String,
    /// Its image in the cache.
    pub image: PathBuf,
    /// Whether the cache had it before.
    pub known: bool,
}

/// Takes the build in `file` into `cache`.
///
/// # Errors
/// [`Stop::Usage`] for a file that is no such archive, or whose content is not what it says.
pub fn import(cache: &Cache, file: &Path) -> Result<Imported> {
    let blame = |error: anyhow::Error| -> anyhow::Error {
        if error.is::<Stop>() { Stop::Usage(format!("{}: {error}", file.display())).into() } else { error }
    };
    let unreadable = |error: io::Error| Stop::Usage(format!("cannot read {}: {error}", file.display()));
    // A pipe would wait for its writer for ever.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(blame(refused("it is not a regular file")));
    }
    let mut archive = Archive::new(BufReader::new(File::open(file).map_err(unreadable)?));
    let mut entries = archive.entries().map_err(unreadable)?;
    let mut first =
        next(&mut entries).and_then(|entry| entry.ok_or_else(|| refused("it is empty"))).map_err(blame)?;
    let (meta, source) = described(&mut first).map_err(blame)?;
    let folder = build::folder(cache, &source, &meta.key)?;
    let imported = |known| Imported { release: meta.release.clone(), image: folder.join("bzImage"), known };
    let lock = cache::lock(&folder, "importing a kernel")?;
    if let Some(there) = build::finished(&folder) {
        return if there.bzimage_sha256 == meta.bzimage_sha256 {
            Ok(imported(true))
        } else {
            Err(blame(refused(format!("the cache has another build of the same key: {}", folder.display()))))
        };
    }
    let unfinished = Unfinished::start(&folder, lock)?;
    let mut left: BTreeSet<&str> = meta.files.keys().map(String::as_str).collect();
    let mut bytes = MOST_BYTES;
    while let Some(mut entry) = next(&mut entries).map_err(blame)? {
        let name = name(&entry).map_err(blame)?;
        let Some(expected) = meta.files.get(&name).filter(|_| left.remove(name.as_str())) else {
            return Err(blame(refused(format!("{name} is in it twice, or not named in {META}"))));
        };
        if entry.size() > bytes {
            return Err(blame(refused(format!("it has more than {MOST_BYTES} bytes"))));
        }
        bytes -= entry.size();
        let found = unpack(&mut entry, &unfinished.path().join(&name)).map_err(blame)?;
        if found != *expected {
            return Err(blame(refused(format!(
                "{name} is not what was built: its sha256 is {found}, not {expected}"
            ))));
        }
    }
    if let Some(name) = left.first() {
        return Err(blame(refused(format!("{name} is missing"))));
    }
    let marked = Meta { imported: true, ..meta.clone() };
    cache::write_atomically(&unfinished.path().join(META), &serde_json::to_vec_pretty(&marked)?)?;
    unfinished.finish()?;
    Ok(imported(false))
}

fn refused(why: impl Into<String>) -> anyhow::Error {
    Stop::Usage(why.into()).into()
}

fn next<'a, R: Read>(entries: &mut tar::Entries<'a, R>) -> Result<Option<Entry<'a, R>>> {
    let damaged =
        |error: io::Error| refused(format!("it is not an archive of `kernel export`, or truncated: {error}"));
    entries.next().transpose().map_err(damaged)
}

/// The name of a regular file that stays within its folder.
fn name<R: Read>(entry: &Entry<'_, R>) -> Result<String> {
    let path = entry.path_bytes();
    let name = String::from_utf8_lossy(&path).into_owned();
    if entry.header().entry_type() != EntryType::Regular || !stays_within(&name) {
        return Err(refused(format!("{name} is no file of a build")));
    }
    Ok(name)
}

/// Whether a build has a file of this name.
fn stays_within(name: &str) -> bool {
    let normal = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    normal
        && !name.contains('\0')
        && (name == META || NEEDED.contains(&name) || Path::new(name).starts_with(KUNIT))
}

/// The description that an archive begins with, when it can be one of a build, and the source that it names.
fn described<R: Read>(entry: &mut Entry<'_, R>) -> Result<(Meta, Resolved)> {
    if name(entry)? != META || entry.size() > LONGEST_META {
        return Err(refused(format!("it does not begin with a {META} of at most {LONGEST_META} bytes")));
    }
    let mut text = Vec::new();
    entry
        .take(LONGEST_META)
        .read_to_end(&mut text)
        .map_err(|error| refused(format!("cannot read it: {error}")))?;
    let wrong = |what: &str| refused(format!("its {META} {what}"));
    let meta: Meta =
        serde_json::from_slice(&text).map_err(|error| wrong(&format!("cannot be used: {error}")))?;
    let is_digest =
        |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if meta.schema != SCHEMA {
        return Err(wrong(&format!("is of schema {}, and this imalab reads {}", meta.schema, SCHEMA)));
    }
    if ![&meta.key, &meta.recipe, &meta.bzimage_sha256, &meta.config_sha256]
        .into_iter()
        .all(|text| is_digest(text))
    {
        return Err(wrong("has a digest that is none"));
    }
    let source = meta.source.clone().ok_or_else(|| refused("it is of a tree on another machine"))?;
    let label = source.label();
    if label.is_empty() || label.starts_with('.') || label.len() > LONGEST_LABEL {
        return Err(wrong("names no version"));
    }
    if meta.files.len() > MOST_FILES {
        return Err(wrong(&format!("names more than {MOST_FILES} files")));
    }
    if let Some(name) = meta.files.keys().find(|name| *name == META || !stays_within(name)) {
        return Err(wrong(&format!("names {name}, which is no file of a build")));
    }
    if let Some(name) = NEEDED.into_iter().find(|name| !meta.files.contains_key(*name)) {
        return Err(wrong(&format!("does not name {name}")));
    }
    if meta.files["bzImage"] != meta.bzimage_sha256 || meta.files["config"] != meta.config_sha256 {
        return Err(wrong("contradicts itself"));
    }
    Ok((meta, source))
}

/// Writes a file, and gives its SHA-256.
fn unpack<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<String> {
    let cannot = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).with_context(cannot)?;
    let mut file = File::options().write(true).create_new(true).open(path).with_context(cannot)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut left = entry.size();
    loop {
        let read = entry.read(&mut buffer).map_err(|error| refused(format!("it is truncated: {error}")))?;
        left -= read as u64;
        if read == 0 && left > 0 {
            return Err(refused("it is truncated"));
        }
        if read == 0 {
            return Ok(cache::hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
        file.write_all(&buffer[..read]).with_context(cannot)?;
    }
}
