//! The staging RFC v2 of December 2025, in our own series `kernel-config/patches/rfc-v2`: `A`, `N`, `D` and `-N`, all
//! written to the files of the staged records (`ima_staged_write` there). The original files are read-only.

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::{Adapter, Deed, IMA, find, read_whole, request, unseen, upstream::file_name};
use crate::ima::Bank;
use crate::plan::{Action, Form, Observed};

/// The interface.
pub(super) struct RfcV2;

/// The staged list by its sha1 file, which exists whatever banks the TPM has.
const STAGED: &str = "binary_runtime_measurements_staged_sha1";
/// The current list by its sha1 file.
pub(super) const CURRENT: &str = "binary_runtime_measurements_sha1";

/// Name of a measurement list of this interface: the bank comes last.
pub(super) fn name(form: Form, bank: Option<Bank>, staged: bool) -> String {
    if !staged {
        return file_name(form, bank, false);
    }
    let name = file_name(form, None, true);
    bank.map_or_else(|| name.clone(), |bank| format!("{name}_{bank}"))
}

/// Path of the staged list that requests go to.
pub(super) fn staged() -> String {
    format!("{IMA}/{STAGED}")
}

/// Stages as many records as were found, and deletes them while nobody else can come in between. What was read before
/// may be gone by then: the list that shows the records cannot be kept open, since it would exclude the request.
pub(super) fn stage_found(slot: Slot) -> Deed {
    let found = find(slot, format!("{IMA}/{CURRENT}"), false, OFlag::O_RDONLY);
    found.then(unseen(vec![
        Op::Close { slot },
        Op::Open { slot, path: staged(), flags: OFlag::O_WRONLY.bits(), mode: 0 },
        Op::WriteFound { slot },
        Op::Write { slot, bytes: b"D\n".to_vec() },
        Op::Close { slot },
    ]))
}

impl Adapter for RfcV2 {
    fn list(&self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String> {
        Some(format!("{IMA}/{}", name(form, bank, staged)))
    }

    fn stage(&self, slot: Slot) -> Option<Deed> {
        Some(request(slot, staged(), "A\n"))
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
        Some(read.then(request(slot, staged(), &format!("-{records}\n"))))
    }

    fn trim_found(&self, slot: Slot) -> Option<Deed> {
        Some(stage_found(slot))
    }

    fn meaning(&self, staged: bool, text: &str) -> Option<Action> {
        // The newline may be missing (`sysfs_streq`, `kstrtol`); 23 bytes is the longest request.
        let request = text.strip_suffix('\n').unwrap_or(text);
        if !staged || text.len() > 23 {
            return None;
        }
        match request {
            "A" => Some(Action::Stage),
            "D" => Some(Action::Delete),
            number => match number.parse::<i64>().ok()? {
                1.. => Some(Action::Stage),
                records @ ..0 => Some(Action::Trim { records: records.unsigned_abs() }),
                0 => None,
            },
        }
    }
}
