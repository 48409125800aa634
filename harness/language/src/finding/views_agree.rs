//! What the check `views-agree` finds: files of the interface show different records.

#![expect(
    clippy::large_enum_variant,
    reason = "a run has few findings, and records and steps stand in them as they are"
)]

use super::{Directness, Invariant, List, Phrasing, Record, Rests, Step};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "each file of the interface against each other and against recomputed digests",
    rests: Rests {
        on: "checkpoints at which every view of the list and the counter of records were read while nothing else ran",
        nothing: "no such checkpoint, or a view left out of one: could not run; lists that were empty at all of them: not applicable",
        tests: &["no_list_read", "a_view_not_read", "lists_without_a_record_have_no_views_that_could_agree"],
    },
    directness: |_| Directness::Shown,
};

findings! {
    /// Files of the interface show different records.
    ViewsAgree {
        /// Two binary files show different records at this place.
        "views-agree/differ" Differ {
            step: Step, number: u64, list: List, other_list: List, record: Option<Record>, other_record: Option<Record>,
            records: u64, other_records: u64,
        }
        /// An ASCII file does not show the line that the binary one makes.
        "views-agree/text" Text { step: Step, list: List, number: u64, expected: String, found: String }
        /// An ASCII file goes on after the records of the binary one.
        "views-agree/longer" Longer { step: Step, list: List, other_list: List, records: u64 }
        /// The template digest that a file shows is not that of the record's data, nor in `more` further records.
        "views-agree/wrong-digest" WrongDigest {
            step: Step, list: List, record: Record, expected_digest: String, found_digest: String, more: u64,
        }
        /// A file is malformed.
        "views-agree/malformed" Malformed { step: Step, list: List, error: String }
        /// A record has no text that an ASCII file could show.
        "views-agree/no-text" NoText { step: Step, list: List, number: u64, error: String }
        /// The counter of records is not the number of records in the current list.
        "views-agree/counter" Counter { step: Step, list: List, expected: u64, found: u64 }
        /// A checkpoint did not read every view and counter that it was to read.
        "views-agree/not-all-read" NotAllRead { step: Step, views: u64, views_read: u64, counters: u64, counters_read: u64 }
        /// No checkpoint, while nothing else ran, read the counter and every view of the list.
        "views-agree/no-full-checkpoint" NoFullCheckpoint {}
        /// Every list was empty at each such checkpoint.
        "views-agree/no-record" NoRecord {}
    }
}

impl ViewsAgree {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            ViewsAgree::Differ {
                step: at,
                number,
                list: one,
                other_list,
                record,
                other_record,
                records,
                other_records,
            } => format!(
                "{}: record {number}: the {} shows {}, the {} shows {} ({records} and {other_records} in all)",
                phrase.step(at),
                phrase.list(one),
                phrase.described_or(record.as_ref(), "nothing"),
                phrase.list(other_list),
                phrase.described_or(other_record.as_ref(), "nothing")
            ),
            ViewsAgree::Text { step: at, list: of, number, expected, found } => format!(
                "{}: record {number}: the {} should show `{expected}`, found `{found}`",
                phrase.step(at),
                phrase.list(of)
            ),
            ViewsAgree::Longer { step: at, list: of, other_list, records } => format!(
                "{}: the {} continues for {} after those of the {}",
                phrase.step(at),
                phrase.list(of),
                phrase.count(*records, "record"),
                phrase.list(other_list)
            ),
            ViewsAgree::WrongDigest { step: at, list: of, record, expected_digest, found_digest, more } => {
                let more = if *more == 0 { String::new() } else { format!("; so are {more} more") };
                format!(
                    "{}: {}: record {} ({}): the digest of its data is {expected_digest}, the list shows {found_digest}{more}",
                    phrase.step(at),
                    phrase.list(of),
                    record.number.unwrap_or_default(),
                    record.name.as_deref().unwrap_or("?")
                )
            }
            ViewsAgree::Malformed { step: at, list: of, error } => {
                format!("{}: the {} is malformed: {error}", phrase.step(at), phrase.list(of))
            }
            ViewsAgree::NoText { step: at, list: of, number, error } => {
                format!("{}: {}: record {number} has no text: {error}", phrase.step(at), phrase.list(of))
            }
            ViewsAgree::Counter { step: at, list: of, expected, found } => format!(
                "{}: the counter of the list's records is {found}, the {} holds {}",
                phrase.step(at),
                phrase.list(of),
                phrase.count(*expected, "record")
            ),
            ViewsAgree::NotAllRead { step: at, views, views_read, counters, counters_read } => format!(
                "{}: {views_read} of {} and {counters_read} of {} were read",
                phrase.step(at),
                phrase.count(*views, "view"),
                phrase.count(*counters, "counter")
            ),
            ViewsAgree::NoFullCheckpoint {} => {
                "no quiescent checkpoint read the counter and every view of the list".to_owned()
            }
            ViewsAgree::NoRecord {} => {
                "every list was empty at each full checkpoint: no two views had a record to agree on"
                    .to_owned()
            }
        }
    }
}
