//! What a user writes, and what it means: a scenario with a kernel's capabilities becomes a plan.
//!
//! Pure: [`scenario`] is parsed, [`plan`] compiles it to the guest's program by way of the kernel's [`interface`].

pub mod capabilities;
pub mod capability;
pub mod finding;
pub mod interface;
pub mod lane;
pub mod plan;
pub mod probe;
pub mod scenario;
pub mod verdict;
pub mod vocabulary;
