//! What does not fit the plan, or itself, in what the guest sent. The check `steps` has these.

use super::{Phrasing, Value};

findings! {
    /// What the guest sent contradicts the plan, or itself. The check `steps` has these.
    Trace {
        /// The plan names a step that its program does not have.
        "trace/not-in-program" NotInProgram { step_id: u32 }
        /// A message about a step that the plan does not have.
        "trace/unknown-step" UnknownStep { event: u64, step_id: u32 }
        /// A message about an operation that its step does not have.
        "trace/unknown-operation" UnknownOperation { event: u64, step_id: u32, operation_number: u16, operations: u64 }
        /// A message about a step from the wrong task.
        "trace/wrong-task" WrongTask { event: u64, step_id: u32, expected: Value, found: Value }
        /// A message about a task that the program does not have.
        "trace/unknown-task" UnknownTask { event: u64, task_id: u16 }
        /// An operation ended a second time.
        "trace/ended-twice" EndedTwice { event: u64, step_id: u32, operation_number: u16 }
        /// An operation whose times run backwards, guest nanoseconds.
        "trace/backwards" Backwards { event: u64, step_id: u32, operation_number: u16, begin_ns: u64, end_ns: u64, before_ns: u64 }
        /// Data that do not follow the previous piece.
        "trace/data-gap" DataGap { event: u64, step_id: u32, operation_number: u16, expected: Value, found: Value }
        /// Data of an operation that sends none or has ended.
        "trace/unexpected-data" UnexpectedData { event: u64, step_id: u32, operation_number: u16 }
        /// More or fewer data arrived than were read.
        "trace/data-short" DataShort { step_id: u32, operation_number: u16, expected: Value, found: Value }
        /// A message before the first hello of the agent.
        "trace/before-hello" BeforeHello { event: u64 }
        /// The agent speaks another version of the wire format.
        "trace/agent-version" AgentVersion { event: u64, expected: Value, found: Value }
        /// The agent runs another program than it was handed.
        "trace/other-program" OtherProgram { event: u64, expected: Value, found: Value }
        /// The agent counts other boots than there were, from 0.
        "trace/agent-boot" AgentBoot { event: u64, expected: Value, found: Value }
        /// A message after the agent's last one.
        "trace/after-done" AfterDone { event: u64 }
        /// The agent sent more or fewer of these than arrived.
        "trace/sent-count" SentCount { event: u64, of: String, expected: Value, found: Value }
        /// A counter that is not a decimal number.
        "trace/not-decimal" NotDecimal { step_id: u32, operation_number: u16, words: String }
        /// A planned reading of an operation whose data the program does not send.
        "trace/not-sent" NotSent { step_id: u32, operation_number: u16 }
        /// A reading at a mark that the plan does not have.
        "trace/unknown-mark" UnknownMark { event: u64, mark: u64 }
        /// A second reading at a mark.
        "trace/mark-twice" MarkTwice { event: u64, mark: u64 }
        /// An extend that cannot be parsed, and that the TPM took.
        "trace/malformed-extend" MalformedExtend { event: u64, error: String }
        /// Events that cannot be read back.
        "trace/unreadable" Unreadable { error: String }
        /// The guest changed PCR 10 by a command that IMA never sends.
        "trace/foreign-command" ForeignCommand { event: u64, command: String }
        /// The guest reset the TPM after it had extended PCR 10.
        "trace/tpm-reset" TpmReset { event: u64 }
        /// More of these messages than are kept.
        "trace/more" More { more: u64 }
    }
}

impl Trace {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Trace::NotInProgram { step_id } => format!("step {step_id} of the plan is not in its program"),
            Trace::UnknownStep { event, step_id } => {
                format!("event {event}: message about step {step_id}, which the plan does not have")
            }
            Trace::UnknownOperation { event, step_id, operation_number, operations } => format!(
                "event {event}: message about operation {operation_number} of step {step_id}, which has {operations}"
            ),
            Trace::WrongTask { event, step_id, expected, found } => format!(
                "event {event}: step {step_id} belongs to task {}, the message says {}",
                phrase.value(expected),
                phrase.value(found)
            ),
            Trace::UnknownTask { event, task_id } => {
                format!("event {event}: message about task {task_id}, which the program does not have")
            }
            Trace::EndedTwice { event, step_id, operation_number } => {
                format!("event {event}: operation {operation_number} of step {step_id} ended before")
            }
            Trace::Backwards { event, step_id, operation_number, begin_ns, end_ns, before_ns } => format!(
                "event {event}: operation {operation_number} of step {step_id} began at {begin_ns} ns and ended at {end_ns} ns, \
                 the operation before it at {before_ns} ns"
            ),
            Trace::DataGap { event, step_id, operation_number, expected, found } => format!(
                "event {event}: data of operation {operation_number} of step {step_id}: expected offset {}, found {}",
                phrase.value(expected),
                phrase.value(found)
            ),
            Trace::UnexpectedData { event, step_id, operation_number } => format!(
                "event {event}: data of operation {operation_number} of step {step_id}, which sends none or has ended"
            ),
            Trace::DataShort { step_id, operation_number, expected, found } => format!(
                "operation {operation_number} of step {step_id} read {} bytes, {} arrived",
                phrase.value(expected),
                phrase.value(found)
            ),
            Trace::BeforeHello { event } => format!("event {event}: message before the agent's hello"),
            Trace::AgentVersion { event, expected, found } => format!(
                "event {event}: the agent speaks version {} of the wire format, expected {}",
                phrase.value(found),
                phrase.value(expected)
            ),
            Trace::OtherProgram { event, expected, found } => {
                format!(
                    "event {event}: the agent runs program {}, expected {}",
                    phrase.value(found),
                    phrase.value(expected)
                )
            }
            Trace::AgentBoot { event, expected, found } => {
                format!(
                    "event {event}: the agent is in boot {}, expected {}",
                    phrase.value(found),
                    phrase.value(expected)
                )
            }
            Trace::AfterDone { event } => format!("event {event}: message after the agent's last one"),
            Trace::SentCount { event, of, expected, found } => {
                format!(
                    "event {event}: the agent sent {} {of}, {} arrived",
                    phrase.value(expected),
                    phrase.value(found)
                )
            }
            Trace::NotDecimal { step_id, operation_number, words } => format!(
                "operation {operation_number} of step {step_id} read `{words}` from a counter, expected a decimal number"
            ),
            Trace::NotSent { step_id, operation_number } => format!(
                "operation {operation_number} of step {step_id} is to be read, but the program does not send its data"
            ),
            Trace::UnknownMark { event, mark } => {
                format!("event {event}: reading at mark {mark}, which the plan does not have")
            }
            Trace::MarkTwice { event, mark } => format!("event {event}: mark {mark} was read before"),
            Trace::MalformedExtend { event, error } => {
                format!("event {event}: TPM2_PCR_Extend that cannot be parsed: {error}")
            }
            Trace::Unreadable { error } => error.clone(),
            Trace::ForeignCommand { event, command } => {
                format!("event {event}: the guest sent {command}, which IMA never does")
            }
            Trace::TpmReset { event } => {
                format!(
                    "event {event}: the guest reset the TPM (TPM2_Startup(CLEAR)) after it had extended PCR 10"
                )
            }
            Trace::More { more } => format!("{} that do not fit", phrase.count(*more, "more message")),
        }
    }
}
