//! Findings of the check `model` in words.

use super::parts::{at, count, described, described_or, promise, undecided, value};
use imalab_language::finding::{Model, Operation, Value};

/// Calls whose value is a number of bytes.
const READS: &[&str] = &["read", "read-at"];

pub(super) fn words(finding: &Model) -> String {
    match finding {
        Model::UnexpectedSuccess { step, operation, expected, found, promise: by, undecided: doubt }
        | Model::UnexpectedError { step, operation, expected, found, promise: by, undecided: doubt }
        | Model::OtherValue { step, operation, expected, found, promise: by, undecided: doubt } => format!(
            "{}: expected {}, found {}{}{}",
            at(step.as_ref(), operation.as_ref()),
            amount(expected, operation.as_ref()),
            amount(found, operation.as_ref()),
            promise(by),
            undecided(*doubt)
        ),
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
            at(step.as_ref(), operation.as_ref()),
            described_or(expected_record.as_ref(), "nothing"),
            described_or(found_record.as_ref(), "nothing"),
            value(expected),
            value(found),
            promise(by),
            undecided(*doubt)
        ),
        Model::NotRecorded { step, operation, file, next, promise: by, undecided: doubt } => format!(
            "{}: {} should be recorded, the next record is {}{}{}",
            at(step.as_ref(), operation.as_ref()),
            file.as_deref().unwrap_or("its file"),
            described_or(next.as_ref(), "none"),
            promise(by),
            undecided(*doubt)
        ),
        Model::MustNotRecord { step, operation, file, promise: by, undecided: doubt } => format!(
            "{}: {} should not be recorded, and was{}{}",
            at(step.as_ref(), operation.as_ref()),
            file.as_deref().unwrap_or("its file"),
            promise(by),
            undecided(*doubt)
        ),
        Model::RecordedAgain { step, operation, record, promise: by, undecided: doubt } => format!(
            "{}: {} was recorded again{}{}",
            at(step.as_ref(), operation.as_ref()),
            described(record),
            promise(by),
            undecided(*doubt)
        ),
        Model::UnexplainedRecord { step, operation, record, undecided: doubt } => {
            let number = record.number.map_or_else(String::new, |number| format!("record {number} of "));
            format!(
                "{}: nothing explains {number}the whole log, {}{}",
                at(step.as_ref(), operation.as_ref()),
                described(record),
                undecided(*doubt)
            )
        }
        Model::Mark { record, of, expected, found } => {
            format!("{} says {of} {}, and it is {}", described(record), value(found), value(expected))
        }
        Model::MarkText { record, byte, expected } => {
            format!("{}: its text has no {} at byte {byte}", described(record), value(expected))
        }
        Model::NoMark { step, event, expected } => {
            format!(
                "{}: no record {event:?} of it is in the log, which should say {}",
                at(step.as_ref(), None),
                value(expected)
            )
        }
        Model::NoOrder { step, operation, undecided: doubt } => format!(
            "{}: no order of the concurrent operations explains it{}",
            at(step.as_ref(), operation.as_ref()),
            undecided(*doubt)
        ),
        Model::FromNowhere { step, operation, undecided: doubt } => format!(
            "{}: nobody started the task, or sent the descriptor{}",
            at(step.as_ref(), operation.as_ref()),
            undecided(*doubt)
        ),
    }
}

/// A value, with its unit where a call has one.
fn amount(of: &Value, operation: Option<&Operation>) -> String {
    let reads = operation.is_some_and(|operation| READS.contains(&operation.call.as_str()));
    match of {
        Value::Number(number) if reads => count(u64::try_from(*number).unwrap_or_default(), "byte"),
        Value::Range { .. } if reads => format!("{} bytes", value(of)),
        of => value(of),
    }
}
