//! What kernels offer to take records out of their list, and whose promises they are held to: data, one file a dialect.
//!
//! The adapter (how a verb becomes calls), the reference model (what a call means and may give), the probe (which dialect
//! a kernel speaks) and the checks ask here; nobody else forks on a dialect's name. A posting of a series is a dialect of
//! its own: a kernel under review is held to its own document, and not to what became of it.

mod files;
mod grammar;
mod interface;
mod log_digest;
mod no_staging;
mod own_file;
mod posted;
mod read_only;
mod rfc_v2;
mod seen;
mod snapshot;
mod transaction;
mod trim_log;
mod two_command;
mod upstream;
mod verbs;

use nix::errno::Errno;

use super::lists::Request;

pub use files::{COUNT, FOLDER, Naming, POLICY, VIOLATIONS};
pub use grammar::{Form, Grammar, Means, Number};
pub use interface::{Interface, NoInterface};
pub use own_file::{Admin, Excludes, OwnFile, Place, Shows, Target};
pub use seen::{NumberForm, Seen};
pub use verbs::{Access, Call, Calls, Verbs};

/// The interfaces that are known: a name in the code for each dialect, in the order in which they are told.
macro_rules! known {
    ($($(#[$doc:meta])* $name:ident = $dialect:path;)+) => {
        impl Interface {
            $($(#[$doc])* pub const $name: Interface = Interface::of(&$dialect);)+

            /// Every one that is known. Of those with the same files, the one to take for granted comes first.
            pub const KNOWN: &[Interface] = &[$(Interface::$name),+];
        }
    };
}

known! {
    /// No way to take records out of the list.
    READ_ONLY = read_only::DIALECT;
    /// Mainline since Linux 7.2 without `CONFIG_IMA_STAGING`: its lists can be written, and nothing is to come of it.
    NO_STAGING = no_staging::DIALECT;
    /// Mainline since Linux 7.2 (`Documentation/security/IMA-export-delete.rst`).
    UPSTREAM = upstream::DIALECT;
    /// The staging RFC v2 of December 2025 (`kernel-config/patches/rfc-v2`).
    RFC_V2 = rfc_v2::DIALECT;
    /// The two-command idea of December 2025 (`kernel-config/patches/two-command`).
    TWO_COMMAND = two_command::DIALECT;
    /// The transaction idea of November 2023 (`kernel-config/patches/transaction`).
    TRANSACTION = transaction::DIALECT;
    /// The trim log patches of December 2025 to April 2026 in their fifth version (`kernel-config/patches/trim-log`).
    TRIM_LOG = trim_log::DIALECT;
    /// Their third version, as posted.
    TRIM_LOG_V3_POSTED = trim_log::V3_POSTED;
    /// The log snapshotting design of 2023 (`kernel-config/patches/snapshot`).
    SNAPSHOT = snapshot::DIALECT;
    /// Digests of the log as records, and trimming up to them, of November 2023 (`kernel-config/patches/log-digest`, `log-trim`).
    LOG_DIGEST = log_digest::DIALECT;
    /// The first RFC of staging of December 2025, as posted.
    STAGING_V1_POSTED = posted::V1;
    /// The second, as posted.
    RFC_V2_POSTED = posted::RFC_V2;
    /// Version 4 of March 2026, as posted.
    V4_POSTED = posted::V4;
    /// Version 3 of staging of March 2026, as posted.
    V3_POSTED = posted::V3;
    /// Version 5 of April 2026, as posted.
    V5_POSTED = posted::V5;
}

/// One interface, as one document describes it.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Its name, by which it is stored and told.
    pub name: &'static str,
    /// Whose promises, in which version.
    pub document: &'static str,
    /// Whose words scenarios can spell out on it; `None` where they are nobody else's and no scenario has them.
    pub words: Option<Words>,
    /// How it is told from others.
    pub identity: Identity,
    /// How the files of staged records are named, if there are any.
    pub staged: Option<Naming>,
    /// Its files beside the lists.
    pub own_files: &'static [OwnFile],
    /// Name of the counter of the current list's records.
    pub count: &'static str,
    /// Event name of the records that divide the log, if it makes any: critical data of the template `ima-buf`.
    pub mark: Option<&'static str>,
    /// Event name of the record that each trim makes of itself, if the policy asks for it.
    pub trim_mark: Option<&'static str>,
    /// How verbs become calls.
    pub verbs: Verbs,
    /// What bytes are a request.
    pub grammar: Grammar,
    /// What comes of opening an original file for writing.
    pub originals: Originals,
    /// Whether a task that is the writer may open further files for writing.
    pub one_writer_many_files: bool,
    /// Whether readers and a writer exclude each other.
    pub readers_excluded: bool,
    /// What a file of the staged list gives to a reader while nothing is staged: an error, or just no bytes.
    pub nothing_staged: Option<Errno>,
    /// When `ima_flush_htable` drops the digests of staged records.
    pub flushed: Flushed,
    /// Whether records can be trimmed while others are staged, or it is EEXIST; `None` where nobody knows.
    pub trims_while_staged: Option<bool>,
    /// Whether trimming more records than there are is refused.
    pub exact_trim: bool,
    /// What requests give once measuring is suspended for the next kernel.
    pub suspended: Suspended,
    /// Whether its errors are its own: which of them a verb gives is then for the model to say, and not for scenarios, which
    /// have mainline's.
    pub own_errors: bool,
    /// Whether a kexec carries staged records, before the current ones.
    pub carries_staged: bool,
    /// Headers that the segment for the next kernel is counted with.
    pub segment_headers: u64,
    /// Whether it promises that requests hold up whoever appends no longer than it takes to swap the lists, however long they are.
    pub held_briefly: bool,
    /// Of a kernel with [`Dialect::held_briefly`]: its functions that delete. Nothing of what they do for each record is done
    /// while anybody is held up.
    pub deletes_away: &'static [&'static str],
}

/// Words that a scenario needs an interface to have when it spells requests out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Words {
    /// The name of the capability, for `needs:`.
    pub name: &'static str,
    /// Which kernels have them.
    pub met_by: &'static str,
}

/// How an interface is told from others that have the same files.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Whether modes say that the original files may be written; `None`: either.
    pub originals_writable: Option<bool>,
    /// What it does that others with such files do not. Of several whose signs are all seen, it is the one with most.
    pub signs: &'static [Sign],
    /// Whether its files alone tell it: then it is known even where it takes no request, which is a defect.
    pub by_files: bool,
}

/// Something that a kernel is seen to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Takes the request to stage.
    Stages,
    /// Takes the request to trim.
    Trims,
    /// Reading the staged list gives this error while nothing is staged.
    NothingStaged(Errno),
}

/// What comes of opening an original file for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Originals {
    /// Nobody has promised anything.
    Unspoken,
    /// Whoever has `CAP_SYS_ADMIN` may.
    Written,
    /// It is refused with EACCES.
    Refused,
    /// Root may, whatever the mode says, is then the one writer, and every write is EINVAL.
    OpenedInVain,
    /// Only together with reading.
    WithReading,
    /// It is refused: the build option that lets records be removed is off.
    OptionIsOff,
}

/// When digests leave the hash table, with `ima_flush_htable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// As their records are deleted.
    AtDelete,
    /// As their records are staged.
    AtStage,
    /// As their records are removed, without the boot option too.
    Always,
}

/// What requests give once measuring is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Staging.
    pub stage: Late,
    /// Deleting.
    pub delete: Late,
    /// Trimming.
    pub trim: Late,
}

/// What a request gives that comes when measuring is suspended already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It is refused with this error.
    With(Errno),
    /// It is refused; with which error is said nowhere.
    Refused,
    /// Nothing is said.
    Unsaid,
}

impl Suspended {
    /// What a request gives then.
    pub fn of(&self, request: Request) -> Late {
        match request {
            Request::StageAll | Request::StageFirst(_) | Request::StageUpTo(_) => self.stage,
            Request::Delete | Request::DeleteFirst(_) => self.delete,
            Request::Trim(_)
            | Request::TrimIf { .. }
            | Request::TrimAll
            | Request::TrimTo(_)
            | Request::Purge
            | Request::MarkLog => self.trim,
        }
    }
}

/// All refused with ESTALE.
const STALE: Suspended = Suspended {
    stage: Late::With(Errno::ESTALE),
    delete: Late::With(Errno::ESTALE),
    trim: Late::With(Errno::ESTALE),
};

impl Dialect {
    /// Whether records can be removed.
    pub fn removes(&self) -> bool {
        self.verbs.stage.is_some() || self.verbs.trim.is_some() || self.verbs.purge.is_some()
    }

    /// Whether an open file is a view that others may take records away from while it is read.
    pub fn readers_are_views(&self) -> bool {
        self.removes() && !self.readers_excluded
    }

    /// Whether a kernel's original files, which modes say may be written or not, and which were opened for writing alone or
    /// not, can be this one's.
    pub fn has_originals(&self, writable: bool, opened: bool) -> bool {
        let reading_too = self.originals == Originals::WithReading;
        self.identity.originals_writable.is_none_or(|own| own == writable) && !(reading_too && opened)
    }
}

#[cfg(test)]
mod tests;
