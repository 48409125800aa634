//! What kernels offer to take records out of their list, and whose promises they are held to: data, one file a dialect.
//!
//! The adapter (how a verb becomes calls), the reference model (what a call means and may give), the probe (which dialect
//! a kernel speaks) and the checks ask here; nobody else forks on a dialect's name. A posting of a series is a dialect of
//! its own: a kernel under review is held to its own document, and not to what became of it.

mod no_staging;
mod posted;
mod read_only;
mod rfc_v2;
mod seen;
mod transaction;
mod two_command;
mod upstream;

use std::ops::RangeInclusive;

use nix::errno::Errno;

pub use seen::{NumberForm, Seen};

use super::lists::Request;
use crate::Interface;

/// One interface, as one document describes it.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Its name.
    pub interface: Interface,
    /// Whose promises, in which version.
    pub document: &'static str,
    /// The files of staged records.
    pub staged: StagedFiles,
    /// Stages the whole current list.
    pub stage: Option<Asked>,
    /// Deletes the staged list.
    pub delete: Option<Asked>,
    /// Removes the first records of the current list.
    pub trim: Option<Trim>,
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
}

/// Names of the files of the staged list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagedFiles {
    /// There are none.
    None,
    /// `binary_runtime_measurements_sha1_staged`.
    BankFirst,
    /// `binary_runtime_measurements_staged_sha1`.
    BankLast,
}

/// Files of which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Those of the current list.
    Original,
    /// Those of the staged list.
    Staged,
}

/// A request by one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// To which files.
    pub on: On,
    /// What is written.
    pub text: &'static str,
}

/// How the first N records of the current list are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// By this number, behind this sign; whether a descriptor that was read by takes it too.
    Number {
        /// To which files.
        on: On,
        /// What stands before it.
        sign: &'static str,
        /// Whether it can be written by the descriptor that the list was read by.
        after_read: bool,
    },
    /// By staging N and deleting them, with the file open in between.
    StageThenDelete,
    /// By staging all and deleting the first N of them: the others go back.
    StageThenNumber,
    /// By the descriptor that the list is read by, open for both.
    Commit,
}

/// How bytes are read as a request.
#[derive(Clone, Debug)]
pub struct Grammar {
    /// Whether the document says in which form numbers are taken; else what stands here of it is what a kernel is taken for that
    /// was not [asked](Seen).
    pub form_is_promised: bool,
    /// Fewest and most bytes.
    pub length: RangeInclusive<usize>,
    /// Whether the last byte must be a newline, which is no part of the request.
    pub newline_needed: bool,
    /// Requests of one letter, and the files that take them.
    pub verbs: &'static [(On, u8, Request)],
    /// Numbers.
    pub number: Option<Number>,
}

/// What a number asks for.
#[derive(Clone, Debug)]
pub struct Number {
    /// The files that take it.
    pub on: On,
    /// Whether `0x` and a leading zero count, as `kstrtol` takes them in base 0.
    pub any_base: bool,
    /// Whether it may be negative, and what it means then.
    pub negative: Option<Means>,
    /// What it means.
    pub positive: Means,
    /// The largest.
    pub most: u64,
    /// What a larger one gives.
    pub beyond: Errno,
    /// Whether the largest one stands for all records.
    pub most_is_all: bool,
    /// Whether it is read as a C string: a zero byte ends it, and a newline of its own may stand at its end.
    pub is_string: bool,
    /// Whether it is refused with `ima_flush_htable`.
    pub not_with_flush: bool,
}

/// What becomes of N records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The first N are staged, if there are as many.
    StageFirst,
    /// The first N are staged, or all.
    StageUpTo,
    /// The first N of the current list are removed.
    Trim,
    /// The first N of the staged list are removed, the others go back to the current one.
    DeleteFirst,
}

impl Number {
    /// The number that a request of this form is, without its last newline; `None` where it is none that is taken.
    pub fn value(&self, request: &str) -> Option<i128> {
        let request = if self.is_string {
            // A zero byte ends it, and `kstrtoul` takes a newline of its own.
            let string = request.split('\0').next()?;
            string.strip_suffix('\n').unwrap_or(string)
        } else {
            request
        };
        let (negative, digits) = match request.strip_prefix('-') {
            Some(digits) if self.negative.is_some() => (true, digits),
            Some(_) => return None,
            None => (false, request.strip_prefix('+').unwrap_or(request)),
        };
        let (base, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(hexadecimal) if self.any_base => (16, hexadecimal),
            _ if self.any_base && digits.len() > 1 && digits.starts_with('0') => (8, digits),
            _ => (10, digits),
        };
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
            return None;
        }
        let value =
            i128::from_str_radix(digits, base).ok().filter(|value| *value <= i128::from(self.most))?;
        Some(if negative { -value } else { value })
    }
}

impl Means {
    /// The request for so many records.
    pub fn request(self, records: u64) -> Request {
        match self {
            Means::StageFirst => Request::StageFirst(records),
            Means::StageUpTo => Request::StageUpTo(records),
            Means::Trim => Request::Trim(records),
            Means::DeleteFirst => Request::DeleteFirst(records),
        }
    }
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
            Request::Trim(_) | Request::TrimAll => self.trim,
        }
    }
}

/// All refused with ESTALE.
const STALE: Suspended = Suspended {
    stage: Late::With(Errno::ESTALE),
    delete: Late::With(Errno::ESTALE),
    trim: Late::With(Errno::ESTALE),
};

/// The grammar of a list that takes nothing.
const NOTHING: Grammar =
    Grammar { form_is_promised: false, length: 0..=0, newline_needed: false, verbs: &[], number: None };

impl Interface {
    /// What is known of it.
    pub fn dialect(self) -> &'static Dialect {
        match self {
            Interface::ReadOnly => &read_only::DIALECT,
            Interface::NoStaging => &no_staging::DIALECT,
            Interface::Upstream => &upstream::DIALECT,
            Interface::RfcV2 => &rfc_v2::DIALECT,
            Interface::TwoCommand => &two_command::DIALECT,
            Interface::Transaction => &transaction::DIALECT,
            Interface::StagingV1Posted => &posted::V1,
            Interface::RfcV2Posted => &posted::RFC_V2,
            Interface::V3Posted => &posted::V3,
            Interface::V4Posted => &posted::V4,
            Interface::V5Posted => &posted::V5,
        }
    }
}

impl Dialect {
    /// Whether records can be removed.
    pub fn removes(&self) -> bool {
        self.stage.is_some() || self.trim.is_some()
    }

    /// Whether an open file is a view that others may take records away from while it is read.
    pub fn readers_are_views(&self) -> bool {
        self.removes() && !self.readers_excluded
    }
}

#[cfg(test)]
mod tests;
