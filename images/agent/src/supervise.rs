//! The first process's work while tasks run: passes messages on, opens barriers, buries the dead.

use std::os::fd::{AsFd, OwnedFd};

use imalab_wire::{Message, Program, Task, TaskId};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};

use crate::barrier::{Arrival, Barriers};
use crate::packet::{self, Packet};
use crate::port::{Port, PortError};
use crate::sockets::{self, retry};
use crate::uplink::{Broken, ToFirst, ToPort, Uplink};
use crate::{fork, task};

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

/// Runs every task and the steps after them; [`Message::Done`] is left to the caller.
pub(crate) fn run(program: &Program, port: &mut Port) -> Result<(), Trouble> {
    let last =
        TaskId::try_from(program.tasks.len()).map_err(|_| Trouble::TooManyTasks(program.tasks.len()))?;
    let mut supervisor = Supervisor::start(&program.tasks, port)?;
    supervisor.relay()?;
    task::run(last, &program.finally, &mut ToPort(port))?;
    Ok(())
}

struct Supervisor<'a> {
    port: &'a mut Port,
    running: Vec<Running>,
    barriers: Barriers,
    signals: SignalFd,
    buffer: Vec<u8>,
}

struct Running {
    task: TaskId,
    pid: Pid,
    socket: OwnedFd,
}

impl<'a> Supervisor<'a> {
    fn start(tasks: &[Task], port: &'a mut Port) -> Result<Self, Trouble> {
        // Blocked before the first child, so that none dies unnoticed.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.thread_block().map_err(call("blocking SIGCHLD"))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(call("signalfd"))?;
        let mut running: Vec<Running> = Vec::with_capacity(tasks.len());
        port.flush()?;
        for (id, task) in (0..TaskId::MAX).zip(tasks) {
            let (ours, theirs) = sockets::pair().map_err(call("socketpair"))?;
            match fork::fork().map_err(call("fork"))? {
                ForkResult::Parent { child } => running.push(Running { task: id, pid: child, socket: ours }),
                ForkResult::Child => {
                    drop((ours, running, signals));
                    be_task(id, task, theirs, &mask)
                }
            }
        }
        Ok(Self { port, running, barriers: Barriers::default(), signals, buffer: vec![0; packet::MAX] })
    }

    /// Until every task has ended.
    fn relay(&mut self) -> Result<(), Trouble> {
        while !self.running.is_empty() {
            let (ready, died) = self.wait()?;
            for index in ready {
                self.take_packets(index)?;
            }
            if died {
                while retry(|| self.signals.read_signal()).map_err(call("reading a signal"))?.is_some() {}
                self.bury()?;
            }
            for task in self.barriers.give_up(self.running.len()) {
                self.release(task, Errno::EDEADLK as i32)?;
            }
            self.port.flush()?;
        }
        Ok(())
    }

    /// Waits for something to do: tasks (by index) that have sent, and whether a child has ended.
    fn wait(&self) -> Result<(Vec<usize>, bool), Trouble> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.running.len() + 1);
        fds.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        fds.extend(self.running.iter().map(|task| PollFd::new(task.socket.as_fd(), PollFlags::POLLIN)));
        // A task that closed its socket and has not ended yet stays ready; the signal of its end is near, since
        // closing is the last that it does.
        retry(|| poll(&mut fds, PollTimeout::NONE)).map_err(call("poll"))?;
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let died = ready.next().unwrap_or(true);
        Ok((ready.enumerate().filter_map(|(index, ready)| ready.then_some(index)).collect(), died))
    }

    /// Passes on all that a task has sent.
    fn take_packets(&mut self, index: usize) -> Result<(), Trouble> {
        let task = self.running[index].task;
        while let Some(len) = sockets::take(&self.running[index].socket, &mut self.buffer)
            .map_err(call("receiving from a task"))?
        {
            match packet::parse(&self.buffer[..len]).ok_or(Trouble::Packet(task))? {
                Packet::Messages { payloads, started } => {
                    self.port.count_ops(started);
                    for payload in payloads {
                        self.port.put(payload)?;
                    }
                }
                Packet::Arrived { id, parties } => match self.barriers.arrive(task, id, parties) {
                    Arrival::Wait => {}
                    Arrival::Refuse => self.release(task, Errno::EINVAL as i32)?,
                    Arrival::Release(tasks) => {
                        for task in tasks {
                            self.release(task, 0)?;
                        }
                    }
                },
            }
        }
        Ok(())
    }

    fn release(&self, task: TaskId, errno: i32) -> Result<(), Trouble> {
        let Some(running) = self.running.iter().find(|running| running.task == task) else {
            return Ok(());
        };
        match sockets::send_packet(&running.socket, &errno.to_le_bytes()) {
            // It died while it waited; its end is reported in its turn.
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(errno) => Err(Trouble::Call { what: "releasing a task", errno }),
        }
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
            if let Some(index) = self.running.iter().position(|running| running.pid == pid) {
                self.take_packets(index)?;
                let ended = self.running.remove(index);
                self.barriers.leave(ended.task);
                self.port.message(&Message::TaskEnded { task: ended.task, status })?;
            }
        }
    }
}

/// A task's whole life.
fn be_task(id: TaskId, task: &Task, socket: OwnedFd, mask: &SigSet) -> ! {
    // Neither call can fail with these arguments, and a task that starts with SIGCHLD blocked is none the worse.
    let _ = set_pdeathsig(Signal::SIGKILL);
    let _ = mask.thread_unblock();
    let mut uplink = ToFirst::new(socket);
    let pid = nix::unistd::getpid().as_raw();
    let result = uplink
        .send(&Message::TaskStarted { task: id, pid })
        .and_then(|()| task::run(id, &task.steps, &mut uplink));
    match result {
        Ok(()) => std::process::exit(0),
        Err(broken) => {
            crate::console::line(&format!("fault: task {}: {broken}", task.name));
            std::process::exit(1)
        }
    }
}
