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
use crate::life::{self, Spawned};
use crate::observe::Watched;
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
    #[error("a task sent what no task sends")]
    Packet,
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

/// What there is to do.
struct Ready {
    /// A child has ended.
    died: bool,
    /// Tasks that take no answers any more.
    gone: Vec<TaskId>,
}

struct Supervisor<'a> {
    program: Arc<Program>,
    boot: u16,
    port: &'a mut Port,
    roster: Roster,
    barriers: Barriers,
    signals: SignalFd,
    /// Both ends of the socket into which all tasks send.
    up: (OwnedFd, Arc<OwnedFd>),
    buffer: Vec<u8>,
    /// Whether programs that nobody is left for were told to end.
    ending: bool,
}

impl<'a> Supervisor<'a> {
    fn start(program: &Arc<Program>, boot: u16, port: &'a mut Port) -> Result<Self, Trouble> {
        Watched::look(program);
        // Blocked before the first child, so that none dies unnoticed.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_block().map_err(call("blocking SIGCHLD"))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(call("signalfd"))?;
        let (ours, theirs) = sockets::pair().map_err(call("socketpair"))?;
        let up = (ours, Arc::new(theirs));
        let mut roster = Roster::default();
        port.flush()?;
        for (id, task) in (0..TaskId::MAX).zip(&program.tasks) {
            if task.boot != boot || task.start != Start::Boot {
                continue;
            }
            let (answers, theirs) = sockets::pair().map_err(call("socketpair"))?;
            match raw::fork().map_err(call("fork"))? {
                ForkResult::Parent { child } => roster.add(Member::new(id, Some(child), answers)),
                ForkResult::Child => {
                    drop((answers, roster, signals, up.0));
                    // Cannot fail with this argument.
                    let _ = mask.thread_unblock();
                    let task = Task::new(id, Arc::clone(program), boot, Arc::new(Process::default()));
                    be_task(task, ToFirst::new(id, up.1, theirs))
                }
            }
        }
        let (program, buffer) = (Arc::clone(program), vec![0; packet::MAX]);
        Ok(Self {
            program,
            boot,
            port,
            roster,
            barriers: Barriers::default(),
            signals,
            up,
            buffer,
            ending: false,
        })
    }

    /// Until every task has ended.
    fn relay(&mut self) -> Result<(), Trouble> {
        while !self.roster.is_empty() {
            let Ready { died, gone } = self.wait()?;
            self.take_packets()?;
            for task in gone {
                // Whoever was to start it did not live to do it, or could not.
                if self.roster.get(task).is_some_and(|member| member.pid.is_none()) {
                    self.roster.remove(task);
                }
            }
            if died {
                while retry(|| self.signals.read_signal()).map_err(call("reading a signal"))?.is_some() {}
                self.reap()?;
            }
            self.look()?;
            self.give_up()?;
            self.end_programs()?;
            self.port.flush()?;
        }
        Ok(())
    }

    /// Waits for something to do.
    fn wait(&self) -> Result<Ready, Trouble> {
        let members = self.roster.members();
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(members.len() + 2);
        fds.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(self.up.0.as_fd(), PollFlags::POLLIN));
        // That the other end has been closed is told without being asked for.
        fds.extend(members.iter().map(|member| PollFd::new(member.answers.as_fd(), PollFlags::empty())));
        let timeout = if self.roster.looks() { PollTimeout::from(LOOK_EVERY_MS) } else { PollTimeout::NONE };
        // A process that has ended and is not reaped yet stays ready; the signal of its end is near.
        retry(|| poll(&mut fds, timeout)).map_err(call("poll"))?;
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let died = ready.next().unwrap_or(true);
        let gone = members.iter().zip(ready.skip(1)).filter_map(|(member, gone)| gone.then_some(member.task));
        Ok(Ready { died, gone: gone.collect() })
    }

    /// Passes on and answers all that tasks have sent.
    fn take_packets(&mut self) -> Result<(), Trouble> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.take_packets_into(&mut buffer);
        self.buffer = buffer;
        result
    }

    fn take_packets_into(&mut self, buffer: &mut [u8]) -> Result<(), Trouble> {
        loop {
            let taken = sockets::take(&self.up.0, buffer).map_err(call("receiving from a task"))?;
            let Taken::Packet { len, descriptor, cut } = taken else { return Ok(()) };
            let (task, packet) = packet::parse(&buffer[..len]).ok_or(Trouble::Packet)?;
            let member = self.roster.get_mut(task).ok_or(Trouble::Packet)?;
            member.packets += 1;
            match packet {
                Packet::Messages { payloads, started, last, sleep } => {
                    (member.op, member.sleep) = (last, sleep);
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
            Notice::Finished => {
                member.finished = true;
                self.sleeps_no_more(task)?;
            }
            Notice::Answer { to, errno, value } => {
                let result = if errno == 0 { Ok(value) } else { Err(Errno::from_raw(errno)) };
                if self.roster.get(to).is_some_and(|asker| asker.wait == Some(Wait::Program(task))) {
                    self.answer(to, result)?;
                }
            }
        }
        Ok(())
    }

    /// Tells those who wait for a task to sleep in an operation that there will be none.
    fn sleeps_no_more(&mut self, task: TaskId) -> Result<(), Trouble> {
        for waiting in self.roster.waiting_for(task) {
            if let (watcher, Wait::Blocked(_)) = waiting {
                self.answer(watcher, Err(Errno::ESRCH))?;
            }
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
                (asker, Wait::Program(_)) => self.answer(asker, Err(Errno::ESRCH))?,
                _ => {}
            }
        }
        self.sleeps_no_more(task)
    }

    /// Waits for every child that has ended, tasks and orphans.
    fn reap(&mut self) -> Result<(), Trouble> {
        loop {
            let (pid, status) = match retry(|| waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG))) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) => continue,
                Err(errno) => return Err(Trouble::Call { what: "waitpid", errno }),
            };
            // What it sent, be it who it is, comes before its end.
            self.take_packets()?;
            // Its threads end with it, and before it.
            for task in self.roster.of_process(pid) {
                self.end(task, status)?;
            }
        }
    }
}

/// A task's whole life, of those that start with the boot.
fn be_task(mut task: Task, mut uplink: ToFirst) -> ! {
    // Neither call can fail with these arguments.
    let _ = set_pdeathsig(Signal::SIGKILL);
    let _ = raw::ignore_file_size_signal();
    let result = life::begin(&mut uplink, &task, Spawned::Process)
        .and_then(|()| task.run(&mut uplink))
        .and_then(|()| life::end(&mut uplink));
    life::leave(&task, result)
}
