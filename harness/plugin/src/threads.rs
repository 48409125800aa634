// SPDX-License-Identifier: GPL-2.0-or-later
//! Which of QEMU's threads we are in, and how they take its big lock.
//!
//! Where QEMU takes a lock and where it waits for a condition it calls a function by a pointer that its profiler of locks
//! exchanges (`util/qsp.c`). So do we: the big lock's, and the wait's.

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;
use std::time::Duration;

use crate::door::{Door, Lock};
use crate::qemu::{Condition, LockFunction, Mutex, Place, Qemu, WaitFunction};

static DOOR: Door = Door::new();
static THREADS: OnceLock<Threads> = OnceLock::new();
/// Null until it was first taken.
static BIG_LOCK: AtomicPtr<Mutex> = AtomicPtr::new(std::ptr::null_mut());

struct Threads {
    qemu: Qemu,
    lock: LockFunction,
    wait: WaitFunction,
    late: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// As far as it is known.
    Other,
    Main,
    /// The one thread of all processors.
    Processors,
    /// It, while it stands still behind an open door.
    Standing,
}

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

/// The main thread, which we are in, runs from now on only while no processor does.
///
/// `late`, for tests: how late the processors' thread is with the lock whenever none of them has anything to do, and the main
/// thread is woken meanwhile.
pub(crate) fn watch(qemu: Qemu, late: Duration) {
    let (lock, wait) = qemu.hooked();
    if THREADS.set(Threads { qemu, lock, wait, late }).is_ok() {
        ROLE.set(Role::Main);
        qemu.hook(on_lock, on_wait);
    }
}

/// Stands still while `until` runs, which may wait for the main thread. The processors' thread only, without the lock.
pub(crate) fn stand_still(until: impl FnOnce()) {
    let Some(threads) = THREADS.get() else { return until() };
    let role = ROLE.replace(Role::Standing);
    DOOR.open();
    until();
    threads.qemu.with_big_lock(|| DOOR.close());
    ROLE.set(role);
}

struct BigLock<'a> {
    threads: &'a Threads,
    mutex: *mut Mutex,
    place: Place,
}

impl Lock for BigLock<'_> {
    fn take(&self) {
        self.threads.qemu.lock(self.threads.lock, self.mutex, self.place);
    }

    fn give_back(&self) {
        self.threads.qemu.unlock(self.mutex, self.place);
    }
}

fn role(threads: &Threads) -> Role {
    ROLE.with(|role| {
        if role.get() == Role::Other && threads.qemu.is_processors_thread() {
            role.set(Role::Processors);
        }
        role.get()
    })
}

extern "C" fn on_lock(mutex: *mut Mutex, file: *const c_char, line: c_int) {
    // It was set before QEMU knew of us.
    let Some(threads) = THREADS.get() else { return };
    BIG_LOCK.store(mutex, Ordering::Relaxed);
    let lock = BigLock { threads, mutex, place: Place { file, line } };
    match role(threads) {
        Role::Main => DOOR.enter(&lock),
        Role::Processors => {
            if !threads.late.is_zero() && threads.qemu.all_idle() {
                threads.qemu.wake_main_thread();
                thread::sleep(threads.late);
            }
            // Where one of them has something to do, the main thread does not touch the clock.
            if DOOR.overdue() && !threads.qemu.all_idle() {
                DOOR.let_in();
            }
            lock.take();
            DOOR.close();
        }
        Role::Standing | Role::Other => lock.take(),
    }
}

extern "C" fn on_wait(condition: *mut Condition, mutex: *mut Mutex, file: *const c_char, line: c_int) {
    let Some(threads) = THREADS.get() else { return };
    let wait = || threads.qemu.wait(threads.wait, condition, mutex, Place { file, line });
    // With the big lock it waits for something to do (`rr_wait_io_event`).
    if mutex == BIG_LOCK.load(Ordering::Relaxed) && role(threads) == Role::Processors {
        DOOR.open();
        wait();
        DOOR.close();
    } else {
        wait();
    }
}
