//! Programs that are brought into the guest, and files that they find.

/// A program of `programs:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name, which no task has.
    pub name: String,
    /// Absolute path in the guest.
    pub path: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, `NAME=VALUE` each.
    pub environment: Vec<String>,
    /// The user and group that it runs as; none: root.
    pub user: Option<u32>,
    /// How many of its processes and threads may use the lists.
    pub processes: u16,
}

/// A file of `files:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFile {
    /// Absolute path in the guest.
    pub path: String,
    /// Its content.
    pub text: String,
    /// Its permissions.
    pub mode: u32,
}

/// What is waited for of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A line with this text in it.
    Line(String),
    /// Its end, with this status.
    Status(u8),
}

/// At which of its system calls a program is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillAt {
    /// Which, from 1.
    pub call: u64,
    /// Whether each call counts, and not just those that change something.
    pub every: bool,
}
