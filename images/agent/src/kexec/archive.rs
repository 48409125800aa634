//! An initramfs: what the image has, written anew from within the running guest, in the kernel's newc format
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use cpio::NewcBuilder;
use cpio::newc::trailer;
use imalab_wire::KERNELS;

/// File types of stat(2).
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Folders that file systems are mounted on.
const FOLDERS: &[&str] = &["dev", "proc", "run", "sys", "tmp"];

/// Writes the archive with the program as `/init`, and every file of the folder of kernels if there is one.
pub(super) fn write(to: &mut impl Write, init: &Path, kernels: &Path) -> io::Result<()> {
    let mut archive = Archive { to: &mut *to, inode: 0 };
    for folder in FOLDERS {
        archive.entry(folder, FOLDER | 0o755, (0, 0), None)?;
    }
    // The kernel opens it for the first process before devtmpfs is mounted (init/main.c, console_on_rootfs).
    archive.entry("dev/console", CHARACTER_DEVICE | 0o600, (5, 1), None)?;
    archive.file("init", 0o755, init)?;
    match fs::read_dir(kernels) {
        Ok(entries) => {
            let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            let folder = KERNELS.trim_start_matches('/');
            archive.entry(folder, FOLDER | 0o755, (0, 0), None)?;
            for name in names {
                let path = kernels.join(&name);
                let name = name.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
                archive.file(&format!("{folder}/{name}"), 0o644, &path)?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    trailer(to).map(drop)
}

struct Archive<'a, W> {
    to: &'a mut W,
    inode: u32,
}

impl<W: Write> Archive<'_, W> {
    fn file(&mut self, name: &str, mode: u32, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let size = u32::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.entry(name, FILE | mode, (0, 0), Some((&mut file, size)))
    }

    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        device: (u32, u32),
        content: Option<(&mut File, u32)>,
    ) -> io::Result<()> {
        self.inode += 1;
        let size = content.as_ref().map_or(0, |(_, size)| *size);
        let head =
            NewcBuilder::new(name).ino(self.inode).mode(mode).rdev_major(device.0).rdev_minor(device.1);
        let mut writer = head.write(&mut *self.to, size);
        if let Some((file, size)) = content {
            // The writer takes a file that ends early for whole.
            if io::copy(&mut file.take(size.into()), &mut writer)? != u64::from(size) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        writer.finish().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use cpio::NewcReader;

    use super::*;

    #[test]
    fn the_archive_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let (init, kernels) = (dir.path().join("agent"), dir.path().join("kernels"));
        fs::write(&init, "agent").unwrap();
        let listing = |kernels: &Path| {
            let mut archive = Vec::new();
            write(&mut archive, &init, kernels).unwrap();
            let mut rest = archive.as_slice();
            let mut listing = Vec::new();
            loop {
                let mut reader = NewcReader::new(rest).unwrap();
                let entry = reader.entry().clone();
                if entry.is_trailer() {
                    break;
                }
                let mut content = String::new();
                reader.read_to_string(&mut content).unwrap();
                let device = (entry.rdev_major(), entry.rdev_minor());
                listing.push((entry.name().to_owned(), entry.mode(), device, content));
                rest = reader.finish().unwrap();
            }
            listing
        };
        let entry =
            |name: &str, mode, device, content: &str| (name.to_owned(), mode, device, content.to_owned());
        let mut expected: Vec<_> = FOLDERS.iter().map(|name| entry(name, 0o040_755, (0, 0), "")).collect();
        expected.push(entry("dev/console", 0o020_600, (5, 1), ""));
        expected.push(entry("init", 0o100_755, (0, 0), "agent"));
        assert_eq!(listing(&kernels), expected);

        fs::create_dir(&kernels).unwrap();
        fs::write(kernels.join("same"), "a kernel").unwrap();
        fs::write(kernels.join("other"), "").unwrap();
        expected.push(entry("kernels", 0o040_755, (0, 0), ""));
        expected.push(entry("kernels/other", 0o100_644, (0, 0), ""));
        expected.push(entry("kernels/same", 0o100_644, (0, 0), "a kernel"));
        assert_eq!(listing(&kernels), expected);
    }
}
