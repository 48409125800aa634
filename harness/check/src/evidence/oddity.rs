//! What does not fit the plan, or itself.

use imalab_wire::{StepId, TaskId};

/// Those that are kept: a guest can make as many as it likes.
const MOST: usize = 1_000;

/// What does not fit, in order, as far as it is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oddities {
    kept: Vec<Oddity>,
    more: usize,
}

impl Oddities {
    pub(crate) fn push(&mut self, oddity: Oddity) {
        if self.kept.len() < MOST {
            self.kept.push(oddity);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn append(&mut self, others: Oddities) {
        self.more += others.more;
        others.kept.into_iter().for_each(|oddity| self.push(oddity));
    }

    /// Those that are kept.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Oddity> {
        self.kept.iter()
    }

    /// How many more there were.
    pub(crate) fn more(&self) -> usize {
        self.more
    }
}

/// Something in the trace that no sound run shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Oddity {
    /// The plan names a step that its program lacks.
    #[error("step {step} of the plan is not in its program")]
    NotInProgram { step: StepId },
    /// A message about a step that the plan lacks.
    #[error("event {seq}: message about step {step}, which the plan lacks")]
    UnknownStep { seq: u64, step: StepId },
    /// A message about an operation that its step lacks.
    #[error("event {seq}: message about operation {op} of step {step}, which has {ops}")]
    UnknownOp { seq: u64, step: StepId, op: u16, ops: usize },
    /// A message about a step from the wrong task.
    #[error("event {seq}: step {step} belongs to task {planned}, the message says {task}")]
    WrongTask { seq: u64, step: StepId, planned: TaskId, task: TaskId },
    /// A message about a task that the program lacks.
    #[error("event {seq}: message about task {task}, which the program lacks")]
    UnknownTask { seq: u64, task: TaskId },
    /// A second end of one operation.
    #[error("event {seq}: operation {op} of step {step} ended before")]
    EndedTwice { seq: u64, step: StepId, op: u16 },
    /// Times that run backwards.
    #[error(
        "event {seq}: operation {op} of step {step} began at {begin_ns} ns and ended at {end_ns} ns, the \
         operation before it at {before_ns} ns"
    )]
    Backwards { seq: u64, step: StepId, op: u16, begin_ns: u64, end_ns: u64, before_ns: u64 },
    /// Data that do not follow the previous piece.
    #[error("event {seq}: data of operation {op} of step {step}: expected offset {expected}, found {found}")]
    DataGap { seq: u64, step: StepId, op: u16, expected: u64, found: u64 },
    /// Data of an operation that has none, or has ended.
    #[error("event {seq}: data of operation {op} of step {step}, which sends none or has ended")]
    UnexpectedData { seq: u64, step: StepId, op: u16 },
    /// Fewer or more data than were read.
    #[error("operation {op} of step {step} read {value} bytes, {bytes} arrived")]
    DataShort { step: StepId, op: u16, value: i64, bytes: u64 },
    /// The first message of a boot is not its hello.
    #[error("event {seq}: a message before the first hello")]
    BeforeHello { seq: u64 },
    /// Another agent than was put into the image.
    #[error("event {seq}: the agent speaks version {found}, expected {expected}")]
    Version { seq: u64, expected: u16, found: u16 },
    /// Another program than was handed over.
    #[error("event {seq}: the agent runs the program {found:#x}, expected {expected:#x}")]
    Token { seq: u64, expected: u64, found: u64 },
    /// The agent counts other boots than there were.
    #[error("event {seq}: the agent is in boot {found}, counted from 0, expected {expected}")]
    Boot { seq: u64, expected: u32, found: u16 },
    /// A message after the last.
    #[error("event {seq}: a message after the last one")]
    AfterDone { seq: u64 },
    /// The agent's own counts differ from what arrived.
    #[error("event {seq}: the agent counts {claimed} {what}, {arrived} arrived")]
    DoneCounts { seq: u64, what: &'static str, claimed: u64, arrived: u64 },
    /// A counter that is no number.
    #[error("operation {op} of step {step} read `{text}` from a counter, expected a decimal number")]
    NotDecimal { step: StepId, op: u16, text: String },
    /// A planned reading of an operation that sends nothing.
    #[error("operation {op} of step {step} is to be read, but the program does not send its data")]
    NotRead { step: StepId, op: u16 },
    /// A reading at a mark that the plan lacks.
    #[error("event {seq}: reading at mark {mark}, which the plan lacks")]
    UnknownMark { seq: u64, mark: u64 },
    /// A second reading at a mark.
    #[error("event {seq}: mark {mark} was read before")]
    MarkTwice { seq: u64, mark: u64 },
    /// The tap saw an extend that cannot be parsed, and that the TPM accepted.
    #[error("event {seq}: TPM2_PCR_Extend that cannot be parsed: {why}")]
    MalformedExtend { seq: u64, why: String },
    /// Events that are gone.
    #[error("{why}")]
    Unreadable { why: String },
    /// The guest changed PCRs by a command that IMA never sends.
    #[error("event {seq}: the guest sent {command}{when}")]
    Meddling { seq: u64, command: &'static str, when: &'static str },
}
