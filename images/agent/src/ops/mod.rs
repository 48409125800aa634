//! The operations, a file for each kind.

mod attest;
mod descriptor;
mod execute;
mod file;
mod list;
mod mark;
mod measure;
mod mount;
mod pass;
mod report;
mod rights;
mod spawn;
mod tell;

use imalab_wire::Op;
pub(crate) use measure::{directory, measure_one};
use nix::errno::Errno;
pub(crate) use report::Report;

pub(crate) use self::attest::Attested;
use self::measure::{Files, Way};
use crate::clock::now_ns;
use crate::packet::{Request, Sleep};
use crate::task::Task;
use crate::uplink::{Broken, Uplink};
use crate::{kexec, observe, raw};

/// Why an operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It failed, and that is its result.
    Op(Errno),
    /// Its result cannot be told.
    Uplink(Broken),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Op(errno)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // The standard library's own errors, without a number, are about arguments (a zero byte in a path).
        Self::Op(error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Uplink(broken)
    }
}

/// What it means when a task sleeps in a system call of an operation.
pub(crate) fn sleep(op: &Op) -> Sleep {
    match op {
        // The handshake with the new task; for the executed file, the child will be named.
        Op::Fork { .. } | Op::Start { .. } | Op::Thread { .. } | Op::Execute { .. } | Op::Run { .. } => {
            Sleep::Agent
        }
        Op::Map { .. } | Op::MapExecute { .. } => Sleep::Mapping,
        _ => Sleep::Operation,
    }
}

/// Carries out one operation; the value is as [`Op`] says.
pub(crate) fn run<U: Uplink>(op: &Op, task: &mut Task, report: &mut Report<'_, U>) -> Result<i64, Failure> {
    let process = &task.process;
    let slots = &process.slots;
    match op {
        Op::Open { slot, path, flags, mode } => file::open(slots, *slot, path, *flags, *mode, report),
        Op::Read { slot, chunk, limit, send, nothing } => {
            let asked = file::Asked { chunk: *chunk, limit: *limit, send: *send, nothing: *nothing };
            file::read(slots, *slot, asked, report)
        }
        Op::Write { slot, bytes } => file::write(slots, *slot, bytes),
        Op::Seek { slot, offset, whence } => file::seek(slots, *slot, *offset, *whence),
        Op::Close { slot } => file::close(slots, *slot),
        Op::ReadAt { slot, offset, bytes, send } => {
            file::read_at(slots, *slot, *offset, *bytes, *send, report)
        }
        Op::WriteAt { slot, offset, bytes } => file::write_at(slots, *slot, *offset, bytes),
        Op::ReadBadPointer { slot, bytes } => file::read_bad_pointer(slots, *slot, *bytes),
        Op::WriteBadPointer { slot, bytes } => file::write_bad_pointer(slots, *slot, *bytes),
        Op::Duplicate { slot, to } => file::duplicate(slots, *slot, *to, report),
        Op::Map { slot, bytes, write } => pass::map(slots, *slot, *bytes, *write),
        Op::SpliceOut { slot, bytes } => pass::splice_out(slots, *slot, *bytes, report),
        Op::SpliceIn { slot, bytes } => pass::splice_in(slots, *slot, bytes),
        Op::Poll { slot, events } => pass::poll(slots, *slot, *events),
        Op::Truncate { slot, length } => file::truncate(slots, *slot, *length),
        Op::Fork { task: id } => spawn::fork(task, *id, spawn::Inherits::Descriptors, report),
        Op::Start { task: id } => spawn::fork(task, *id, spawn::Inherits::Nothing, report),
        Op::Run { run } => observe::run(run, task, report),
        Op::AwaitLine { task: other, .. }
        | Op::AwaitEnd { task: other }
        | Op::EndProgram { task: other, .. } => report.order(*other),
        Op::Thread { task: id } => spawn::thread(task, *id, report),
        Op::SendDescriptor { slot, to } => descriptor::send(slots, *slot, *to, report),
        Op::ReceiveDescriptor { slot } => descriptor::receive(slots, *slot, report),
        Op::TakeDescriptor { slot, from } => descriptor::take(slots, *slot, *from, report),
        // PID 1 does not exit: the kernel panics when it does.
        Op::Exit { .. } if task.is_last() => Err(Errno::EINVAL.into()),
        Op::Exit { status } => raw::quit(*status),
        Op::Kill { task, signal } => report.request(Request::Kill { task: *task, signal: *signal }),
        Op::AwaitBlocked { task } => report.request(Request::AwaitBlocked { task: *task }),
        Op::DropCapability { capability } => rights::drop_capability(*capability),
        Op::SetUser { uid } => rights::set_user(*uid),
        Op::NewUserNamespace => rights::new_user_namespace(),
        Op::SetLimit { resource, limit } => rights::set_limit(*resource, *limit),
        Op::Clock { clock, ms } => {
            task.clocks.insert(*clock, now_ns() + u64::from(*ms) * 1_000_000);
            Ok(0)
        }
        Op::Create { path, bytes } => measure::create(path, bytes, process),
        Op::Measure { dir, name, salt, first, count } => {
            let files = Files { dir, name, salt, first: *first, count: *count };
            measure::run(files, Way::Open, process, report)
        }
        Op::Execute { dir, name, salt, first, count } => {
            let files = Files { dir, name, salt, first: *first, count: *count };
            measure::run(files, Way::Execute, process, report)
        }
        Op::MapExecute { dir, name, salt, first, count } => {
            let files = Files { dir, name, salt, first: *first, count: *count };
            measure::run(files, Way::Map, process, report)
        }
        Op::Violate { dir, name, salt, first, count, kind } => {
            let files = Files { dir, name, salt, first: *first, count: *count };
            measure::run(files, Way::Violate(*kind), process, report)
        }
        Op::LoadModule { dir, name, salt } => {
            let files = Files { dir, name, salt, first: 0, count: 1 };
            measure::run(files, Way::Load, process, report).map(|_| 0)
        }
        Op::FindQuoted { tpm, slot, chunk, send, account } => {
            let file = slots.get(*slot)?;
            task.attested.find(tpm, &*file, *chunk, *send, *account, report)
        }
        Op::WriteFound { slot } => {
            let file = slots.get(*slot)?;
            task.attested.write_found(&*file)
        }
        Op::ReadNumber { slot } => {
            let file = slots.get(*slot)?;
            task.attested.read_number(&*file)
        }
        Op::WriteFilled { slot, text } => {
            let file = slots.get(*slot)?;
            task.attested.write_filled(&*file, text)
        }
        Op::ReleaseHold { hold } => report.release_hold(*hold),
        Op::KexecLoad { kernel, args, flags } => kexec::load(kernel, args, *flags, task.boot),
        Op::KexecLoadSegments { kernel, args, flags } => {
            kexec::load_segments(kernel, args, *flags, task.boot)
        }
        Op::KexecUnload => kexec::unload(),
        Op::KexecExecute => {
            report.request(Request::Drain)?;
            kexec::execute()
        }
        Op::Panic => {
            report.request(Request::Drain)?;
            kexec::panic()
        }
        Op::List { path } => list::run(path, report),
        Op::ListModes { path } => list::modes(path, report),
        Op::Release => list::release(report),
        Op::Barrier { id, parties } => report.request(Request::Barrier { id: *id, parties: *parties }),
        Op::Mark { path, number } => mark::run(path, *number),
        Op::Mount { fstype, target } => mount::run(fstype, target),
        Op::Tell { number } => tell::run(*number),
        Op::ReadThrough { .. } => Err(Errno::ENOSYS.into()),
    }
}
