//! The calls of one process on the machine.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use imalab_formats::ima::{Bank, Digest};
use imalab_logkeeper::{Access, Files, Folder, GENERATION, Interface, OpenError, SystemCalls};
use imalab_logview::ReadAt;
use nix::errno::Errno;

use super::{Death, Inode, Machine, Names, Sim, bytes, is_shard};

/// What a call gives that a dead process makes: nothing of the keeper's may look at it.
const DEAD: Errno = Errno::EOWNERDEAD;

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

/// A file that is open.
pub(crate) struct Stored {
    machine: Rc<RefCell<Machine>>,
    data: Vec<u8>,
}

impl ReadAt for Stored {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &mut self.machine.borrow_mut().reads_until_eio {
            Some(0) => return Err(Errno::EIO.into()),
            Some(left) => *left -= 1,
            None => {}
        }
        self.data.read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.data.size()
    }
}

impl Sim {
    /// Another machine that is as this one.
    pub(crate) fn again(&self) -> Sim {
        Sim(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

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
        machine.could_die(Death::Before(call));
        if machine.death == Some(Death::Before(call)) {
            machine.dead = true;
            return Err(DEAD);
        }
        let fault = machine.fault.filter(|fault| fault.call == call);
        if let Some(fault) = fault.filter(|fault| !fault.and_does_it) {
            return Err(fault.errno);
        }
        let result = effect(&mut machine);
        machine.could_die(Death::After(call));
        if machine.death == Some(Death::After(call)) {
            machine.dead = true;
            return Err(DEAD);
        }
        fault.map_or(result, |fault| Err(fault.errno))
    }
}

impl SystemCalls for Sim {
    type List = List;
    type New = usize;
    type File = Stored;

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
        self.call(|machine| Ok(bytes(machine.list(&list.name)).read_at(buffer, offset).unwrap()))
    }

    fn ask(&mut self, list: &List, request: &[u8]) -> Result<usize, Errno> {
        self.call(|machine| machine.asked(&list.name, request).map(|()| request.len()))
    }

    fn count(&mut self) -> Result<u64, Errno> {
        self.call(|machine| Ok(machine.current.len() as u64))
    }

    fn pcr(&mut self, bank: Bank, pcr: u32) -> Result<Option<Digest>, Errno> {
        self.call(|machine| match machine.tpm_fails {
            Some(errno) => Err(errno),
            None => Ok(machine.has_tpm.then(|| machine.pcr(bank, pcr))),
        })
    }

    fn tpm_resets(&mut self) -> Result<Option<u32>, Errno> {
        self.call(|machine| Ok(machine.has_tpm.then_some(machine.resets)))
    }

    fn names(&mut self, folder: Folder) -> Result<Vec<String>, Errno> {
        self.call(|machine| Ok(machine.names_in(folder)))
    }

    fn open(&mut self, folder: Folder, name: &str) -> Result<Stored, OpenError> {
        let data = self.call(|machine| machine.content(folder, name).ok_or(Errno::ENOENT))?;
        Ok(Stored { machine: Rc::clone(&self.0), data })
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
            let lies = machine.sync_lies;
            let inode = &mut machine.inodes[*file];
            if !lies {
                inode.synced = inode.data.clone();
            }
            Ok(())
        })
    }

    fn rename(&mut self, from: (Folder, &str), to: (Folder, &str)) -> Result<(), Errno> {
        self.call(|machine| {
            let generation = to == (Folder::Generation, GENERATION);
            machine.must(!generation || machine.locked, "the generation rose without the lock");
            machine.must(generation || !machine.named(to), "a file took the place of another");
            let inode = machine.names.remove(&(from.0, from.1.to_owned())).ok_or(Errno::ENOENT)?;
            machine.names.insert((to.0, to.1.to_owned()), inode);
            Ok(())
        })
    }

    fn link(&mut self, from: (Folder, &str), to: (Folder, &str)) -> Result<(), Errno> {
        self.call(|machine| {
            if machine.named(to) {
                return Err(Errno::EEXIST);
            }
            let inode = *machine.names.get(&(from.0, from.1.to_owned())).ok_or(Errno::ENOENT)?;
            machine.names.insert((to.0, to.1.to_owned()), inode);
            Ok(())
        })
    }

    fn unlink(&mut self, folder: Folder, name: &str) -> Result<(), Errno> {
        self.call(|machine| {
            machine.must(!is_shard(name) || machine.locked, "a shard was removed without the lock");
            machine.names.remove(&(folder, name.to_owned())).map(|_| ()).ok_or(Errno::ENOENT)
        })
    }

    fn sync_names(&mut self, folder: Folder) -> Result<(), Errno> {
        self.call(|machine| {
            if machine.sync_lies {
                return Ok(());
            }
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
        self.call(|machine| {
            machine.locked = !machine.locked_by_reader;
            Ok(machine.locked)
        })
    }

    fn unlock(&mut self) {
        let _ = self.call(|_| Ok(()));
        self.0.borrow_mut().locked = false;
    }
}
