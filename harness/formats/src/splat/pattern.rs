//! The words by which a kernel says that something is wrong, and the kernel's file that prints them.

use super::Kind;

/// Where in a line, after its time stamp, the words stand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Words {
    /// The line begins with them.
    Start(&'static str),
    /// They are anywhere in the line.
    Anywhere(&'static str),
    /// Both are in the line, in this order.
    Both(&'static str, &'static str),
}

impl Words {
    pub(super) fn are_in(self, line: &str) -> bool {
        match self {
            Self::Start(words) => line.starts_with(words),
            Self::Anywhere(words) => line.contains(words),
            Self::Both(first, second) => {
                line.split_once(first).is_some_and(|(_, rest)| rest.contains(second))
            }
        }
    }
}

/// The first that matches gives the kind, so what is special stands before what is general.
pub(super) const PATTERNS: &[(Kind, Words)] = {
    use Words::{Anywhere, Both, Start};
    &[
        // kernel/panic.c
        (Kind::Panic, Start("Kernel panic - not syncing")),
        // arch/x86/kernel/traps.c, exc_double_fault()
        (Kind::Panic, Start("PANIC: ")),
        // mm/kasan/report.c, mm/kfence/report.c, mm/kmsan/report.c, kernel/kcsan/report.c, lib/ubsan.c
        (Kind::Kasan, Start("BUG: KASAN: ")),
        (Kind::Kfence, Start("BUG: KFENCE: ")),
        (Kind::Kmsan, Start("BUG: KMSAN: ")),
        (Kind::Kcsan, Start("BUG: KCSAN: ")),
        (Kind::Ubsan, Start("UBSAN: ")),
        // mm/kmemleak.c
        (Kind::MemoryLeak, Both("kmemleak: ", "new suspected memory leaks")),
        // kernel/watchdog.c, whose newer prefix is "watchdog: "; kernel/workqueue.c
        (Kind::SoftLockup, Anywhere("BUG: soft lockup - CPU#")),
        (Kind::HardLockup, Anywhere("Watchdog detected hard LOCKUP")),
        (Kind::WorkqueueLockup, Start("BUG: workqueue lockup")),
        // kernel/rcu/tree_stall.h, tree_exp.h, tasks.h
        (Kind::RcuStall, Both("INFO: rcu", "stall")),
        // kernel/hung_task.c
        (Kind::HungTask, Both("INFO: task ", " blocked for more than ")),
        (Kind::HungTask, Both("INFO: task ", " blocked in I/O wait for more than ")),
        // kernel/locking/lockdep.c, kernel/locking/spinlock_debug.c
        (Kind::Lockdep, Start("WARNING: possible circular locking dependency detected")),
        (Kind::Lockdep, Start("WARNING: possible recursive locking detected")),
        (Kind::Lockdep, Start("WARNING: possible irq lock inversion dependency detected")),
        (Kind::Lockdep, Start("WARNING: inconsistent lock state")),
        (Kind::Lockdep, Start("WARNING: chain_key collision")),
        (Kind::Lockdep, Start("WARNING: Nested lock was not taken")),
        (Kind::Lockdep, Start("WARNING: bad unlock balance detected!")),
        (Kind::Lockdep, Start("WARNING: bad contention detected!")),
        (Kind::Lockdep, Start("WARNING: held lock freed!")),
        (Kind::Lockdep, Start("WARNING: lock held when returning to user space!")),
        (Kind::Lockdep, Start("WARNING: suspicious RCU usage")),
        (Kind::Lockdep, Both("WARNING: ", "-unsafe lock order detected")),
        (Kind::Lockdep, Both("WARNING: ", " still has locks held!")),
        (Kind::Lockdep, Start("INFO: trying to register non-static key")),
        (Kind::Lockdep, Start("DEBUG_LOCKS_WARN_ON(")),
        (Kind::Lockdep, Start("[ BUG: Invalid wait context ]")),
        (Kind::Lockdep, Start("BUG: looking up invalid subclass")),
        (Kind::Lockdep, Both("BUG: MAX_", " too low!")),
        (Kind::Lockdep, Start("BUG: spinlock ")),
        (Kind::Lockdep, Start("BUG: rwlock ")),
        // kernel/sched/core.c, lib/smp_processor_id.c, kernel/workqueue.c
        (Kind::AtomicContext, Start("BUG: scheduling while atomic")),
        (Kind::AtomicContext, Start("BUG: scheduling in a non-blocking section")),
        (Kind::AtomicContext, Start("BUG: sleeping function called from invalid context")),
        (Kind::AtomicContext, Start("BUG: assuming ")),
        (Kind::AtomicContext, Both("BUG: using ", "() in preemptible")),
        (Kind::AtomicContext, Start("BUG: workqueue leaked atomic")),
        // lib/refcount.c, lib/list_debug.c
        (Kind::Refcount, Start("refcount_t: ")),
        (Kind::ListCorruption, Start("list_add corruption")),
        (Kind::ListCorruption, Start("list_del corruption")),
        // mm/slub.c's "BUG kmalloc-64 (Not tainted): Poison overwritten", mm/page_alloc.c, mm/memory.c,
        // mm/filemap.c, kernel/fork.c
        (Kind::MemoryCorruption, Start("BUG kmalloc-")),
        (Kind::MemoryCorruption, Both("BUG ", "ainted): ")),
        (Kind::MemoryCorruption, Start("BUG: Bad ")),
        (Kind::MemoryCorruption, Start("BUG: non-zero pgtables_bytes")),
        // mm/oom_kill.c, mm/page_alloc.c
        (Kind::OutOfMemory, Anywhere(" invoked oom-killer: ")),
        (Kind::OutOfMemory, Start("Out of memory")),
        (Kind::OutOfMemory, Start("Memory cgroup out of memory")),
        (Kind::AllocationFailure, Anywhere("page allocation failure: order:")),
        // arch/x86/mm/fault.c and kernel/dumpstack.c: "Oops: 0002 [#1]", "Oops: general protection fault...";
        // before 6.10 without the "Oops: ", but always with the counter
        (Kind::Oops, Start("BUG: kernel NULL pointer dereference")),
        (Kind::Oops, Start("BUG: unable to handle ")),
        (Kind::Oops, Both("BUG: ", "stack guard page was hit")),
        (Kind::Oops, Start("Oops: ")),
        (Kind::Oops, Both(": ", " [#")),
        // lib/bug.c
        (Kind::Bug, Start("kernel BUG at ")),
        (Kind::Bug, Start("BUG: ")),
        (Kind::Warning, Start("WARNING: ")),
        // kernel/irq/spurious.c, fs/sysfs/dir.c, arch/x86/mm/extable.c, kernel/locking and others
        (Kind::Warning, Both("irq ", ": nobody cared")),
        (Kind::Warning, Start("sysfs: cannot create duplicate filename")),
        (Kind::Warning, Start("unchecked MSR access error")),
    ]
};
