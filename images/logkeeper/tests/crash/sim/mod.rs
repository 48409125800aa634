//! A machine that can be killed, kexec'd, reset and let down at each system call of the keeper.

mod calls;

pub(crate) use calls::Stored;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use imalab_formats::ima::{Bank, ByteOrder, Digest, Generator, Mix, Record, write_record};
use imalab_logkeeper::{Folder, Interface};
use imalab_logview::Position;
use nix::errno::Errno;

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

#[derive(Clone)]
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
    /// So many reads of a file go well, and the next one does not.
    pub(crate) reads_until_eio: Option<u64>,
    /// Nothing that is synced reaches the disk, and every sync says that it did.
    pub(crate) sync_lies: bool,
    /// The TPM answers with this error.
    pub(crate) tpm_fails: Option<Errno>,
    /// The last record is in the list, and on its way to the TPM.
    pub(crate) in_flight: bool,
    pub(crate) dead: bool,
    pub(crate) locked_by_reader: bool,
    locked: bool,
    /// What was done that must never be: in words.
    pub(crate) broken: Option<String>,
    /// Records of a day that have come.
    of_day: usize,
    /// The machine as it would be if the process died, for each call so far; `None`: nobody wants to know.
    deaths: Option<Vec<Dead>>,
}

/// A machine whose process died.
#[derive(Clone)]
pub(crate) struct Dead {
    pub(crate) at: Death,
    machine: Machine,
}

impl Dead {
    /// The machine when the rest of its day has gone by: records come whether there is a keeper or not.
    pub(crate) fn sim(&self) -> Sim {
        let mut machine = self.machine.clone();
        while machine.of_day > 0 && machine.of_day < DAY {
            machine.measure_of_day();
        }
        Sim(Rc::new(RefCell::new(machine)))
    }

    /// The machine at that very moment, for another process that reads while the keeper is alive; `None`: the keeper has readers wait.
    pub(crate) fn for_reader(&self) -> Option<Sim> {
        let mut machine = self.machine.clone();
        (machine.dead, machine.death, machine.fault, machine.measure_each) = (false, None, None, 0);
        (!machine.locked).then(|| Sim(Rc::new(RefCell::new(machine))))
    }

    /// Whether the call at which it died had its effect.
    pub(crate) fn had_effect(&self) -> bool {
        matches!(self.at, Death::After(_))
    }
}

/// Records of a day.
pub(crate) const DAY: usize = 12;

/// The system of one process on such a machine.
#[derive(Clone)]
pub(crate) struct Sim(pub(crate) Rc<RefCell<Machine>>);

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
            reads_until_eio: None,
            sync_lies: false,
            tpm_fails: None,
            in_flight: false,
            dead: false,
            locked_by_reader: false,
            locked: false,
            broken: None,
            of_day: 0,
            deaths: None,
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
        if self.all.len().is_multiple_of(3) {
            return self.violate();
        }
        let record = self.records.next().unwrap();
        self.append(record);
    }

    pub(crate) fn measure_of_day(&mut self) {
        self.of_day += 1;
        self.measure();
    }

    /// From now on the machine is remembered as it is at each call.
    pub(crate) fn remember_deaths(&mut self) {
        self.deaths = Some(Vec::new());
    }

    /// What was remembered.
    pub(crate) fn deaths(&mut self) -> Vec<Dead> {
        self.deaths.take().unwrap_or_default()
    }

    /// The process could die here.
    fn could_die(&mut self, at: Death) {
        if let Some(mut deaths) = self.deaths.take() {
            let mut machine = self.clone();
            machine.dead = true;
            deaths.push(Dead { at, machine });
            self.deaths = Some(deaths);
        }
    }

    /// A violation comes, the same as all others.
    pub(crate) fn violate(&mut self) {
        let mut record = Generator::new(1, Mix::Common).nth(1).unwrap();
        record.digest = vec![0; 20];
        self.append(record);
    }

    /// What the TPM says.
    fn pcr(&self, bank: Bank, pcr: u32) -> Digest {
        if !self.in_flight {
            return self.tpm.value(bank, pcr);
        }
        let mut before = Position::start();
        before.pass_all(&bytes(&self.all[..self.all.len() - 1])).unwrap();
        before.value(bank, pcr)
    }

    /// Something must be so at each call, or the keeper is wrong whatever comes of it.
    fn must(&mut self, so: bool, what: &str) {
        if !so && self.broken.is_none() {
            self.broken = Some(what.to_owned());
        }
    }

    /// Whether all shards would be there if the machine went on now without what was not synced.
    fn shards_are_durable(&self) -> bool {
        self.names.iter().filter(|((folder, name), _)| *folder == Folder::Shards && is_shard(name)).all(
            |(place, inode)| {
                let content = &self.inodes[*inode];
                self.synced_names.get(place) == Some(inode) && content.synced == content.data
            },
        )
    }

    fn list(&self, name: &str) -> &[Record] {
        if name.contains("staged") { &self.staged } else { &self.current }
    }

    /// The keeper asks for something.
    fn asked(&mut self, name: &str, request: &[u8]) -> Result<(), Errno> {
        self.must(self.locked, "the kernel was asked for something without the lock");
        let before = self.staged.len() + self.current.len();
        self.request(name, request)?;
        if self.staged.len() + self.current.len() < before {
            self.must(
                self.sync_lies || self.shards_are_durable(),
                "records left the kernel before shards were synced",
            );
        }
        Ok(())
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
        (self.reads_until_eio, self.in_flight) = (None, false);
        // What the dead one had open is closed.
        (self.writer, self.readers, self.locked) = (false, 0, false);
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

    /// TPM2_Clear: the count begins anew, and PCRs go on.
    pub(crate) fn clear_tpm(&mut self) {
        self.resets = 0;
    }

    /// A cold boot as a TPM Restart, after a TPM2_Shutdown(STATE): PCRs begin anew, and the count does not change.
    pub(crate) fn restart(&mut self, fate: Fate) {
        self.cold_boot(fate);
        self.resets -= 1;
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

    fn named(&self, (folder, name): (Folder, &str)) -> bool {
        self.names.contains_key(&(folder, name.to_owned()))
    }

    pub(crate) fn names_in(&self, folder: Folder) -> Vec<String> {
        self.names.keys().filter(|(of, _)| *of == folder).map(|(_, name)| name.clone()).collect()
    }

    /// What the kernel holds: staged records, then current ones.
    pub(crate) fn held(&self) -> Vec<u8> {
        bytes(&[self.staged.as_slice(), &self.current].concat())
    }

    /// Whether the kernel does not hold all records any more.
    pub(crate) fn some_have_left(&self) -> bool {
        self.staged.len() + self.current.len() < self.all.len()
    }

    pub(crate) fn tpm(&self) -> &Position {
        &self.tpm
    }
}

fn is_shard(name: &str) -> bool {
    name.ends_with(".rec")
}
