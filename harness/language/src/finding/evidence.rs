//! What several checks find missing.

findings! {
    /// Evidence that several checks rest on is missing: a check without it could not run.
    Evidence {
        /// No checkpoint read the list.
        "evidence/no-list-read" NoListRead {}
        /// Nothing was there to be compared.
        "evidence/nothing-compared" NothingCompared {}
        /// None of these were there to be compared.
        "evidence/none-of" NoneOf { of: String }
        /// Evidence cannot be read back from where it was kept.
        "evidence/unreadable" Unreadable { error: String }
        /// PCR 10 was changed by commands that came through the harness's own port, so that its value is not the guest's alone.
        "evidence/pcr-not-the-guests" PcrNotTheGuests { command: String, more: u64 }
    }
}
