//! Names of the kernels that every archive with kernels has: what [`Op::KexecLoad`](crate::Op::KexecLoad) may name beside those
//! that a suite brings.

/// Name of the kernel under test.
pub const SAME: &str = "same";

/// Name of a file that begins as the kernel under test and ends before its first 64-bit instruction: what loads it
/// takes it for a kernel and fails late.
pub const TRUNCATED: &str = "truncated";

/// Name of a file that nothing takes for a kernel.
pub const NO_KERNEL: &str = "no-kernel";
