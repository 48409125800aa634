//! A kernel that takes over from another, and what both say of it.

use imalab_wire::{Op, Outcome, Start, Task};

use super::{FakeRun, value};
use crate::evidence::IMA_PCR;
use imalab_formats::ima::{Bank, ByteOrder, Digest, Record, template_data};
use imalab_language::plan::Action;

/// `struct ima_kexec_hdr`, bytes (`security/integrity/ima/ima.h`).
const HEADER: u64 = 24;
const PAGE: u64 = 4096;

/// A record of critical data: template `ima-buf`.
pub(crate) fn critical(name: &str, text: &str) -> Record {
    let digest = [b"sha256:\0".as_slice(), Digest::of(Bank::Sha256, &[text.as_bytes()]).as_bytes()].concat();
    let name = [name.as_bytes(), b"\0"].concat();
    let data = template_data(&[&digest, &name, text.as_bytes()], ByteOrder::Little);
    Record::new(Bank::Sha256, IMA_PCR, "ima-buf", data)
}

/// Bytes of a record in the list.
fn size(record: &Record) -> u64 {
    (4 + 20 + 4 + record.template.len() + 4 + record.data.len()) as u64
}

/// What a kernel counts since it started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    bytes: u64,
    records: u64,
    /// Bytes of the segment of the last load.
    segment: u64,
}

impl FakeRun {
    pub(super) fn count_in(&mut self, record: &Record) {
        self.counts.bytes += size(record);
        self.counts.records += 1;
    }

    fn critical(&mut self, name: &str) {
        let Counts { bytes, records, segment } = self.counts;
        let text = format!(
            "kexec_segment_size={segment};ima_binary_runtime_size={};ima_runtime_measurements_count={records};",
            bytes + HEADER
        );
        self.log(critical(name, &(self.tell)(text)));
    }

    /// Loads a kernel, with a record of it.
    pub(crate) fn load(&mut self) -> usize {
        self.say_load();
        self.plan_load()
    }

    /// The record of a load.
    pub(crate) fn say_load(&mut self) {
        let bytes: u64 = self.staged.iter().flatten().chain(&self.current).map(size).sum();
        self.counts.segment = (bytes + 2 * HEADER + PAGE / 2).next_multiple_of(PAGE);
        self.critical("kexec_load");
    }

    /// A load without its record.
    pub(crate) fn plan_load(&mut self) -> usize {
        let op = Op::KexecLoad { kernel: "same".to_owned(), args: String::new(), flags: 0 };
        self.step("kexec-load", Action::KexecLoad, vec![(op, value(0), Vec::new())], vec![])
    }

    /// Leaves for the next kernel, which carries what `carry` makes of staged and current lists.
    pub(crate) fn execute_with(
        &mut self,
        carry: impl FnOnce(Vec<Record>, Vec<Record>) -> Vec<Record>,
    ) -> usize {
        let step = self.leave();
        self.arrive(carry);
        step
    }

    /// Leaves, with the record of it: no end of the operation comes.
    pub(crate) fn leave(&mut self) -> usize {
        let step = self.leave_silently();
        self.critical("kexec_execute");
        step
    }

    /// Leaves without a record of it.
    pub(crate) fn leave_silently(&mut self) -> usize {
        self.leave_by(Op::KexecExecute)
    }

    /// Panics as it is asked to, which nothing records.
    pub(crate) fn panic(&mut self) -> usize {
        let step = self.leave_by(Op::Panic);
        self.console("Kernel panic - not syncing: sysrq triggered crash");
        step
    }

    fn leave_by(&mut self, op: Op) -> usize {
        let ops = vec![(op, Outcome::NotAttempted, Vec::new())];
        let step = self.step("kexec-execute", Action::KexecExecute, ops, vec![]);
        self.begin_last();
        step
    }

    /// A delete of which no answer comes; the lists are as they were.
    pub(crate) fn delete_unanswered(&mut self) -> usize {
        let mut ops = super::write("staged", b"D\n");
        ops.truncate(2);
        ops[1].1 = Outcome::NotAttempted;
        let step = self.step("delete", Action::Delete, ops, vec![]);
        self.begin_last();
        step
    }

    /// The next kernel starts.
    pub(crate) fn arrive(&mut self, carry: impl FnOnce(Vec<Record>, Vec<Record>) -> Vec<Record>) {
        self.arrive_with(&[super::record("boot_aggregate")], carry);
    }

    /// The next kernel starts with these records of its own.
    pub(crate) fn arrive_with(
        &mut self,
        own: &[Record],
        carry: impl FnOnce(Vec<Record>, Vec<Record>) -> Vec<Record>,
    ) {
        let (staged, current) = (self.staged.take().unwrap_or_default(), std::mem::take(&mut self.current));
        self.counts = Counts::default();
        self.current = carry(staged, current);
        for record in self.current.clone() {
            self.count_in(&record);
        }
        self.boot += 1;
        self.violations = 0;
        self.now = 900;
        self.task = self.plan.program.tasks.len() as u16;
        let (boot, start) = (self.boot, Start::Boot);
        self.plan.program.tasks.push(Task { name: "agent".to_owned(), boot, start, steps: Vec::new() });
        self.console("Linux version 7.3.4 (made up)");
        own.iter().for_each(|record| self.log(record.clone()));
        self.hello();
    }

    /// Leaves for the next kernel, which carries staged then current records.
    pub(crate) fn execute(&mut self) -> usize {
        self.execute_with(|staged, current| [staged, current].concat())
    }
}
