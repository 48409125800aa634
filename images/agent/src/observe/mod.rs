//! Runs a program that is not the agent's, and observes by ptrace(2) what it does to the lists.
//!
//! Each call of it stops it twice, and its calls on observed files become steps of tasks that stand for its processes and threads
//! (`follow.rs`, `tell.rs`), in the same stream as those of the agent's own tasks. Nothing is asked of the kernel's configuration, and
//! every call is counted, so that a program can be killed at each.

mod after;
mod calls;
mod follow;
mod output;
mod tables;
mod tell;
mod tracee;
mod watched;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use imalab_wire::{MAX_OUTPUT, Message, Op, Run, TaskId};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read};

pub(crate) use self::after::Ended;
use self::calls::Entry;
use self::follow::Follower;
use self::output::{Lines, Stream};
pub(crate) use self::watched::Watched;
use crate::ops::{Failure, Report};
use crate::packet::{Notice, Order};
use crate::raw;
use crate::sockets::retry;
use crate::task::Task;
use crate::uplink::{Broken, Uplink};

/// Stops after which others get their turn.
const TURN: usize = 256;

/// What a status is for a signal: this and its number.
const SIGNALLED: i32 = 128;

/// Runs a program until all of its processes have ended.
pub(crate) fn run<U: Uplink>(run: &Run, task: &mut Task, report: &mut Report<'_, U>) -> Result<i64, Failure> {
    let mut lines = Lines::default();
    let mut over = false;
    let result = observe(run, task, (&mut lines, &mut over), report);
    let ended = match result {
        Ok(status) => Ok(status),
        Err(Failure::Op(errno)) => Err(errno),
        Err(Failure::Uplink(_)) => return result,
    };
    // Where nobody is left who could ask, nobody will say so again.
    task.ran = (!over).then_some(Ended { lines, ended });
    result
}

fn observe<U: Uplink>(
    run: &Run,
    task: &Task,
    (lines, over): (&mut Lines, &mut bool),
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let started = tracee::start(run)?;
    let mut observer = Observer {
        task,
        run,
        first: started.pid,
        follower: Follower::new(run, task.id, started.pid),
        lines,
        over,
        streams: [(Stream::Output, Some(started.output)), (Stream::Errors, Some(started.errors))],
        printed: 0,
        calls: 0,
        status: None,
        waiting: Vec::new(),
        said: false,
    };
    observer.resume(started.pid, None);
    observer.go_on(&signals, report)
}

/// Who waits for what of the program.
#[derive(Debug)]
struct Waiting {
    task: TaskId,
    /// A line with this text in it; else its end.
    line: Option<String>,
}

struct Observer<'a> {
    task: &'a Task,
    run: &'a Run,
    first: Pid,
    follower: Follower<'a>,
    lines: &'a mut Lines,
    /// Whether nobody is left who could ask for anything.
    over: &'a mut bool,
    streams: [(Stream, Option<OwnedFd>); 2],
    /// Bytes of its standard output.
    printed: u64,
    /// Calls that count for [`Run::kill_at`].
    calls: u64,
    /// How its first process ended.
    status: Option<i32>,
    waiting: Vec<Waiting>,
    /// Whether it was said that not all is known.
    said: bool,
}

impl Observer<'_> {
    fn go_on<U: Uplink>(&mut self, signals: &SignalFd, report: &mut Report<'_, U>) -> Result<i64, Failure> {
        let mut more = false;
        while !self.follower.is_empty() {
            if !more {
                self.wait(signals, report)?;
            }
            while retry(|| signals.read_signal())?.is_some() {}
            more = self.stops(report)?;
            self.print(report)?;
            while let Some(order) = report.next_order()? {
                self.order(order, report)?;
            }
            if !self.said && self.follower.lost.is_some() {
                self.said = true;
                self.follower.say_lost(report)?;
                self.kill();
            }
            report.leave()?;
        }
        self.print(report)?;
        for (stream, _) in &self.streams {
            if let Some(text) = self.lines.end(*stream) {
                report.tell(&Message::Said { task: self.task.id, text })?;
            }
        }
        let status = i64::from(self.status.unwrap_or_default());
        self.come_by(report)?;
        for waiting in std::mem::take(&mut self.waiting) {
            let (errno, value) = if waiting.line.is_some() { (Errno::ESRCH as i32, 0) } else { (0, status) };
            report.notify(Notice::Answer { to: waiting.task, errno, value })?;
        }
        Ok(status)
    }

    /// Waits for something to do.
    fn wait<U: Uplink>(&self, signals: &SignalFd, report: &Report<'_, U>) -> Result<(), Errno> {
        let streams = self.streams.iter().filter_map(|(_, pipe)| pipe.as_ref().map(AsFd::as_fd));
        let fds = streams.chain([signals.as_fd()]).chain(report.orders());
        let mut fds: Vec<PollFd<'_>> =
            fds.map(|fd: BorrowedFd<'_>| PollFd::new(fd, PollFlags::POLLIN)).collect();
        retry(|| poll(&mut fds, PollTimeout::NONE)).map(drop)
    }

    /// Takes the stops and ends that there are, and says whether there may be more.
    fn stops<U: Uplink>(&mut self, report: &mut Report<'_, U>) -> Result<bool, Broken> {
        for _ in 0..TURN {
            let any = Pid::from_raw(-1);
            match retry(|| waitpid(any, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG))) {
                Ok(WaitStatus::StillAlive) | Err(_) => return Ok(false),
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, code, report)?,
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.ended(pid, SIGNALLED + signal as i32, report)?;
                }
                Ok(WaitStatus::PtraceSyscall(pid)) => self.call(pid, report)?,
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => self.event(pid, event, report)?,
                Ok(WaitStatus::Stopped(pid, signal)) => self.signalled(pid, signal),
                Ok(_) => {}
            }
        }
        Ok(true)
    }

    fn ended<U: Uplink>(&mut self, pid: Pid, status: i32, report: &mut Report<'_, U>) -> Result<(), Broken> {
        if pid == self.first {
            self.status = Some(status);
        }
        self.follower.gone(pid, status, report)
    }

    /// A call begins or ends.
    fn call<U: Uplink>(&mut self, pid: Pid, report: &mut Report<'_, U>) -> Result<(), Broken> {
        // One that was killed meanwhile has no more to tell.
        let Ok(info) = ptrace::syscall_info(pid) else { return Ok(()) };
        match raw::call_info(&info) {
            raw::CallInfo::Entry { number, args } => {
                if info.arch != raw::ARCHITECTURE || number & raw::X32 != 0 {
                    self.follower.lose("it makes calls of another architecture, which are not followed");
                }
                self.follower.enter(pid, Entry { number, args }, report)?;
            }
            raw::CallInfo::Exit { value, failed } => {
                let value = if failed {
                    Err(Errno::from_raw(i32::try_from(value.wrapping_neg()).unwrap_or(0)))
                } else {
                    Ok(value)
                };
                let entry = self.follower.leave(pid, value, report)?;
                if let (Some(entry), Some(at)) = (entry, self.run.kill_at) {
                    self.calls += u64::from(at.every || value.is_ok() && entry.changes());
                    if self.calls == at.call {
                        self.kill();
                        return Ok(());
                    }
                }
            }
            raw::CallInfo::Neither => {}
        }
        self.resume(pid, None);
        Ok(())
    }

    fn event<U: Uplink>(&mut self, pid: Pid, event: i32, report: &mut Report<'_, U>) -> Result<(), Broken> {
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                if let Ok(child) = ptrace::getevent(pid) {
                    let child = Pid::from_raw(i32::try_from(child).unwrap_or(-1));
                    self.follower.made(pid, child, report)?;
                    // It may have stopped before it was known, and waits for this; else it is yet to stop.
                    if ptrace::syscall(child, None).is_ok() {
                        self.follower.begins(child);
                    }
                }
            }
            libc::PTRACE_EVENT_EXEC => {
                let former = ptrace::getevent(pid).ok().and_then(|former| i32::try_from(former).ok());
                self.follower.executed(pid, former.map_or(pid, Pid::from_raw), report)?;
            }
            _ => {}
        }
        self.resume(pid, None);
        Ok(())
    }

    /// A signal is about to be delivered; the first one of a new process or thread is that of ptrace(2) itself.
    fn signalled(&mut self, pid: Pid, signal: Signal) {
        let new = self.follower.is_new(pid);
        match (new, signal) {
            // It is told of by the one that made it, after which it goes on.
            (None, Signal::SIGSTOP) => {}
            (Some(true), Signal::SIGSTOP) => {
                self.follower.begins(pid);
                self.resume(pid, None);
            }
            _ => self.resume(pid, Some(signal)),
        }
    }

    fn resume(&mut self, pid: Pid, signal: Option<Signal>) {
        self.follower.goes_on(pid);
        // One that was killed meanwhile does not go on.
        let _ = ptrace::syscall(pid, signal);
    }

    /// Kills all of its processes.
    fn kill(&self) {
        for (_, process) in self.follower.processes() {
            let _ = raw::kill(process, libc::SIGKILL);
        }
    }

    /// Takes what it has printed.
    fn print<U: Uplink>(&mut self, report: &mut Report<'_, U>) -> Result<(), Failure> {
        let mut buffer = vec![0; 64 * 1024];
        for (stream, pipe) in &mut self.streams {
            while let Some(open) = pipe {
                let count = match retry(|| read(&*open, &mut buffer)) {
                    Ok(0) => {
                        *pipe = None;
                        break;
                    }
                    Ok(count) => count,
                    Err(Errno::EAGAIN) => break,
                    Err(errno) => return Err(errno.into()),
                };
                if *stream == Stream::Output {
                    self.printed += count as u64;
                    if self.printed > MAX_OUTPUT {
                        self.follower.lose(format!("it printed more than {} MiB", MAX_OUTPUT >> 20));
                        break;
                    }
                    report.data(&buffer[..count])?;
                }
                let Ok(lines) = self.lines.take(*stream, &buffer[..count]) else {
                    let most = imalab_wire::MAX_SAID >> 20;
                    self.follower.lose(format!("it printed more than {most} MiB of errors"));
                    break;
                };
                for text in lines {
                    report.tell(&Message::Said { task: self.task.id, text })?;
                }
                // Its processes may have stopped meanwhile.
                if count < buffer.len() {
                    break;
                }
            }
        }
        self.come_by(report)?;
        Ok(())
    }

    /// Answers those whose line has come.
    fn come_by<U: Uplink>(&mut self, report: &mut Report<'_, U>) -> Result<(), Broken> {
        let waiting = std::mem::take(&mut self.waiting);
        for waiting in waiting {
            match &waiting.line {
                Some(line) if self.lines.find(line) => {
                    report.notify(Notice::Answer { to: waiting.task, errno: 0, value: 0 })?;
                }
                _ => self.waiting.push(waiting),
            }
        }
        Ok(())
    }

    /// Does what another task asks for.
    fn order<U: Uplink>(&mut self, order: Order, report: &mut Report<'_, U>) -> Result<(), Broken> {
        let Order::Operation { from, step, op } = order else {
            *self.over = true;
            self.kill();
            return Ok(());
        };
        let line = match self.task.operation(from, step, op) {
            Some(Op::AwaitLine { text, .. }) => Some(text.clone()),
            Some(Op::AwaitEnd { .. }) => None,
            Some(Op::EndProgram { signal: libc::SIGKILL, .. }) => {
                self.kill();
                None
            }
            Some(Op::EndProgram { signal, .. }) => {
                let _ = raw::kill(self.first, *signal);
                None
            }
            _ => {
                let errno = Errno::EINVAL as i32;
                return report.notify(Notice::Answer { to: from, errno, value: 0 });
            }
        };
        self.waiting.push(Waiting { task: from, line });
        self.come_by(report)
    }
}
