//! Who is there: the tasks of this boot that have started and not ended, and what each waits for.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;

use imalab_wire::{StepId, TaskId};
use nix::unistd::Pid;

use crate::packet::Sleep;

/// What a task waits for from PID 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// At a barrier.
    Barrier,
    /// For a descriptor.
    Descriptor,
    /// Until the task has ended.
    Death(TaskId),
    /// Until the task sleeps.
    Blocked(TaskId),
    /// For the answer of the task that runs a program.
    Program(TaskId),
}

/// A task that has been started.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) task: TaskId,
    /// Socket for answers.
    pub(super) answers: OwnedFd,
    /// Its process; `None` while it is being started.
    pub(super) pid: Option<Pid>,
    pub(super) tid: Option<Pid>,
    /// It is not the first thread of its process.
    pub(super) thread: bool,
    /// It has no more steps, and waits for its threads to end.
    pub(super) finished: bool,
    /// Packets taken from it.
    pub(super) packets: u64,
    /// The operation that it announced last, by step and index.
    pub(super) op: (StepId, u16),
    /// As of its last messages.
    pub(super) sleep: Sleep,
    /// Process that makes its present operation's calls.
    pub(super) child: Option<Pid>,
    pub(super) wait: Option<Wait>,
}

impl Member {
    pub(super) fn new(task: TaskId, pid: Option<Pid>, answers: OwnedFd) -> Self {
        Self {
            task,
            answers,
            pid,
            tid: pid,
            thread: false,
            finished: false,
            packets: 0,
            op: (0, 0),
            sleep: Sleep::Outside,
            child: None,
            wait: None,
        }
    }
}

/// The tasks, and who is no more.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: Vec<Member>,
    ended: Vec<TaskId>,
    inboxes: BTreeMap<TaskId, VecDeque<OwnedFd>>,
}

impl Roster {
    pub(super) fn add(&mut self, member: Member) {
        self.members.push(member);
    }

    pub(super) fn remove(&mut self, task: TaskId) {
        self.members.retain(|member| member.task != task);
        self.ended.push(task);
        self.inboxes.remove(&task);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn get(&self, task: TaskId) -> Option<&Member> {
        self.members.iter().find(|member| member.task == task)
    }

    pub(super) fn get_mut(&mut self, task: TaskId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.task == task)
    }

    pub(super) fn has_ended(&self, task: TaskId) -> bool {
        self.ended.contains(&task)
    }

    /// Whether some task's sleep is waited for.
    pub(super) fn looks(&self) -> bool {
        self.members.iter().any(|member| matches!(member.wait, Some(Wait::Blocked(_))))
    }

    /// Who waits for something of this task, and for what.
    pub(super) fn waiting_for(&self, task: TaskId) -> Vec<(TaskId, Wait)> {
        let waits = |member: &Member| match member.wait {
            Some(wait @ (Wait::Death(other) | Wait::Blocked(other) | Wait::Program(other)))
                if other == task =>
            {
                Some((member.task, wait))
            }
            _ => None,
        };
        self.members.iter().filter_map(waits).collect()
    }

    /// Tasks of a process, its first thread's last.
    pub(super) fn of_process(&self, pid: Pid) -> Vec<TaskId> {
        let mut tasks: Vec<&Member> = self.members.iter().filter(|member| member.pid == Some(pid)).collect();
        tasks.sort_by_key(|member| !member.thread);
        tasks.into_iter().map(|member| member.task).collect()
    }

    pub(super) fn post(&mut self, to: TaskId, descriptor: OwnedFd) {
        self.inboxes.entry(to).or_default().push_back(descriptor);
    }

    pub(super) fn take_post(&mut self, task: TaskId) -> Option<OwnedFd> {
        self.inboxes.get_mut(&task)?.pop_front()
    }
}
