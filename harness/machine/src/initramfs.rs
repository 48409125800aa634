//! Archives behind the image's own: kernels that a guest can go on in, and files that a user adds.
//!
//! The kernel unpacks archives one after the other, with zeros between them
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`), so that the image itself stays one and the same file
//! for all kernels.

use std::io::{self, Write};

use cpio::NewcBuilder;
use cpio::newc::trailer;
use imalab_wire::kernels::{NO_KERNEL, SAME, TRUNCATED};

/// Folder of the kernels, without the slash at the start that a member of an archive does not have.
pub const FOLDER: &str = "kernels";

/// Bytes of [`TRUNCATED`]: the boot sector and the setup header, which `bzImage64_probe` looks at, and less than the setup
/// sectors that `bzImage64_load` wants (`arch/x86/kernel/kexec-bzimage64.c`).
const TRUNCATED_BYTES: usize = 1024;

/// File types of stat(2), which a header carries in its mode.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Archives are padded to a multiple of this; the kernel wants each to begin at a multiple of 4 bytes (`unpack_to_rootfs`,
/// `init/initramfs.c`).
const ALIGN: usize = 512;

/// An archive behind the image's own.
struct Appended {
    image: Vec<u8>,
    inode: u32,
}

impl Appended {
    fn to(mut image: Vec<u8>) -> Appended {
        pad(&mut image);
        Appended { image, inode: 0 }
    }

    fn add(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.inode += 1;
        let length = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "a file of 4 GiB"))?;
        let builder = NewcBuilder::new(name).ino(self.inode).mode(mode).nlink(1).mtime(0);
        let mut writer = builder.write(&mut self.image, length);
        writer.write_all(content)?;
        writer.finish().map(drop)
    }

    fn done(mut self) -> io::Result<Vec<u8>> {
        trailer(&mut self.image)?;
        pad(&mut self.image);
        Ok(self.image)
    }
}

/// `image`, then an archive with [`SAME`], [`TRUNCATED`], [`NO_KERNEL`] and the `others` by name. Same inputs, same bytes.
///
/// # Errors
/// When a kernel has 4 GiB or more.
pub fn with_kernels(image: Vec<u8>, same: &[u8], others: &[(&str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut appended = Appended::to(image);
    appended.add(FOLDER, DIRECTORY | 0o755, b"")?;
    let truncated = same.get(..TRUNCATED_BYTES).unwrap_or(same);
    let made = [(SAME, same), (TRUNCATED, truncated), (NO_KERNEL, b"This is no kernel.\n".as_slice())];
    let others = others.iter().map(|(name, kernel)| (*name, kernel.as_slice()));
    for (name, content) in made.into_iter().chain(others) {
        appended.add(&format!("{FOLDER}/{name}"), REGULAR | 0o644, content)?;
    }
    appended.done()
}

/// What a file of the guest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file, with its content.
    File(Vec<u8>),
    /// A symbolic link, with its target.
    Link(String),
}

/// `image`, then an archive with files of the guest: path without the slash at its start, permissions, and what it is; each folder
/// before what is in it. Same inputs, same bytes.
///
/// # Errors
/// When a file has 4 GiB or more.
pub fn with_files(image: Vec<u8>, files: &[(String, u32, Kind)]) -> io::Result<Vec<u8>> {
    let mut appended = Appended::to(image);
    for (path, permissions, kind) in files {
        match kind {
            Kind::Folder => appended.add(path, DIRECTORY | permissions, b"")?,
            Kind::File(content) => appended.add(path, REGULAR | permissions, content)?,
            Kind::Link(target) => appended.add(path, LINK | permissions, target.as_bytes())?,
        }
    }
    appended.done()
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(ALIGN), 0);
}

#[cfg(test)]
mod tests {
    use cpio::NewcReader;

    use super::*;

    /// Names, modes and contents of an archive, and where it ends.
    fn members(archive: &[u8]) -> (Vec<(String, u32, Vec<u8>)>, usize) {
        let mut rest = archive;
        let mut found = Vec::new();
        loop {
            let mut reader = NewcReader::new(rest).unwrap();
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = Vec::new();
            io::Read::read_to_end(&mut reader, &mut content).unwrap();
            let last = reader.entry().is_trailer();
            rest = reader.finish().unwrap();
            if last {
                return (found, archive.len() - rest.len());
            }
            found.push((name, mode, content));
        }
    }

    fn image() -> Vec<u8> {
        let mut image = Vec::new();
        let mut writer = NewcBuilder::new("init").mode(REGULAR | 0o755).write(&mut image, 5);
        writer.write_all(b"agent").unwrap();
        writer.finish().unwrap();
        trailer(&mut image).unwrap();
        image
    }

    #[test]
    fn kernels_stand_in_an_archive_of_their_own() {
        let same: Vec<u8> = (0..3000_u32).map(|byte| byte as u8).collect();
        let whole = with_kernels(image(), &same, &[("6.12", b"older".to_vec())]).unwrap();
        assert!(whole.starts_with(&image()));
        let (first, end) = members(&whole);
        assert_eq!(first, [("init".to_owned(), REGULAR | 0o755, b"agent".to_vec())]);
        let next = end + whole[end..].iter().take_while(|byte| **byte == 0).count();
        assert_eq!(next % 4, 0, "the kernel begins an archive only there");
        let (second, end) = members(&whole[next..]);
        let names: Vec<&str> = second.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            ["kernels", "kernels/same", "kernels/truncated", "kernels/no-kernel", "kernels/6.12"]
        );
        assert_eq!(second[1].2, same);
        assert_eq!(second[2].2, same[..1024]);
        assert_eq!(second[4].2, b"older");
        assert!(whole[next + end..].iter().all(|byte| *byte == 0));
        assert_eq!(whole, with_kernels(image(), &same, &[("6.12", b"older".to_vec())]).unwrap());
    }

    #[test]
    fn files_stand_in_an_archive_of_their_own() {
        let files = [
            ("bin".to_owned(), 0o755, Kind::Folder),
            ("bin/agent".to_owned(), 0o700, Kind::File(b"ELF".to_vec())),
            ("bin/other".to_owned(), 0o777, Kind::Link("agent".to_owned())),
        ];
        let whole = with_files(image(), &files).unwrap();
        assert!(whole.starts_with(&image()));
        let (found, _) = members(&whole[image().len().next_multiple_of(ALIGN)..]);
        let expected = [
            ("bin".to_owned(), DIRECTORY | 0o755, Vec::new()),
            ("bin/agent".to_owned(), REGULAR | 0o700, b"ELF".to_vec()),
            ("bin/other".to_owned(), LINK | 0o777, b"agent".to_vec()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_kernel_shorter_than_what_is_kept_of_it_is_kept_whole() {
        let whole = with_kernels(image(), b"tiny", &[]).unwrap();
        let next = image().len().next_multiple_of(ALIGN);
        assert_eq!(members(&whole[next..]).0[2].2, b"tiny");
    }
}
