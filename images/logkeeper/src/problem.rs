//! Why the keeper cannot go on, and what it waits for.

use std::fmt;

use imalab_logview::{Broken, Damage, NotRecords, ShardName};
use nix::errno::Errno;

use crate::system_calls::{Folder, OpenError};
use crate::trust::Untrusted;

/// Something that has to change before records can be kept. Nothing is lost meanwhile: they stay in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A call on the kernel's lists failed.
    #[error("cannot {doing} the measurement list: {}", .errno.desc())]
    Kernel {
        /// What was done.
        doing: &'static str,
        /// With what it failed.
        errno: Errno,
    },
    /// The TPM did not answer.
    #[error("cannot read {what} of the TPM: {}", .errno.desc())]
    Tpm {
        /// What was asked for.
        what: &'static str,
        /// With what it failed.
        errno: Errno,
    },
    /// There is no TPM, and there was one when the last shard was written: its driver may not be there yet.
    #[error("the TPM that shard {0} was written with is not there")]
    TpmGone(String),
    /// A call on a file of the keeper failed.
    #[error("cannot {doing} {folder} `{name}`: {}", .errno.desc())]
    Disk {
        /// What was done.
        doing: &'static str,
        /// In which folder.
        folder: Folder,
        /// The file; empty for the folder itself.
        name: String,
        /// With what it failed.
        errno: Errno,
    },
    /// Others could have changed a file of the keeper.
    #[error("{folder} `{name}`: {why}")]
    Untrusted {
        /// In which folder.
        folder: Folder,
        /// The file.
        name: String,
        /// In which way.
        why: Untrusted,
    },
    /// What the kernel shows is not a list.
    #[error("the kernel's list: {0}")]
    List(#[from] NotRecords),
    /// A shard that records were deleted for is not whole.
    #[error("shard {name}: {damage}")]
    Damage {
        /// Its file.
        name: String,
        /// What is wrong.
        damage: Damage,
    },
    /// Shards are not where they should be.
    #[error("shards are missing: {0}")]
    Missing(String),
    /// The staged list, or the head of the current one, is not what was saved.
    #[error("somebody else stages, deletes or trims records: the list is not the one that was saved")]
    Foreign,
    /// The log that was shown is not there any more.
    #[error("the log is not the one that was shown: {0}")]
    Broken(#[from] Broken),
    /// There is no lock to be had.
    #[error("{0}")]
    Lock(String),
    /// A record may be on its way to the TPM, and with it another answer.
    #[error("it is not yet known whether the records of the last shard have left the kernel")]
    Undecided,
}

impl Problem {
    /// Whether the next look may find it gone without anybody doing anything about it.
    pub fn passes(&self) -> bool {
        match self {
            Problem::Kernel { .. }
            | Problem::Tpm { .. }
            | Problem::TpmGone(_)
            | Problem::Disk { .. }
            | Problem::Foreign
            | Problem::Broken(_)
            | Problem::Lock(_)
            | Problem::Undecided => true,
            Problem::Untrusted { .. } | Problem::List(_) | Problem::Damage { .. } | Problem::Missing(_) => {
                false
            }
        }
    }
}

/// Something that passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Somebody has a list open: `EBUSY`.
    Busy,
    /// A reader holds the lock.
    Readers,
    /// The kernel takes no requests any more: a kexec or a reboot is under way.
    Suspended,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waiting::Busy => "somebody has a measurement list open",
            Waiting::Readers => "a reader holds the lock",
            Waiting::Suspended => "the kernel takes no requests: a kexec or a reboot is under way",
        })
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Folder::Shards => "in the folder of shards",
            Folder::Old => "in the folder of old shards",
            Folder::Generation => "in the folder of the generation",
        })
    }
}

/// Says which file a call failed on.
pub(crate) fn disk(doing: &'static str, folder: Folder, name: &str) -> impl FnOnce(Errno) -> Problem {
    let name = name.to_owned();
    move |errno| Problem::Disk { doing, folder, name, errno }
}

/// Says which file cannot be opened.
pub(crate) fn unopened(folder: Folder, name: &str) -> impl FnOnce(OpenError) -> Problem {
    let name = name.to_owned();
    move |error| match error {
        OpenError::Errno(errno) => Problem::Disk { doing: "open", folder, name, errno },
        OpenError::Untrusted(why) => Problem::Untrusted { folder, name, why },
    }
}

/// Says what is wrong with a shard. One that cannot be read now may be read another time, and is not damaged for that.
pub(crate) fn damaged(name: ShardName, damage: Damage) -> Problem {
    let name = name.to_string();
    let errno = if let Damage::Io(error) = &damage { error.raw_os_error() } else { None };
    match errno.map(Errno::from_raw) {
        Some(errno) => Problem::Disk { doing: "read", folder: Folder::Shards, name, errno },
        None => Problem::Damage { name, damage },
    }
}

/// Says which call on a list failed.
pub(crate) fn kernel(doing: &'static str) -> impl FnOnce(Errno) -> Problem {
    move |errno| Problem::Kernel { doing, errno }
}
