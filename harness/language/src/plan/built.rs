//! A step on its way into the program.

use super::types::{Action, Expect};
use crate::interface::Deed;

/// A step on its way into the program.
pub(super) struct Built {
    pub(super) text: String,
    pub(super) deed: Deed,
    pub(super) action: Action,
    pub(super) expect: Expect,
}

impl Built {
    /// One operation that does nothing to the lists.
    pub(super) fn call(text: String, op: imalab_wire::Op, expect: Expect) -> Built {
        let deed = Deed { ops: vec![op], reads: Vec::new() };
        Built { text, deed, action: Action::SystemCall, expect }
    }
}
