//! What came of the calls of a program's threads.

use std::cell::Cell;
use std::rc::Rc;

use imalab_wire::Op;
use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::super::calls::{Call, Entry, Flags, Memory};
use super::super::tables::{Opened, Table};
use super::super::tracee;
use super::{Done, Follower, Inside, asked};
use crate::clock::now_ns;
use crate::ops::Report;
use crate::uplink::{Broken, Uplink};

/// Most bytes of one read that are passed on at once.
const MAX_READ: usize = 16 * 1024 * 1024;

impl Follower<'_> {
    /// A thread's call has returned this. Its number and arguments.
    pub(in super::super) fn leave<U: Uplink>(
        &mut self,
        pid: Pid,
        value: Result<i64, Errno>,
        report: &mut Report<'_, U>,
    ) -> Result<Option<Entry>, Broken> {
        let Some(thread) = self.threads.get_mut(&pid) else { return Ok(None) };
        let Some(inside) = thread.inside.take() else { return Ok(None) };
        let (table, since) = (thread.table, thread.since);
        let entry = inside.entry;
        match (inside.call, value) {
            (Call::SetUser { uid }, Ok(_)) if uid != u32::MAX => {
                thread.user = Some(uid);
                if let Some(task) = thread.task {
                    self.teller.passed(task, Op::SetUser { uid }, None, since, report)?;
                }
            }
            (Call::Rights, Ok(_)) => {
                thread.odd = true;
                if thread.task.is_some() {
                    self.lose("it changed its capabilities or namespaces, which is not followed");
                }
            }
            (Call::Open { flags, .. }, value) => {
                self.opened(pid, table, (&inside, flags, since), value, report)?;
            }
            (Call::Duplicate { descriptor, onto }, value) => {
                if let Ok(to) = value {
                    let to = i32::try_from(to).unwrap_or(-1);
                    self.duplicated(pid, (descriptor, onto, to), &inside, since, report)?;
                } else if let Some(told) = &inside.told {
                    self.teller.end(told, value, report)?;
                }
            }
            (Call::Close { descriptor }, value) => {
                // It is closed whatever it gives, but where it was not open.
                self.tables.close(table, descriptor);
                if let Some(told) = &inside.told {
                    self.teller.end(told, value, report)?;
                }
            }
            (Call::Read { to, .. }, value) => self.have_read(pid, &inside, to, value, report)?,
            (Call::Seek { .. }, value) => {
                if let (Some(file), Ok(offset)) = (&inside.file, value) {
                    file.offset.set(u64::try_from(offset).ok());
                }
                if let Some(told) = &inside.told {
                    self.teller.end(told, value, report)?;
                }
            }
            (Call::Move { .. }, Ok(1..)) if inside.file.is_some() => {
                self.lose("it moved bytes of a list within the kernel (sendfile, splice)");
            }
            (Call::Map { .. }, value) => {
                if let Some(told) = &inside.told {
                    self.teller.end(told, value.map(|_| 0), report)?;
                }
            }
            (Call::Descriptors, Ok(_)) => self.look(pid, report)?,
            (_, value) => {
                if let Some(told) = &inside.told {
                    self.teller.end(told, value, report)?;
                }
            }
        }
        Ok(Some(entry))
    }

    fn opened<U: Uplink>(
        &mut self,
        pid: Pid,
        table: Table,
        (inside, flags, since): (&Inside, Flags, u64),
        value: Result<i64, Errno>,
        report: &mut Report<'_, U>,
    ) -> Done {
        let descriptor = match value {
            Ok(descriptor) => i32::try_from(descriptor).unwrap_or(-1),
            Err(_) => {
                return inside.told.as_ref().map_or(Ok(()), |told| self.teller.end(told, value, report));
            }
        };
        let flags = self.flags(pid, flags);
        let path = self.watched.behind(pid.as_raw(), descriptor);
        let Ok(slot) = u16::try_from(descriptor) else {
            self.lose("a descriptor of more than 65535");
            return Ok(());
        };
        let Some(path) = path else {
            // It was to be one, and something else was there by then.
            if inside.told.is_some() {
                self.lose("an opening led elsewhere than its path");
            }
            return Ok(());
        };
        let op = Op::Open { slot, path: path.to_string(), flags, mode: 0 };
        match &inside.told {
            Some(told) => {
                self.teller.instead(told, op, Some(&path), report)?;
                self.teller.end(told, Ok(0), report)?;
            }
            None => {
                if let Some(task) = self.task(pid, report)? {
                    self.teller.passed(task, op, Some(&path), since, report)?;
                }
            }
        }
        if flags & libc::O_PATH == 0 {
            self.tables.open(table, descriptor, Rc::new(Opened { path, offset: Cell::new(Some(0)) }));
        }
        Ok(())
    }

    fn duplicated<U: Uplink>(
        &mut self,
        pid: Pid,
        (from, onto, to): (i32, Option<i32>, i32),
        inside: &Inside,
        since: u64,
        report: &mut Report<'_, U>,
    ) -> Done {
        let Some(thread) = self.threads.get(&pid) else { return Ok(()) };
        let (table, slot) = (thread.table, |descriptor: i32| u16::try_from(descriptor).unwrap_or(u16::MAX));
        // In the place of itself it does nothing.
        if onto == Some(from) {
            return inside.told.as_ref().map_or(Ok(()), |told| {
                self.teller.instead(told, Op::Poll { slot: slot(from), events: 0 }, None, report)?;
                self.teller.end(told, Ok(0), report)
            });
        }
        let replaced = onto.and_then(|onto| self.tables.close(table, onto));
        if let (Some(file), Some(task)) = (&replaced, self.task(pid, report)?) {
            if let Some(told) = &inside.told {
                self.teller.instead(told, Op::Close { slot: slot(to) }, Some(&file.path), report)?;
                self.teller.end(told, Ok(0), report)?;
                let op = Op::Duplicate { slot: slot(from), to: slot(to) };
                self.teller.passed(task, op, None, now_ns(), report)?;
            } else {
                self.teller.passed(task, Op::Close { slot: slot(to) }, Some(&file.path), since, report)?;
            }
        } else if let (Some(told), Some(file)) = (&inside.told, &inside.file) {
            let op = Op::Duplicate { slot: slot(from), to: slot(to) };
            self.teller.instead(told, op, Some(&file.path), report)?;
            self.teller.end(told, Ok(0), report)?;
        }
        if let Some(file) = &inside.file {
            self.tables.open(table, to, Rc::clone(file));
        }
        Ok(())
    }

    fn have_read<U: Uplink>(
        &mut self,
        pid: Pid,
        inside: &Inside,
        to: Memory,
        value: Result<i64, Errno>,
        report: &mut Report<'_, U>,
    ) -> Done {
        let Some(task) = self.threads.get(&pid).and_then(|thread| thread.task) else { return Ok(()) };
        let (Some(file), Some(asked)) = (&inside.file, asked(inside)) else { return Ok(()) };
        let count = match value {
            Ok(count) => u64::try_from(count).unwrap_or_default(),
            Err(errno) => return self.teller.failed(task, errno, asked, report),
        };
        // To ask for nothing is not to be told that there is no more.
        if asked.bytes == 0 {
            return self.teller.close(task, report);
        }
        let bytes = match tracee::memory(pid, to, Some(count), MAX_READ) {
            Ok(bytes) if bytes.len() as u64 == count => bytes,
            _ => {
                self.lose(format!("{count} bytes that it read were not seen"));
                return Ok(());
            }
        };
        if asked.at.is_none() {
            file.offset.set(file.offset.get().map(|offset| offset + count));
        }
        self.teller.read(task, &bytes, report)
    }
}
