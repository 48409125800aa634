//! What the threads of one process share.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use crate::slots::Slots;

/// One process of the guest.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) slots: Slots,
    /// Held for reading while a file is open for writing that a child of `fork(2)` must not have open too: such a
    /// file cannot be executed, and is a violation when it is measured.
    writing: RwLock<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Process {
    pub(crate) fn with(slots: Slots) -> Arc<Self> {
        Arc::new(Self { slots, ..Self::default() })
    }

    /// No fork before the guard has gone.
    pub(crate) fn writes(&self) -> RwLockReadGuard<'_, ()> {
        self.writing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// No file is being written, and none will be before the guard has gone.
    pub(crate) fn forks(&self) -> RwLockWriteGuard<'_, ()> {
        self.writing.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_thread(&self, thread: JoinHandle<()>) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// Waits until every thread that was added has ended, also those that threads have added.
    pub(crate) fn join_threads(&self) {
        let next = || self.threads.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some(thread) = next() {
            // One that panicked has ended the process.
            let _ = thread.join();
        }
    }
}
