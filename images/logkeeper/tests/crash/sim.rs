//! A machine that can be killed, kexec'd, reset and let down at each system call of the keeper.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use imalab_formats::ima::{Bank, ByteOrder, Digest, Generator, Mix, Record, write_record};
use imalab_logkeeper::{Access, Files, Folder, Interface, World};
use imalab_logview::Position;
use nix::errno::Errno;

/// What a call gives that a dead process makes: nothing of the keeper's may look at it.
const DEAD: Errno = Errno::EOWNERDEAD;

/// What becomes of what was written and not synced, when a machine goes on without syncing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// All of it was written back in time.
    Written,
    /// None of it was.
    Lost,
    /// Names were, and content was not.
    NamesAlone,
}

/// Where a process dies: at a call that has no effect any more, or at one that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Before(u64),
    After(u64),
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) call: u64,
    pub(crate) errno: Errno,
    /// Whether the call does what it was to do all the same.
    pub(crate) and_does_it: bool,
}

#[derive(Clone, Default)]
struct Inode {
    data: Vec<u8>,
    synced: Vec<u8>,
}

type Names = BTreeMap<(Folder, String), usize>;

pub(crate) struct Machine {
    interface: Interface,
    records: Generator,
    /// All records since the cold boot: what must be there in the end, once each.
    pub(crate) all: Vec<Record>,
    tpm: Position,
    resets: u32,
    pub(crate) has_tpm: bool,
    staged: Vec<Record>,
    current: Vec<Record>,
    /// Whether the kernel takes no requests any more.
    pub(crate) suspended: bool,
    writer: bool,
    readers: usize,
    names: Names,
    synced_names: Names,
    inodes: Vec<Inode>,
    pub(crate) calls: u64,
    pub(crate) death: Option<Death>,
    pub(crate) fault: Option<Fault>,
    /// A write takes no more than so many bytes.
    pub(crate) write_most: usize,
    /// A record comes with each so many calls; 0: none does.
    pub(crate) measure_each: u64,
    pub(crate) dead: bool,
    pub(crate) locked_by_reader: bool,
}

/// The world of one process on such a machine.
#[derive(Clone)]
pub(crate) struct Sim(pub(crate) Rc<RefCell<Machine>>);

pub(crate) struct List {
    machine: Rc<RefCell<Machine>>,
    name: String,
    access: Access,
}

impl Drop for List {
    fn drop(&mut self) {
        let mut machine = self.machine.borrow_mut();
        match self.access {
            Access::Ask => machine.writer = false,
            Access::Read => machine.readers = machine.readers.saturating_sub(1),
        }
    }
}

pub(crate) fn bytes(records: &[Record]) -> Vec<u8> {
    let mut list = Vec::new();
    for record in records {
        write_record(&mut list, record, ByteOrder::Little).unwrap();
    }
    list
}

impl Machine {
    pub(crate) fn start(interface: Interface) -> Sim {
        let mut machine = Machine {
            interface,
            records: Generator::new(11, Mix::Templates),
            all: Vec::new(),
            tpm: Position::start(),
            resets: 3,
            has_tpm: true,
            staged: Vec::new(),
            current: Vec::new(),
            suspended: false,
            writer: false,
            readers: 0,
            names: Names::new(),
            synced_names: Names::new(),
            inodes: Vec::new(),
            calls: 0,
            death: None,
            fault: None,
            write_most: usize::MAX,
            measure_each: 0,
            dead: false,
            locked_by_reader: false,
        };
        machine.boot_aggregate();
        Sim(Rc::new(RefCell::new(machine)))
    }

    fn append(&mut self, record: Record) {
        self.tpm.pass((&record).into());
        self.all.push(record.clone());
        self.current.push(record);
    }

    /// The same at each boot, as the firmware's PCRs are.
    fn boot_aggregate(&mut self) {
        self.append(Generator::new(1, Mix::Common).next().unwrap());
    }

    /// A record comes; each third is a violation, and all violations are of one file.
    pub(crate) fn measure(&mut self) {
        let mut record = self.records.next().unwrap();
        if self.all.len().is_multiple_of(3) {
            record = Generator::new(1, Mix::Common).nth(1).unwrap();
            record.digest = vec![0; 20];
        }
        self.append(record);
    }

    fn list(&self, name: &str) -> &[Record] {
        if name.contains("staged") { &self.staged } else { &self.current }
    }

    fn request(&mut self, name: &str, request: &[u8]) -> Result<(), Errno> {
        let text = std::str::from_utf8(request).unwrap().strip_suffix('\n').ok_or(Errno::EINVAL)?;
        let on_staged = name.contains("staged");
        let stage = |machine: &mut Machine| match () {
            () if machine.suspended => Err(Errno::EACCES),
            () if !machine.staged.is_empty() => Err(Errno::EEXIST),
            () if machine.current.is_empty() => Err(Errno::ENOENT),
            () => {
                machine.staged = std::mem::take(&mut machine.current);
                Ok(())
            }
        };
        match (self.interface, text, text.parse::<u64>()) {
            (Interface::Upstream, "A", _) if on_staged => stage(self),
            (Interface::BankLast, _, Ok(_)) if on_staged => stage(self),
            (Interface::Upstream | Interface::BankLast, "D", _) if on_staged => match () {
                () if self.suspended => Err(Errno::ESTALE),
                () if self.staged.is_empty() => Err(Errno::ENOENT),
                () => {
                    self.staged.clear();
                    Ok(())
                }
            },
            (Interface::Upstream | Interface::Trim, _, Ok(count)) if !on_staged => match () {
                () if self.suspended => Err(Errno::ESTALE),
                () if count == 0 => Err(Errno::EINVAL),
                () if count > self.current.len() as u64 => Err(Errno::ENOENT),
                () => {
                    self.current.drain(..usize::try_from(count).unwrap());
                    Ok(())
                }
            },
            _ => Err(Errno::EINVAL),
        }
    }

    /// Another program does this to the lists.
    pub(crate) fn meddle(&mut self, name: &str, request: &[u8]) {
        self.request(name, request).unwrap();
    }

    fn without_sync(&mut self, fate: Fate) {
        if let Fate::Lost = fate {
            self.names = self.synced_names.clone();
        }
        if !matches!(fate, Fate::Written) {
            for inode in &mut self.inodes {
                inode.data = inode.synced.clone();
            }
        }
        self.synced_names = self.names.clone();
        self.begin_process();
    }

    /// Whatever was injected is over, and a new process may come.
    pub(crate) fn begin_process(&mut self) {
        (self.dead, self.death, self.fault, self.calls) = (false, None, None, 0);
        (self.write_most, self.measure_each) = (usize::MAX, 0);
        // What the dead one had open is closed.
        (self.writer, self.readers) = (false, 0);
    }

    /// The next kernel begins with staged and current records, and a `boot_aggregate`.
    pub(crate) fn kexec(&mut self, fate: Fate) {
        let mut carried = std::mem::take(&mut self.staged);
        carried.append(&mut self.current);
        self.current = carried;
        self.suspended = false;
        self.boot_aggregate();
        self.without_sync(fate);
    }

    pub(crate) fn cold_boot(&mut self, fate: Fate) {
        self.staged.clear();
        self.current.clear();
        self.all.clear();
        self.tpm = Position::start();
        self.resets += 1;
        self.suspended = false;
        self.boot_aggregate();
        self.without_sync(fate);
    }

    pub(crate) fn content(&self, folder: Folder, name: &str) -> Option<Vec<u8>> {
        self.names.get(&(folder, name.to_owned())).map(|inode| self.inodes[*inode].data.clone())
    }

    pub(crate) fn put(&mut self, folder: Folder, name: &str, data: Vec<u8>) {
        self.inodes.push(Inode { data: data.clone(), synced: data });
        let inode = self.inodes.len() - 1;
        self.names.insert((folder, name.to_owned()), inode);
        self.synced_names.insert((folder, name.to_owned()), inode);
    }

    pub(crate) fn delete(&mut self, folder: Folder, name: &str) {
        self.names.remove(&(folder, name.to_owned()));
    }

    pub(crate) fn names_in(&self, folder: Folder) -> Vec<String> {
        self.names.keys().filter(|(of, _)| *of == folder).map(|(_, name)| name.clone()).collect()
    }

    /// What the kernel holds: staged records, then current ones.
    pub(crate) fn held(&self) -> Vec<u8> {
        bytes(&[self.staged.as_slice(), &self.current].concat())
    }

    pub(crate) fn staged_count(&self) -> usize {
        self.staged.len()
    }

    pub(crate) fn current_count(&self) -> usize {
        self.current.len()
    }

    pub(crate) fn tpm(&self) -> &Position {
        &self.tpm
    }
}

impl Sim {
    pub(crate) fn files(&self) -> Files {
        let machine = self.0.borrow();
        let files: &[(&str, u32)] = match machine.interface {
            Interface::Upstream => &[
                ("binary_runtime_measurements_sha1", 0o660),
                ("binary_runtime_measurements_sha1_staged", 0o660),
            ],
            Interface::BankLast => &[
                ("binary_runtime_measurements_sha1", 0o440),
                ("binary_runtime_measurements_staged_sha1", 0o660),
            ],
            Interface::Trim => &[("binary_runtime_measurements_sha1", 0o660)],
            Interface::ReadOnly => &[("binary_runtime_measurements_sha1", 0o440)],
        };
        let files: Vec<(String, u32)> =
            files.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect();
        Files::of(&files, None).unwrap()
    }

    fn call<T>(&self, effect: impl FnOnce(&mut Machine) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut machine = self.0.borrow_mut();
        if machine.dead {
            return Err(DEAD);
        }
        machine.calls += 1;
        let call = machine.calls;
        if machine.measure_each > 0 && call.is_multiple_of(machine.measure_each) {
            machine.measure();
        }
        if machine.death == Some(Death::Before(call)) {
            machine.dead = true;
            return Err(DEAD);
        }
        let fault = machine.fault.filter(|fault| fault.call == call);
        if let Some(fault) = fault.filter(|fault| !fault.and_does_it) {
            return Err(fault.errno);
        }
        let result = effect(&mut machine);
        if machine.death == Some(Death::After(call)) {
            machine.dead = true;
            return Err(DEAD);
        }
        fault.map_or(result, |fault| Err(fault.errno))
    }
}

impl World for Sim {
    type List = List;
    type New = usize;
    type File = Vec<u8>;

    fn list_files(&mut self) -> Result<Vec<(String, u32)>, Errno> {
        unreachable!("what the kernel offers is looked at before")
    }

    fn open_list(&mut self, name: &str, access: Access) -> Result<List, Errno> {
        let fault = self.0.borrow().fault;
        if let Some(fault) = &mut self.0.borrow_mut().fault {
            // Nothing is open when an open fails.
            fault.and_does_it = false;
        }
        let opened = self.call(|machine| {
            if machine.writer || access == Access::Ask && machine.readers > 0 {
                return Err(Errno::EBUSY);
            }
            match access {
                Access::Ask => machine.writer = true,
                Access::Read => machine.readers += 1,
            }
            Ok(())
        });
        self.0.borrow_mut().fault = fault;
        opened?;
        Ok(List { machine: Rc::clone(&self.0), name: name.to_owned(), access })
    }

    fn read_list(&mut self, list: &List, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.call(|machine| {
            use imalab_logview::ReadAt;
            Ok(bytes(machine.list(&list.name)).read_at(buffer, offset).unwrap())
        })
    }

    fn ask(&mut self, list: &List, request: &[u8]) -> Result<usize, Errno> {
        self.call(|machine| machine.request(&list.name, request).map(|()| request.len()))
    }

    fn count(&mut self) -> Result<u64, Errno> {
        self.call(|machine| Ok(machine.current.len() as u64))
    }

    fn pcr(&mut self, bank: Bank, pcr: u32) -> Result<Option<Digest>, Errno> {
        self.call(|machine| Ok(machine.has_tpm.then(|| machine.tpm.value(bank, pcr))))
    }

    fn tpm_resets(&mut self) -> Result<Option<u32>, Errno> {
        self.call(|machine| Ok(machine.has_tpm.then_some(machine.resets)))
    }

    fn names(&mut self, folder: Folder) -> Result<Vec<String>, Errno> {
        self.call(|machine| Ok(machine.names_in(folder)))
    }

    fn open(&mut self, folder: Folder, name: &str) -> Result<Vec<u8>, Errno> {
        self.call(|machine| machine.content(folder, name).ok_or(Errno::ENOENT))
    }

    fn create(&mut self, folder: Folder, name: &str) -> Result<usize, Errno> {
        self.call(|machine| {
            let place = (folder, name.to_owned());
            if machine.names.contains_key(&place) {
                return Err(Errno::EEXIST);
            }
            machine.inodes.push(Inode::default());
            let inode = machine.inodes.len() - 1;
            machine.names.insert(place, inode);
            Ok(inode)
        })
    }

    fn write(&mut self, file: &mut usize, bytes: &[u8]) -> Result<usize, Errno> {
        self.call(|machine| {
            let count = bytes.len().min(machine.write_most);
            machine.inodes[*file].data.extend_from_slice(&bytes[..count]);
            Ok(count)
        })
    }

    fn sync(&mut self, file: &mut usize) -> Result<(), Errno> {
        self.call(|machine| {
            let inode = &mut machine.inodes[*file];
            inode.synced = inode.data.clone();
            Ok(())
        })
    }

    fn rename(&mut self, from: (Folder, &str), to: (Folder, &str)) -> Result<(), Errno> {
        self.call(|machine| {
            let inode = machine.names.remove(&(from.0, from.1.to_owned())).ok_or(Errno::ENOENT)?;
            machine.names.insert((to.0, to.1.to_owned()), inode);
            Ok(())
        })
    }

    fn unlink(&mut self, folder: Folder, name: &str) -> Result<(), Errno> {
        self.call(|machine| machine.names.remove(&(folder, name.to_owned())).map(|_| ()).ok_or(Errno::ENOENT))
    }

    fn sync_names(&mut self, folder: Folder) -> Result<(), Errno> {
        self.call(|machine| {
            machine.synced_names.retain(|(of, _), _| *of != folder);
            let now: Names = machine
                .names
                .iter()
                .filter(|((of, _), _)| *of == folder)
                .map(|(at, inode)| (at.clone(), *inode))
                .collect();
            machine.synced_names.extend(now);
            Ok(())
        })
    }

    fn lock(&mut self) -> Result<bool, Errno> {
        self.call(|machine| Ok(!machine.locked_by_reader))
    }

    fn unlock(&mut self) {
        let _ = self.call(|_| Ok(()));
    }
}
