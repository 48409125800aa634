//! What the check `mutex` finds: a request holds the mutex of the lists for longer, the longer a list is.

use super::{Directness, Invariant, Phrasing, Rests};

/// What is declared of the check.
pub(super) const INVARIANT: Invariant = Invariant {
    evidence: "in the deterministic lane, for how many blocks of IMA's code each request holds the mutex of the lists, after few \
               and after many appends",
    rests: Rests {
        on: "holds of the mutex after numbers of appends that differ by eight or more",
        nothing: "another lane, an interface that promises no short hold, or lists of one length: not applicable",
        tests: &["what_nobody_counted_is_none_of_its_business", "lists_of_one_length_show_no_growth"],
    },
    directness: |_| Directness::Model,
};

findings! {
    /// A request holds the mutex of the lists for longer, the longer a list is, and appends wait for it.
    Mutex {
        /// A function of the kernel holds it for longer after more appends. `growth`: hundredths of the power of their number.
        "mutex/grows" Grows {
            asked_by: String, few_appends: u64, held_after_few: u64, many_appends: u64, held_after_many: u64, growth: u64,
        }
        /// The mutex was not traced.
        "mutex/not-counted" NotCounted {}
        /// The interface does not promise it.
        "mutex/not-promised" NotPromised {}
        /// No function held it after numbers of appends that differ enough.
        "mutex/one-length" OneLength {}
    }
    fields {
        asked_by: "the kernel's function that asked for the mutex",
        few_appends: "records that were appended since it held the mutex before, the fewest",
        held_after_few: "blocks of IMA's code for which the mutex was held then",
        many_appends: "records that were appended since it held the mutex before, the most",
        held_after_many: "blocks of IMA's code for which the mutex was held then",
        growth: "by which power of the number of appends it grew, in hundredths: 0 constant, 100 linear",
    }
}

impl Mutex {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Mutex::Grows { asked_by, few_appends, held_after_few, many_appends, held_after_many, growth } => {
                format!(
                    "`{asked_by}` holds the mutex of the lists for {} of code after {}, for {held_after_many} after \
                     {many_appends}: as their number to the power of {}.{:02}",
                    phrase.count(*held_after_few, "block"),
                    phrase.count(*few_appends, "append"),
                    growth / 100,
                    growth % 100
                )
            }
            Mutex::NotCounted {} => "the mutex is not traced in this lane".to_owned(),
            Mutex::NotPromised {} => "the interface does not promise how long it is held".to_owned(),
            Mutex::OneLength {} => "no request came after both few and many appends".to_owned(),
        }
    }
}
