//! Files of the interface. Which one a path is, [the dialect](crate::ima::dialect::Dialect::file) knows.

use crate::ima::Bank;
use crate::ima::lists::ListId;

/// A file, as far as the measurement list is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// A measurement list.
    List(ListFile),
    /// `runtime_measurements_count`.
    Count,
    /// `violations`.
    Violations,
    /// A file that the interface [has beside the lists](crate::ima::dialect::OwnFile), by its name.
    Own(&'static str),
    /// `policy`.
    Policy,
    /// Nothing of the list: opening it may make a record, and that is all.
    Other,
}

/// A measurement list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListFile {
    /// The text form.
    pub ascii: bool,
    /// The bank whose digests it shows; a file without one in its name is a link to that of SHA-1.
    pub bank: Bank,
    /// The list that it shows.
    pub list: ListId,
}

impl ListFile {
    /// Whether it shows staged records.
    pub fn is_staged(self) -> bool {
        self.list.is_staged()
    }
}

/// How a file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
}
