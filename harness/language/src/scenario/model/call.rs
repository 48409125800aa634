//! System calls that a scenario spells out.

use std::collections::BTreeSet;

use crate::vocabulary::Form;
use imalab_formats::ima::Bank;
use imalab_formats::ima::lists::ListId;
use imalab_formats::ima::model;

/// A system call. Descriptors go by the names that the scenario gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opens a file under a name.
    Open {
        /// The descriptor's name.
        slot: String,
        /// The file.
        file: File,
        /// How.
        flags: Flags,
    },
    /// Reads.
    Read {
        /// The descriptor's name.
        slot: String,
        /// What.
        what: Transfer,
    },
    /// Writes once.
    Write {
        /// The descriptor's name.
        slot: String,
        /// What.
        what: WriteOf,
        /// Where: `pwrite(2)` instead of `write(2)`.
        at: Option<i64>,
    },
    /// Moves the offset.
    Seek {
        /// The descriptor's name.
        slot: String,
        /// Bytes.
        to: i64,
        /// Where they count from.
        from: Whence,
    },
    /// Closes a descriptor.
    Close {
        /// The descriptor's name.
        slot: String,
    },
    /// Gives the same open file a second name.
    Duplicate {
        /// The descriptor's name.
        slot: String,
        /// The second name.
        to: String,
    },
    /// Maps the file and unmaps it.
    Map {
        /// The descriptor's name.
        slot: String,
        /// How much.
        bytes: u32,
        /// Writable too.
        write: bool,
    },
    /// Moves bytes through a pipe.
    Splice {
        /// The descriptor's name.
        slot: String,
        /// Which way, and what.
        what: Moved,
    },
    /// Asks for the events of a descriptor.
    Poll {
        /// The descriptor's name.
        slot: String,
        /// `in`, `out`, `pri`.
        events: BTreeSet<&'static str>,
    },
    /// Changes the length of a file.
    Truncate {
        /// The descriptor's name.
        slot: String,
        /// Bytes.
        length: i64,
    },
    /// Sends a descriptor to another task.
    Send {
        /// The descriptor's name.
        slot: String,
        /// The task's name.
        to: String,
    },
    /// Waits for a descriptor from another task.
    Receive {
        /// The name that it gets here.
        slot: String,
    },
    /// Takes a descriptor of the file that another task is reading or writing.
    Take {
        /// The task's name.
        from: String,
        /// The name that it gets here.
        slot: String,
    },
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// From the offset on, to the end or up to a limit.
    Stream {
        /// Bytes at most.
        limit: Option<u64>,
        /// Bytes a system call.
        chunk: u32,
    },
    /// Once, at an offset of its own.
    At {
        /// The offset.
        offset: i64,
        /// How much.
        bytes: u32,
    },
    /// Once, to where no memory is.
    BadPointer {
        /// How much.
        bytes: u32,
    },
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOf {
    /// These.
    Bytes(Bytes),
    /// What would be where no memory is.
    BadPointer {
        /// How much.
        bytes: u32,
    },
}

/// Bytes as the scenario gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// What a splice moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes out of the file.
    Out {
        /// At most.
        bytes: u32,
    },
    /// These into it.
    In(Bytes),
}

/// Where a seek counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The file's start.
    Start,
    /// The present offset.
    Current,
    /// The file's end.
    End,
}

/// A file to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// A measurement list.
    List {
        /// Binary or ASCII.
        form: Form,
        /// Bank whose file it is; `None`: the file without a bank in its name.
        bank: Option<Bank>,
        /// The staged list.
        staged: bool,
    },
    /// `runtime_measurements_count`.
    Count,
    /// `violations`.
    Violations,
    /// A file that an interface has beside the lists, by its name.
    Own(&'static str),
    /// Any other, by absolute path.
    Path(String),
}

impl File {
    /// What it is to the reference model, if it has to do with the list.
    pub fn in_model(&self) -> Option<model::File> {
        match *self {
            File::List { form, bank, staged } => {
                let list = if staged { ListId::STAGED } else { ListId::CURRENT };
                let (ascii, bank) = (form == Form::Ascii, bank.unwrap_or(Bank::Sha1));
                Some(model::File::List(model::ListFile { ascii, bank, list }))
            }
            File::Own(name) => Some(model::File::Own(name)),
            File::Count | File::Violations | File::Path(_) => None,
        }
    }
}

/// How a file is opened, as the scenario gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags(pub BTreeSet<Flag>);

/// One word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the O_ flag of its name")]
pub enum Flag {
    Read,
    Write,
    ReadWrite,
    Create,
    Append,
    Nonblock,
    Truncate,
    Exclusive,
    Directory,
    Path,
    Direct,
    Sync,
}

impl Flag {
    /// Every one, with its name in a scenario.
    pub(crate) const ALL: [(&'static str, Flag); 12] = [
        ("read", Flag::Read),
        ("write", Flag::Write),
        ("read-write", Flag::ReadWrite),
        ("create", Flag::Create),
        ("append", Flag::Append),
        ("nonblock", Flag::Nonblock),
        ("truncate", Flag::Truncate),
        ("exclusive", Flag::Exclusive),
        ("directory", Flag::Directory),
        ("path", Flag::Path),
        ("direct", Flag::Direct),
        ("sync", Flag::Sync),
    ];

    /// Its name in a scenario.
    pub(crate) fn name(self) -> &'static str {
        Flag::ALL.iter().find(|(_, flag)| *flag == self).map_or("", |(name, _)| name)
    }
}

impl Call {
    /// The descriptor that the call needs to be open.
    pub(crate) fn uses(&self) -> Option<&str> {
        match self {
            Call::Open { .. } | Call::Receive { .. } | Call::Take { .. } => None,
            Call::Read { slot, .. }
            | Call::Write { slot, .. }
            | Call::Seek { slot, .. }
            | Call::Close { slot }
            | Call::Duplicate { slot, .. }
            | Call::Map { slot, .. }
            | Call::Splice { slot, .. }
            | Call::Poll { slot, .. }
            | Call::Truncate { slot, .. }
            | Call::Send { slot, .. } => Some(slot),
        }
    }

    /// The descriptor that the call makes.
    pub(crate) fn makes(&self) -> Option<&str> {
        match self {
            Call::Open { slot, .. }
            | Call::Receive { slot }
            | Call::Take { slot, .. }
            | Call::Duplicate { to: slot, .. } => Some(slot),
            _ => None,
        }
    }

    /// Whether it moves the offset that all names of an open file share.
    pub(crate) fn moves_offset(&self) -> bool {
        matches!(
            self,
            Call::Read { what: Transfer::Stream { .. } | Transfer::BadPointer { .. }, .. }
                | Call::Seek { .. }
                | Call::Splice { .. }
        )
    }

    /// What it hands to the file, as one request.
    pub(crate) fn hands_over(&self) -> Option<&[u8]> {
        match self {
            Call::Write { what: WriteOf::Bytes(Bytes(bytes)), .. }
            | Call::Splice { what: Moved::In(Bytes(bytes)), .. } => Some(bytes),
            _ => None,
        }
    }
}
