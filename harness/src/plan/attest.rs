//! `attest`: what an attestation agent does between two quotes, by `Documentation/security/IMA-export-delete.rst`,
//! "Remote Attestation Agent Workflow".

use imalab_wire::Op;
use nix::fcntl::OFlag;

use super::PlanError;
use super::compile::Compiler;
use super::types::{Action, Expect, Form, Observed, Reading};
use crate::ima::Bank;
use crate::interface::{Deed, TPM};
use crate::scenario::{Attestation, Step};

/// Bytes that each `read(2)` of the list asks for.
const CHUNK: u32 = 64 * 1024;

impl Compiler<'_> {
    pub(super) fn attest(&mut self, step: &Step, how: Attestation, expect: Expect) -> Result<(), PlanError> {
        let own = self.slots.own;
        match how {
            Attestation::Trim => {
                let deed = self.adapter.trim(own, 1).and_then(|_| self.find(false));
                self.listed(step, "attest by trim", deed, Action::TrimFound, expect)
            }
            Attestation::Stage => {
                self.listed(step, "attest: stage", self.adapter.stage(own), Action::Stage, expect)?;
                if matches!(expect, Expect::Errno(_)) {
                    return Ok(());
                }
                self.listed(step, "attest: save", self.adapter.save(own), Action::Save, expect)?;
                let found = self.find(true);
                self.listed(step, "attest: replay", found, Action::SystemCall, expect)?;
                self.listed(step, "attest: delete", self.adapter.delete(own), Action::Delete, expect)
            }
        }
    }

    /// Finds how many records lead to the PCR, and without staging removes them by the same open file.
    fn find(&self, staged: bool) -> Option<Deed> {
        let slot = self.slots.own;
        let path = self.adapter.list(Form::Binary, Some(Bank::Sha1), staged)?;
        let flags = if staged { OFlag::O_RDONLY } else { OFlag::O_RDWR }.bits();
        let tpm = TPM.to_owned();
        let mut ops = vec![
            Op::Open { slot, path, flags, mode: 0 },
            Op::FindQuoted { tpm, slot, chunk: CHUNK, send: true, account: staged },
        ];
        ops.extend((!staged).then_some(Op::WriteFound { slot }));
        ops.push(Op::Close { slot });
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged };
        Some(Deed { ops, reads: vec![Reading { op: 1, of }] })
    }
}
