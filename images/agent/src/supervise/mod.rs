//! The first process's work while tasks run: passes messages on, answers requests, buries the dead.

mod asleep;
mod requests;
mod roster;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use imalab_wire::{Message, Program, Start, TaskId};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use self::roster::{Member, Roster, Wait};
use crate::barrier::Barriers;
use crate::life::{self, Newborn};
use crate::packet::{self, Notice, Packet};
use crate::port::{Port, PortError};
use crate::process::Process;
use crate::raw;
use crate::sockets::{self, Taken, retry};
use crate::task::Task;
use crate::uplink::{Broken, ToFirst, ToPort};

/// How often to look whether a task sleeps, milliseconds: the kernel tells nobody when one does.
const LOOK_EVERY_MS: u16 = 1;

/// Why the program could not be carried out to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Uplink(#[from] Broken),
    #[error("{what} failed: {errno}")]
    Call { what: &'static str, errno: Errno },
    #[error("a program of {0} tasks, and one number is left for its last steps")]
    TooManyTasks(usize),
    #[error("task {0} sent what no task sends")]
    Packet(TaskId),
}

fn call(what: &'static str) -> impl Fn(Errno) -> Trouble {
    move |errno| Trouble::Call { what, errno }
}

/// Runs every task of a boot and, in the last one, the steps after them; [`Message::Done`] is left to the caller.
pub(crate) fn run(program: Program, boot: u16, port: &mut Port) -> Result<(), Trouble> {
    let last =
        TaskId::try_from(program.tasks.len()).map_err(|_| Trouble::TooManyTasks(program.tasks.len()))?;
    let program = Arc::new(program);
    let mut supervisor = Supervisor::start(&program, boot, port)?;
    supervisor.relay()?;
    if program.tasks.iter().all(|task| task.boot <= boot) {
        Task::new(last, program, boot, Arc::new(Process::default())).run(&mut ToPort(port))?;
    }
    Ok(())
}

struct Supervisor<'a> {
    program: Arc<Program>,
    boot: u16,
    port: &'a mut Port,
    roster: Roster,
    barriers: Barriers,
    signals: SignalFd,
    buffer: Vec<u8>,
}

impl<'a> Supervisor<'a> {
    fn start(program: &Arc<Program>, boot: u16, port: &'a mut Port) -> Result<Self, Trouble> {
        // Blocked before the first child, so that none dies unnoticed.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_block().map_err(call("blocking SIGCHLD"))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(call("signalfd"))?;
        let mut roster = Roster::default();
        port.flush()?;
        for (id, task) in (0..TaskId::MAX).zip(&program.tasks) {
            if task.boot != boot || task.start != Start::Boot {
                continue;
            }
            let (ours, theirs) = sockets::pair().map_err(call("socketpair"))?;
            match raw::fork().map_err(call("fork"))? {
                ForkResult::Parent { child } => roster.add(Member::new(id, Some(child), ours)),
                ForkResult::Child => {
                    drop((ours, roster, signals));
                    // Cannot fail with this argument.
                    let _ = mask.thread_unblock();
                    be_task(Task::new(id, Arc::clone(program), boot, Arc::new(Process::default())), theirs)
                }
            }
        }
        let (program, buffer) = (Arc::clone(program), vec![0; packet::MAX]);
        Ok(Self { program, boot, port, roster, barriers: Barriers::default(), signals, buffer })
    }

    /// Until every task has ended.
    fn relay(&mut self) -> Result<(), Trouble> {
        while !self.roster.is_empty() {
            let (ready, died) = self.wait()?;
            for task in ready {
                self.take_packets(task)?;
            }
            if died {
                while retry(|| self.signals.read_signal()).map_err(call("reading a signal"))?.is_some() {}
                self.bury()?;
            }
            self.look()?;
            self.give_up()?;
            self.port.flush()?;
        }
        Ok(())
    }

    /// Waits for something to do: tasks that have sent, and whether a child has ended.
    fn wait(&self) -> Result<(Vec<TaskId>, bool), Trouble> {
        let members = self.roster.members();
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(members.len() + 1);
        fds.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        fds.extend(members.iter().map(|member| PollFd::new(member.socket.as_fd(), PollFlags::POLLIN)));
        let timeout = if self.roster.looks() { PollTimeout::from(LOOK_EVERY_MS) } else { PollTimeout::NONE };
        // A process that has ended and is not buried yet stays ready; the signal of its end is near.
        retry(|| poll(&mut fds, timeout)).map_err(call("poll"))?;
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let died = ready.next().unwrap_or(true);
        let ready = members.iter().zip(ready).filter_map(|(member, ready)| ready.then_some(member.task));
        Ok((ready.collect(), died))
    }

    /// Passes on and answers all that a task has sent.
    fn take_packets(&mut self, task: TaskId) -> Result<(), Trouble> {
        while let Some(member) = self.roster.get_mut(task) {
            let taken = sockets::take(&member.socket, &mut self.buffer);
            let (len, descriptor, cut) = match taken.map_err(call("receiving from a task"))? {
                Taken::Packet { len, descriptor, cut } => (len, descriptor, cut),
                Taken::Nothing => return Ok(()),
                Taken::Gone => {
                    // Whoever was to start it did not live to do it, or could not.
                    if member.pid.is_none() {
                        self.roster.remove(task);
                    }
                    return Ok(());
                }
            };
            member.packets += 1;
            match packet::parse(&self.buffer[..len]).ok_or(Trouble::Packet(task))? {
                Packet::Messages { payloads, started, sleep } => {
                    member.sleep = sleep;
                    member.child = None;
                    self.port.count_ops(started);
                    for payload in payloads {
                        self.port.put(payload)?;
                    }
                }
                Packet::Notice(notice) => self.notice(task, notice)?,
                Packet::Request(request) => self.request(task, request, descriptor, cut)?,
            }
        }
        Ok(())
    }

    fn notice(&mut self, task: TaskId, notice: Notice) -> Result<(), Trouble> {
        let Some(member) = self.roster.get_mut(task) else { return Ok(()) };
        match notice {
            Notice::Born { pid, tid, thread } => {
                (member.pid, member.tid) = (Some(Pid::from_raw(pid)), Some(Pid::from_raw(tid)));
                member.thread = thread;
            }
            Notice::Child(pid) => member.child = Some(Pid::from_raw(pid)),
            Notice::Finished if member.thread => self.end(task, 0)?,
            Notice::Finished => member.finished = true,
        }
        Ok(())
    }

    /// A task is no more.
    fn end(&mut self, task: TaskId, status: i32) -> Result<(), Trouble> {
        self.roster.remove(task);
        self.barriers.leave(task);
        self.port.message(&Message::TaskEnded { task, status })?;
        for waiting in self.roster.waiting_for(task) {
            match waiting {
                (killer, Wait::Death(_)) => self.answer(killer, Ok(0))?,
                (watcher, _) => self.answer(watcher, Err(Errno::ESRCH))?,
            }
        }
        Ok(())
    }

    /// Waits for every child that has ended, tasks and orphans.
    fn bury(&mut self) -> Result<(), Trouble> {
        loop {
            let (pid, status) = match retry(|| waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG))) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) => continue,
                Err(errno) => return Err(Trouble::Call { what: "waitpid", errno }),
            };
            // It may be one whose first packet says that it is, and has not been taken.
            for task in self.roster.unborn_or_of(pid) {
                self.take_packets(task)?;
            }
            // Its threads end with it, and before it.
            for task in self.roster.of_process(pid) {
                self.end(task, status)?;
            }
        }
    }
}

/// A task's whole life, of those that start with the boot.
fn be_task(mut task: Task, socket: OwnedFd) -> ! {
    // Neither call can fail with these arguments.
    let _ = set_pdeathsig(Signal::SIGKILL);
    let _ = raw::ignore_file_size_signal();
    let mut uplink = ToFirst::new(socket);
    let result = life::begin(&mut uplink, &task, Newborn::Process)
        .and_then(|()| task.run(&mut uplink))
        .and_then(|()| life::end(&mut uplink));
    life::leave(&task, result)
}
