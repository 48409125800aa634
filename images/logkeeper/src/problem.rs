//! Why the keeper cannot go on, and what it waits for.

use std::fmt;

use imalab_logview::{Damage, NotRecords};
use nix::errno::Errno;

use crate::world::Folder;

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
    /// The TPM did not say how often it was reset.
    #[error("cannot ask the TPM how often it was reset: {}", .errno.desc())]
    Tpm {
        /// With what it failed.
        errno: Errno,
    },
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
    /// A record may be on its way to the TPM, and with it another answer.
    #[error("it cannot be told yet whether the records of the last shard have left the kernel")]
    Undecided,
}

impl Problem {
    /// Whether the next look may find it gone without anybody doing anything about it.
    pub fn passes(&self) -> bool {
        match self {
            Problem::Kernel { .. }
            | Problem::Tpm { .. }
            | Problem::Disk { .. }
            | Problem::Foreign
            | Problem::Undecided => true,
            Problem::List(_) | Problem::Damage { .. } | Problem::Missing(_) => false,
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
    /// The kernel has no memory to delete with: `ENOMEM`.
    Memory,
    /// The kernel takes no requests any more: a kexec or a reboot is under way.
    Suspended,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waiting::Busy => "somebody has a measurement list open",
            Waiting::Readers => "a reader holds the lock",
            Waiting::Memory => "the kernel has no memory to delete records with",
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

/// Says which call on a list failed.
pub(crate) fn kernel(doing: &'static str) -> impl FnOnce(Errno) -> Problem {
    move |errno| Problem::Kernel { doing, errno }
}
