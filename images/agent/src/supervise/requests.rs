//! What tasks ask of the first process.

use std::os::fd::{AsFd, OwnedFd};

use imalab_wire::{Start, TaskId};
use nix::errno::Errno;

use super::roster::{Member, Wait};
use super::{Supervisor, Trouble, asleep, call};
use crate::barrier::Arrival;
use crate::packet::{self, Order, Request};
use crate::{raw, sockets};

impl Supervisor<'_> {
    pub(super) fn request(
        &mut self,
        task: TaskId,
        request: Request,
        descriptor: Option<OwnedFd>,
        cut: bool,
    ) -> Result<(), Trouble> {
        match request {
            Request::Barrier { id, parties } => match self.barriers.arrive(task, id, parties) {
                Arrival::Wait => self.waits(task, Wait::Barrier),
                Arrival::Refuse => return self.answer(task, Err(Errno::EINVAL)),
                Arrival::Release(tasks) => {
                    for task in tasks {
                        self.answer(task, Ok(0))?;
                    }
                }
            },
            Request::Spawn { task: new } => return self.spawn(task, new),
            Request::Send { to } => {
                let result = match descriptor {
                    _ if !self.may_run(to) => Err(Errno::ESRCH),
                    Some(descriptor) => {
                        self.roster.post(to, descriptor);
                        Ok(0)
                    }
                    None if cut => Err(Errno::EMFILE),
                    None => return Err(Trouble::Packet),
                };
                if self.roster.get(to).is_some_and(|member| member.wait == Some(Wait::Descriptor)) {
                    self.deliver(to)?;
                }
                return self.answer(task, result);
            }
            Request::Receive => {
                self.waits(task, Wait::Descriptor);
                return self.deliver(task);
            }
            Request::Take { task: other } => {
                return match self.file_of_call(other) {
                    Ok(descriptor) => self.answer_with(task, Ok(0), Some(descriptor)),
                    Err(errno) => self.answer(task, Err(errno)),
                };
            }
            Request::Kill { task: victim, signal } => {
                let pid = self.roster.get(victim).and_then(|member| member.pid);
                match pid.ok_or(Errno::ESRCH).and_then(|pid| raw::kill(pid, signal)) {
                    Ok(()) => self.waits(task, Wait::Death(victim)),
                    Err(errno) => return self.answer(task, Err(errno)),
                }
            }
            Request::AwaitBlocked { task: other } => {
                if !self.may_run(other) || self.roster.get(other).is_some_and(|other| other.finished) {
                    return self.answer(task, Err(Errno::ESRCH));
                }
                self.waits(task, Wait::Blocked(other));
            }
            Request::Order { task: other, step, op } => {
                let order = Order::Operation { from: task, step, op };
                match self.order(other, order) {
                    Ok(()) => self.waits(task, Wait::Program(other)),
                    Err(errno) => return self.answer(task, Err(errno)),
                }
            }
            Request::Drain => {
                self.port.drain()?;
                return self.answer(task, Ok(0));
            }
        }
        Ok(())
    }

    /// A descriptor of the file that a task is reading or writing while it sleeps.
    fn file_of_call(&self, task: TaskId) -> Result<OwnedFd, Errno> {
        let member = self.roster.get(task).ok_or(Errno::ESRCH)?;
        let (Some(pid), Some(tid)) = (member.pid, member.tid) else { return Err(Errno::ESRCH) };
        let number = asleep::descriptor_of_call(pid, tid).ok_or(Errno::ESRCH)?;
        raw::descriptor_of(pid, number)
    }

    fn waits(&mut self, task: TaskId, wait: Wait) {
        if let Some(member) = self.roster.get_mut(task) {
            member.wait = Some(wait);
        }
    }

    /// Whether a task runs or may yet be started.
    fn may_run(&self, task: TaskId) -> bool {
        self.roster.get(task).is_some() || self.may_start(task)
    }

    fn may_start(&self, task: TaskId) -> bool {
        let of_boot = self.program.tasks.get(usize::from(task)).is_some_and(|task| task.boot == self.boot);
        of_boot && !self.roster.has_ended(task) && self.roster.get(task).is_none()
    }

    fn spawn(&mut self, task: TaskId, new: TaskId) -> Result<(), Trouble> {
        let spawned = self
            .program
            .tasks
            .get(usize::from(new))
            .is_some_and(|task| matches!(task.start, Start::Spawned | Start::Program));
        if !spawned || !self.may_start(new) {
            return self.answer(task, Err(Errno::EINVAL));
        }
        let (ours, theirs) = sockets::pair().map_err(call("socketpair"))?;
        self.roster.add(Member::new(new, None, ours));
        self.answer_with(task, Ok(0), Some(theirs))
    }

    /// Hands a waiting task the first descriptor of its inbox, if there is one.
    fn deliver(&mut self, task: TaskId) -> Result<(), Trouble> {
        match self.roster.take_post(task) {
            Some(descriptor) => self.answer_with(task, Ok(0), Some(descriptor)),
            None => Ok(()),
        }
    }

    pub(super) fn answer(&mut self, task: TaskId, result: Result<i64, Errno>) -> Result<(), Trouble> {
        self.answer_with(task, result, None)
    }

    fn answer_with(
        &mut self,
        task: TaskId,
        result: Result<i64, Errno>,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), Trouble> {
        let Some(member) = self.roster.get_mut(task) else {
            return Ok(());
        };
        member.wait = None;
        let passes = descriptor.is_some();
        let sent = sockets::send_with(
            &member.answers,
            &packet::answer(result),
            descriptor.as_ref().map(AsFd::as_fd),
        );
        // Ours must have gone when the task goes on: who closes the last copy ends what the kernel counts as open.
        drop(descriptor);
        let sent = match sent {
            Ok(()) if passes => sockets::send_packet(&member.answers, &[0]),
            other => other,
        };
        match sent {
            // It died while it waited; its end is reported in its turn.
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Trouble::Call { what: "answering a task", errno }),
        }
    }

    /// Passes something on to a task that runs a program.
    fn order(&self, task: TaskId, order: Order) -> Result<(), Errno> {
        let member = self.roster.get(task).filter(|_| self.runs_program(task)).ok_or(Errno::ESRCH)?;
        match sockets::send_packet(&member.answers, &order.packet()) {
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(Errno::ESRCH),
            sent => sent,
        }
    }

    fn runs_program(&self, task: TaskId) -> bool {
        self.program.tasks.get(usize::from(task)).is_some_and(|task| task.start == Start::Program)
    }

    /// Has programs killed that are all that is left.
    pub(super) fn end_programs(&mut self) -> Result<(), Trouble> {
        let left = self.roster.members();
        if self.ending || left.is_empty() || !left.iter().all(|member| self.runs_program(member.task)) {
            return Ok(());
        }
        self.ending = true;
        for task in left.iter().map(|member| member.task) {
            match self.order(task, Order::End) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(call("ending a program")(errno)),
            }
        }
        Ok(())
    }

    /// Lets everybody go when all wait for each other, since then nobody is left who could end a wait.
    pub(super) fn give_up(&mut self) -> Result<(), Trouble> {
        let stuck = |member: &Member| match member.wait {
            Some(Wait::Barrier | Wait::Descriptor) => true,
            Some(Wait::Blocked(other)) => self.roster.get(other).is_none(),
            Some(Wait::Death(_) | Wait::Program(_)) => false,
            // A program does nothing for anybody but who waits for it.
            None => member.finished || self.runs_program(member.task),
        };
        if !self.roster.members().iter().all(stuck) {
            return Ok(());
        }
        let waiting = self.roster.members().iter().filter(|member| member.wait.is_some());
        for task in waiting.map(|member| member.task).collect::<Vec<_>>() {
            self.barriers.leave(task);
            self.answer(task, Err(Errno::EDEADLK))?;
        }
        Ok(())
    }
}
