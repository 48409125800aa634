//! Where a processor is, and when.

/// A processor at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which processor.
    pub cpu: u32,
    /// The address of the block that it is about to execute.
    pub address: u64,
    /// Instructions that all processors together have executed.
    pub instructions: u64,
}
