//! What the check `probe` finds: a kernel took what it was asked for when it was asked what it offers, and gave something else.

findings! {
    /// A kernel took what it was asked for when it was asked what it offers, and gave something else.
    Probe {
        /// It gave something else than was promised; `kind` says what.
        "probe/found" Found { kind: String, asked: String, expected: String, found: String, promise: String }
    }
}
