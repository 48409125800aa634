//! Starts tasks from within a task: as a process, as a thread.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use imalab_wire::TaskId;
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpid};

use super::{Failure, Report};
use crate::life::{self, Spawned};
use crate::packet::Request;
use crate::process::Process;
use crate::slots::Slots;
use crate::sockets::{self, Taken, retry};
use crate::task::Task;
use crate::uplink::{ToFirst, Uplink};
use crate::{console, raw};

/// The new task's way to PID 1, which has made the socket for its answers.
fn uplink<U: Uplink>(task: TaskId, report: &mut Report<'_, U>) -> Result<ToFirst, Failure> {
    let answer = report.ask(Request::Spawn { task }, None)??;
    let answers = answer.descriptor.ok_or(Errno::EPROTO)?;
    Ok(report.of_fellow(task, answers).ok_or(Errno::EINVAL)?)
}

/// What a task that is started goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inherits {
    /// The descriptors of the one that starts it, by their names.
    Descriptors,
    /// None of them: their numbers are closed before it begins.
    Nothing,
}

/// Starts a task as a process, whose parent is PID 1: it is the child of a child that has ended. A parent could not
/// wait for it in the midst of its own steps, and `CLONE_PARENT` is not to be had with glibc's `fork`, which alone
/// leaves the allocator usable in the child of a process of several threads.
///
/// It is under way, and known to PID 1, when this returns.
pub(super) fn fork<U: Uplink>(
    task: &Task,
    id: TaskId,
    inherits: Inherits,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let uplink = uplink(id, report)?;
    let (ours, theirs) = sockets::pair()?;
    let written = task.process.forks();
    let mut slots = task.process.slots.lock();
    let child = match raw::fork()? {
        ForkResult::Child => match raw::fork() {
            Ok(ForkResult::Child) => {
                let named = std::mem::take(&mut *slots);
                let process = match inherits {
                    Inherits::Descriptors => Process::with(Slots::inherited(named)),
                    Inherits::Nothing => {
                        std::mem::forget(named);
                        Process::with(Slots::default())
                    }
                };
                live(Task::new(id, Arc::clone(&task.program), task.boot, process), uplink, &theirs)
            }
            Ok(ForkResult::Parent { .. }) => raw::quit(0),
            Err(errno) => raw::quit(errno as i32),
        },
        ForkResult::Parent { child } => child,
    };
    drop((slots, written, uplink, theirs));
    match retry(|| waitpid(child, None))? {
        WaitStatus::Exited(_, 0) => {}
        WaitStatus::Exited(_, errno) => return Err(Errno::from_raw(errno).into()),
        _ => return Err(Errno::ECHILD.into()),
    }
    // Its parent is now PID 1.
    let mut pid = [0; 4];
    let told = sockets::send_packet(&ours, &[0]).and_then(|()| sockets::receive(&ours, &mut pid));
    match told {
        Ok(Taken::Packet { len: 4, .. }) => Ok(i32::from_le_bytes(pid).into()),
        // It ended before it had begun.
        _ => Err(Errno::ECHILD.into()),
    }
}

/// The whole life of a forked task.
fn live(mut task: Task, mut uplink: ToFirst, parent: &OwnedFd) -> ! {
    let kept = {
        let slots = task.process.slots.lock();
        let mut kept: Vec<_> = slots.values().map(|file| file.as_fd()).collect();
        kept.extend(uplink.descriptors());
        kept.push(parent.as_fd());
        raw::keep_only(&kept)
    };
    match kept.and_then(|()| sockets::receive(parent, &mut [0])) {
        // The parent is now PID 1, and not a process that is about to end.
        Ok(Taken::Packet { .. }) => drop(set_pdeathsig(Signal::SIGKILL)),
        // Whoever started it has been killed meanwhile.
        Ok(_) => {}
        Err(_) => raw::quit(1),
    }
    let begun = life::begin(&mut uplink, &task, Spawned::Process);
    let begun = begun.map(|()| sockets::send_packet(parent, &getpid().as_raw().to_le_bytes()));
    let result = begun
        .and_then(|_| task.run(&mut uplink))
        .and_then(|()| task.stay(&mut uplink))
        .and_then(|()| life::end(&mut uplink));
    life::leave(&task, result)
}

/// Starts a task as a thread of this process.
pub(super) fn thread<U: Uplink>(task: &Task, id: TaskId, report: &mut Report<'_, U>) -> Result<i64, Failure> {
    let mut uplink = uplink(id, report)?;
    let mut new = Task::new(id, Arc::clone(&task.program), task.boot, Arc::clone(&task.process));
    let (begun, has_begun) = sync_channel::<Pid>(1);
    let body = move || {
        let result = life::begin(&mut uplink, &new, Spawned::Thread).and_then(|()| {
            // Whoever started it waits for this.
            let _ = begun.send(nix::unistd::gettid());
            new.run(&mut uplink).and_then(|()| life::end(&mut uplink))
        });
        if let Err(broken) = result {
            console::line(&format!("fault: task {}: {broken}", life::name(&new)));
        }
    };
    let thread = std::thread::Builder::new().spawn(body)?;
    task.process.add_thread(thread);
    match has_begun.recv() {
        Ok(tid) => Ok(tid.as_raw().into()),
        Err(_) => Err(Errno::ECHILD.into()),
    }
}
