//! What the check `model` finds: the reference model of the interface gives something else.

#![expect(
    clippy::large_enum_variant,
    reason = "a run has few findings, and records and steps stand in them as they are"
)]

use super::{List, Operation, Promise, Record, Step, Value};

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
        /// A record that nothing may have made, by a rule.
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
        /// A change of the list of which the kernel has to make a record made none.
        "model/no-mark" NoMark { step: Option<Step>, event: String, expected: Value }
        /// No order of concurrent operations explains this one.
        "model/no-order" NoOrder { step: Option<Step>, operation: Option<Operation>, undecided: bool }
        /// A task that nobody started, or a descriptor that nobody sent.
        "model/from-nowhere" FromNowhere { step: Option<Step>, operation: Option<Operation>, undecided: bool }
    }
}
