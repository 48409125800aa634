//! Finds what keeps a list from matching: a record too many, two that changed places, a reset in between.

use std::collections::VecDeque;

use serde::Serialize;

use imalab_formats::ima::{Digest, Replay};

/// Records that are looked at: all of a short list, the last of a longer one. The search takes as many extends as the square
/// of this: 6 million, less than a second.
const LONGEST: usize = 2000;

/// What would explain that a list does not match.
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
    /// The value is that of records `first` to `last` alone, from the value that a reset leaves: the TPM was reset before
    /// `first` (a hibernation can do that), or the records before it are of another boot.
    SinceReset {
        /// The first record after it, from 1.
        first: u64,
        /// The last that is in the value.
        last: u64,
    },
}

/// What a bank was extended with, as far back as is looked at.
#[derive(Default)]
pub(super) struct Trail {
    steps: VecDeque<Step>,
    /// Earlier steps are not there any more.
    cut: bool,
}

struct Step {
    record: u64,
    pcr: u32,
    digest: Digest,
}

impl Trail {
    pub(super) fn push(&mut self, record: u64, pcr: u32, digest: Digest) {
        if self.steps.len() == LONGEST {
            self.steps.pop_front();
            self.cut = true;
        }
        self.steps.push_back(Step { record, pcr, digest });
    }

    /// Looks for what explains why PCR `pcr` is at `wanted`, which `start` has at the value before the first record.
    pub(super) fn explain(&self, start: &Replay, pcr: u32, wanted: &Digest) -> Option<Explanation> {
        let steps: Vec<&Step> = self.steps.iter().filter(|step| step.pcr == pcr).collect();
        let from_start =
            || start.value(pcr).filter(|_| !self.cut).and_then(|start| one_record(&steps, start, wanted));
        from_start().or_else(|| since_reset(&steps, pcr, wanted, self.cut))
    }
}

/// What a single record would have to be for the whole list to match.
fn one_record(steps: &[&Step], start: Digest, wanted: &Digest) -> Option<Explanation> {
    let leads_there = |mut value: Digest, rest: &[&Step]| {
        rest.iter().for_each(|step| value.extend(&step.digest));
        value == *wanted
    };
    let mut before = start;
    for (place, step) in steps.iter().enumerate() {
        let rest = &steps[place + 1..];
        // Without the first one, from the value of a reset, it is a reset after it.
        let after_reset = place == 0 && Replay::new(start.bank()).value(step.pcr) == Some(start);
        if !after_reset && leads_there(before, rest) {
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

/// From the first record of the list on it would be no reset.
fn since_reset(steps: &[&Step], pcr: u32, wanted: &Digest, cut: bool) -> Option<Explanation> {
    let reset = Replay::new(wanted.bank()).value(pcr)?;
    (usize::from(!cut)..steps.len()).find_map(|first| {
        let mut value = reset;
        let last = steps[first..].iter().find(|step| {
            value.extend(&step.digest);
            value == *wanted
        })?;
        Some(Explanation::SinceReset { first: steps[first].record, last: last.record })
    })
}
