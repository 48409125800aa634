//! What a step must give.

/// What a step must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Success, with as many records as follow from the steps before, where that is known.
    Default,
    /// Success.
    Ok,
    /// Failure with this Linux errno.
    Errno(i32),
    /// Success or any failure.
    Any,
    /// Another task sees it wait within a system call; how it ends is open.
    Blocked,
    /// Success, and so many more records in the current list.
    NewRecords(u64),
    /// Success, and so many records in the list that was read.
    Records(u64),
    /// Success, and this as the value of its system call.
    Value(i64),
}

impl Expectation {
    /// Whether the step may succeed.
    pub(crate) fn may_succeed(self) -> bool {
        !matches!(self, Expectation::Errno(_))
    }

    /// Whether the step succeeds, if all is right.
    pub(crate) fn succeeds(self) -> bool {
        !matches!(self, Expectation::Errno(_) | Expectation::Any | Expectation::Blocked)
    }
}
