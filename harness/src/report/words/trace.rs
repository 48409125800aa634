//! What does not fit the plan, or itself, in words.

use super::parts::{count, value};
use imalab_language::finding::Trace;

pub(super) fn words(finding: &Trace) -> String {
    match finding {
        Trace::NotInProgram { step_id } => format!("step {step_id} of the plan is not in its program"),
        Trace::UnknownStep { event, step_id } => {
            format!("event {event}: message about step {step_id}, which the plan does not have")
        }
        Trace::UnknownOperation { event, step_id, operation_number, operations } => format!(
            "event {event}: message about operation {operation_number} of step {step_id}, which has {operations}"
        ),
        Trace::WrongTask { event, step_id, expected, found } => format!(
            "event {event}: step {step_id} belongs to task {}, the message says {}",
            value(expected),
            value(found)
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
            value(expected),
            value(found)
        ),
        Trace::UnexpectedData { event, step_id, operation_number } => format!(
            "event {event}: data of operation {operation_number} of step {step_id}, which sends none or has ended"
        ),
        Trace::DataShort { step_id, operation_number, expected, found } => format!(
            "operation {operation_number} of step {step_id} read {} bytes, {} arrived",
            value(expected),
            value(found)
        ),
        Trace::BeforeHello { event } => format!("event {event}: message before the agent's hello"),
        Trace::AgentVersion { event, expected, found } => format!(
            "event {event}: the agent speaks version {} of the wire format, expected {}",
            value(found),
            value(expected)
        ),
        Trace::OtherProgram { event, expected, found } => {
            format!("event {event}: the agent runs program {}, expected {}", value(found), value(expected))
        }
        Trace::AgentBoot { event, expected, found } => {
            format!("event {event}: the agent is in boot {}, expected {}", value(found), value(expected))
        }
        Trace::AfterDone { event } => format!("event {event}: message after the agent's last one"),
        Trace::SentCount { event, of, expected, found } => {
            format!("event {event}: the agent sent {} {of}, {} arrived", value(expected), value(found))
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
        Trace::More { more } => format!("{} that do not fit", count(*more, "more message")),
    }
}
