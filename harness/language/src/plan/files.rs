//! Files that a scenario names: their paths, and what reading them shows.

use crate::interface::{Adapter, IMA};
use crate::scenario::File;
use crate::vocabulary::{Action, Form, Observed};
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::OwnFile;

/// A file's short name and its path.
pub(super) fn path(adapter: Adapter<'_>, file: &File) -> (String, String) {
    let in_ima = |name: &str| (name.to_owned(), format!("{IMA}/{name}"));
    match file {
        File::List { form, bank, staged } => {
            let path = adapter.list(*form, *bank, *staged).unwrap_or_default();
            (path.rsplit('/').next().unwrap_or_default().to_owned(), path)
        }
        File::Count => {
            let path = adapter.count();
            (path.rsplit('/').next().unwrap_or_default().to_owned(), path)
        }
        File::Own(name) => in_ima(name),
        File::Violations => in_ima("violations"),
        File::Path(path) => (path.clone(), path.clone()),
    }
}

/// What reading a file whole shows.
pub(super) fn observed(file: &File) -> Option<Observed> {
    match file {
        File::List { form, bank, staged } => {
            // Files without a bank in their name are links to the sha1 files (`ima_fs_init`).
            Some(Observed::List { form: *form, bank: bank.unwrap_or(Bank::Sha1), staged: *staged })
        }
        File::Count => Some(Observed::Count),
        File::Violations => Some(Observed::Violations),
        // What is before the record that divides the list, as its binary file of SHA-1 shows it.
        File::Own(name) if OwnFile::named(name).is_some_and(|own| own.divides) => {
            Some(Observed::List { form: Form::Binary, bank: Bank::Sha1, staged: false })
        }
        // Of one that takes requests alone, a read gives an error.
        File::Own(_) => Some(Observed::Number),
        File::Path(_) => None,
    }
}

/// Reading the staged list whole is what saving is.
pub(super) fn reading(of: Option<Observed>) -> Action {
    match of {
        Some(Observed::List { staged: true, .. }) => Action::Save,
        _ => Action::SystemCall,
    }
}
