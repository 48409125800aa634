//! What the keeper asks of a system, one call at a time: so that a test can let each of them fail, or be the last.

use std::io;

use imalab_ima::{Bank, Digest};
use imalab_logview::ReadAt;
use nix::errno::Errno;

use crate::trust::Untrusted;

/// What a list is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and asking: everybody else is kept out meanwhile.
    Ask,
}

/// A folder of the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// Where shards are.
    Shards,
    /// Where those of earlier boots go.
    Old,
    /// Where the generation is.
    Generation,
}

/// Why a file of the keeper cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The system's.
    Errno(Errno),
    /// Others could have changed it.
    Untrusted(Untrusted),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> OpenError {
        OpenError::Errno(errno)
    }
}

/// The kernel's lists, the TPM and the folders.
///
/// An open list is closed when its handle is dropped, by the thread that opened it: the kernel's one writer is a task.
pub trait SystemCalls {
    /// A list that is open.
    type List;
    /// A file that is being written.
    type New;
    /// A file that can be read.
    type File: ReadAt;

    /// Names and permission bits of what is in the kernel's folder.
    fn list_files(&mut self) -> Result<Vec<(String, u32)>, Errno>;
    /// Opens one of its files.
    fn open_list(&mut self, name: &str, access: Access) -> Result<Self::List, Errno>;
    /// Reads at a place, which no request depends on.
    fn read_list(&mut self, list: &Self::List, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno>;
    /// Writes a request, at the beginning.
    fn ask(&mut self, list: &Self::List, request: &[u8]) -> Result<usize, Errno>;
    /// Records in the kernel's current list.
    fn count(&mut self) -> Result<u64, Errno>;

    /// The value of a PCR; `None` where there is no such bank.
    fn pcr(&mut self, bank: Bank, pcr: u32) -> Result<Option<Digest>, Errno>;
    /// How often the TPM was reset; `None` without one.
    fn tpm_resets(&mut self) -> Result<Option<u32>, Errno>;

    /// Names in a folder.
    fn names(&mut self, folder: Folder) -> Result<Vec<String>, Errno>;
    /// Opens a file that was written before.
    fn open(&mut self, folder: Folder, name: &str) -> Result<Self::File, OpenError>;
    /// Makes a file that is not there yet, for writing alone.
    fn create(&mut self, folder: Folder, name: &str) -> Result<Self::New, Errno>;
    /// Writes some of the bytes.
    fn write(&mut self, file: &mut Self::New, bytes: &[u8]) -> Result<usize, Errno>;
    /// Has what was written reach the disk.
    fn sync(&mut self, file: &mut Self::New) -> Result<(), Errno>;
    /// Gives a file another name, and takes the place of what has it.
    fn rename(&mut self, from: (Folder, &str), to: (Folder, &str)) -> Result<(), Errno>;
    /// Gives a file a second name, which nothing else has: `EEXIST` otherwise.
    fn link(&mut self, from: (Folder, &str), to: (Folder, &str)) -> Result<(), Errno>;
    /// Removes a file's name.
    fn unlink(&mut self, folder: Folder, name: &str) -> Result<(), Errno>;
    /// Has the names in a folder reach the disk.
    fn sync_names(&mut self, folder: Folder) -> Result<(), Errno>;

    /// Keeps readers out if none is in; `false`: one is.
    fn lock(&mut self) -> Result<bool, Errno>;
    /// Lets readers in again.
    fn unlock(&mut self);
}

/// The error of a call that the standard library made.
pub(crate) fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO))
}

/// Reads a list from its beginning to its end.
///
/// # Errors
///
/// The system's.
pub(crate) fn read_whole<S: SystemCalls>(system: &mut S, list: &S::List) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match system.read_list(list, all.len() as u64, &mut buffer)? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Opens a list, reads all of it and closes it.
///
/// # Errors
///
/// The system's.
pub(crate) fn read_list<S: SystemCalls>(system: &mut S, name: &str) -> Result<Vec<u8>, Errno> {
    let list = system.open_list(name, Access::Read)?;
    read_whole(system, &list)
}

/// Has a file there under its name, whole and on the disk, or not at all.
///
/// The old one stays where this fails; what was begun is removed, or stands under a name that is cleared away at the next start.
///
/// # Errors
///
/// The system's.
pub(crate) fn write_durably<S: SystemCalls>(
    system: &mut S,
    folder: Folder,
    name: &str,
    bytes: &[u8],
) -> Result<(), Errno> {
    let unfinished = format!("{name}{UNFINISHED}");
    let written = write_unfinished(system, folder, &unfinished, bytes)
        .and_then(|()| system.rename((folder, &unfinished), (folder, name)));
    if let Err(errno) = written {
        let _ = system.unlink(folder, &unfinished);
        return Err(errno);
    }
    system.sync_names(folder)
}

/// What the name of a file ends in that is not whole yet.
pub(crate) const UNFINISHED: &str = ".tmp";

fn write_unfinished<S: SystemCalls>(
    system: &mut S,
    folder: Folder,
    name: &str,
    bytes: &[u8],
) -> Result<(), Errno> {
    let mut file = match system.create(folder, name) {
        Err(Errno::EEXIST) => {
            system.unlink(folder, name)?;
            system.create(folder, name)?
        }
        made => made?,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        match system.write(&mut file, rest)? {
            // A disk that takes nothing and says nothing.
            0 => return Err(Errno::EIO),
            count => rest = rest.get(count..).unwrap_or_default(),
        }
    }
    system.sync(&mut file)
}
