//! What the check `steps` finds: a step gave another result than its scenario expects.

use serde::{Deserialize, Serialize};

use super::{Directness, Invariant, List, Operation, Part, Phrasing, Rests, Step, Value};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "each step's result against what the scenario expects",
    rests: Rests {
        on: "steps with an expected result, each with the results of all its operations",
        nothing: "no such step: could not run; a step without result: failed",
        tests: &["nothing_expected", "a_checkpoint_that_did_not_happen"],
    },
    directness: |_| Directness::Step,
};

findings! {
    /// A step gave another result than its scenario expects.
    Steps {
        /// An operation failed that should have succeeded, or failed with another error.
        "steps/unexpected-error" UnexpectedError { step: Step, operation: Operation, expected: Value, found: Value }
        /// Every operation of a step succeeded that should have failed.
        "steps/unexpected-success" UnexpectedSuccess { step: Step, expected: Value }
        /// An operation of a step without an error was not attempted.
        "steps/not-attempted" NotAttempted { step: Step, operation: Operation }
        /// An operation succeeded with another value.
        "steps/value" OtherValue { step: Step, operation: Operation, of: Amount, expected: Value, found: Value }
        /// A counter shows another number.
        "steps/counter" Counter { step: Step, expected: Value, found: Value }
        /// A counter that the scenario expects something of was not read.
        "steps/counter-not-read" CounterNotRead { step: Step }
        /// The counter of records grew by another number.
        "steps/new-records" NewRecords { step: Step, expected: Value, found: Value, count_before: u64, count_after: u64 }
        /// A list that was read holds another number of records, or is malformed.
        "steps/records" Records { step: Step, list: List, expected: Value, found: Value, malformed: Option<String> }
        /// A list that the scenario expects records of was not read.
        "steps/list-not-read" ListNotRead { step: Step }
        /// A step that must block was never seen blocked in a system call.
        "steps/not-blocked" NotBlocked { step: Step }
        /// A step that must wait for the held TPM was blocked while the TPM was not held.
        "steps/blocked-without-hold" BlockedWithoutHold { step: Step }
        /// A step that must wait for the held TPM ended before the TPM was released.
        "steps/ended-before-release" EndedBeforeRelease { step: Step }
        /// The guest went on in another kernel before a step gave its result.
        "steps/cut-off" CutOff { step: Step }
        /// A step gave no result; with `since_ms` the guest was in the operation from then on.
        "steps/no-result" NoResult { step: Step, operation: Operation, since_ms: Option<u64>, more: u64 }
        /// A task ended with another status.
        "steps/task-status" TaskStatus { task: String, expected: Value, found: Value }
        /// Not all that a program did to the lists is known: the run proves nothing of them.
        "steps/unobserved" Unobserved { task: String, error: String }
        /// Faults affected fewer or more TPM commands than planned.
        "steps/tpm-faults" TpmFaults { expected: Value, found: Value }
    }
}

/// What the value of an operation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// Whatever the call returns.
    Returned,
    /// Bytes.
    BytesWritten,
    /// Files that were measured.
    FilesMeasured,
    /// Files that were violated.
    FilesViolated,
    /// A TPM's response code.
    ResponseCode,
}

impl Part for Amount {
    fn sample(_: &'static str) -> Amount {
        Amount::BytesWritten
    }
}

impl Steps {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Steps::UnexpectedError { step: at, operation: op, expected, found } => {
                format!(
                    "{}: expected {}, {} failed with {}",
                    phrase.step(at),
                    phrase.value(expected),
                    phrase.operation(op),
                    phrase.value(found)
                )
            }
            Steps::UnexpectedSuccess { step: at, expected } => {
                format!("{}: expected {}, every operation succeeded", phrase.step(at), phrase.value(expected))
            }
            Steps::NotAttempted { step: at, operation: op } => {
                format!("{}: {} was not attempted", phrase.step(at), phrase.operation(op))
            }
            Steps::OtherValue { step: at, operation: op, of, expected, found } => {
                let of = match of {
                    Amount::Returned => "as its value",
                    Amount::BytesWritten => "bytes written",
                    Amount::FilesMeasured => "files measured",
                    Amount::FilesViolated => "files violated",
                    Amount::ResponseCode => "as TPM response code",
                };
                format!(
                    "{}: {}: expected {} {of}, found {}",
                    phrase.step(at),
                    phrase.operation(op),
                    phrase.value(expected),
                    phrase.value(found)
                )
            }
            Steps::Counter { step: at, expected, found } => {
                format!(
                    "{}: expected {} as the counter's value, found {}",
                    phrase.step(at),
                    phrase.value(expected),
                    phrase.value(found)
                )
            }
            Steps::CounterNotRead { step: at } => {
                format!("{}: the counter that the scenario checks was not read", phrase.step(at))
            }
            Steps::NewRecords { step: at, expected, found, count_before, count_after } => format!(
                "{}: expected {} new records, found {}: the counter went from {count_before} to {count_after}",
                phrase.step(at),
                phrase.value(expected),
                phrase.value(found)
            ),
            Steps::Records { step: at, list: of, expected, found, malformed } => {
                let malformed = malformed
                    .as_ref()
                    .map_or_else(String::new, |why| format!(" up to where it is malformed: {why}"));
                let of = phrase.list(of);
                format!(
                    "{}: expected {} records in the {of}, found {}{malformed}",
                    phrase.step(at),
                    phrase.value(expected),
                    phrase.value(found)
                )
            }
            Steps::ListNotRead { step: at } => {
                format!("{}: no list was read, but the scenario expects records", phrase.step(at))
            }
            Steps::NotBlocked { step: at } => {
                format!("{}: expected to block, was never seen blocked in a system call", phrase.step(at))
            }
            Steps::BlockedWithoutHold { step: at } => {
                format!("{}: was blocked in a system call while the TPM was not held", phrase.step(at))
            }
            Steps::EndedBeforeRelease { step: at } => format!(
                "{}: was blocked in a system call, but ended before the TPM was released: it did not wait for that",
                phrase.step(at)
            ),
            Steps::CutOff { step: at } => {
                format!(
                    "{}: the guest started another kernel before the step gave its result",
                    phrase.step(at)
                )
            }
            Steps::NoResult { step: at, operation: op, since_ms, more } => {
                let place = match since_ms {
                    Some(ms) => format!("the guest was in {}, since {ms} ms", phrase.operation(op)),
                    None => format!("{}, was not reached", phrase.operation(op)),
                };
                let more = match more {
                    0 => String::new(),
                    more => format!("; nor of {} after it", phrase.count(*more, "step")),
                };
                format!("{}: no result: {place}{more}", phrase.step(at))
            }
            Steps::TaskStatus { task, expected, found } => {
                format!(
                    "task `{task}` ended with status {}, expected {}",
                    phrase.value(found),
                    phrase.value(expected)
                )
            }
            Steps::Unobserved { task, error } => {
                format!("not all that program `{task}` did to the lists was observed: {error}")
            }
            Steps::TpmFaults { expected, found } => format!(
                "the plan injects faults into {} TPM commands of the guest, {} were affected",
                phrase.value(expected),
                phrase.value(found)
            ),
        }
    }
}
