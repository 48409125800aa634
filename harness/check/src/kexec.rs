//! Invariant `kexec`: a kernel begins with the list that the one before it left, staged records first and then current
//! ones, each once; its own boot aggregate follows; what the kernels record of it is true; and what could no longer be
//! staged, deleted or trimmed was refused.
//!
//! The list is carried in the order of `ima_dump_measurement_list`, after `ima_measurements_suspend`
//! (`security/integrity/ima/ima_kexec.c`, `ima_queue.c`). The header before it (`struct ima_kexec_hdr`) is seen by no
//! reader, and no rule here rests on it.

mod numbers;
mod suspended;
#[cfg(test)]
mod tests;

use super::boots;
use super::evidence::{Evidence, RecordId};
use super::findings::Findings;
use super::history::History;
use super::reconstruction::Reconstructions;
use super::run_length::RunLength;
use super::timeline::{ListOperation, first_list};
use super::{Case, Digest};
use crate::outcome::{Check, CheckResult};
use imalab_language::finding::{self, Fact, Kexec};
use imalab_trace::{Trace, What};

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let Digest { evidence, timeline, reconstructions, extended, trace, .. } = case.digest;
    let mut findings = Findings::new(Check::Kexec);
    if evidence.boots <= 1 && !evidence.plan.kexecs() && evidence.plan.kernels().is_empty() {
        findings.not_applicable(Kexec::NoKexecStep {});
        return findings.result();
    }
    suspended::check(evidence, &mut findings);
    let Some(whole) = reconstructions.last() else {
        findings.obstacle(finding::Evidence::NoListRead {});
        return findings.result();
    };
    let logged: RunLength<Option<RecordId>> = whole.records.iter().map(Some).collect();
    // What should have been carried is told by what was extended, what the kernels count by what they have.
    let found = aggregates(evidence, extended, &mut findings);
    let carried = carried(evidence, timeline, extended, reconstructions, &mut findings);
    numbers::check(
        evidence,
        whole,
        &History::of(evidence, &logged, &reconstructions.changes),
        reconstructions,
        &mut findings,
    );
    let kexecs = evidence.boots.saturating_sub(1) as usize;
    findings.rests_on(found, "boot aggregates");
    findings.compared(kexecs, "kexecs");
    if kexecs > 0 {
        findings.rests_on(carried.read, "lists that a kernel began with");
        findings.compared(carried.sizes.iter().sum(), "carried records");
        findings.leaves_out(
            kexecs - carried.read,
            "lists that a kernel began with and that were not read before the next kexec",
        );
    }
    let ms = took(trace);
    if !ms.is_empty() {
        findings.fact(Fact::KexecTimes { ms });
    }
    if !carried.sizes.is_empty() {
        findings.fact(Fact::Carried { records: carried.sizes.iter().map(|size| *size as u64).collect() });
    }
    findings.result()
}

/// Every kernel logs its boot aggregate, once. How many there are.
fn aggregates(
    evidence: &Evidence<'_>,
    extended: &RunLength<Option<RecordId>>,
    findings: &mut Findings,
) -> usize {
    let found = boots::aggregates(evidence, extended.iter());
    if found.len() != evidence.boots as usize {
        let numbers = found.iter().map(|at| *at as u64 + 1).collect();
        findings.finding(Kexec::Aggregates { numbers, boots: evidence.boots.into() });
    }
    found.len()
}

/// The lists that kernels began with.
#[derive(Default)]
struct Carried {
    /// Records that were carried each time.
    sizes: Vec<usize>,
    /// How many of the lists were read and compared.
    read: usize,
}

/// Each kernel's first list against the one that the kernel before it left.
fn carried(
    evidence: &Evidence<'_>,
    timeline: &[ListOperation],
    extended: &RunLength<Option<RecordId>>,
    reconstructions: &Reconstructions,
    findings: &mut Findings,
) -> Carried {
    let history = History::of(evidence, extended, &reconstructions.changes);
    let mut all = Carried::default();
    for (place, boot) in (1..).zip(2..=evidence.boots) {
        let expected = history.carried.get(place).map_or(&[][..], Vec::as_slice);
        all.sizes.push(expected.len());
        let after = timeline.partition_point(|operation| operation.at.boot < boot);
        let Some((step, list)) = first_list(evidence, &timeline[after..]) else {
            // A later list has the same records again.
            continue;
        };
        all.read += 1;
        let ids: Vec<Option<RecordId>> = expected.iter().map(|at| extended.get(*at).flatten()).collect();
        let same = |at: usize| {
            ids[at].zip(list.get(at)).is_some_and(|(id, read)| evidence.records.are_same(id, read))
        };
        let record = |id: Option<RecordId>, at: usize| id.map(|id| evidence.record_at(id, at));
        let boot = u16::try_from(boot - 1).unwrap_or(u16::MAX);
        if let Some(at) = (0..ids.len()).find(|at| !same(*at)) {
            findings.finding(Kexec::CarriedOtherwise {
                boot,
                step: evidence.step(step),
                number: at as u64 + 1,
                expected_record: record(ids[at], at),
                found_record: record(list.get(at), at),
            });
            // What a later kernel should carry follows from this list.
            break;
        } else if !list.get(ids.len()).is_some_and(|id| boots::is_aggregate(&evidence.records.get(id))) {
            findings.finding(Kexec::NoAggregate {
                boot,
                step: evidence.step(step),
                records: ids.len() as u64,
                found_record: record(list.get(ids.len()), ids.len()),
            });
        }
    }
    all
}

/// How long each kexec took, from its execution to the next kernel's agent: host milliseconds.
fn took(trace: &Trace) -> Vec<u64> {
    let mut left = None;
    let mut times = Vec::new();
    for event in trace.notable() {
        match &event.what {
            What::Guest(imalab_wire::Message::Hello { boot: 1.., .. }) => {
                times.extend(left.take().map(|left: u64| event.at_ns.saturating_sub(left) / 1_000_000));
            }
            // What the guest says last, before it leaves, is that it is about to.
            What::Guest(_) => left = Some(event.at_ns),
            _ => {}
        }
    }
    times
}
