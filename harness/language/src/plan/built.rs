//! A step on its way into the program.

use crate::interface::Operations;
use crate::vocabulary::{Action, Expect};

/// A step on its way into the program.
pub(super) struct Built {
    pub(super) text: String,
    pub(super) operations: Operations,
    pub(super) action: Action,
    pub(super) expect: Expect,
}

impl Built {
    /// One operation that does nothing to the lists.
    pub(super) fn call(text: String, op: imalab_wire::Op, expect: Expect) -> Built {
        let operations = Operations { ops: vec![op], reads: Vec::new() };
        Built { text, operations, action: Action::SystemCall, expect }
    }
}
