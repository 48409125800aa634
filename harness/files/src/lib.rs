//! Files that are there whole or not at all, and what a user's path for results leads to.

pub mod atomic;
pub mod output;
pub mod partial;
