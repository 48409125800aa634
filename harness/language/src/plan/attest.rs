//! `attest`: what an attestation agent does between two quotes, by `Documentation/security/IMA-export-delete.rst`,
//! "Remote Attestation Agent Workflow".

use imalab_wire::Op;
use nix::fcntl::OFlag;

use super::PlanError;
use super::compile::Compiler;
use crate::interface::{Operations, find, unseen};
use crate::scenario::{Attestation, Step};
use crate::vocabulary::{Action, Expect, Form, Observed, Reading};
use imalab_formats::ima::Bank;

/// Bytes that each `read(2)` of the list asks for.
const CHUNK: u32 = 64 * 1024;

impl Compiler<'_> {
    pub(super) fn attest(&mut self, step: &Step, how: Attestation, expect: Expect) -> Result<(), PlanError> {
        let own = self.slots.own;
        match how {
            Attestation::Trim => {
                let operations = self.adapter.trim_found(own);
                self.listed(step, "attest by trim", operations, Action::TrimFound, expect)
            }
            // What must fail is tried alone: there is nothing to save or to delete after it.
            Attestation::Stage if matches!(expect, Expect::Errno(_)) => {
                self.listed(step, "attest: stage", self.adapter.stage(own), Action::Stage, expect)
            }
            Attestation::Stage => {
                let [stage, delete] = match self.by_one_descriptor() {
                    Some(both) => both.map(Some),
                    None => [self.adapter.stage(own), self.adapter.delete(own)],
                };
                let held = stage.as_ref().is_some_and(|operations| !closes(operations));
                let save = if held { Some(self.read()) } else { self.adapter.save(own) };
                let find = self.find().map(|operations| if held { bare(operations) } else { operations });
                self.listed(step, "attest: stage", stage, Action::Stage, expect)?;
                self.listed(step, "attest: save", save, Action::Save, expect)?;
                self.listed(step, "attest: replay", find, Action::SystemCall, expect)?;
                self.listed(step, "attest: delete", delete, Action::Delete, expect)
            }
        }
    }

    /// Staging without closing, and deleting by the same open file, where the interface does both by one file: nobody
    /// else comes in between, and when opening it is refused, nothing is done at all.
    fn by_one_descriptor(&self) -> Option<[Operations; 2]> {
        let slot = self.slots.own;
        let (stage, delete) = (self.adapter.stage(slot)?, self.adapter.delete(slot)?);
        match (stage.ops.as_slice(), delete.ops.as_slice()) {
            (
                [Op::Open { path, mode, .. }, staging @ Op::Write { .. }, Op::Close { .. }],
                [Op::Open { path: same, .. }, deleting @ Op::Write { .. }, close @ Op::Close { .. }],
            ) if path == same => {
                let flags = OFlag::O_RDWR.bits();
                let open = Op::Open { slot, path: path.clone(), flags, mode: *mode };
                Some([unseen(vec![open, staging.clone()]), unseen(vec![deleting.clone(), close.clone()])])
            }
            _ => None,
        }
    }

    /// Reads the staged list by the descriptor that staged it.
    fn read(&self) -> Operations {
        let op = Op::Read { slot: self.slots.own, chunk: CHUNK, limit: None, send: true, nothing: None };
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: true };
        Operations { ops: vec![op], reads: vec![Reading { op: 0, of }] }
    }

    /// Finds how many of the staged records lead to the PCR.
    fn find(&self) -> Option<Operations> {
        let slot = self.slots.own;
        let path = self.adapter.list(Form::Binary, Some(Bank::Sha1), true)?;
        let open = Op::Open { slot, path, flags: OFlag::O_RDONLY.bits(), mode: 0 };
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: true };
        let ops = vec![open, find(slot, true), Op::Close { slot }];
        Some(Operations { ops, reads: vec![Reading { op: 1, of }] })
    }
}

fn closes(operations: &Operations) -> bool {
    operations.ops.iter().any(|op| matches!(op, Op::Close { .. }))
}

/// What lies between opening and closing.
fn bare(operations: Operations) -> Operations {
    let ops =
        operations.ops.into_iter().filter(|op| !matches!(op, Op::Open { .. } | Op::Close { .. })).collect();
    let reads = operations
        .reads
        .into_iter()
        .map(|reading| Reading { op: reading.op.saturating_sub(1), ..reading })
        .collect();
    Operations { ops, reads }
}
