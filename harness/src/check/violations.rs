//! The counter of violations over a kexec.
//!
//! No document says what `violations` counts after a kexec. Kernels so far begin afresh (`ima_restore_measurement_list`,
//! `security/integrity/ima/ima_template.c`, adds the records alone), which hides that the carried list holds some; a kernel
//! that takes them in again has as many as its list. `found/violations-after-kexec` tells which it is. Everything else goes
//! by what the first reading after a carry-over shows, and holds the kernel to that from then on.

use std::collections::BTreeSet;

use super::boots;
use super::evidence::{Evidence, RecordId, StepSeen};
use super::history::History;
use super::runs::Runs;
use super::whole::{Whole, Wholes};
use crate::machine::initramfs::{NO_KERNEL, SAME, TRUNCATED};
use crate::plan::Observed;

/// What the counter began with in each boot.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Violations in the list that each boot began with.
    carried: Vec<usize>,
    /// Whether each boot counted them.
    recovers: Vec<bool>,
}

impl Counters {
    pub(super) fn of(evidence: &Evidence<'_>, wholes: &Wholes) -> Counters {
        let Some(last) = wholes.last() else { return Counters::default() };
        let records: Runs<Option<RecordId>> = last.records.iter().map(Some).collect();
        let history = History::of(evidence, &records, &wholes.moves);
        let is_violation =
            |at: &usize| last.records.get(*at).is_some_and(|id| evidence.records.get(id).violation);
        let carried: Vec<usize> = (history.carried.iter())
            .map(|places| places.iter().filter(|at| is_violation(at)).count())
            .collect();
        let mut counters = Counters { recovers: vec![false; carried.len()], carried };
        // Of one kernel one behaviour is expected, as its first boot with something to count shows it.
        let others = evidence.plan.kernels();
        let one_kernel = others.is_subset(&BTreeSet::from([SAME, TRUNCATED, NO_KERNEL]));
        let mut first = None;
        for place in 1..counters.carried.len() {
            if counters.carried[place] == 0 {
                continue;
            }
            let seen = counters.seen(evidence, wholes, place);
            first = first.or(seen);
            counters.recovers[place] = if one_kernel { first } else { seen }.unwrap_or(false);
        }
        counters
    }

    /// Whether the first reading of a boot, from 0, counts what was carried; nothing where it is neither.
    fn seen(&self, evidence: &Evidence<'_>, wholes: &Wholes, place: usize) -> Option<bool> {
        let whole =
            wholes.all.iter().find(|whole| whole.quiescent && boot_of(evidence, whole) == place + 1)?;
        let own = own(evidence, whole);
        let found = reading(evidence, whole)?;
        match usize::try_from(found) {
            Ok(found) if found == own => Some(false),
            Ok(found) if found == own + self.carried[place] => Some(true),
            _ => None,
        }
    }

    /// What the counter of a boot, from 1, begins with.
    pub(super) fn begins(&self, boot: u32) -> usize {
        let place = usize::try_from(boot).unwrap_or(usize::MAX).saturating_sub(1);
        match (self.recovers.get(place), self.carried.get(place)) {
            (Some(true), Some(carried)) => *carried,
            _ => 0,
        }
    }

    /// What the run shows of it, in words; nothing where no violation was carried.
    pub(super) fn tell(&self) -> Option<&'static str> {
        let shown = || self.carried.iter().zip(&self.recovers).filter(|(carried, _)| **carried > 0);
        match (shown().any(|(_, recovers)| *recovers), shown().any(|(_, recovers)| !*recovers)) {
            (true, false) => Some("the counter of violations takes in what a kexec carries"),
            (false, true) => Some("the counter of violations begins afresh at a kexec"),
            (true, true) => Some("the counter of violations begins afresh at some kexecs"),
            (false, false) => None,
        }
    }
}

/// The boot, from 1, that a checkpoint was in.
pub(super) fn boot_of(evidence: &Evidence<'_>, whole: &Whole) -> usize {
    let span = evidence.steps.get(whole.step).and_then(StepSeen::span);
    span.map_or(1, |(begin, _)| usize::try_from(begin.boot).unwrap_or(usize::MAX))
}

/// Violations that were recorded in the boot of a checkpoint, by then.
pub(super) fn own(evidence: &Evidence<'_>, whole: &Whole) -> usize {
    let boot = u32::try_from(boot_of(evidence, whole)).unwrap_or(u32::MAX);
    let own = whole.records.slice(boots::start(evidence, &whole.records, boot)..whole.records.len());
    own.iter().filter(|id| evidence.records.get(*id).violation).count()
}

fn reading(evidence: &Evidence<'_>, whole: &Whole) -> Option<u64> {
    let mut counters = evidence.counters_of(whole.step).iter();
    counters.find(|counter| counter.of == Observed::Violations).map(|counter| counter.value)
}
