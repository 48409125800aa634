//! `cargo xtask image`: the guest's first process in an initramfs; same inputs, same bytes.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cpio::NewcBuilder;
use cpio::newc::trailer;

use crate::cargo;
use imalab_kernels::cache::{self, Cache, Unfinished};
use imalab_kernels::say::say;

/// The target that Rust's own static C library support knows on this machine.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// File types of stat(2), which a cpio header carries in its mode.
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Folders that the agent mounts its file systems on.
const FOLDERS: &[&str] = &["dev", "proc", "run", "sys", "tmp"];

/// The configuration of the log keeper whose system calls are gone through: it takes each record as it comes.
const EACH_RECORD: &str = "every-records = 1\nevery-seconds = 0\nbefore-kexec = false\nlook-seconds = 60\n";

/// That of one which takes records when it is told to.
const WHEN_ASKED: &str = "every-records = 0\nevery-seconds = 0\nbefore-kexec = false\n";

/// Builds the agent and the initramfs around it, and gives the initramfs's path.
pub(crate) fn ensure(root: &Path, cache: &Cache) -> Result<PathBuf> {
    let agent =
        fs::read(build(root, cache, "imalab-agent", "imalab-agent")?).context("cannot read the agent")?;
    store(cache, &initramfs(&agent, &[])?)
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

/// Puts an archive into the cache.
fn store(cache: &Cache, archive: &[u8]) -> Result<PathBuf> {
    let key = cache::sha256_of_parts([("initramfs", archive)]);
    let folder = cache.room("images")?.join(&key[..16]);
    let path = folder.join("initramfs.cpio");
    cache::touch(&folder);
    let whole = || fs::read(&path).is_ok_and(|there| there == archive);
    if !whole() {
        let lock = cache::lock(&folder, "writing an image")?;
        if !whole() {
            if path.exists() {
                say!("{} is not what was built; writing it again", path.display());
            }
            let unfinished = Unfinished::start(&folder, lock)?;
            fs::write(unfinished.path().join("initramfs.cpio"), archive)
                .context("cannot write the initramfs")?;
            unfinished.finish()?;
        }
    }
    Ok(path)
}

/// Builds a static program and gives its path.
fn build(root: &Path, cache: &Cache, package: &str, name: &str) -> Result<PathBuf> {
    let room = cache.room("agent")?;
    let built = cargo::build(&mut command(root, &room, package), name)?;
    // cargo goes by the age of files. Other checkouts build here too.
    let checkout = cache::sha256_of_parts([("checkout", root.as_os_str().as_bytes())]);
    let record = room.join(format!("{}-{name}.sha256", &checkout[..16]));
    let built = if built.fresh && !is_recorded(&built.path, &record)? {
        say!("{} is not what was built; building it again", built.path.display());
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
    let mut command = cargo::command(root);
    command.args(["build", "--package", package, "--profile", "agent", "--target", TARGET]);
    command.arg("--target-dir").arg(room);
    command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root).join("\x1f")).env_remove("RUSTFLAGS");
    command
}

/// Flags for a static program in which no path of this machine is left.
fn rust_flags(root: &Path) -> Vec<String> {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.push(format!("--remap-path-prefix={}=/imalab", root.display()));
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    if let Some(cargo_home) = cargo_home {
        flags.push(format!("--remap-path-prefix={}=/cargo", cargo_home.display()));
    }
    flags
}

/// An uncompressed newc archive, which the kernel unpacks fastest, with `init` as `/init`, and `more`: path, mode, content.
fn initramfs(init: &[u8], more: &[(&str, u32, &[u8])]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    let mut inode = 0;
    let mut add = |name: &str, mode: u32, device: Option<(u32, u32)>, content: &[u8]| -> Result<()> {
        inode += 1;
        let (major, minor) = device.unwrap_or((0, 0));
        let length = u32::try_from(content.len()).context("a file of 4 GiB in an initramfs")?;
        let mut writer = NewcBuilder::new(name)
            .ino(inode)
            .mode(mode)
            .nlink(1)
            .mtime(0)
            .rdev_major(major)
            .rdev_minor(minor)
            .write(&mut archive, length);
        writer.write_all(content).with_context(|| format!("cannot pack {name}"))?;
        writer.finish().with_context(|| format!("cannot pack {name}"))?;
        Ok(())
    };
    for folder in FOLDERS {
        add(folder, FOLDER | 0o755, None, b"")?;
    }
    // The kernel opens it for the first process before devtmpfs is mounted (init/main.c, console_on_rootfs).
    add("dev/console", CHARACTER_DEVICE | 0o600, Some((5, 1)), b"")?;
    add("init", FILE | 0o755, None, init)?;
    for (name, mode, content) in more {
        add(name, *mode, None, content)?;
    }
    trailer(&mut archive).context("cannot end the archive")?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::NewcReader;

    #[test]
    fn same_inputs_same_bytes() {
        let archive = initramfs(b"agent", &[]).unwrap();
        assert_eq!(initramfs(b"agent", &[]).unwrap(), archive);
        assert_ne!(initramfs(b"other", &[]).unwrap(), archive);
        // Also from one day and one version of ours to the next.
        insta::assert_snapshot!(cache::sha256_of_parts([("initramfs", archive.as_slice())]));
    }

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

    #[test]
    fn the_archive_holds_what_a_guest_needs() {
        let archive = initramfs(b"agent", &[]).unwrap();
        let mut rest = archive.as_slice();
        let mut listing = Vec::new();
        loop {
            let mut reader = NewcReader::new(rest).unwrap();
            let entry = reader.entry().clone();
            if entry.is_trailer() {
                break;
            }
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut content).unwrap();
            listing.push(format!(
                "{:o} {}:{} {} {:?}",
                entry.mode(),
                entry.rdev_major(),
                entry.rdev_minor(),
                entry.name(),
                String::from_utf8(content).unwrap()
            ));
            rest = reader.finish().unwrap();
        }
        insta::assert_snapshot!(listing.join("\n"));
    }
}
