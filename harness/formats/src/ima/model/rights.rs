//! What a task may do.

/// `CAP_SYS_ADMIN` (`include/uapi/linux/capability.h`).
const SYS_ADMIN: u8 = 21;

/// Rights of a task: it starts as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rights {
    /// Has `CAP_SYS_ADMIN` in some user namespace.
    pub(super) admin: bool,
    /// Is in a user namespace of its own.
    pub(super) namespaced: bool,
    /// Its user is root.
    pub(super) root: bool,
    /// Has set itself a limit: calls may fail for want of descriptors or memory.
    pub(super) limited: bool,
}

impl Rights {
    pub(super) const ALL: Rights = Rights { admin: true, namespaced: false, root: true, limited: false };

    pub(super) fn drop(&mut self, capability: u8) {
        self.admin &= capability != SYS_ADMIN;
    }

    /// `setresuid(2)`: who is no longer root has no capabilities (`cap_emulate_setxuid`, `security/commoncap.c`).
    pub(super) fn set_user(&mut self, uid: u32) {
        self.root = uid == 0;
        self.admin &= self.root;
    }

    /// The first in a namespace has every capability in it.
    pub(super) fn new_namespace(&mut self) {
        (self.admin, self.namespaced) = (true, true);
    }
}
