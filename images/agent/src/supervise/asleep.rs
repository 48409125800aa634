//! Whether a task sleeps in a system call of its present operation.
//!
//! What the kernel shows of a thread is a moment's truth, and says nothing about why. It is told from the task's
//! own packets: an operation is announced before its first call and nothing but the agent's own calls come between
//! two operations. So a look counts when the task has announced an operation before it, sent nothing until after
//! it, and the call is none of those by which the agent itself sends and waits.

use std::os::fd::RawFd;

use imalab_wire::{Message, StepId, TaskId};
use nix::libc;
use nix::unistd::Pid;

use super::roster::{Member, Wait};
use super::{Supervisor, Trouble};
use crate::clock::now_ns;
use crate::packet::Sleep;

/// The call in which a task waits for the first process's answer.
const WAITS_IN: i64 = libc::SYS_recvmsg;

/// Calls that map memory, which an allocator does too.
const MAPPING: &[i64] = &[libc::SYS_mmap, libc::SYS_munmap];

/// Calls that operations do not consist of: the agent's own, for sending, memory, locks and its end.
const AGENTS: &[i64] = &[
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_futex,
    libc::SYS_brk,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_wait4,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls that read or write the descriptor that is their first argument.
const TRANSFERS: [i64; 4] = [libc::SYS_read, libc::SYS_write, libc::SYS_pread64, libc::SYS_pwrite64];

/// What a look at a task found.
struct Found {
    task: TaskId,
    /// The operation that it is in, by step and index.
    op: (StepId, u16),
    /// Number of the system call.
    call: i64,
    at_ns: u64,
}

impl Supervisor<'_> {
    /// Answers those who wait for a task that sleeps.
    pub(super) fn look(&mut self) -> Result<(), Trouble> {
        let watched = |member: &Member| match member.wait {
            Some(Wait::Blocked(other)) => Some((member.task, other)),
            _ => None,
        };
        let watched: Vec<_> = self.roster.members().iter().filter_map(watched).collect();
        for (watcher, other) in watched {
            if let Some(found) = self.sleeps_in(other)? {
                let Found { task, op: (step, op), call, at_ns } = found;
                // Before the answer, and before anything that the task has yet to send.
                self.port.message(&Message::FoundAsleep { task, step, op, call, at_ns })?;
                self.answer(watcher, Ok(call))?;
            }
        }
        Ok(())
    }

    /// The operation and the system call that a task sleeps in.
    fn sleeps_in(&mut self, task: TaskId) -> Result<Option<Found>, Trouble> {
        let Some(member) = self.roster.get(task) else { return Ok(None) };
        let op = member.op;
        if member.wait.is_some() {
            // In an answer's absence it can do nothing else.
            return Ok(Some(Found { task, op, call: WAITS_IN, at_ns: now_ns() }));
        }
        let (Some(pid), Some(tid)) = (member.pid, member.tid) else { return Ok(None) };
        let (sleep, packets) = (member.sleep, member.packets);
        let (pid, tid) = match (sleep, member.child) {
            (Sleep::Operation | Sleep::Mapping, _) => (pid, tid),
            (Sleep::Agent, Some(child)) => (child, child),
            _ => return Ok(None),
        };
        let blocked = blocked_in(pid, tid).filter(|(call, _)| is_of(*call, sleep));
        let Some((call, at_ns)) = blocked else { return Ok(None) };
        self.take_packets()?;
        let same = self.roster.get(task).is_some_and(|member| member.packets == packets);
        Ok(same.then_some(Found { task, op, call, at_ns }))
    }
}

/// Whether a call is one that operations with this meaning of sleep consist of.
fn is_of(call: i64, sleep: Sleep) -> bool {
    match sleep {
        Sleep::Operation => !AGENTS.contains(&call) && !MAPPING.contains(&call),
        Sleep::Mapping => !AGENTS.contains(&call),
        Sleep::Agent => call == libc::SYS_execve,
        Sleep::Outside => false,
    }
}

/// The call in which a thread sleeps at this moment, and the moment.
fn blocked_in(pid: Pid, tid: Pid) -> Option<(i64, u64)> {
    let (shown, at_ns) = shown(pid, tid)?;
    Some((call_of(&shown)?, at_ns))
}

/// The number of the descriptor that a thread is reading or writing, while it sleeps in that call.
pub(super) fn descriptor_of_call(pid: Pid, tid: Pid) -> Option<RawFd> {
    descriptor_in(&shown(pid, tid)?.0)
}

/// What the kernel shows of the call in which a thread sleeps at this moment, and the moment.
fn shown(pid: Pid, tid: Pid) -> Option<(String, u64)> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/{file}")).ok();
    let before = read("syscall")?;
    let sleeps = is_asleep(&read("stat")?);
    let at_ns = now_ns();
    // The kernel shows a call only when the thread did not run while it looked (`task_current_syscall`,
    // lib/syscall.c); the same before and after means that the state in between was the call's.
    (sleeps && read("syscall")? == before).then_some((before, at_ns))
}

/// The number at the start of `/proc/PID/syscall`; `None` when it says `running`, or -1 outside of a call.
fn call_of(shown: &str) -> Option<i64> {
    let number = shown.split_ascii_whitespace().next()?.parse().ok()?;
    (number >= 0).then_some(number)
}

/// The first argument in `/proc/PID/syscall`, of a call whose first argument is the descriptor that it reads or writes.
fn descriptor_in(shown: &str) -> Option<RawFd> {
    let call = call_of(shown)?;
    let argument = shown.split_ascii_whitespace().nth(1)?.strip_prefix("0x")?;
    let number = u64::from_str_radix(argument, 16).ok()?;
    // A descriptor is an int; what else is in the register does not count.
    TRANSFERS.contains(&call).then_some(number as RawFd)
}

/// Whether `/proc/PID/stat` shows a thread that sleeps, so that signals wake it or not; not one that was stopped or
/// has ended. The state stands after the name, which may hold anything.
fn is_asleep(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| matches!(rest.trim_start().as_bytes(), [b'S' | b'D', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_from_what_is_shown() {
        assert_eq!(call_of("0 0x3 0x7ffd 0x1 0x0 0x0 0x0 0x7ffd 0x7f\n"), Some(0));
        assert_eq!(call_of("257 0x3\n"), Some(257));
        for other in ["running\n", "-1 0x7ffd 0x7f\n", ""] {
            assert_eq!(call_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_descriptor_is_the_first_argument_of_a_transfer() {
        assert_eq!(descriptor_in("1 0x5 0x7ffd 0x3 0x0 0x0 0x0 0x7ffd 0x7f\n"), Some(5));
        assert_eq!(descriptor_in("18 0xdead00000007 0x7ffd 0x3 0x0 0x0 0x0 0x7ffd 0x7f\n"), Some(7));
        // openat(2), whose first argument is one too, but of a directory; and what is no call.
        for other in ["257 0x5 0x7ffd\n", "1\n", "1 5\n", "running\n", "-1 0x5 0x7f\n", ""] {
            assert_eq!(descriptor_in(other), None, "{other:?}");
        }
    }

    #[test]
    fn calls_are_an_operations_or_the_agents() {
        let of = |call| {
            [Sleep::Outside, Sleep::Operation, Sleep::Mapping, Sleep::Agent].map(|sleep| is_of(call, sleep))
        };
        assert_eq!(of(libc::SYS_read), [false, true, true, false]);
        assert_eq!(of(libc::SYS_mmap), [false, false, true, false]);
        assert_eq!(of(libc::SYS_futex), [false; 4]);
        assert_eq!(of(libc::SYS_execve), [false, true, true, true]);
    }

    #[test]
    fn a_state_is_told_behind_any_name() {
        assert!(is_asleep("7 (imalab) S 1 7"));
        assert!(is_asleep("7 (a) R b) D 1 7"));
        for other in ["7 (S) R 1", "7 (a) S) T 1 7", "7 (a) Z 1", "7"] {
            assert!(!is_asleep(other), "{other:?}");
        }
    }
}
