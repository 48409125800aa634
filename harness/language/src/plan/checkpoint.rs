//! Checkpoints: quiescent points at which lists and counters are read and the PCRs are compared with them.

use crate::interface::{Adapter, IMA, Operations, read_whole};
use crate::vocabulary::{Form, Observed};
use imalab_formats::ima::Bank;

/// The counter of the current list's records.
pub(super) fn count(adapter: Adapter<'_>) -> Operations {
    read_whole(0, adapter.count(), Observed::Count)
}

/// What is read after each verb: the lists in one view, and the counters.
pub(super) fn quick(adapter: Adapter<'_>, bank_files: bool) -> Operations {
    read(adapter, &[Form::Binary], &[Bank::Sha1], bank_files)
}

/// Every view of every list, and the counters.
pub(super) fn full(adapter: Adapter<'_>, banks: &[Bank], bank_files: bool) -> Operations {
    // The sha1 files exist even when the TPM has no such bank (`create_securityfs_measurement_lists`).
    let mut views = vec![Bank::Sha1];
    if bank_files {
        views.extend(banks.iter().copied().filter(|bank| *bank != Bank::Sha1));
    }
    read(adapter, &[Form::Binary, Form::Ascii], &views, bank_files)
}

fn read(adapter: Adapter<'_>, forms: &[Form], banks: &[Bank], bank_files: bool) -> Operations {
    let mut operations = Operations::nothing();
    for staged in [true, false] {
        for bank in banks {
            for form in forms {
                // Without files for each bank the one file shows sha1.
                let path = adapter.list(*form, bank_files.then_some(*bank), staged);
                if let Some(path) = path {
                    let of = Observed::List { form: *form, bank: *bank, staged };
                    operations = operations.then(adapter.read(0, path, of));
                }
            }
        }
    }
    operations.then(count(adapter)).then(read_whole(0, format!("{IMA}/violations"), Observed::Violations))
}
