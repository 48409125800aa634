//! A dialect's verbs in system calls, and what its requests mean for the lists.

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::{CHUNK, Deed, IMA, TPM, read_whole};
use crate::plan::{Action, Form, Interface, Observed, Reading};
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{Access, Call, Calls, Dialect};
use imalab_formats::ima::lists::{Kind, ListId, Request};
use imalab_formats::ima::model::ListFile;

/// How a kernel interface does the verbs; a verb is `None` where it has no way to.
#[derive(Clone, Copy, Debug)]
pub struct Adapter<'d>(&'d Dialect);

/// The adapter of an interface.
pub fn adapter(interface: Interface) -> Adapter<'static> {
    Adapter(interface.dialect())
}

fn kind(staged: bool) -> Kind {
    if staged { Kind::Staged } else { Kind::Current }
}

impl<'d> Adapter<'d> {
    /// That of a dialect.
    pub fn of(dialect: &'d Dialect) -> Adapter<'d> {
        Adapter(dialect)
    }

    /// Path of a measurement list; without a bank, of the file that has none in its name.
    pub fn list(self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String> {
        let name = self.0.file_name(kind(staged), form == Form::Ascii, bank)?;
        Some(format!("{IMA}/{name}"))
    }

    /// Moves the current list to the staged list.
    pub fn stage(self, slot: Slot) -> Option<Deed> {
        self.calls(self.0.verbs.stage?, slot, 0)
    }

    /// Reads the staged list.
    pub fn save(self, slot: Slot) -> Option<Deed> {
        self.calls(self.0.verbs.save?, slot, 0)
    }

    /// Removes the staged list.
    pub fn delete(self, slot: Slot) -> Option<Deed> {
        self.calls(self.0.verbs.delete?, slot, 0)
    }

    /// Reads the current list and removes its first records.
    pub fn trim(self, slot: Slot, records: u64) -> Option<Deed> {
        self.calls(self.0.verbs.trim?, slot, records)
    }

    /// Reads the current list, finds how many of its records the TPM's PCR accounts for, and removes those.
    pub fn trim_found(self, slot: Slot) -> Option<Deed> {
        self.calls(self.0.verbs.trim_found?, slot, 0)
    }

    fn calls(self, calls: Calls, slot: Slot, records: u64) -> Option<Deed> {
        let mut deed = Deed::nothing();
        let mut open = Kind::Current;
        for call in calls {
            // That of SHA-1, which exists whatever banks the TPM has.
            let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: open == Kind::Staged };
            let reading = Reading { op: deed.next(), of };
            let op = match call {
                Call::Open(which, access) => {
                    open = *which;
                    let path = self.list(Form::Binary, Some(Bank::Sha1), open == Kind::Staged)?;
                    Op::Open { slot, path, flags: flags(*access).bits(), mode: 0 }
                }
                Call::Read => {
                    deed.reads.push(reading);
                    let nothing = self.nothing(open == Kind::Staged);
                    Op::Read { slot, chunk: CHUNK, limit: None, send: true, nothing }
                }
                Call::Write(text) => {
                    Op::Write { slot, bytes: text.replace("{n}", &records.to_string()).into_bytes() }
                }
                Call::Find => {
                    deed.reads.push(reading);
                    find(slot, open == Kind::Staged)
                }
                Call::WriteFound => Op::WriteFound { slot },
                Call::Close => Op::Close { slot },
            };
            deed.ops.push(op);
        }
        Some(deed)
    }

    /// The error by which a file says that nothing is staged.
    fn nothing(self, staged: bool) -> Option<i32> {
        self.0.nothing_staged.filter(|_| staged).map(|errno| errno as i32)
    }

    /// Opens a file of a list, reads it to its end, closes it: where nothing is staged, that is no error, whatever the
    /// kernel says.
    pub fn read(self, slot: Slot, path: String, of: Observed) -> Deed {
        let mut deed = read_whole(slot, path, of);
        let staged = matches!(of, Observed::List { staged: true, .. });
        for op in &mut deed.ops {
            if let Op::Read { nothing, .. } = op {
                *nothing = self.nothing(staged);
            }
        }
        deed
    }

    /// What writing this to a measurement list does to it when the kernel takes it.
    pub fn meaning(self, staged: bool, bytes: &[u8]) -> Option<Action> {
        let file = ListFile { ascii: false, bank: Bank::Sha1, list: ListId::of(kind(staged)) };
        match self.0.request(file, bytes)? {
            Request::StageAll | Request::StageFirst(_) | Request::StageUpTo(_) => Some(Action::Stage),
            Request::Delete => Some(Action::Delete),
            Request::Trim(records) => Some(Action::Trim { records }),
            // More than there can be.
            Request::TrimAll => Some(Action::Trim { records: i64::MAX as u64 }),
            // What goes back is no trim; nobody writes it but the verb.
            Request::DeleteFirst(_) => None,
        }
    }
}

pub(super) fn flags(access: Access) -> OFlag {
    match access {
        Access::Read => OFlag::O_RDONLY,
        Access::Write => OFlag::O_WRONLY,
        Access::ReadWrite => OFlag::O_RDWR,
    }
}

/// Reads the open list and finds how many of its records the TPM's PCR accounts for; of staged ones it keeps account.
pub(crate) fn find(slot: Slot, staged: bool) -> Op {
    Op::FindQuoted { tpm: TPM.to_owned(), slot, chunk: CHUNK, send: true, account: staged }
}
