//! The harness's own command.

fn main() {}
