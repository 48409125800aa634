//! What the check `steps` finds: a step gave another result than its scenario expects.

use serde::{Deserialize, Serialize};

use super::{List, Operation, Part, Step, Value};

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
        /// Fewer or more TPM commands were tampered with than planned.
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
