//! A dialect's verbs in system calls, and what its requests mean for the lists.

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::{CHUNK, IMA, Operations, TPM, read_whole};
use crate::vocabulary::{Action, Form, Observed, Reading};
use imalab_formats::Interface;
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{Access, Call, Calls, Dialect, Target};
use imalab_formats::ima::lists::{Kind, Mark, Request};
use imalab_formats::ima::model::File;

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
    pub fn stage(self, slot: Slot) -> Option<Operations> {
        self.calls(self.0.verbs.stage?, slot, &[])
    }

    /// Reads the staged list.
    pub fn save(self, slot: Slot) -> Option<Operations> {
        self.calls(self.0.verbs.save?, slot, &[])
    }

    /// Removes the staged list.
    pub fn delete(self, slot: Slot) -> Option<Operations> {
        self.calls(self.0.verbs.delete?, slot, &[])
    }

    /// Reads the current list and removes its first records.
    pub fn trim(self, slot: Slot, records: u64) -> Option<Operations> {
        self.calls(self.0.verbs.trim?, slot, &[("{n}", &records.to_string())])
    }

    /// Reads the current list, finds how many of its records the TPM's PCR accounts for, and removes those.
    pub fn trim_found(self, slot: Slot) -> Option<Operations> {
        self.calls(self.0.verbs.trim_found?, slot, &[])
    }

    /// Reads the current list and removes what is before a mark in it.
    pub fn trim_to(self, slot: Slot, mark: Mark) -> Option<Operations> {
        let mark = match mark {
            Mark::First => "first".to_owned(),
            Mark::Last => "last".to_owned(),
            Mark::Nth(number) => format!("marker {number}"),
        };
        self.calls(self.0.verbs.trim_to?, slot, &[("{mark}", &mark)])
    }

    /// Has the kernel record a mark.
    pub fn mark(self, slot: Slot) -> Option<Operations> {
        self.calls(self.0.verbs.mark?, slot, &[])
    }

    /// Has the kernel divide its list, and reads what is before the mark.
    pub fn snapshot(self, slot: Slot) -> Option<Operations> {
        self.calls(self.0.verbs.snapshot?, slot, &[])
    }

    /// As [`Adapter::snapshot`], and removes what was read.
    pub fn purge(self, slot: Slot) -> Option<Operations> {
        self.calls(self.0.verbs.purge?, slot, &[])
    }

    /// Path of the counter of the current list's records.
    pub fn count(self) -> String {
        format!("{IMA}/{}", self.0.count)
    }

    /// The calls, with these words for what stands for them in what is written.
    fn calls(self, calls: Calls, slot: Slot, words: &[(&str, &str)]) -> Option<Operations> {
        let mut operations = Operations::nothing();
        let mut staged = false;
        for call in calls {
            let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged };
            let reading = Reading { op: operations.next(), of };
            let op = match call {
                Call::Open(target, access) => {
                    staged = *target == Target::STAGED;
                    let path = format!("{IMA}/{}", self.0.target_name(*target)?);
                    Op::Open { slot, path, flags: flags(*access).bits(), mode: 0 }
                }
                Call::Read => {
                    operations.reads.push(reading);
                    Op::Read { slot, chunk: CHUNK, limit: None, send: true, nothing: self.nothing(staged) }
                }
                Call::Number => Op::ReadNumber { slot },
                Call::Write("{found}\n") => Op::WriteFound { slot },
                Call::Write(text) => {
                    let known =
                        words.iter().fold((*text).to_owned(), |text, (name, word)| text.replace(name, word));
                    // The rest is known in the guest alone.
                    match known.contains('{') {
                        true => Op::WriteFilled { slot, text: known },
                        false => Op::Write { slot, bytes: known.into_bytes() },
                    }
                }
                Call::Find => {
                    operations.reads.push(reading);
                    find(slot, staged)
                }
                Call::Close => Op::Close { slot },
            };
            operations.ops.push(op);
        }
        Some(operations)
    }

    /// The error by which a file says that nothing is staged.
    fn nothing(self, staged: bool) -> Option<i32> {
        self.0.nothing_staged.filter(|_| staged).map(|errno| errno as i32)
    }

    /// Opens a file of a list, reads it to its end, closes it: where nothing is staged, that is no error, whatever the
    /// kernel says.
    pub fn read(self, slot: Slot, path: String, of: Observed) -> Operations {
        let mut operations = read_whole(slot, path, of);
        let staged = matches!(of, Observed::List { staged: true, .. });
        for op in &mut operations.ops {
            if let Op::Read { nothing, .. } = op {
                *nothing = self.nothing(staged);
            }
        }
        operations
    }

    /// What writing this to a file does to the list when the kernel takes it.
    pub fn meaning(self, file: File, bytes: &[u8]) -> Option<Action> {
        match self.0.request(file, bytes)? {
            Request::StageAll | Request::StageFirst(_) | Request::StageUpTo(_) => Some(Action::Stage),
            Request::Delete => Some(Action::Delete),
            Request::Trim(records) | Request::TrimIf { records, .. } => Some(Action::Trim { records }),
            // More than there can be.
            Request::TrimAll => Some(Action::Trim { records: i64::MAX as u64 }),
            Request::TrimTo(_) | Request::Purge => Some(Action::TrimTo),
            // What goes back is no trim; nobody writes it but the verb.
            Request::DeleteFirst(_) | Request::MarkLog => None,
        }
    }
}

pub(crate) fn flags(access: Access) -> OFlag {
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
