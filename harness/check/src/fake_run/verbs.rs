//! What the steps of a scenario do in a fake run.

use imalab_wire::{Op, Violation};

use super::call::{Done, path, read, show, value};
use super::{FakeRun, record, violation};
use imalab_formats::ima::Bank;
use imalab_language::interface::{Adapter, Operations, adapter};
use imalab_language::plan::{Action, Form, Mark, MarkAction, Observed, Reading};

/// The calls of a verb, each of which succeeds.
fn done(operations: Option<Operations>) -> Vec<Done> {
    let ops = operations.expect("the interface has the verb").ops;
    let gives = |op: &Op| match op {
        Op::Write { bytes, .. } => value(bytes.len()),
        _ => value(0),
    };
    ops.into_iter().map(|op| (op.clone(), gives(&op), Vec::new())).collect()
}

/// Of a verb that reads first, what it does from where it opens the file that takes the request.
fn request(ops: Vec<Done>) -> Vec<Done> {
    let last = ops.iter().rposition(|(op, ..)| matches!(op, Op::Open { .. })).unwrap_or(0);
    ops.into_iter().skip(last).filter(|(op, ..)| !matches!(op, Op::Read { .. })).collect()
}

impl FakeRun {
    /// Measures `files` files that were never measured before.
    pub(crate) fn measure(&mut self, files: u64) -> usize {
        for _ in 0..files {
            self.made += 1;
            self.log(record(&format!("/m/f-{}", self.made)));
        }
        let op = Op::Measure {
            dir: "/m".to_owned(),
            name: "f".to_owned(),
            salt: "s".to_owned(),
            first: self.made + 1 - files,
            count: files,
        };
        self.step("measure", Action::Measure { files }, vec![(op, value(files as usize), Vec::new())], vec![])
    }

    /// Violates a file and measures it, which are two records.
    pub(crate) fn violate(&mut self) {
        self.violations += 1;
        let number = self.violations;
        self.log(violation(&format!("/m/violated-{number}")));
        self.log(record(&format!("/m/violated-{number}")));
        let op = Op::Violate {
            dir: "/m".to_owned(),
            name: "violated".to_owned(),
            salt: "s".to_owned(),
            first: number,
            count: 1,
            kind: Violation::OpenWriters,
        };
        self.step("violate", Action::Violate { files: 1 }, vec![(op, value(1), Vec::new())], vec![]);
    }

    pub(crate) fn stage(&mut self) -> usize {
        self.staged = Some(std::mem::take(&mut self.current));
        let ops = done(self.adapter().stage(0));
        self.step("stage", Action::Stage, ops, vec![])
    }

    pub(crate) fn save(&mut self) -> usize {
        let (ops, reads) = self.reads(&[(Form::Binary, Bank::Sha256, true)]);
        self.step("save", Action::Save, ops, reads)
    }

    pub(crate) fn delete(&mut self) -> usize {
        self.staged = None;
        let ops = done(self.adapter().delete(0));
        self.step("delete", Action::Delete, ops, vec![])
    }

    pub(crate) fn stage_save_delete(&mut self) {
        self.stage();
        self.save();
        self.delete();
    }

    pub(crate) fn trim(&mut self, records: usize) -> usize {
        let (mut ops, reads) = self.reads(&[(Form::Binary, Bank::Sha256, false)]);
        self.current.drain(..records);
        ops.extend(request(done(self.adapter().trim(0, records as u64))));
        self.step("trim", Action::Trim { records: records as u64 }, ops, reads)
    }

    /// How the interface does its verbs.
    fn adapter(&self) -> Adapter<'static> {
        adapter(self.plan.interface)
    }

    /// Takes a quote.
    pub(crate) fn quote(&mut self) -> usize {
        let mut ops = Vec::new();
        self.mark(&mut ops, true);
        self.step("quote", Action::Quote, ops, vec![])
    }

    /// Reads every view and counter, then waits at a mark.
    pub(crate) fn checkpoint(&mut self) -> usize {
        self.checkpoint_with(false)
    }

    pub(super) fn checkpoint_with(&mut self, quote: bool) -> usize {
        let mut views = Vec::new();
        for staged in [true, false] {
            for bank in self.plan.machine.banks.clone() {
                views.extend([(Form::Binary, bank, staged), (Form::Ascii, bank, staged)]);
            }
        }
        let (mut ops, mut reads) = self.reads(&views);
        let count = path(self.plan.interface.dialect().count);
        for (of, name, number) in [
            (Observed::Count, &*count, self.current.len() as u64 + self.count_off),
            (Observed::Violations, "violations", self.violations),
        ] {
            reads.push(Reading { op: ops.len() as u16 + 1, of });
            ops.extend(read(name, format!("{number}\n").into_bytes()));
        }
        self.mark(&mut ops, quote);
        self.step("checkpoint", Action::Checkpoint, ops, reads)
    }

    fn mark(&mut self, ops: &mut Vec<Done>, quote: bool) {
        let number = self.plan.marks.len() as u64 + 1;
        self.plan.marks.push(Mark {
            number,
            step: self.plan.steps.len() as u32,
            does: if quote { MarkAction::Quote } else { MarkAction::Read },
        });
        let op = Op::Mark { path: "/dev/tpm0".to_owned(), number };
        ops.push((op, value(0), Vec::new()));
    }

    /// Opens, reads and closes each of the views.
    pub(crate) fn reads(&self, views: &[(Form, Bank, bool)]) -> (Vec<Done>, Vec<Reading>) {
        let (mut ops, mut reads) = (Vec::new(), Vec::new());
        for (form, bank, staged) in views.iter().copied() {
            let Some(path) = self.adapter().list(form, Some(bank), staged) else { continue };
            reads.push(Reading { op: ops.len() as u16 + 1, of: Observed::List { form, bank, staged } });
            let empty = Vec::new();
            let records = if staged { self.staged.as_ref().unwrap_or(&empty) } else { &self.current };
            let bytes = (self.view)(form, bank, staged, show(records, form, bank));
            ops.extend(read(&path, bytes));
        }
        (ops, reads)
    }
}
