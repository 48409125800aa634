//! A name that stands for nothing.

/// A name of a step that nothing in the scenario is. Whoever read the scenario has refused such a one; if it was let through, there
/// is no plan, rather than one that acts on something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unresolved {
    /// What it was to stand for.
    pub(super) what: &'static str,
    /// The name.
    pub(super) name: String,
}

impl Unresolved {
    pub(super) fn descriptor(name: &str) -> Unresolved {
        Unresolved { what: "descriptor", name: name.to_owned() }
    }

    pub(super) fn task(name: &str) -> Unresolved {
        Unresolved { what: "task", name: name.to_owned() }
    }

    pub(super) fn event(name: &str) -> Unresolved {
        Unresolved { what: "event of `poll`", name: name.to_owned() }
    }

    pub(super) fn barrier(name: &str) -> Unresolved {
        Unresolved { what: "barrier", name: name.to_owned() }
    }

    pub(super) fn program(name: &str) -> Unresolved {
        Unresolved { what: "program", name: name.to_owned() }
    }

    pub(super) fn hold(name: &str) -> Unresolved {
        Unresolved { what: "hold", name: name.to_owned() }
    }
}
