//! Mainline since Linux 7.2: `A`, `D` and a number, by `Documentation/security/IMA-export-delete.rst` and
//! `_ima_measurements_write` in `security/integrity/ima/ima_fs.c`.

use imalab_wire::{Op, Slot};
use nix::fcntl::OFlag;

use super::{Adapter, Deed, IMA, find, read_whole, request, unseen};
use crate::ima::Bank;
use crate::plan::{Action, Form, Observed};

/// The interface.
pub(super) struct Upstream;

/// The staged list by its sha1 file, which exists whatever banks the TPM has.
const STAGED: &str = "binary_runtime_measurements_sha1_staged";
/// The current list by its sha1 file.
const CURRENT: &str = "binary_runtime_measurements_sha1";

/// Name of a measurement list of this interface.
pub(super) fn file_name(form: Form, bank: Option<Bank>, staged: bool) -> String {
    let form = match form {
        Form::Binary => "binary",
        Form::Ascii => "ascii",
    };
    let bank = bank.map(|bank| format!("_{bank}")).unwrap_or_default();
    let staged = if staged { "_staged" } else { "" };
    format!("{form}_runtime_measurements{bank}{staged}")
}

impl Adapter for Upstream {
    fn list(&self, form: Form, bank: Option<Bank>, staged: bool) -> Option<String> {
        Some(format!("{IMA}/{}", file_name(form, bank, staged)))
    }

    fn stage(&self, slot: Slot) -> Option<Deed> {
        Some(request(slot, format!("{IMA}/{STAGED}"), "A\n"))
    }

    fn save(&self, slot: Slot) -> Option<Deed> {
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: true };
        Some(read_whole(slot, format!("{IMA}/{STAGED}"), of))
    }

    fn delete(&self, slot: Slot) -> Option<Deed> {
        Some(request(slot, format!("{IMA}/{STAGED}"), "D\n"))
    }

    fn trim(&self, slot: Slot, records: u64) -> Option<Deed> {
        let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: false };
        let read = read_whole(slot, format!("{IMA}/{CURRENT}"), of);
        Some(read.then(request(slot, format!("{IMA}/{CURRENT}"), &format!("{records}\n"))))
    }

    fn trim_found(&self, slot: Slot) -> Option<Deed> {
        let found = find(slot, format!("{IMA}/{CURRENT}"), false, OFlag::O_RDWR);
        Some(found.then(unseen(vec![Op::WriteFound { slot }, Op::Close { slot }])))
    }

    fn meaning(&self, staged: bool, text: &str) -> Option<Action> {
        // The kernel takes nothing without a newline at the end, and A and D only alone.
        let request = text.strip_suffix('\n')?;
        match (staged, request) {
            (true, "A") => Some(Action::Stage),
            (true, "D") => Some(Action::Delete),
            // Up to the first zero byte, kstrtoul takes digits, a plus before them and a newline after them; 21 bytes
            // with the newline are the longest request.
            (false, number) if text.len() <= 21 => {
                let number = number.split('\0').next()?;
                let number = number.strip_suffix('\n').unwrap_or(number);
                let digits = number.strip_prefix('+').unwrap_or(number);
                let records = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
                Some(Action::Trim { records })
            }
            _ => None,
        }
    }
}
