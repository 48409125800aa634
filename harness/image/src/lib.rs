//! The guest's image: how its static programs are built, and the archive around them. Same inputs, same bytes, whoever builds it:
//! the front door, or the build of an `imalab` that carries it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cpio::NewcBuilder;
use cpio::newc::trailer;

/// Package and program of the guest's first process.
pub const AGENT: &str = "imalab-agent";

/// Packages and programs that scenarios name without a path; they lie in [`PROGRAMS_FOLDER`].
pub const PROGRAMS: &[(&str, &str)] = &[("imalab-logkeeper", "logkeeper")];

/// Folder of the guest with these programs, without the slash at the start.
pub const PROGRAMS_FOLDER: &str = "programs";

/// The target that Rust's own static C library support knows on this machine.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The profile of the workspace for programs of the guest.
pub const PROFILE: &str = "agent";

/// File types of stat(2), which a cpio header carries in its mode.
pub const FOLDER: u32 = 0o040_000;
/// A regular file.
pub const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Folders that the agent mounts its file systems on.
const FOLDERS: &[&str] = &["dev", "proc", "run", "sys", "tmp"];

/// Makes of `cargo` a call that builds a static program of the checkout at `root`, with `target` for a target folder.
pub fn static_build(mut cargo: Command, root: &Path, target: &Path, package: &str) -> Command {
    cargo.current_dir(root);
    cargo.args(["build", "--package", package, "--profile", PROFILE, "--target", TARGET]);
    cargo.arg("--target-dir").arg(target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(root).join("\x1f")).env_remove("RUSTFLAGS");
    cargo
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

/// The guest's image: the agent as the first process, and programs by their names.
///
/// # Errors
/// As [`initramfs`].
pub fn guest(agent: &[u8], programs: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let paths: Vec<String> = programs.iter().map(|(name, _)| format!("{PROGRAMS_FOLDER}/{name}")).collect();
    let folder = [(PROGRAMS_FOLDER, FOLDER | 0o755, b"".as_slice())];
    let files =
        paths.iter().zip(programs).map(|(path, (_, content))| (path.as_str(), FILE | 0o755, &**content));
    initramfs(agent, &folder.into_iter().chain(files).collect::<Vec<_>>())
}

/// An uncompressed newc archive, which the kernel unpacks fastest, with `init` as `/init`, and `more`: path, mode, content.
///
/// # Errors
/// A file of 4 GiB, which the format cannot hold.
pub fn initramfs(init: &[u8], more: &[(&str, u32, &[u8])]) -> Result<Vec<u8>> {
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
    use cpio::NewcReader;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn same_inputs_same_bytes() {
        let archive = initramfs(b"agent", &[]).unwrap();
        assert_eq!(initramfs(b"agent", &[]).unwrap(), archive);
        assert_ne!(initramfs(b"other", &[]).unwrap(), archive);
        // Also from one day and one version of ours to the next.
        insta::assert_snapshot!(hex::encode(Sha256::digest(&archive)));
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

    #[test]
    fn no_path_of_this_machine_is_left_in_a_program() {
        let command = static_build(Command::new("cargo"), Path::new("/somewhere"), Path::new("/t"), AGENT);
        let flags = command.get_envs().find(|(name, _)| *name == "CARGO_ENCODED_RUSTFLAGS");
        let flags = flags.and_then(|(_, value)| value).unwrap().to_string_lossy();
        assert!(flags.contains("--remap-path-prefix=/somewhere=/imalab"), "{flags}");
        assert!(flags.contains("+crt-static"), "{flags}");
    }
}
