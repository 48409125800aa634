//! The two-command idea of December 2025, in our own series `kernel-config/patches/two-command`: a number stages so many
//! records or all that there are, and `D` deletes them (`ima_staged_write` there).

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::rfc_v2::{CURRENT, name, stage_found, staged};
use super::{Adapter, Deed, IMA, read_whole, request, unseen};
use crate::ima::Bank;
use crate::plan::{Action, Form, Observed};

/// The interface.
pub(super) struct TwoCommand;

impl Adapter for TwoCommand {
    fn list(&self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String> {
        Some(format!("{IMA}/{}", name(form, bank, staged)))
    }

    fn stage(&self, slot: Slot) -> Option<Deed> {
        // More records than there can be: all of them.
        Some(request(slot, staged(), &format!("{}\n", i64::MAX)))
    }

    fn save(&self, slot: Slot) -> Option<Deed> {
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: true };
        Some(read_whole(slot, staged(), of))
    }

    fn delete(&self, slot: Slot) -> Option<Deed> {
        Some(request(slot, staged(), "D\n"))
    }

    fn trim(&self, slot: Slot, records: u64) -> Option<Deed> {
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: false };
        let read = read_whole(slot, format!("{IMA}/{CURRENT}"), of);
        let open = Op::Open { slot, path: staged(), flags: OFlag::O_WRONLY.bits(), mode: 0 };
        let write = |text: String| Op::Write { slot, bytes: text.into_bytes() };
        // The file stays open in between, so that nobody else's records are deleted.
        let ops = vec![open, write(format!("{records}\n")), write("D\n".to_owned()), Op::Close { slot }];
        Some(read.then(unseen(ops)))
    }

    fn trim_found(&self, slot: Slot) -> Option<Deed> {
        Some(stage_found(slot))
    }

    fn meaning(&self, staged: bool, text: &str) -> Option<Action> {
        let request = text.strip_suffix('\n').unwrap_or(text);
        if !staged || text.len() > 23 {
            return None;
        }
        match request {
            "D" => Some(Action::Delete),
            // `kstrtoul` takes a leading plus sign, as `parse` does.
            number => number.parse::<u64>().ok().filter(|number| *number > 0).map(|_| Action::Stage),
        }
    }
}
