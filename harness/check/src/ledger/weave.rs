//! A list with records between its own that it does not hold: they were trimmed before a kexec put older, staged records
//! in front of the list.

use std::ops::Range;

use super::Stretch;

/// What belongs before record `at` of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inset {
    pub(super) at: usize,
    pub(super) stretch: Stretch,
}

impl Inset {
    /// The same when so many records more stand in front of the list.
    pub(super) fn behind(self, records: usize) -> Inset {
        Inset { at: self.at + records, ..self }
    }

    /// Those that belong among the first `records` records, and those of the list that is left without them.
    pub(super) fn split(insets: Vec<Inset>, records: usize) -> (Vec<Inset>, Vec<Inset>) {
        let (before, after): (Vec<Inset>, Vec<Inset>) =
            insets.into_iter().partition(|inset| inset.at < records);
        let after = after.into_iter().map(|inset| Inset { at: inset.at - records, ..inset }).collect();
        (before, after)
    }
}

/// The stretches of a list of `length` records whose parts `part` gives, and the insets in their places. Insets come in
/// order of their places.
pub(super) fn weave<const N: usize>(
    length: usize,
    insets: &[Inset],
    part: impl Fn(Range<usize>) -> [Stretch; N],
) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut from = 0;
    for inset in insets {
        let to = inset.at.min(length);
        if from < to {
            stretches.extend(part(from..to));
            from = to;
        }
        stretches.push(inset.stretch.clone());
    }
    if from < length {
        stretches.extend(part(from..length));
    }
    stretches
}
