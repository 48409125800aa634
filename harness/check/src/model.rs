//! Invariant `model`: everything that tasks did to the list, and saw of it, is as the interface promises.
//!
//! The [reference model](imalab_formats::ima::model) is driven over the operations of all tasks and boots. Where operations
//! overlapped, some order of them has to explain every result; what cannot be decided is a finding too.

mod event;
mod events;
mod marks;
mod ops;
mod policy;
mod search;
mod stuck;
#[cfg(test)]
mod tests;

use imalab_wire::{Op, WITHOUT_WORD};

use super::changes::ListChange;
use super::evidence::Evidence;
use super::findings::Findings;
use super::log::WholeLog;
use super::violations::Counters;
use super::{Case, Digest};
use crate::outcome::{Check, CheckResult};
use events::Events;
use imalab_formats::ima::model::{HashTable, Kernel, Rules, Setup};
use imalab_language::finding::{self, Fact};
use imalab_language::plan::Plan;
use imalab_language::vocabulary::FLUSH;
use search::Search;

/// Steps of the search after which it is given up: some seconds.
const PATIENCE: u64 = 1_000_000;

/// Further steps for each record: it is measured, and it may be measured again.
const PATIENCE_A_RECORD: u64 = 4;

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    by(case.digest, case.log.as_ref(), Rules::default())
}

/// Judges the run by a model with these rules.
pub(super) fn by(digest: &Digest<'_>, log: Option<&WholeLog<'_>>, rules: Rules) -> CheckResult {
    let Digest { evidence, counters, reconstructions, .. } = digest;
    let records = log.map_or(0, |log| log.len() as u64);
    judge(evidence, log, (counters, &reconstructions.changes), rules, PATIENCE + records * PATIENCE_A_RECORD)
}

fn judge(
    evidence: &Evidence<'_>,
    log: Option<&WholeLog<'_>>,
    (counters, changes): (&Counters, &[ListChange]),
    rules: Rules,
    patience: u64,
) -> CheckResult {
    let mut findings = Findings::new(Check::Model);
    let Some(log) = log else {
        findings.obstacle(finding::Evidence::NoListRead {});
        return findings.result();
    };
    let events = Events::of(evidence, log);
    let setups = setups(evidence.plan, counters);
    let searched = Search::new(&events, log, &setups).run(Kernel::new(setups[0], rules), patience);
    if let Some(stuck) = &searched.stuck {
        findings.finding(stuck::finding(evidence, &events, log, stuck));
    }
    marks::check(evidence, log, changes, &mut findings);
    let tasks = events.sequences.iter().filter(|sequence| !sequence.events.is_empty()).count();
    findings.fact(Fact::Explained { tasks: tasks as u64, orders: searched.tried });
    findings.rests_on(events.ops - events.foreign, "operations");
    findings.leaves_out(events.foreign, "operations for which the model only restricts what they may record");
    findings.result()
}

/// The kernel of each boot: a kexec keeps the command line, less what it is told to leave out, and adds to it.
fn setups(plan: &Plan, counters: &Counters) -> Vec<Setup> {
    let mut flush = plan.machine.kernel_args.iter().any(|word| word == FLUSH);
    let boots = plan.program.tasks.iter().map(|task| task.boot).max().unwrap_or_default();
    let mut setups = Vec::new();
    for boot in 0..=boots {
        let table = match (plan.hash_table, flush) {
            (false, _) => HashTable::None,
            (true, true) => HashTable::Flushed,
            (true, false) => HashTable::Kept,
        };
        setups.push(Setup {
            table,
            interface: plan.interface,
            seen: plan.seen,
            violations: counters.begins(u32::from(boot) + 1) as u64,
        });
        let tasks = plan.program.tasks.iter().filter(|task| task.boot == boot);
        for op in tasks.flat_map(|task| &task.steps).flat_map(|step| &step.ops) {
            let (Op::KexecLoad { args, .. } | Op::KexecLoadSegments { args, .. }) = op else { continue };
            let has = |wanted: &str| args.split_ascii_whitespace().any(|word| word == wanted);
            flush &= !has(&format!("{WITHOUT_WORD}={}", FLUSH));
            flush |= has(FLUSH);
        }
    }
    setups
}
