//! Which list.

/// A namespace with lists of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(pub u32);

impl Namespace {
    /// The one that the kernel boots with, whose lists a kexec carries.
    pub const INIT: Namespace = Namespace(0);
}

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// New records are appended to it.
    Current,
    /// Records wait in it to be saved and deleted.
    Staged,
}

/// A measurement list: which one of which namespace. The files of all banks and forms show the same list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId {
    /// Whose it is.
    pub namespace: Namespace,
    /// What it is for.
    pub kind: Kind,
}

impl ListId {
    /// The current list of the first namespace.
    pub const CURRENT: ListId = ListId { namespace: Namespace::INIT, kind: Kind::Current };
    /// The staged list of the first namespace.
    pub const STAGED: ListId = ListId { namespace: Namespace::INIT, kind: Kind::Staged };

    /// One of the first namespace's.
    pub const fn of(kind: Kind) -> ListId {
        ListId { namespace: Namespace::INIT, kind }
    }

    /// Whether records wait in it to be deleted.
    pub fn is_staged(self) -> bool {
        self.kind == Kind::Staged
    }
}
