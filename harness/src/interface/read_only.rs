//! Kernels whose measurement list only grows.

use imalab_wire::Slot;

use super::{Adapter, Deed, IMA, upstream};
use crate::ima::Bank;
use crate::plan::{Action, Form};

/// The interface.
pub(super) struct ReadOnly;

impl Adapter for ReadOnly {
    fn list(&self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String> {
        (!staged).then(|| format!("{IMA}/{}", upstream::file_name(form, bank, false)))
    }

    fn stage(&self, _: Slot) -> Option<Deed> {
        None
    }

    fn save(&self, _: Slot) -> Option<Deed> {
        None
    }

    fn delete(&self, _: Slot) -> Option<Deed> {
        None
    }

    fn trim(&self, _: Slot, _: u64) -> Option<Deed> {
        None
    }

    fn trim_found(&self, _: Slot) -> Option<Deed> {
        None
    }

    fn meaning(&self, _: bool, _: &str) -> Option<Action> {
        None
    }
}
