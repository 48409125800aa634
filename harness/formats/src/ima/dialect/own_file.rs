//! Files that an interface has beside the lists: they take requests, show a number, or both.

use crate::ima::file::Access;
use crate::ima::lists::Kind;

use super::Dialect;
use nix::errno::Errno;

/// What a verb opens, and what a request is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Any file of a list.
    List(Kind),
    /// An [own file](OwnFile) of this name.
    Own(&'static str),
}

impl Target {
    /// The files of the current list.
    pub const CURRENT: Target = Target::List(Kind::Current);
    /// Those of the staged list.
    pub const STAGED: Target = Target::List(Kind::Staged);
}

/// A file of an interface that is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnFile {
    /// Its name in IMA's folder, which is also its word in scenarios.
    pub name: &'static str,
    /// Who opens it needs `CAP_SYS_ADMIN`.
    pub admin: Admin,
    /// Whether it is said which of several errors opening it gives: that of the right, then the way, then who is kept out.
    pub in_order: bool,
    /// How it cannot be opened, and the error.
    pub refuses: &'static [(Access, Errno)],
    /// Whom it keeps out while it is open.
    pub excludes: Excludes,
    /// Where a request is written.
    pub place: Place,
    /// The number that it shows.
    pub shows: Option<Shows>,
    /// Whether opening it has the kernel record a [mark](Dialect::mark), and it shows what came before that.
    pub divides: bool,
}

/// When opening a file needs `CAP_SYS_ADMIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Never: it is for the mode to say.
    Never,
    /// Opened for writing.
    Writing,
    /// However it is opened.
    Always,
}

impl Admin {
    /// Whether opening it so needs it.
    pub fn is_needed(self, access: Access) -> bool {
        match self {
            Admin::Never => false,
            Admin::Writing => access.write,
            Admin::Always => true,
        }
    }
}

/// Whom an open file keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excludes {
    /// Nobody.
    Nobody,
    /// Opened for writing it is one with the lists: whoever has one of them open keeps it out, and the other way round.
    Lists,
    /// Everybody who would open the same file, for whatever.
    Others,
}

/// Where in a file a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is no request: what comes of it is nobody's business here.
    Free,
    /// Anywhere: writing has no place.
    Any,
    /// At its start, else it is EINVAL: whoever has read the file has to seek back.
    Start,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Records since cold boot.
    Total,
    /// Bytes of the records in the list, as its binary file of SHA-1 shows them.
    Bytes,
    /// How often records were trimmed.
    Trims,
    /// Records that were trimmed.
    Trimmed,
}

impl OwnFile {
    /// The one of this name, of whichever interface is known.
    pub fn named(name: &str) -> Option<&'static OwnFile> {
        super::Interface::KNOWN.iter().find_map(|interface| interface.dialect().own_file(name))
    }
}

impl Dialect {
    /// The file of this name that it has beside the lists.
    pub fn own_file(&self, name: &str) -> Option<&'static OwnFile> {
        self.own_files.iter().find(|file| file.name == name)
    }
}
