//! Finds the record that keeps a short list from matching.

use serde::Serialize;

use crate::ima::{Digest, Replay};

/// Longest list in which the record is looked for. The search takes as many extends as the square of this: 4
/// million, about half a second.
const LONGEST: usize = 2000;

/// What a single record would have to be for the list to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Explanation {
    /// The list has a record that the PCR was not extended with: the TPM refused it, or it stands there twice.
    NotExtended {
        /// Which record, from 1.
        record: u64,
    },
    /// Two neighbours were extended in the other order.
    Swapped {
        /// The earlier of both in the list, from 1.
        first: u64,
        /// The later one.
        second: u64,
    },
}

/// What a bank was extended with, as long as that is little.
#[derive(Default)]
pub(super) struct Trail {
    steps: Vec<Step>,
    too_long: bool,
}

struct Step {
    record: u64,
    pcr: u32,
    digest: Digest,
}

impl Trail {
    pub(super) fn push(&mut self, record: u64, pcr: u32, digest: &Digest) {
        if self.steps.len() < LONGEST && !self.too_long {
            self.steps.push(Step { record, pcr, digest: *digest });
        } else {
            self.too_long = true;
            self.steps = Vec::new();
        }
    }

    /// Looks for the record that explains why PCR `pcr`, which `start` has at its first value, is at `wanted`.
    pub(super) fn explain(&self, start: &Replay, pcr: u32, wanted: &Digest) -> Option<Explanation> {
        let steps: Vec<&Step> = self.steps.iter().filter(|step| step.pcr == pcr).collect();
        let mut before = start.value(pcr)?;
        let leads_there = |mut value: Digest, rest: &[&Step]| {
            rest.iter().for_each(|step| value.extend(&step.digest));
            value == *wanted
        };
        for (place, step) in steps.iter().enumerate() {
            let rest = &steps[place + 1..];
            if leads_there(before, rest) {
                return Some(Explanation::NotExtended { record: step.record });
            }
            if let Some((next, rest)) = rest.split_first() {
                let mut value = before;
                value.extend(&next.digest);
                value.extend(&step.digest);
                if leads_there(value, rest) {
                    return Some(Explanation::Swapped { first: step.record, second: next.record });
                }
            }
            before.extend(&step.digest);
        }
        None
    }
}
