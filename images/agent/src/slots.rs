//! The named descriptors of a process.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imalab_wire::Slot;
use nix::errno::Errno;
use nix::unistd::close;

use crate::raw;

/// Descriptors by name, shared by the threads of the process.
///
/// Whoever uses a descriptor has it in a share, so that its number cannot become another file's meanwhile. When one
/// thread closes what another is using, the name is free at once, and the kernel releases the file when the call
/// that uses it returns, which is what `close(2)` does too.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<Named>);

pub(crate) type Named = BTreeMap<Slot, Arc<OwnedFd>>;

impl Slots {
    /// Those of a child of `fork(2)`, which has all the numbers and none of the threads that used them.
    pub(crate) fn inherited(named: Named) -> Self {
        let own = |(slot, shared)| (slot, Arc::new(raw::inherited(shared)));
        Self(Mutex::new(named.into_iter().map(own).collect()))
    }

    /// All of them; nobody opens or closes one before the guard has gone.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Named> {
        // A panic ends the whole process, so that nobody finds what it left.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_open(&self, slot: Slot) -> bool {
        self.lock().contains_key(&slot)
    }

    /// The descriptor; a slot with none is what a closed descriptor is to the kernel.
    pub(crate) fn get(&self, slot: Slot) -> Result<Arc<OwnedFd>, Errno> {
        self.lock().get(&slot).cloned().ok_or(Errno::EBADF)
    }

    /// Gives a free slot a descriptor.
    pub(crate) fn put(&self, slot: Slot, descriptor: OwnedFd) {
        self.lock().insert(slot, Arc::new(descriptor));
    }

    /// `close(2)`. The slot is free afterwards even when the call fails: Linux closes the descriptor in any case.
    pub(crate) fn close(&self, slot: Slot) -> nix::Result<()> {
        let descriptor = self.lock().remove(&slot).ok_or(Errno::EBADF)?;
        Arc::try_unwrap(descriptor).map_or(Ok(()), close)
    }
}
