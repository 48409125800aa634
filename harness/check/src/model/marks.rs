//! Records that a kernel makes of the log itself: they say what the log is, and what the PCRs are.
//!
//! Each is held to the log before it as user space has it, to what the tap saw extended, and to the changes of the lists.

mod aggregate;
mod digest;
#[cfg(test)]
mod tests;
mod trims;

use crate::boots;
use crate::changes::ListChange;
use crate::evidence::Evidence;
use crate::findings::Findings;
use crate::log::WholeLog;
use imalab_formats::ima::mark::{Aggregate, LogDigest, Mark, Trimmed};
use imalab_language::finding::{Model, Value};

/// Holds each such record to what it is about.
pub(super) fn check(
    evidence: &Evidence<'_>,
    log: &WholeLog<'_>,
    changes: &[ListChange],
    findings: &mut Findings,
) {
    let starts = boots::aggregates(evidence, (0..log.len()).map(|place| log.id(place)));
    let mut of = Marks { evidence, log, changes, starts, findings, seen: 0, left: 0 };
    let (mut aggregates, mut digests, mut trims) = (Vec::new(), Vec::new(), Vec::new());
    for place in 0..log.len() {
        let Some(id) = log.id(place) else { continue };
        match Mark::of(evidence.records.get(id).borrowed()) {
            None => continue,
            Some(Ok(Mark::Aggregate(says))) => aggregates.push(Said { place, says }),
            Some(Ok(Mark::Digest(says))) => digests.push(Said { place, says }),
            Some(Ok(Mark::Trimmed(says))) => trims.push(Said { place, says }),
            Some(Err(error)) => {
                let (byte, expected) = (error.at as u64, Value::word(error.expected));
                of.findings.finding(Model::MarkText { record: log.record(evidence, place), byte, expected });
            }
        }
    }
    aggregate::check(&mut of, &aggregates);
    digest::check(&mut of, &digests);
    trims::check(&mut of, &trims);
    let Marks { seen, left, .. } = of;
    if seen > 0 {
        findings.compared(seen, "records of the log itself");
    }
    findings.leaves_out(left, "records of the log itself that are of something unknown");
}

/// What such a record says, and its place in the whole log.
struct Said<T> {
    place: usize,
    says: T,
}

struct Marks<'m, 'e> {
    evidence: &'m Evidence<'e>,
    log: &'m WholeLog<'m>,
    changes: &'m [ListChange],
    /// Places of the records with which the kernels begin.
    starts: Vec<usize>,
    findings: &'m mut Findings,
    /// Records of which all was compared.
    seen: usize,
    /// Others.
    left: usize,
}

impl Marks<'_, '_> {
    /// Holds one thing that a record says to what it should.
    fn says(&mut self, place: usize, of: &str, expected: Value, found: Value) {
        let right = match (&expected, &found) {
            (Value::Range { least, most }, Value::Number(number)) => (least..=most).contains(&number),
            (expected, found) => expected == found,
        };
        if !right {
            let record = self.log.record(self.evidence, place);
            self.findings.finding(Model::Mark { record, of: of.to_owned(), expected, found });
        }
    }

    /// Notes whether all of a record was compared.
    fn compared(&mut self, all: bool) {
        if all {
            self.seen += 1;
        } else {
            self.left += 1;
        }
    }

    /// The boot, from 1, that logged the record at a place.
    fn boot(&self, place: usize) -> u32 {
        // What is before the first kernel's first record is that kernel's.
        u32::try_from(self.starts.partition_point(|start| *start <= place)).unwrap_or(u32::MAX).max(1)
    }

    /// Records before a place that were removed before anybody read them.
    fn unknown(&self, before: usize) -> usize {
        (0..before).filter(|place| self.log.id(*place).is_none()).count()
    }
}
