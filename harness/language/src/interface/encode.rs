//! A dialect's verbs in system calls, and what its requests mean for the lists.

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::{Adapter, CHUNK, Deed, IMA, find, read_whole, request, unseen};
use crate::plan::{Action, Form, Observed, Reading};
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{Asked, Dialect, Means, On, Originals, StagedFiles, Trim};

/// Name of a file of the current list.
pub(super) fn file_name(form: Form, bank: Option<Bank>) -> String {
    let form = match form {
        Form::Binary => "binary",
        Form::Ascii => "ascii",
    };
    let bank = bank.map(|bank| format!("_{bank}")).unwrap_or_default();
    format!("{form}_runtime_measurements{bank}")
}

/// Name of a file of the staged list.
pub(super) fn staged_name(staged: StagedFiles, form: Form, bank: Option<Bank>) -> Option<String> {
    match staged {
        StagedFiles::None => None,
        StagedFiles::BankFirst => Some(format!("{}_staged", file_name(form, bank))),
        StagedFiles::BankLast => {
            let bank = bank.map(|bank| format!("_{bank}")).unwrap_or_default();
            Some(format!("{}_staged{bank}", file_name(form, None)))
        }
    }
}

/// What a list shows in the file that requests and savers use: its sha1 file, which exists whatever banks the TPM has.
fn list(staged: bool) -> Observed {
    Observed::List { form: Form::Binary, bank: Bank::Sha1, staged }
}

/// Path of that file.
fn path(dialect: &Dialect, on: On) -> Option<String> {
    dialect.list(Form::Binary, Some(Bank::Sha1), on == On::Staged)
}

fn asked(dialect: &Dialect, slot: Slot, asked: Option<Asked>) -> Option<Deed> {
    let Asked { on, text } = asked?;
    Some(request(slot, path(dialect, on)?, text))
}

fn open(slot: Slot, path: String, flags: OFlag) -> Op {
    Op::Open { slot, path, flags: flags.bits(), mode: 0 }
}

fn write(slot: Slot, text: impl Into<Vec<u8>>) -> Op {
    Op::Write { slot, bytes: text.into() }
}

impl Adapter for Dialect {
    fn list(&self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String> {
        let name = if staged { staged_name(self.staged, form, bank)? } else { file_name(form, bank) };
        Some(format!("{IMA}/{name}"))
    }

    fn stage(&self, slot: Slot) -> Option<Deed> {
        asked(self, slot, self.stage)
    }

    fn save(&self, slot: Slot) -> Option<Deed> {
        Some(self.read(slot, path(self, On::Staged)?, list(true)))
    }

    fn delete(&self, slot: Slot) -> Option<Deed> {
        asked(self, slot, self.delete)
    }

    fn trim(&self, slot: Slot, records: u64) -> Option<Deed> {
        let current = path(self, On::Original)?;
        let read = || read_whole(slot, current.clone(), list(false));
        // The file stays open in between, so that nobody else's records are deleted.
        let writes = |texts: [String; 2]| {
            let [first, then] = texts;
            let ops = vec![
                open(slot, path(self, On::Staged)?, OFlag::O_WRONLY),
                write(slot, first),
                write(slot, then),
                Op::Close { slot },
            ];
            Some(read().then(unseen(ops)))
        };
        match self.trim? {
            Trim::Number { on, sign, .. } => {
                Some(read().then(request(slot, path(self, on)?, &format!("{sign}{records}\n"))))
            }
            Trim::StageThenDelete => writes([format!("{records}\n"), "D\n".to_owned()]),
            Trim::StageThenNumber => writes(["A\n".to_owned(), format!("{records}\n")]),
            Trim::Commit => {
                let ops = vec![
                    open(slot, current, OFlag::O_RDWR),
                    Op::Read { slot, chunk: CHUNK, limit: None, send: true, nothing: None },
                    write(slot, format!("{records}\n")),
                    Op::Close { slot },
                ];
                Some(Deed { ops, reads: vec![Reading { op: 1, of: list(false) }] })
            }
        }
    }

    fn trim_found(&self, slot: Slot) -> Option<Deed> {
        let current = path(self, On::Original)?;
        let by_one = Trim::Number { on: On::Original, sign: "", after_read: true };
        let trim = self.trim?;
        if trim == Trim::Commit || trim == by_one {
            let found = find(slot, current, false, OFlag::O_RDWR);
            return Some(found.then(unseen(vec![Op::WriteFound { slot }, Op::Close { slot }])));
        }
        // What was read before may be gone by then: the list that shows the records cannot be kept open, since it would
        // exclude the request.
        let found = find(slot, current, false, OFlag::O_RDONLY);
        let found_is = |on: On, before: Option<&str>, after: Option<&str>| {
            let mut ops = vec![Op::Close { slot }, open(slot, path(self, on)?, OFlag::O_WRONLY)];
            ops.extend(before.map(|text| write(slot, text)));
            ops.push(Op::WriteFound { slot });
            ops.extend(after.map(|text| write(slot, text)));
            ops.push(Op::Close { slot });
            Some(unseen(ops))
        };
        let request = match trim {
            Trim::Number { on, sign: "", .. } => found_is(on, None, None)?,
            // The number has no sign, so it stages; and is deleted while nobody else can come in between.
            Trim::Number { .. } | Trim::StageThenDelete => found_is(On::Staged, None, Some("D\n"))?,
            Trim::StageThenNumber => found_is(On::Staged, Some("A\n"), None)?,
            Trim::Commit => return None,
        };
        Some(found.then(request))
    }

    fn read(&self, slot: Slot, path: String, of: Observed) -> Deed {
        let mut deed = read_whole(slot, path, of);
        let staged = matches!(of, Observed::List { staged: true, .. });
        for op in &mut deed.ops {
            if let (Op::Read { nothing, .. }, true) = (op, staged) {
                *nothing = self.nothing_staged.map(|errno| errno as i32);
            }
        }
        deed
    }

    fn meaning(&self, staged: bool, text: &str) -> Option<Action> {
        let is_on = |on: On| staged == (on == On::Staged);
        // Nothing is promised of it, so that nothing is either where the kernel takes it: but the log has to know.
        if self.originals == Originals::OptionIsOff && staged || !self.grammar.length.contains(&text.len()) {
            return None;
        }
        let request = match text.strip_suffix('\n') {
            Some(request) => request,
            None if self.grammar.newline_needed => return None,
            None => text,
        };
        if let Some((_, _, verb)) =
            self.grammar.verbs.iter().find(|(on, letter, _)| is_on(*on) && request.as_bytes() == [*letter])
        {
            return match verb {
                imalab_formats::ima::lists::Request::StageAll => Some(Action::Stage),
                _ => Some(Action::Delete),
            };
        }
        let number = self.grammar.number.as_ref().filter(|number| is_on(number.on))?;
        let records = number.value(request)?;
        let means = if records < 0 { number.negative? } else { number.positive };
        let records = u64::try_from(records.unsigned_abs()).ok()?;
        match means {
            Means::StageFirst | Means::StageUpTo => (records > 0).then_some(Action::Stage),
            Means::Trim if number.is_string => Some(Action::Trim { records }),
            Means::Trim => (records > 0).then_some(Action::Trim { records }),
            // What goes back is no trim; nobody writes it but the verb.
            Means::DeleteFirst => None,
        }
    }
}
