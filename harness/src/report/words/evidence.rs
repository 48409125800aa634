//! Missing evidence in words.

use imalab_language::finding::Evidence;

pub(super) fn words(finding: &Evidence) -> String {
    match finding {
        Evidence::NoListRead {} => "no checkpoint read the list".to_owned(),
        Evidence::NothingCompared {} => "nothing was there to be compared".to_owned(),
        Evidence::NoneOf { of } => format!("none of the {of} were there to be compared"),
        Evidence::Unreadable { error } => error.clone(),
        Evidence::PcrNotTheGuests { command, more } => {
            let more = if *more == 0 { String::new() } else { format!(", and {more} more") };
            format!("{command}{more}: the value of the PCR is not the guest's doing alone")
        }
    }
}
