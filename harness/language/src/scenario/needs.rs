//! What a scenario needs of a kernel.

use std::collections::BTreeSet;

use super::model::{Attestation, Call, File, Flag, KexecCall, Leave, Scenario, Task, Variant, Verb};
use crate::capability::Capability;
use crate::vocabulary::FLUSH;

/// All that a variant needs of a kernel: what the scenario says, and what its machine and verbs imply.
pub fn needs(scenario: &Scenario, variant: &Variant) -> BTreeSet<Capability> {
    let mut needs = scenario.needs.clone();
    // Without these no check has anything to rest on.
    needs.extend([Capability::Ima, Capability::Tpm, Capability::Policy]);
    // Without a table there is nothing to flush, and a scenario can be there to show just that.
    let flushes = |word: &str| word == FLUSH && !scenario.needs.contains(&Capability::NoHashTable);
    if variant.machine.kernel_args.iter().any(|word| flushes(word)) {
        needs.insert(Capability::FlushHtable);
    }
    let mut spoken = false;
    for step in variant.tasks.iter().flat_map(Task::every_step) {
        match &step.verb {
            Verb::Stage | Verb::Save | Verb::Delete => {
                needs.insert(Capability::Staging);
            }
            Verb::Attest(Attestation::Stage) => {
                needs.insert(Capability::Staging);
            }
            Verb::Attest(Attestation::Trim) => {
                needs.insert(Capability::Trim);
            }
            Verb::Trim { .. } => {
                needs.insert(Capability::Trim);
            }
            Verb::Snapshot { .. } => {
                needs.insert(Capability::Snapshots);
            }
            Verb::TrimTo { .. } | Verb::MarkLog => {
                needs.insert(Capability::LogMarks);
            }
            Verb::KexecLoad { args, call, .. } => {
                needs.insert(Capability::Kexec);
                let for_panic = *call == (KexecCall::File { on: Leave::Panic });
                needs.extend(for_panic.then_some(Capability::CrashKernel));
                needs.extend(args.iter().any(|word| word == FLUSH).then_some(Capability::FlushHtable));
            }
            Verb::KexecUnload => {
                needs.insert(Capability::Kexec);
            }
            Verb::KexecExecute { by } => {
                needs.insert(Capability::Kexec);
                needs.extend(step.expect.may_succeed().then_some(match by {
                    Leave::Reboot => Capability::KexecCarry,
                    Leave::Panic => Capability::CrashKernel,
                }));
            }
            Verb::Call(Call::Open { file: File::List { bank, staged, .. }, flags, .. }) => {
                needs.extend(bank.map(|_| Capability::BankFiles));
                needs.extend(staged.then_some(Capability::Staging));
                let writes = [Flag::Write, Flag::ReadWrite, Flag::Create, Flag::Append, Flag::Truncate];
                spoken |= writes.iter().any(|flag| flags.0.contains(flag));
            }
            Verb::View { file: File::List { bank, staged, .. } } => {
                needs.extend(bank.map(|_| Capability::BankFiles));
                needs.extend(staged.then_some(Capability::Staging));
            }
            _ => {}
        }
    }
    // What is spelled out is in the words of one interface: mainline's, unless the scenario names another.
    if spoken && !needs.iter().any(|need| need.is_words()) {
        needs.extend(Capability::MAINLINE);
    }
    needs
}
