//! System calls that a scenario spells out, on descriptors that it names.

use std::collections::BTreeMap;

use imalab_wire::{Op, TaskId};
use nix::fcntl::OFlag;
use nix::libc;

use super::built::Built;
use super::files::{observed, path, reading};
use super::slots::Slots;
use super::unresolved::Unresolved;
use crate::interface::{Adapter, Operations};
use crate::scenario::{
    Bytes, Call, File, Flag, Flags, Moved, Origin, Task, Transfer, Verb, Whence, WriteOf, origin, poll_event,
    task_named,
};
use crate::vocabulary::{Action, Expect, Observed, Reading};

/// Permissions of a file that `open` creates.
const MODE: u32 = 0o600;

/// A step among the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the task.
    pub(super) task: usize,
    /// Index of the step in it.
    pub(super) step: usize,
}

/// Who moves the offset of each open file, in the order of the tasks and their steps.
pub(super) struct Movers(BTreeMap<Origin, Vec<Place>>);

impl Movers {
    pub(super) fn of(tasks: &[Task]) -> Movers {
        let mut movers: BTreeMap<Origin, Vec<Place>> = BTreeMap::new();
        for (task, steps) in tasks.iter().map(|task| &task.steps).enumerate() {
            for (step, taken) in steps.iter().enumerate() {
                // A call that fails moves nothing.
                if let Verb::Call(call) = &taken.verb
                    && call.moves_offset()
                    && taken.expect.may_succeed()
                    && let Some(from) = call.uses().and_then(|slot| origin(tasks, task, step, slot))
                {
                    movers.entry(from).or_default().push(Place { task, step });
                }
            }
        }
        Movers(movers)
    }

    /// Whether the offset is at the start when this step reads: nobody else moves it, and no step before does.
    fn first(&self, of: Origin, place: Place) -> bool {
        let movers = self.0.get(&of).map_or(&[][..], Vec::as_slice);
        movers.iter().all(|mover| mover.task == place.task && mover.step >= place.step)
    }
}

/// Where a call is translated.
pub(super) struct Calls<'c> {
    pub(super) adapter: Adapter<'c>,
    pub(super) tasks: &'c [Task],
    pub(super) movers: &'c Movers,
    pub(super) place: Place,
}

impl Calls<'_> {
    /// The file behind a descriptor.
    fn file(&self, slot: &str) -> Option<(Origin, &File)> {
        let origin = origin(self.tasks, self.place.task, self.place.step, slot)?;
        Some((origin, origin.file(self.tasks)?))
    }

    /// What reading a descriptor could show at all.
    fn shows(&self, slot: &str) -> Option<Observed> {
        self.file(slot).and_then(|(_, file)| observed(file))
    }

    /// What these bytes do to the list when the kernel takes them.
    fn meaning(&self, slot: &str, bytes: &[u8]) -> Action {
        let meaning = || self.adapter.meaning(self.file(slot)?.1.in_model()?, bytes);
        meaning().unwrap_or(Action::SystemCall)
    }

    /// Translates a call.
    ///
    /// # Errors
    /// A name that stands for nothing.
    pub(super) fn call(&self, slots: &mut Slots, call: &Call, expect: Expect) -> Result<Built, Unresolved> {
        let fails = matches!(expect, Expect::Errno(_));
        let mut action = Action::SystemCall;
        let mut reads = Vec::new();
        let (text, op) = match call {
            Call::Open { slot, file, flags } => {
                let (name, path) = path(self.adapter, file);
                let text = format!("open {slot} {name} {}", words(flags));
                (text, Op::Open { slot: slots.take(slot, fails)?, path, flags: bits(flags), mode: MODE })
            }
            Call::Read { slot, what } => {
                let of = self.whole(slot, *what);
                reads.extend(of.map(|of| Reading { op: 0, of }));
                action = reading(of);
                self.read(slots, slot, *what)?
            }
            Call::Write { slot, what, at } => {
                if let Some(bytes) = call.hands_over() {
                    action = self.meaning(slot, bytes);
                }
                write(slots, slot, what, *at)?
            }
            Call::Seek { slot, to, from } => {
                let (whence, name) = match from {
                    Whence::Start => (libc::SEEK_SET, "start"),
                    Whence::Current => (libc::SEEK_CUR, "current"),
                    Whence::End => (libc::SEEK_END, "end"),
                };
                (
                    format!("seek {slot} {to} from {name}"),
                    Op::Seek { slot: slots.get(slot)?, offset: *to, whence },
                )
            }
            Call::Close { slot } => (format!("close {slot}"), Op::Close { slot: slots.close(slot)? }),
            Call::Duplicate { slot, to } => {
                let from = slots.get(slot)?;
                (
                    format!("duplicate {slot} as {to}"),
                    Op::Duplicate { slot: from, to: slots.take(to, fails)? },
                )
            }
            Call::Map { slot, bytes, write } => {
                let how = if *write { " to write" } else { "" };
                let op = Op::Map { slot: slots.get(slot)?, bytes: *bytes, write: *write };
                (format!("map {slot} {bytes} bytes{how}"), op)
            }
            Call::Splice { slot, what } => match what {
                Moved::Out { bytes } => (
                    format!("splice {bytes} bytes out of {slot}"),
                    Op::SpliceOut { slot: slots.get(slot)?, bytes: *bytes },
                ),
                Moved::In(Bytes(bytes)) => {
                    action = self.meaning(slot, bytes);
                    let op = Op::SpliceIn { slot: slots.get(slot)?, bytes: bytes.clone() };
                    (format!("splice \"{}\" into {slot}", bytes.escape_ascii()), op)
                }
            },
            Call::Poll { slot, events } => {
                let bit = |event: &&str| poll_event(event).ok_or_else(|| Unresolved::event(event));
                let mask = events.iter().map(bit).try_fold(0, |mask, bit| bit.map(|bit| mask | bit))?;
                let names: Vec<_> = events.iter().copied().collect();
                (
                    format!("poll {slot} {}", names.join("+")),
                    Op::Poll { slot: slots.get(slot)?, events: mask },
                )
            }
            Call::Truncate { slot, length } => (
                format!("truncate {slot} {length}"),
                Op::Truncate { slot: slots.get(slot)?, length: *length },
            ),
            Call::Send { slot, to } => {
                let boot = self.tasks[self.place.task].boot;
                let task = task_id(self.tasks, boot, to)?;
                (format!("send {slot} to {to}"), Op::SendDescriptor { slot: slots.get(slot)?, to: task })
            }
            Call::Receive { slot } => {
                (format!("receive {slot}"), Op::ReceiveDescriptor { slot: slots.take(slot, fails)? })
            }
            Call::Take { from, slot } => {
                let boot = self.tasks[self.place.task].boot;
                let task = task_id(self.tasks, boot, from)?;
                let op = Op::TakeDescriptor { slot: slots.take(slot, fails)?, from: task };
                (format!("take {slot} from {from}"), op)
            }
        };
        Ok(Built { text, operations: Operations { ops: vec![op], reads }, action, expect })
    }

    fn read(&self, slots: &Slots, name: &str, what: Transfer) -> Result<(String, Op), Unresolved> {
        let slot = slots.get(name)?;
        // Of a descriptor whose file is not known before the run, everything could be a list.
        let send = self.file(name).is_none() || self.shows(name).is_some();
        Ok(match what {
            Transfer::Stream { limit, chunk } => {
                let text = match limit {
                    Some(limit) => format!("read {name} {limit} bytes"),
                    None => format!("read {name}"),
                };
                (text, Op::Read { slot, chunk, limit, send, nothing: None })
            }
            Transfer::At { offset, bytes } => {
                (format!("read {name} {bytes} bytes at {offset}"), Op::ReadAt { slot, offset, bytes, send })
            }
            Transfer::BadPointer { bytes } => {
                (format!("read {name} {bytes} bytes to nowhere"), Op::ReadBadPointer { slot, bytes })
            }
        })
    }

    /// What a read shows when it reads the file from its start to its end.
    fn whole(&self, name: &str, what: Transfer) -> Option<Observed> {
        let Transfer::Stream { limit: None, .. } = what else { return None };
        let (origin, file) = self.file(name)?;
        observed(file).filter(|_| self.movers.first(origin, self.place))
    }
}

fn write(slots: &Slots, name: &str, what: &WriteOf, at: Option<i64>) -> Result<(String, Op), Unresolved> {
    let slot = slots.get(name)?;
    Ok(match (what, at) {
        (WriteOf::Bytes(Bytes(bytes)), None) => {
            (format!("write {name} \"{}\"", bytes.escape_ascii()), Op::Write { slot, bytes: bytes.clone() })
        }
        (WriteOf::Bytes(Bytes(bytes)), Some(offset)) => (
            format!("write {name} \"{}\" at {offset}", bytes.escape_ascii()),
            Op::WriteAt { slot, offset, bytes: bytes.clone() },
        ),
        (WriteOf::BadPointer { bytes }, _) => {
            (format!("write {name} {bytes} bytes from nowhere"), Op::WriteBadPointer { slot, bytes: *bytes })
        }
    })
}

/// The number in the program of a boot's task with this name.
pub(super) fn task_id(tasks: &[Task], boot: u16, name: &str) -> Result<TaskId, Unresolved> {
    let index = task_named(tasks, boot, name).and_then(|index| TaskId::try_from(index).ok());
    index.ok_or_else(|| Unresolved::task(name))
}

/// `create` all alone implies the others.
fn words(Flags(flags): &Flags) -> String {
    if *flags == [Flag::Create, Flag::Truncate, Flag::Write].into() {
        return Flag::Create.name().to_owned();
    }
    flags.iter().map(|flag| flag.name()).collect::<Vec<_>>().join("+")
}

fn bits(Flags(flags): &Flags) -> i32 {
    let each = flags.iter().map(|flag| match flag {
        Flag::Read => OFlag::O_RDONLY,
        Flag::Write => OFlag::O_WRONLY,
        Flag::ReadWrite => OFlag::O_RDWR,
        Flag::Create => OFlag::O_CREAT,
        Flag::Append => OFlag::O_APPEND,
        Flag::Nonblock => OFlag::O_NONBLOCK,
        Flag::Truncate => OFlag::O_TRUNC,
        Flag::Exclusive => OFlag::O_EXCL,
        Flag::Directory => OFlag::O_DIRECTORY,
        Flag::Path => OFlag::O_PATH,
        Flag::Direct => OFlag::O_DIRECT,
        Flag::Sync => OFlag::O_SYNC,
    });
    each.fold(OFlag::empty(), |all, flag| all | flag).bits()
}
