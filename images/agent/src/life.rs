//! How a task begins and ends.

use imalab_wire::Message;
use nix::unistd::{getpid, gettid};

use crate::packet::Notice;
use crate::task::Task;
use crate::uplink::{Broken, Uplink};
use crate::{console, raw};

/// How a task came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spawned {
    /// As the first thread of its process.
    Process,
    /// As a thread of another task's process.
    Thread,
}

/// Makes a task known.
pub(crate) fn begin(uplink: &mut impl Uplink, task: &Task, spawned: Spawned) -> Result<(), Broken> {
    let (pid, tid) = (getpid().as_raw(), gettid().as_raw());
    uplink.notify(Notice::Born { pid, tid, thread: spawned == Spawned::Thread })?;
    uplink.send(&Message::TaskStarted { task: task.id, pid })?;
    uplink.flush()
}

/// Says that the task has no more steps. The first thread's process goes on until its other threads have ended.
pub(crate) fn end(uplink: &mut impl Uplink) -> Result<(), Broken> {
    uplink.notify(Notice::Finished)
}

/// The end of a task's process.
pub(crate) fn leave(task: &Task, result: Result<(), Broken>) -> ! {
    match result {
        Ok(()) => {
            task.process.join_threads();
            raw::quit(0)
        }
        Err(broken) => {
            console::line(&format!("fault: task {}: {broken}", name(task)));
            raw::quit(1)
        }
    }
}

/// The task's name in the scenario.
pub(crate) fn name(task: &Task) -> &str {
    task.program.tasks.get(usize::from(task.id)).map_or("", |task| &task.name)
}
