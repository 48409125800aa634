//! What the check `model` finds: the reference model of the interface gives something else.

#![expect(
    clippy::large_enum_variant,
    reason = "a run has few findings, and records and steps stand in them as they are"
)]

use super::{Directness, Invariant, List, Operation, Phrasing, Promise, Record, Rests, Step, Value};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "the result of every call on the measurement files, by any task, against a reference model of the promises",
    rests: Rests {
        on: "operations on the lists' files that the reference model explains, and the whole log",
        nothing: "no list read: could not run",
        tests: &["no_list_read"],
    },
    directness: |_| Directness::Model,
};

findings! {
    /// The reference model of the interface gives something else. `undecided`: too many orders of concurrent operations are
    /// possible, and this is as far as one came.
    Model {
        /// A call succeeded that the interface refuses.
        "model/unexpected-success" UnexpectedSuccess {
            step: Option<Step>, operation: Option<Operation>, expected: Value, found: Value, promise: Promise, undecided: bool,
        }
        /// A call failed that the interface grants, or with another error.
        "model/unexpected-error" UnexpectedError {
            step: Option<Step>, operation: Option<Operation>, expected: Value, found: Value, promise: Promise, undecided: bool,
        }
        /// A call gave another number: bytes read or taken, or what a counter shows.
        "model/value" OtherValue {
            step: Option<Step>, operation: Option<Operation>, expected: Value, found: Value, promise: Promise, undecided: bool,
        }
        /// A list that was read holds another record at this place.
        "model/wrong-record" WrongRecord {
            step: Option<Step>, operation: Option<Operation>, list: Option<List>, number: u64, expected_record: Option<Record>,
            found_record: Option<Record>, expected: Value, found: Value, promise: Promise, undecided: bool,
        }
        /// A file that has to be recorded is not the next record.
        "model/not-recorded" NotRecorded {
            step: Option<Step>, operation: Option<Operation>, file: Option<String>, next: Option<Record>, promise: Promise,
            undecided: bool,
        }
        /// A record that a rule forbids.
        "model/must-not-record" MustNotRecord {
            step: Option<Step>, operation: Option<Operation>, file: Option<String>, promise: Promise, undecided: bool,
        }
        /// The same was recorded again.
        "model/recorded-again" RecordedAgain {
            step: Option<Step>, operation: Option<Operation>, record: Record, promise: Promise, undecided: bool,
        }
        /// A record of the whole log that no operation made.
        "model/unexplained-record" UnexplainedRecord {
            step: Option<Step>, operation: Option<Operation>, record: Record, undecided: bool,
        }
        /// A record that the kernel makes of the log itself (`snapshot_aggregate`, `log_digest`, that of a trim) says something else
        /// than the log before it.
        "model/mark" Mark { record: Record, of: String, expected: Value, found: Value }
        /// The text of such a record does not have its form.
        "model/mark-text" MarkText { record: Record, byte: u64, expected: Value }
        /// The kernel made no record of a list change that it has to record.
        "model/no-mark" NoMark { step: Option<Step>, event: String, expected: Value }
        /// No order of concurrent operations explains this one.
        "model/no-order" NoOrder { step: Option<Step>, operation: Option<Operation>, undecided: bool }
        /// A task that no step started, or a descriptor that no step sent.
        "model/from-nowhere" FromNowhere { step: Option<Step>, operation: Option<Operation>, undecided: bool }
    }
}

/// Calls whose value is a number of bytes.
const READS: &[&str] = &["read", "read-at"];

impl Model {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Model::UnexpectedSuccess { step, operation, expected, found, promise: by, undecided: doubt }
            | Model::UnexpectedError { step, operation, expected, found, promise: by, undecided: doubt }
            | Model::OtherValue { step, operation, expected, found, promise: by, undecided: doubt } => {
                format!(
                    "{}: expected {}, found {}{}{}",
                    phrase.at(step.as_ref(), operation.as_ref()),
                    amount(phrase, expected, operation.as_ref()),
                    amount(phrase, found, operation.as_ref()),
                    phrase.promise(by),
                    phrase.undecided(*doubt)
                )
            }
            Model::WrongRecord {
                step,
                operation,
                number,
                expected_record,
                found_record,
                expected,
                found,
                promise: by,
                undecided: doubt,
                list: _,
            } => format!(
                "{}: record {number} should be {}, found {} (expected {} records, found {}){}{}",
                phrase.at(step.as_ref(), operation.as_ref()),
                phrase.described_or(expected_record.as_ref(), "nothing"),
                phrase.described_or(found_record.as_ref(), "nothing"),
                phrase.value(expected),
                phrase.value(found),
                phrase.promise(by),
                phrase.undecided(*doubt)
            ),
            Model::NotRecorded { step, operation, file, next, promise: by, undecided: doubt } => format!(
                "{}: {} should be recorded, the next record is {}{}{}",
                phrase.at(step.as_ref(), operation.as_ref()),
                file.as_deref().unwrap_or("its file"),
                phrase.described_or(next.as_ref(), "none"),
                phrase.promise(by),
                phrase.undecided(*doubt)
            ),
            Model::MustNotRecord { step, operation, file, promise: by, undecided: doubt } => format!(
                "{}: {} should not be recorded, and was{}{}",
                phrase.at(step.as_ref(), operation.as_ref()),
                file.as_deref().unwrap_or("its file"),
                phrase.promise(by),
                phrase.undecided(*doubt)
            ),
            Model::RecordedAgain { step, operation, record, promise: by, undecided: doubt } => format!(
                "{}: {} was recorded again{}{}",
                phrase.at(step.as_ref(), operation.as_ref()),
                phrase.described(record),
                phrase.promise(by),
                phrase.undecided(*doubt)
            ),
            Model::UnexplainedRecord { step, operation, record, undecided: doubt } => {
                let number = record.number.map_or_else(String::new, |number| format!("record {number} of "));
                format!(
                    "{}: no operation explains {number}the whole log, {}{}",
                    phrase.at(step.as_ref(), operation.as_ref()),
                    phrase.described(record),
                    phrase.undecided(*doubt)
                )
            }
            Model::Mark { record, of, expected, found } => {
                format!(
                    "{} says {of} {}, but it is {}",
                    phrase.described(record),
                    phrase.value(found),
                    phrase.value(expected)
                )
            }
            Model::MarkText { record, byte, expected } => {
                format!(
                    "{}: its text has no {} at byte {byte}",
                    phrase.described(record),
                    phrase.value(expected)
                )
            }
            Model::NoMark { step, event, expected } => {
                format!(
                    "{}: no record {event:?} of it is in the log, which should say {}",
                    phrase.at(step.as_ref(), None),
                    phrase.value(expected)
                )
            }
            Model::NoOrder { step, operation, undecided: doubt } => format!(
                "{}: no order of the concurrent operations explains it{}",
                phrase.at(step.as_ref(), operation.as_ref()),
                phrase.undecided(*doubt)
            ),
            Model::FromNowhere { step, operation, undecided: doubt } => format!(
                "{}: no step started the task, or sent the descriptor{}",
                phrase.at(step.as_ref(), operation.as_ref()),
                phrase.undecided(*doubt)
            ),
        }
    }
}

/// A value, with its unit where a call has one.
fn amount(phrase: &dyn Phrasing, of: &Value, operation: Option<&Operation>) -> String {
    let reads = operation.is_some_and(|operation| READS.contains(&operation.call.as_str()));
    match of {
        Value::Number(number) if reads => phrase.count(u64::try_from(*number).unwrap_or_default(), "byte"),
        Value::Range { .. } if reads => format!("{} bytes", phrase.value(of)),
        of => phrase.value(of),
    }
}
