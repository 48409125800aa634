//! `cargo xtask image`: the guest's first process in an initramfs; same inputs, same bytes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cpio::NewcBuilder;
use cpio::newc::trailer;

use crate::cache::{self, Cache, Unfinished};
use crate::cargo;
use crate::say::say;

/// The target that Rust's own static C library support knows on this machine.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// File types of stat(2), which a cpio header carries in its mode.
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Folders that the agent mounts its file systems on.
const FOLDERS: &[&str] = &["dev", "proc", "run", "sys", "tmp"];

/// Builds the agent and the initramfs around it, and gives the initramfs's path.
pub(crate) fn ensure(root: &Path, cache: &Cache) -> Result<PathBuf> {
    let agent = fs::read(build_agent(root, cache)?).context("cannot read the agent")?;
    let archive = initramfs(&agent)?;
    let key = cache::sha256_of_parts([("initramfs", archive.as_slice())]);
    let folder = cache.room("images")?.join(&key[..16]);
    let path = folder.join("initramfs.cpio");
    let whole = || fs::read(&path).is_ok_and(|there| there == archive);
    if !whole() {
        let lock = cache::lock(&folder, "writing an image")?;
        if !whole() {
            if path.exists() {
                say!("{} is not what was built; writing it again", path.display());
            }
            let unfinished = Unfinished::start(&folder, lock)?;
            fs::write(unfinished.path().join("initramfs.cpio"), &archive)
                .context("cannot write the initramfs")?;
            unfinished.finish()?;
        }
    }
    Ok(path)
}

/// Builds the agent as a static program and gives its path.
fn build_agent(root: &Path, cache: &Cache) -> Result<PathBuf> {
    let mut command = cargo::command(root);
    command.args(["build", "--package", "imalab-agent", "--profile", "agent", "--target", TARGET]);
    command.arg("--target-dir").arg(cache.room("agent")?);
    command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root).join("\x1f")).env_remove("RUSTFLAGS");
    cargo::build(&mut command, "imalab-agent")
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

/// An uncompressed newc archive, which the kernel unpacks fastest, with `agent` as `/init`.
fn initramfs(agent: &[u8]) -> Result<Vec<u8>> {
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
    add("init", FILE | 0o755, None, agent)?;
    trailer(&mut archive).context("cannot end the archive")?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::NewcReader;

    #[test]
    fn same_inputs_same_bytes() {
        let archive = initramfs(b"agent").unwrap();
        assert_eq!(initramfs(b"agent").unwrap(), archive);
        assert_ne!(initramfs(b"other").unwrap(), archive);
        // Also from one day and one version of ours to the next.
        insta::assert_snapshot!(cache::sha256_of_parts([("initramfs", archive.as_slice())]));
    }

    #[test]
    fn the_archive_holds_what_a_guest_needs() {
        let archive = initramfs(b"agent").unwrap();
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
