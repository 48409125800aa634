//! What the steps of a scenario do in the made-up world.

use imalab_wire::{Op, Violation};

use super::call::{Done, list, path, read, show, value, write};
use super::{World, record, violation};
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{Asked, Dialect, On, Trim};
use imalab_language::plan::{Action, Form, Mark, MarkDeed, Observed, Reading};

/// The file that requests go to.
fn name(on: On) -> &'static str {
    if on == On::Staged { "staged" } else { "current" }
}

/// Opens a file for writing, writes several times, closes it.
fn writes(name: &str, texts: &[&str]) -> Vec<Done> {
    let mut ops = write(name, texts[0].as_bytes());
    for text in &texts[1..] {
        let more = (Op::Write { slot: 0, bytes: text.as_bytes().to_vec() }, value(text.len()), Vec::new());
        ops.insert(ops.len() - 1, more);
    }
    ops
}

impl World {
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
        let ops = self.asked(self.dialect().stage);
        self.step("stage", Action::Stage, ops, vec![])
    }

    pub(crate) fn save(&mut self) -> usize {
        let (ops, reads) = self.reads(&[(Form::Binary, Bank::Sha256, true)]);
        self.step("save", Action::Save, ops, reads)
    }

    pub(crate) fn delete(&mut self) -> usize {
        self.staged = None;
        let ops = self.asked(self.dialect().delete);
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
        ops.extend(self.trims(records));
        self.step("trim", Action::Trim { records: records as u64 }, ops, reads)
    }

    fn dialect(&self) -> &'static Dialect {
        self.plan.interface.dialect()
    }

    /// A request in the words of the dialect that the kernel speaks.
    fn asked(&self, asked: Option<Asked>) -> Vec<Done> {
        let Asked { on, text } = asked.expect("the dialect has it");
        write(name(on), text.as_bytes())
    }

    fn trims(&self, records: usize) -> Vec<Done> {
        let number = format!("{records}\n");
        match self.dialect().trim.expect("the dialect trims") {
            Trim::Number { on, sign, .. } => write(name(on), format!("{sign}{number}").as_bytes()),
            Trim::StageThenDelete => writes("staged", &[&number, "D\n"]),
            Trim::StageThenNumber => writes("staged", &["A\n", &number]),
            Trim::Commit => {
                let mut ops = write("current", number.as_bytes());
                ops[0].0 = Op::Open { slot: 0, path: path("current"), flags: 2, mode: 0 };
                ops
            }
        }
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
    pub(crate) fn reads(&self, views: &[(Form, Bank, bool)]) -> (Vec<Done>, Vec<Reading>) {
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
