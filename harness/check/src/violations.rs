//! The counter of violations over a kexec.
//!
//! The kernel says of it: "Total number of violations since hard boot." (`security/integrity/ima/ima.h`), and a kexec is none.
//! Kernels so far begin afresh all the same (`ima_restore_measurement_list`, `ima_template.c`, adds the records alone), which
//! `found/violations-after-kexec` tells. Everything else goes by what the first readings after a carry-over show, so that a
//! mended kernel passes as well, and holds the kernel to that from then on.

use std::collections::BTreeSet;

use super::boots;
use super::evidence::{Evidence, RecordId, StepSeen};
use super::history::History;
use super::reconstruction::{Reconstruction, Reconstructions};
use super::run_length::RunLength;
use imalab_language::finding::CounterAtKexec;
use imalab_language::plan::Observed;
use imalab_wire::kernels::{NO_KERNEL, SAME, TRUNCATED};

/// What a counter begins with after a kexec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// 0.
    Afresh,
    /// The violations in the list that was carried: all that the next kernel is told of.
    Carried,
    /// All violations before.
    Total,
}

impl Begins {
    const ALL: [Begins; 3] = [Begins::Afresh, Begins::Carried, Begins::Total];
}

/// What the counter began with in each boot.
#[derive(Debug, Default)]
pub(super) struct Counters {
    boots: Vec<Boot>,
}

#[derive(Clone, Copy, Debug)]
struct Boot {
    /// Violations in the list that it began with.
    carried: usize,
    /// Violations before it.
    total: usize,
    begins: Begins,
}

impl Boot {
    fn number(self, begins: Begins) -> usize {
        match begins {
            Begins::Afresh => 0,
            Begins::Carried => self.carried,
            Begins::Total => self.total,
        }
    }
}

impl Counters {
    pub(super) fn of(evidence: &Evidence<'_>, reconstructions: &Reconstructions) -> Counters {
        let Some(last) = reconstructions.last() else { return Counters::default() };
        let records: RunLength<Option<RecordId>> = last.records.iter().map(Some).collect();
        let history = History::of(evidence, &records, &reconstructions.changes);
        let is_violation =
            |at: &usize| last.records.get(*at).is_some_and(|id| evidence.records.get(id).violation);
        let mut boots: Vec<Boot> = (history.carried.iter().enumerate())
            .map(|(place, carried)| Boot {
                carried: carried.iter().filter(|at| is_violation(at)).count(),
                total: (0..history.starts.get(place).copied().unwrap_or(0)).filter(is_violation).count(),
                begins: Begins::Afresh,
            })
            .collect();
        // Of one kernel one behaviour is expected.
        let one_kernel = evidence.plan.kernels().is_subset(&BTreeSet::from([SAME, TRUNCATED, NO_KERNEL]));
        let mut possible = Begins::ALL.to_vec();
        for (place, boot) in boots.iter_mut().enumerate().skip(1) {
            let shown = shown(evidence, reconstructions, place, *boot);
            let both: Vec<Begins> =
                possible.iter().copied().filter(|begins| shown.contains(begins)).collect();
            match (one_kernel, both.is_empty()) {
                (true, false) => possible = both,
                (true, true) => {}
                (false, _) => boot.begins = shown.first().copied().unwrap_or(Begins::Afresh),
            }
        }
        if let (true, Some(begins)) = (one_kernel, possible.first()) {
            boots.iter_mut().for_each(|boot| boot.begins = *begins);
        }
        Counters { boots }
    }

    /// What the counter of a boot, from 1, begins with.
    pub(super) fn begins(&self, boot: u32) -> usize {
        let place = usize::try_from(boot).unwrap_or(usize::MAX).saturating_sub(1);
        self.boots.get(place).map_or(0, |boot| boot.number(boot.begins))
    }

    /// What the counter does at a kexec, where the run shows it.
    pub(super) fn at_kexec(&self) -> Option<CounterAtKexec> {
        let shown: Vec<Begins> =
            self.boots.iter().filter(|boot| boot.total > 0).map(|boot| boot.begins).collect();
        let first = *shown.first()?;
        Some(match first {
            _ if shown.iter().any(|begins| *begins != first) => CounterAtKexec::Differs,
            Begins::Afresh => CounterAtKexec::BeginsAfresh,
            Begins::Carried => CounterAtKexec::CountsCarried,
            Begins::Total => CounterAtKexec::GoesOn,
        })
    }
}

/// What the first reading of a boot, from 0, can be.
fn shown(
    evidence: &Evidence<'_>,
    reconstructions: &Reconstructions,
    place: usize,
    boot: Boot,
) -> Vec<Begins> {
    let first =
        reconstructions.all.iter().find(|whole| whole.quiescent && boot_of(evidence, whole) == place + 1);
    let Some((whole, found)) = first.and_then(|whole| Some((whole, reading(evidence, whole)?))) else {
        return Begins::ALL.to_vec();
    };
    let fits = |begins: &Begins| (own(evidence, whole) + boot.number(*begins)) as u64 == found;
    Begins::ALL.into_iter().filter(fits).collect()
}

/// The boot, from 1, that a checkpoint was in.
pub(super) fn boot_of(evidence: &Evidence<'_>, whole: &Reconstruction) -> usize {
    let span = evidence.steps.get(whole.step).and_then(StepSeen::span);
    span.map_or(1, |(begin, _)| usize::try_from(begin.boot).unwrap_or(usize::MAX))
}

/// Violations that were recorded in the boot of a checkpoint, by then.
pub(super) fn own(evidence: &Evidence<'_>, whole: &Reconstruction) -> usize {
    let boot = u32::try_from(boot_of(evidence, whole)).unwrap_or(u32::MAX);
    let own = whole.records.slice(boots::start(evidence, &whole.records, boot)..whole.records.len());
    own.iter().filter(|id| evidence.records.get(*id).violation).count()
}

fn reading(evidence: &Evidence<'_>, whole: &Reconstruction) -> Option<u64> {
    let mut counters = evidence.counters_of(whole.step).iter();
    counters.find(|counter| counter.of == Observed::Violations).map(|counter| counter.value)
}
