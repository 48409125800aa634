//! The transaction idea of November 2023 and December 2025, in our own series `kernel-config/patches/transaction`: who
//! has a list open for reading and writing commits by writing a number (`ima_list_write` there). Nothing is staged.

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::rfc_v2::CURRENT;
use super::{Adapter, CHUNK, Deed, IMA, find, unseen, upstream::file_name};
use crate::ima::Bank;
use crate::plan::{Action, Form, Observed, Reading};

/// The interface.
pub(super) struct Transaction;

impl Adapter for Transaction {
    fn list(&self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String> {
        (!staged).then(|| format!("{IMA}/{}", file_name(form, bank, false)))
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

    fn trim(&self, slot: Slot, records: u64) -> Option<Deed> {
        let path = format!("{IMA}/{CURRENT}");
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: false };
        let ops = vec![
            Op::Open { slot, path, flags: OFlag::O_RDWR.bits(), mode: 0 },
            Op::Read { slot, chunk: CHUNK, limit: None, send: true },
            Op::Write { slot, bytes: format!("{records}\n").into_bytes() },
            Op::Close { slot },
        ];
        Some(Deed { ops, reads: vec![Reading { op: 1, of }] })
    }

    fn trim_found(&self, slot: Slot) -> Option<Deed> {
        let found = find(slot, format!("{IMA}/{CURRENT}"), false, OFlag::O_RDWR);
        Some(found.then(unseen(vec![Op::WriteFound { slot }, Op::Close { slot }])))
    }

    fn meaning(&self, staged: bool, text: &str) -> Option<Action> {
        let number = text.strip_suffix('\n').unwrap_or(text);
        if staged || text.len() > 23 {
            return None;
        }
        let records = number.parse().ok().filter(|records| *records > 0)?;
        Some(Action::Trim { records })
    }
}
