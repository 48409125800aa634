//! Numbers by which a program's parts refer to each other.

/// Index of a task in [`Program::tasks`](crate::Program::tasks).
pub type TaskId = u16;
/// Number of a step, unique in a program.
pub type StepId = u32;
/// A descriptor's name within a task.
pub type Slot = u16;
