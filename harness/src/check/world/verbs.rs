//! What the steps of a scenario do in the made-up world.

use imalab_wire::{Op, Violation};

use super::call::{Done, list, read, show, value, write};
use super::{World, record, violation};
use crate::ima::Bank;
use crate::plan::{Action, Form, Mark, MarkDeed, Observed, Reading};

impl World {
    /// Measures `files` files that were never measured before.
    pub(in crate::check) fn measure(&mut self, files: u64) -> usize {
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
    pub(in crate::check) fn violate(&mut self) {
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

    pub(in crate::check) fn stage(&mut self) -> usize {
        self.staged = Some(std::mem::take(&mut self.current));
        self.step("stage", Action::Stage, write("staged", b"A\n"), vec![])
    }

    pub(in crate::check) fn save(&mut self) -> usize {
        let (ops, reads) = self.reads(&[(Form::Binary, Bank::Sha256, true)]);
        self.step("save", Action::Save, ops, reads)
    }

    pub(in crate::check) fn delete(&mut self) -> usize {
        self.staged = None;
        self.step("delete", Action::Delete, write("staged", b"D\n"), vec![])
    }

    pub(in crate::check) fn stage_save_delete(&mut self) {
        self.stage();
        self.save();
        self.delete();
    }

    pub(in crate::check) fn trim(&mut self, records: usize) -> usize {
        let (mut ops, reads) = self.reads(&[(Form::Binary, Bank::Sha256, false)]);
        self.current.drain(..records);
        ops.extend(write("current", format!("{records}\n").as_bytes()));
        self.step("trim", Action::Trim { records: records as u64 }, ops, reads)
    }

    /// Takes a quote.
    pub(in crate::check) fn quote(&mut self) -> usize {
        let mut ops = Vec::new();
        self.mark(&mut ops, true);
        self.step("quote", Action::Quote, ops, vec![])
    }

    /// Reads every view and counter, then waits at a mark.
    pub(in crate::check) fn checkpoint(&mut self) -> usize {
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
        for (of, name, number) in [
            (Observed::Count, "count", self.current.len() as u64 + self.count_off),
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
            does: if quote { MarkDeed::Quote } else { MarkDeed::Read },
        });
        let op = Op::Mark { path: "/dev/tpm0".to_owned(), number };
        ops.push((op, value(0), Vec::new()));
    }

    /// Opens, reads and closes each of the views.
    pub(in crate::check) fn reads(&self, views: &[(Form, Bank, bool)]) -> (Vec<Done>, Vec<Reading>) {
        let (mut ops, mut reads) = (Vec::new(), Vec::new());
        for (form, bank, staged) in views.iter().copied() {
            reads.push(Reading { op: ops.len() as u16 + 1, of: Observed::List { form, bank, staged } });
            let empty = Vec::new();
            let records = if staged { self.staged.as_ref().unwrap_or(&empty) } else { &self.current };
            let bytes = (self.view)(form, bank, staged, show(records, form, bank));
            ops.extend(read(&list(form, bank, staged), bytes));
        }
        (ops, reads)
    }
}
