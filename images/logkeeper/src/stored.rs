//! A file that was written before, opened anew for each read: there may be more shards than files that a process may have open.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use imalab_logview::ReadAt;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use crate::system_calls::{OpenError, errno};
use crate::trust::trust_file;

/// A file, by folder and name.
#[derive(Clone, Debug)]
pub struct Stored {
    folder: Rc<OwnedFd>,
    name: String,
}

impl Stored {
    /// Looks whether it is there and nobody else could have changed it.
    pub(crate) fn find(folder: &Rc<OwnedFd>, name: &str) -> Result<Stored, OpenError> {
        let stored = Stored { folder: Rc::clone(folder), name: name.to_owned() };
        stored.open().map(|_| stored)
    }

    fn open(&self) -> Result<File, OpenError> {
        let options = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.folder, self.name.as_str(), options, Mode::empty())?);
        let about = file.metadata().map_err(|error| OpenError::Errno(errno(error)))?;
        trust_file(&about).map_err(OpenError::Untrusted)?;
        Ok(file)
    }

    fn again(&self) -> io::Result<File> {
        self.open().map_err(|error| match error {
            OpenError::Errno(errno) => errno.into(),
            OpenError::Untrusted(why) => io::Error::new(io::ErrorKind::PermissionDenied, why),
        })
    }
}

impl ReadAt for Stored {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.again()?, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.again()?.metadata()?.len())
    }
}
