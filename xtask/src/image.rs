//! `cargo xtask image`: the guest's first process in an initramfs; same inputs, same bytes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo;
use imalab_image::{AGENT, FILE, FOLDER, PROGRAMS, guest, initramfs};
use imalab_kernels::cache::{self, Cache};
use imalab_kernels::initramfs::store;
use imalab_kernels::say::say;

/// The configuration of the log keeper whose system calls are gone through: it takes each record as it comes.
const EACH_RECORD: &str = "every-records = 1\nevery-seconds = 0\nbefore-kexec = false\nlook-seconds = 60\n";

/// That of one which takes records when it is told to.
const WHEN_ASKED: &str = "every-records = 0\nevery-seconds = 0\nbefore-kexec = false\n";

/// Builds the agent, the programs that scenarios name without a path (`/programs`), and the initramfs around them, and gives the
/// initramfs's path.
pub(crate) fn ensure(root: &Path, cache: &Cache) -> Result<PathBuf> {
    let read = |package, name| fs::read(build(root, cache, package, name)?).context("cannot read a program");
    let agent = read(AGENT, AGENT)?;
    let programs = PROGRAMS.iter().map(|(package, name)| Ok((*name, read(package, name)?)));
    store(cache, &guest(&agent, &programs.collect::<Result<Vec<_>>>()?)?)
}

/// The initramfs of the guest in which the log keeper is killed at each of its system calls.
pub(crate) fn ensure_keeper(root: &Path, cache: &Cache, flavour: &str) -> Result<PathBuf> {
    ensure_trial(root, cache, &format!("flavour = \"{flavour}\"\n{EACH_RECORD}"))
}

/// The initramfs of the guest in which old readers read while the log keeper works.
pub(crate) fn ensure_view(root: &Path, cache: &Cache) -> Result<PathBuf> {
    ensure_trial(root, cache, WHEN_ASKED)
}

/// Builds the log keeper, the guest that puts it to the trial, and the initramfs around both, and gives the initramfs's path.
///
/// It is one of its own: what other guests need not unpack, they do not.
fn ensure_trial(root: &Path, cache: &Cache, config: &str) -> Result<PathBuf> {
    let read = |package, name| fs::read(build(root, cache, package, name)?).context("cannot read a program");
    let (init, keeper) = (read("imalab-trial", "imalab-trial")?, read("imalab-logkeeper", "logkeeper")?);
    let more = [
        ("bin", FOLDER | 0o755, b"".as_slice()),
        ("bin/logkeeper", FILE | 0o755, &keeper),
        ("etc", FOLDER | 0o755, b""),
        ("etc/logkeeper", FOLDER | 0o755, b""),
        ("etc/logkeeper/config.toml", FILE | 0o644, config.as_bytes()),
        ("var", FOLDER | 0o755, b""),
    ];
    store(cache, &initramfs(&init, &more)?)
}

/// Builds a static program and gives its path.
fn build(root: &Path, cache: &Cache, package: &str, name: &str) -> Result<PathBuf> {
    let room = cache.room("agent")?;
    let built = cargo::build(&mut command(root, &room, package), name)?;
    // cargo goes by the age of files. Other checkouts build here too.
    let checkout = cache::sha256_of_parts([("checkout", root.as_os_str().as_bytes())]);
    let record = room.join(format!("{}-{name}.sha256", &checkout[..16]));
    let built = if built.fresh && !is_recorded(&built.path, &record)? {
        say!("{} was changed after its build; rebuilding it", built.path.display());
        if let Some(profile) = built.path.parent() {
            cache::remove(profile)?;
        }
        cargo::build(&mut command(root, &room, package), name)?
    } else {
        built
    };
    cache::write_atomically(&record, cache::sha256_of_file(&built.path)?.as_bytes())?;
    Ok(built.path)
}

/// Whether the digest of the program at `path` is the recorded one; without a record it is.
fn is_recorded(path: &Path, record: &Path) -> Result<bool> {
    match fs::read_to_string(record) {
        Ok(digest) => Ok(cache::sha256_of_file(path)? == digest),
        Err(_) => Ok(true),
    }
}

fn command(root: &Path, room: &Path, package: &str) -> Command {
    imalab_image::static_build(cargo::command(root), root, room, package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_what_was_recorded_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (path, record) = (folder.path().join("agent"), folder.path().join("agent.sha256"));
        fs::write(&path, b"agent").unwrap();
        assert!(is_recorded(&path, &record).unwrap());
        fs::write(&record, cache::sha256_of_file(&path).unwrap()).unwrap();
        assert!(is_recorded(&path, &record).unwrap());
        fs::write(&path, b"agenT").unwrap();
        assert!(!is_recorded(&path, &record).unwrap());
    }
}
