//! What does not fit the plan, or itself, as findings.

use crate::evidence::Oddity;
use imalab_language::finding::{Trace, Value};

pub(super) fn finding(oddity: &Oddity) -> Trace {
    match oddity.clone() {
        Oddity::NotInProgram { step } => Trace::NotInProgram { step_id: step },
        Oddity::UnknownStep { seq, step } => Trace::UnknownStep { event: seq, step_id: step },
        Oddity::UnknownOp { seq, step, op, ops } => Trace::UnknownOperation {
            event: seq,
            step_id: step,
            operation_number: op,
            operations: ops as u64,
        },
        Oddity::WrongTask { seq, step, planned, task } => Trace::WrongTask {
            event: seq,
            step_id: step,
            expected: Value::Number(planned.into()),
            found: Value::Number(task.into()),
        },
        Oddity::UnknownTask { seq, task } => Trace::UnknownTask { event: seq, task_id: task },
        Oddity::EndedTwice { seq, step, op } => {
            Trace::EndedTwice { event: seq, step_id: step, operation_number: op }
        }
        Oddity::Backwards { seq, step, op, begin_ns, end_ns, before_ns } => {
            Trace::Backwards { event: seq, step_id: step, operation_number: op, begin_ns, end_ns, before_ns }
        }
        Oddity::DataGap { seq, step, op, expected, found } => Trace::DataGap {
            event: seq,
            step_id: step,
            operation_number: op,
            expected: Value::count(expected),
            found: Value::count(found),
        },
        Oddity::UnexpectedData { seq, step, op } => {
            Trace::UnexpectedData { event: seq, step_id: step, operation_number: op }
        }
        Oddity::DataShort { step, op, value, bytes } => Trace::DataShort {
            step_id: step,
            operation_number: op,
            expected: Value::Number(value),
            found: Value::count(bytes),
        },
        Oddity::BeforeHello { seq } => Trace::BeforeHello { event: seq },
        Oddity::Version { seq, expected, found } => Trace::AgentVersion {
            event: seq,
            expected: Value::Number(expected.into()),
            found: Value::Number(found.into()),
        },
        Oddity::Token { seq, expected, found } => Trace::OtherProgram {
            event: seq,
            expected: Value::word(format!("{expected:#x}")),
            found: Value::word(format!("{found:#x}")),
        },
        Oddity::Boot { seq, expected, found } => Trace::AgentBoot {
            event: seq,
            expected: Value::Number(expected.into()),
            found: Value::Number(found.into()),
        },
        Oddity::AfterDone { seq } => Trace::AfterDone { event: seq },
        Oddity::DoneCounts { seq, what, claimed, arrived } => Trace::SentCount {
            event: seq,
            of: what.to_owned(),
            expected: Value::count(claimed),
            found: Value::count(arrived),
        },
        Oddity::NotDecimal { step, op, text } => {
            Trace::NotDecimal { step_id: step, operation_number: op, words: text }
        }
        Oddity::NotRead { step, op } => Trace::NotSent { step_id: step, operation_number: op },
        Oddity::UnknownMark { seq, mark } => Trace::UnknownMark { event: seq, mark },
        Oddity::MarkTwice { seq, mark } => Trace::MarkTwice { event: seq, mark },
        Oddity::MalformedExtend { seq, why } => Trace::MalformedExtend { event: seq, error: why },
        Oddity::Unreadable { why } => Trace::Unreadable { error: why },
        Oddity::Meddling { seq, command, when: "" } => {
            Trace::ForeignCommand { event: seq, command: command.to_owned() }
        }
        Oddity::Meddling { seq, .. } => Trace::TpmReset { event: seq },
    }
}
