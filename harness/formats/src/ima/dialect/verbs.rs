//! How an interface does the verbs: which calls, on which of its files.

use super::Target;

/// Calls, one after the other, on one descriptor at a time.
pub type Calls = &'static [Call];

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opens a file: a list by its binary file of SHA-1, which exists whatever banks the TPM has.
    Open(Target, Access),
    /// Reads it to its end: what is read is what user space holds.
    Read,
    /// Reads it, and keeps the number that it shows.
    Number,
    /// One write of this; `{n}` stands for the number of records, `{number}` for what was kept, `{found}` for what was found,
    /// `{mark}` for which mark.
    Write(&'static str),
    /// Reads it, and finds how many of its first records the TPM's PCR accounts for.
    Find,
    /// Closes it.
    Close,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
}

/// The verbs; `None` where the interface has no way to do one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbs {
    /// Moves the whole current list to the staged list.
    pub stage: Option<Calls>,
    /// Reads the staged list.
    pub save: Option<Calls>,
    /// Removes the staged list.
    pub delete: Option<Calls>,
    /// Reads the current list and removes its first `{n}` records.
    pub trim: Option<Calls>,
    /// Reads the current list and removes as many of its first records as the TPM's PCR accounts for.
    pub trim_found: Option<Calls>,
    /// Reads the current list and removes what is before a mark in it.
    pub trim_to: Option<Calls>,
    /// Has the kernel record a mark.
    pub mark: Option<Calls>,
    /// Has the kernel record a mark, and reads what came before it.
    pub snapshot: Option<Calls>,
    /// The same, and removes what was read.
    pub purge: Option<Calls>,
}

/// None of them.
pub(super) const NOTHING: Verbs = Verbs {
    stage: None,
    save: None,
    delete: None,
    trim: None,
    trim_found: None,
    trim_to: None,
    mark: None,
    snapshot: None,
    purge: None,
};

/// Opens a file for writing, writes once or several times, and closes it: nobody else comes in between.
macro_rules! ask {
    ($on:ident, $($text:literal),+) => {
        Some(&[Call::Open($crate::ima::dialect::Target::List($crate::ima::lists::Kind::$on), Access::Write), $(Call::Write($text),)+ Call::Close])
    };
}

/// Reads the current list, then [asks](ask) for its first records to go: a list that is kept open excludes requests.
macro_rules! read_then_ask {
    ($on:ident, $($text:literal),+) => {
        Some(&[
            Call::Open($crate::ima::dialect::Target::CURRENT, Access::Read),
            Call::Read,
            Call::Close,
            Call::Open($crate::ima::dialect::Target::List($crate::ima::lists::Kind::$on), Access::Write),
            $(Call::Write($text),)+
            Call::Close,
        ])
    };
}

/// Finds the records that the PCR accounts for, then writes their number, between what stands before and behind it.
macro_rules! find_then_ask {
    ($on:ident, [$($before:literal)?], [$($after:literal)?]) => {
        Some(&[
            Call::Open($crate::ima::dialect::Target::CURRENT, Access::Read),
            Call::Find,
            Call::Close,
            Call::Open($crate::ima::dialect::Target::List($crate::ima::lists::Kind::$on), Access::Write),
            $(Call::Write($before),)?
            Call::Write("{found}\n"),
            $(Call::Write($after),)?
            Call::Close,
        ])
    };
}

pub(super) use {ask, find_then_ask, read_then_ask};

/// Reads the staged list.
pub(super) const READ_STAGED: Option<Calls> =
    Some(&[Call::Open(Target::STAGED, Access::Read), Call::Read, Call::Close]);

/// Finds the records and has them go by the descriptor that the list is read by.
pub(super) const FIND_AND_ASK: Option<Calls> = Some(&[
    Call::Open(Target::CURRENT, Access::ReadWrite),
    Call::Find,
    Call::Write("{found}\n"),
    Call::Close,
]);
