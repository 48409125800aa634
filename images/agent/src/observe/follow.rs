//! Follows the processes and threads of a program: which observed files each has open, and what its calls on them are.

mod results;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use imalab_wire::{MAX_REQUEST, Message, Op, Run, TaskId};
use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::calls::{Call, Entry, Flags, Memory};
use super::tables::{Opened, Table, Tables};
use super::tell::{Asked, Reported, Teller};
use super::tracee;
use super::watched::Watched;
use crate::clock::now_ns;
use crate::ops::Report;
use crate::uplink::{Broken, Uplink};

/// A thread of the program.
#[derive(Debug)]
struct Thread {
    /// Its process.
    process: Pid,
    table: Table,
    /// The task that stands for it, once it has used an observed file.
    task: Option<TaskId>,
    user: Option<u32>,
    /// It has changed what it may do in a way that is not followed.
    odd: bool,
    /// Its first stop is still to come.
    new: bool,
    /// Since when it goes on by itself.
    since: u64,
    inside: Option<Inside>,
}

/// A call that a thread is in.
#[derive(Clone, Debug)]
struct Inside {
    entry: Entry,
    call: Call,
    /// The observed file that it is about.
    file: Option<Rc<Opened>>,
    /// The observed file that it opens.
    opens: Option<Arc<str>>,
    told: Option<Reported>,
}

/// All threads of a program.
#[derive(Debug)]
pub(super) struct Follower<'a> {
    watched: &'static Watched,
    /// The task that runs the program.
    runs: TaskId,
    /// Tasks that no thread has yet.
    free: std::ops::Range<TaskId>,
    teller: Teller,
    threads: BTreeMap<Pid, Thread>,
    tables: Tables,
    /// Why not all is known.
    pub(super) lost: Option<String>,
    run: &'a Run,
}

type Done = Result<(), Broken>;

impl<'a> Follower<'a> {
    pub(super) fn new(run: &'a Run, runs: TaskId, first: Pid) -> Follower<'a> {
        let mut tables = Tables::default();
        let free = runs.saturating_add(1)..runs.saturating_add(1).saturating_add(run.processes);
        let thread = Thread {
            process: first,
            table: tables.make(),
            task: None,
            user: run.user.filter(|user| *user != 0),
            odd: false,
            new: false,
            since: now_ns(),
            inside: None,
        };
        let threads = [(first, thread)].into();
        let (watched, teller) = (Watched::known(), Teller::new(run));
        Follower { watched, runs, free, teller, threads, tables, lost: None, run }
    }

    /// Its threads, and the process of each.
    pub(super) fn processes(&self) -> impl Iterator<Item = (Pid, Pid)> {
        self.threads.iter().map(|(thread, of)| (*thread, of.process))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Not all is known from here on.
    pub(super) fn lose(&mut self, why: impl Into<String>) {
        self.lost.get_or_insert_with(|| why.into());
    }

    /// Whether a thread is yet to stop for the first time; none when it is not known.
    pub(super) fn is_new(&self, pid: Pid) -> Option<bool> {
        self.threads.get(&pid).map(|thread| thread.new)
    }

    /// It has stopped for the first time.
    pub(super) fn begins(&mut self, pid: Pid) {
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.new = false;
        }
    }

    /// The thread is about to go on.
    pub(super) fn goes_on(&mut self, pid: Pid) {
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.since = now_ns();
        }
    }

    /// The task that stands for a thread from here on.
    fn task<U: Uplink>(&mut self, pid: Pid, report: &mut Report<'_, U>) -> Result<Option<TaskId>, Broken> {
        let Some(thread) = self.threads.get(&pid) else { return Ok(None) };
        if let Some(task) = thread.task {
            return Ok(Some(task));
        }
        let (table, user, odd) = (thread.table, thread.user, thread.odd);
        if odd {
            self.lose("it changed its capabilities or namespaces, which is not followed, and used a list");
        }
        let Some(task) = self.free.next() else {
            self.lose(format!(
                "more than {} of its processes and threads used the lists",
                self.run.processes
            ));
            return Ok(None);
        };
        let fellow = self.threads.iter().find_map(|(of, other)| {
            let busy = |inside: &Inside| inside.file.is_some() || inside.opens.is_some();
            let busy = other.inside.as_ref().is_some_and(busy);
            (other.table == table && *of != pid).then_some((other.task?, busy))
        });
        report.tell(&Message::TaskStarted { task, pid: pid.as_raw() })?;
        match fellow {
            Some((_, true)) => self.lose("two of its threads used the lists at the same time"),
            Some((fellow, false)) => {
                self.teller.passed(fellow, Op::Thread { task }, None, now_ns(), report)?;
            }
            None => {}
        }
        if let Some(uid) = user {
            self.teller.passed(task, Op::SetUser { uid }, None, now_ns(), report)?;
        }
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.task = Some(task);
        }
        Ok(Some(task))
    }

    /// A thread enters a call.
    pub(super) fn enter<U: Uplink>(&mut self, pid: Pid, entry: Entry, report: &mut Report<'_, U>) -> Done {
        let Some(thread) = self.threads.get(&pid) else { return Ok(()) };
        let (table, call) = (thread.table, entry.call());
        if call == Call::Hidden {
            self.lose("it sets up io_uring or AIO, by which files are used without calls");
        }
        let at = |descriptor: i32| self.tables.get(table, descriptor);
        let file = match call {
            Call::Close { descriptor }
            | Call::Read { descriptor, .. }
            | Call::Write { descriptor, .. }
            | Call::Seek { descriptor, .. }
            | Call::Duplicate { descriptor, .. }
            | Call::Map { descriptor, .. }
            | Call::Truncate { descriptor, .. } => at(descriptor),
            Call::Move { from, to } => at(from).or_else(|| at(to)),
            _ => None,
        };
        let opens = match call {
            Call::Open { folder, path, .. } => self.path(pid, folder, path),
            _ => None,
        };
        let mut inside = Inside { entry, call, file, opens, told: None };
        if inside.file.is_some() || inside.opens.is_some() {
            inside.told = self.announce(pid, &inside, report)?;
        }
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.inside = Some(inside);
        }
        Ok(())
    }

    /// The observed file that a path of a thread leads to.
    fn path(&self, pid: Pid, folder: i32, address: u64) -> Option<Arc<str>> {
        use std::os::unix::ffi::OsStrExt;
        let path = tracee::text(pid, address).ok()?;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&path));
        let from = match (path.strip_prefix("/"), folder) {
            (Ok(path), _) => PathBuf::from(format!("/proc/{pid}/root")).join(path),
            (Err(_), libc::AT_FDCWD) => PathBuf::from(format!("/proc/{pid}/cwd")).join(path),
            (Err(_), folder) => PathBuf::from(format!("/proc/{pid}/fd/{folder}")).join(path),
        };
        self.watched.at(&from)
    }

    /// Tells a call on an observed file before it is made.
    fn announce<U: Uplink>(
        &mut self,
        pid: Pid,
        inside: &Inside,
        report: &mut Report<'_, U>,
    ) -> Result<Option<Reported>, Broken> {
        if self.teller.is_full() {
            self.lose(format!("it made more than {} calls on the lists", imalab_wire::MAX_OBSERVED));
            return Ok(None);
        }
        let Some(task) = self.task(pid, report)? else { return Ok(None) };
        let path = inside.opens.clone().or_else(|| inside.file.as_ref().map(|file| Arc::clone(&file.path)));
        let slot = |descriptor: i32| u16::try_from(descriptor).unwrap_or(u16::MAX);
        let op = match inside.call {
            Call::Open { flags, .. } => {
                let flags = self.flags(pid, flags);
                // Which descriptor it will be is told with the result.
                let path = path.as_deref().unwrap_or_default().to_owned();
                Op::Open { slot: u16::MAX, path, flags, mode: 0 }
            }
            Call::Close { descriptor } => Op::Close { slot: slot(descriptor) },
            Call::Read { .. } => {
                if let Some(asked) = asked(inside) {
                    self.teller.begin_read(task, asked, report)?;
                }
                return Ok(None);
            }
            Call::Write { descriptor, from, at } => match tracee::memory(pid, from, None, MAX_REQUEST) {
                Ok(bytes) => match at {
                    None => Op::Write { slot: slot(descriptor), bytes },
                    Some(offset) => Op::WriteAt { slot: slot(descriptor), offset, bytes },
                },
                Err(Errno::E2BIG) => {
                    self.lose(format!("a request of more than {MAX_REQUEST} bytes"));
                    return Ok(None);
                }
                Err(_) => {
                    let bytes = match from {
                        Memory::Plain(_, bytes) => u32::try_from(bytes).unwrap_or(u32::MAX),
                        Memory::Vector(..) => 1,
                    };
                    Op::WriteBadPointer { slot: slot(descriptor), bytes }
                }
            },
            Call::Seek { descriptor, offset, whence } => Op::Seek { slot: slot(descriptor), offset, whence },
            Call::Duplicate { descriptor, .. } => Op::Duplicate { slot: slot(descriptor), to: u16::MAX },
            Call::Map { descriptor, bytes, write } => {
                Op::Map { slot: slot(descriptor), bytes: u32::try_from(bytes).unwrap_or(u32::MAX), write }
            }
            // What is moved is not seen: one that succeeds is told of as such.
            Call::Move { from, to } => {
                let descriptor =
                    if inside.file_is(&self.tables, self.threads.get(&pid), from) { from } else { to };
                Op::Poll { slot: slot(descriptor), events: 0 }
            }
            Call::Truncate { descriptor, length } => Op::Truncate { slot: slot(descriptor), length },
            Call::Descriptors | Call::SetUser { .. } | Call::Rights | Call::Hidden | Call::Other => {
                return Ok(None);
            }
        };
        self.teller.begin(task, op, path.as_deref(), report).map(Some)
    }

    fn flags(&self, pid: Pid, flags: Flags) -> i32 {
        match flags {
            Flags::Here(flags) => flags,
            Flags::At(address) => tracee::word(pid, address).unwrap_or_default() as i32,
        }
    }

    /// Looks at the descriptors of a thread's process: what was closed without a call, and what came without one.
    pub(super) fn look<U: Uplink>(&mut self, pid: Pid, report: &mut Report<'_, U>) -> Done {
        let Some(thread) = self.threads.get(&pid) else { return Ok(()) };
        let (table, task, since) = (thread.table, thread.task, thread.since);
        for (descriptor, file) in self.tables.all(table) {
            if self.watched.behind(pid.as_raw(), descriptor).as_ref() == Some(&file.path) {
                continue;
            }
            self.tables.close(table, descriptor);
            if let (Some(task), Ok(slot)) = (task, u16::try_from(descriptor)) {
                self.teller.passed(task, Op::Close { slot }, Some(&file.path), since, report)?;
            }
        }
        let names = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let open = names.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        for descriptor in open {
            if self.tables.get(table, descriptor).is_none()
                && self.watched.behind(pid.as_raw(), descriptor).is_some()
            {
                self.lose("it received a descriptor of a list, which is not followed");
            }
        }
        Ok(())
    }

    /// A thread has made another one, or a process.
    pub(super) fn made<U: Uplink>(&mut self, pid: Pid, child: Pid, report: &mut Report<'_, U>) -> Done {
        let Some(thread) = self.threads.get(&pid) else { return Ok(()) };
        let flags = thread.inside.as_ref().map_or(Flags::Here(0), |inside| inside.entry.clone_flags());
        let flags = self.flags(pid, flags);
        let (process, table, user, odd, since) =
            (thread.process, thread.table, thread.user, thread.odd, thread.since);
        let odd = odd || flags & libc::CLONE_NEWUSER != 0;
        let shares = flags & libc::CLONE_FILES != 0;
        let process = if flags & libc::CLONE_THREAD != 0 { process } else { child };
        let copied = if shares { table } else { self.tables.copy(table) };
        let mut new = Thread {
            process,
            table: copied,
            task: None,
            user,
            odd,
            new: true,
            since: now_ns(),
            inside: None,
        };
        if !shares && !self.tables.is_empty(copied) {
            let parent = self.task(pid, report)?;
            let Some(task) = self.free.next() else {
                self.lose(format!("more than {} of its processes used the lists", self.run.processes));
                return Ok(());
            };
            report.tell(&Message::TaskStarted { task, pid: child.as_raw() })?;
            if let Some(parent) = parent {
                self.teller.passed(parent, Op::Fork { task }, None, since, report)?;
            }
            new.task = Some(task);
        }
        self.threads.insert(child, new);
        Ok(())
    }

    /// A process has another program: what was to be closed then is closed. The thread that did it has the process's number from
    /// now on (`de_thread`, `fs/exec.c`).
    pub(super) fn executed<U: Uplink>(&mut self, pid: Pid, former: Pid, report: &mut Report<'_, U>) -> Done {
        if let Some(thread) = self.threads.remove(&former) {
            self.threads.insert(pid, thread);
        }
        self.look(pid, report)
    }

    /// A thread is no more; whatever only it had open is closed.
    pub(super) fn gone<U: Uplink>(&mut self, pid: Pid, status: i32, report: &mut Report<'_, U>) -> Done {
        let Some(thread) = self.threads.remove(&pid) else { return Ok(()) };
        let Thread { table, task, since, inside, .. } = thread;
        if let Some(task) = task {
            match inside {
                Some(_) => self.teller.abandon(task, report)?,
                None => self.teller.close(task, report)?,
            }
        }
        if self.threads.values().all(|other| other.table != table) {
            for (descriptor, file) in self.tables.remove(table) {
                if let (Some(task), Ok(slot)) = (task, u16::try_from(descriptor)) {
                    self.teller.passed(task, Op::Close { slot }, Some(&file.path), since, report)?;
                }
            }
        }
        match task {
            Some(task) => report.tell(&Message::TaskEnded { task, status }),
            None => Ok(()),
        }
    }

    /// Says once that not all is known. Whether it was the first time.
    pub(super) fn say_lost<U: Uplink>(&self, report: &mut Report<'_, U>) -> Done {
        match &self.lost {
            Some(text) => report.tell(&Message::Unobserved { task: self.runs, text: text.clone() }),
            None => Ok(()),
        }
    }
}

impl Inside {
    /// Whether a descriptor is the one that its file is known by.
    fn file_is(&self, tables: &Tables, thread: Option<&Thread>, descriptor: i32) -> bool {
        let at = thread.and_then(|thread| tables.get(thread.table, descriptor));
        at.zip(self.file.as_ref()).is_some_and(|(at, file)| Rc::ptr_eq(&at, file))
    }
}

/// What a read asks for.
fn asked(inside: &Inside) -> Option<Asked> {
    let (Call::Read { descriptor, to, at }, Some(file)) = (inside.call, &inside.file) else { return None };
    let bytes = match to {
        Memory::Plain(_, bytes) => bytes,
        Memory::Vector(..) => u64::from(u32::MAX),
    };
    let from = match at {
        Some(at) => u64::try_from(at).ok(),
        None => file.offset.get(),
    };
    let descriptor = u16::try_from(descriptor).ok()?;
    Some(Asked { descriptor, path: Arc::clone(&file.path), at, from, bytes })
}
