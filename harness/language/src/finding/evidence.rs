//! What several checks find missing.

use super::Phrasing;

findings! {
    /// Evidence that several checks rest on is missing: a check without it could not run.
    Evidence {
        /// No checkpoint read the list.
        "evidence/no-list-read" NoListRead {}
        /// There was nothing to compare.
        "evidence/nothing-compared" NothingCompared {}
        /// There were none of these to compare.
        "evidence/none-of" NoneOf { of: String }
        /// Stored evidence cannot be read back.
        "evidence/unreadable" Unreadable { error: String }
        /// PCR 10 was changed by commands that came through the harness's own port, so that its value is not the guest's alone.
        "evidence/pcr-not-the-guests" PcrNotTheGuests { command: String, more: u64 }
    }
}

impl Evidence {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, _: &dyn Phrasing) -> String {
        match self {
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
}
