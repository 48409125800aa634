//! Invariant `mutex`: how long a request holds the mutex of the lists, in blocks of IMA's code, does not depend on how many
//! records there are: whoever appends waits no longer for a long list than for a short one.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::Case;
use super::findings::Findings;
use crate::outcome::{Check, CheckResult};
use imalab_language::finding::Mutex;
use imalab_trace::{Host, MutexHold, What};

/// By which power of the number of records a hold may grow, in hundredths: what is constant has none.
const MOST_GROWTH: f64 = 10.0;

/// By which power that of a delete may grow, which is promised to be done away from the mutex.
const MOST_GROWTH_OF_DELETE: f64 = 0.0;

/// Numbers of appends that are compared differ by this at least: what two lists of much the same length take says nothing.
const APART: u64 = 8;

/// Holds after about as many appends of which the shortest counts.
const ENOUGH: usize = 3;

/// The shortest of some holds after about as many appends.
#[derive(Clone, Copy)]
struct Shortest {
    appends: u64,
    held: u64,
    of: usize,
}

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let mut findings = Findings::new(Check::Mutex);
    let dialect = case.digest.plan.interface.dialect();
    if !dialect.held_briefly {
        findings.not_applicable(Mutex::NotPromised {});
        return findings.result();
    }
    let counted = case.digest.trace.notable().find_map(|event| match &event.what {
        What::Host(Host::Holds { holds }) => Some(holds),
        _ => None,
    });
    let Some(holds) = counted else {
        findings.not_applicable(Mutex::NotCounted {});
        return findings.result();
    };
    let mut by: BTreeMap<&str, Vec<&MutexHold>> = BTreeMap::new();
    for hold in holds {
        by.entry(&hold.function).or_default().push(hold);
    }
    let mut compared = 0;
    for (function, holds) in by {
        let lengths = lengths(&holds);
        let (Some(few), Some(many)) = (lengths.first(), lengths.last()) else { continue };
        if many.appends / few.appends < APART {
            continue;
        }
        compared += few.of + many.of;
        let growth = growth(*few, *many);
        let most = if dialect.deletes_away.contains(&function) { MOST_GROWTH_OF_DELETE } else { MOST_GROWTH };
        if growth > most {
            findings.finding(Mutex::Grows {
                asked_by: function.to_owned(),
                few_appends: few.appends,
                held_after_few: few.held,
                many_appends: many.appends,
                held_after_many: many.held,
                growth: growth.round() as u64,
            });
        }
    }
    if compared == 0 {
        findings.not_applicable(Mutex::OneLength {});
        return findings.result();
    }
    findings.rests_on(compared, "holds of the mutex");
    findings.result()
}

/// The shortest hold of one function after each number of appends since its last one, to the next power of two, where there
/// were enough; the fewest first.
fn lengths(holds: &[&MutexHold]) -> Vec<Shortest> {
    let (mut lengths, mut before): (BTreeMap<u32, Shortest>, u64) = (BTreeMap::new(), 0);
    for hold in holds {
        let appends = hold.appends.saturating_sub(before);
        before = hold.appends;
        let Some(length) = appends.checked_ilog2() else { continue };
        let one = Shortest { appends, held: hold.blocks, of: 1 };
        let shortest = lengths.entry(length).and_modify(|known| known.of += 1).or_insert(one);
        if one.held < shortest.held {
            (shortest.appends, shortest.held) = (one.appends, one.held);
        }
    }
    lengths.into_values().filter(|shortest| shortest.of >= ENOUGH).collect()
}

/// By which power of the number of appends a hold grew, in hundredths; nothing where it shrank.
fn growth(few: Shortest, many: Shortest) -> f64 {
    let ratio = |many: u64, few: u64| (many.max(1) as f64 / few.max(1) as f64).ln();
    (100.0 * ratio(many.held, few.held) / ratio(many.appends, few.appends)).max(0.0)
}
