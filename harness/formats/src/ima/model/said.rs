//! What the documents of our own series say of promises that others make as well, in words of their own.

use super::{From, Rule, Words};
use crate::ima::dialect::Dialect;

/// By the name of the dialect and the rule: a series whose document has them, and the words.
pub const SAID: &[(&str, Rule, &str, &str)] = &[
    ("log-digest", Rule::OwnFileNeedsSysAdmin, "log-trim", "``EPERM`` without ``CAP_SYS_ADMIN``"),
    ("log-digest", Rule::RequestTakenWhole, "log-trim", "write() returns the length of the command"),
    ("log-digest", Rule::TrimRemovesFirst, "log-trim", "removes the N oldest records"),
    ("log-digest", Rule::TrimTooMany, "log-trim", "if there are fewer records"),
    ("log-digest", Rule::AtLeastOne, "log-trim", "if it is no command, or a number is 0"),
    (
        "log-digest",
        Rule::NumberIsDecimal,
        "log-trim",
        "Numbers have up to 20 decimal digits, and nothing else.",
    ),
    ("log-digest", Rule::NumberRange, "log-trim", "if a number is too large for the kernel"),
    ("log-digest", Rule::SuspendedTrim, "log-trim", "From then on a command fails with ``ESTALE``"),
    (
        "log-digest",
        Rule::TrimmedIsShown,
        "log-trim",
        "is counted once in ``runtime_measurements_trims``, and its records in ``runtime_measurements_trimmed``.",
    ),
    (
        "log-digest",
        Rule::OvertakenReader,
        "log-trim",
        "If records are removed that such a reader would have come to next, its read() fails with ``ESTALE`` until it \
         seeks to the start of the file.",
    ),
    (
        "log-digest",
        Rule::CarriedOver,
        "log-trim",
        "The next kernel gets the records that are in the list when it is about to be executed.",
    ),
    (
        "snapshot",
        Rule::OwnFileNeedsSysAdmin,
        "snapshot",
        "without ``CAP_SYS_ADMIN`` in the initial user namespace",
    ),
    (
        "snapshot",
        Rule::OwnFileDirection,
        "snapshot",
        "for writing alone: nobody can save what cannot be read",
    ),
    ("snapshot", Rule::OwnFileIsOpenOnce, "snapshot", "At most one snapshot is open at a time."),
    ("snapshot", Rule::RequestLength, "snapshot", "for no bytes"),
    ("snapshot", Rule::RequestTakenWhole, "snapshot", "It returns their number, or removes nothing"),
    ("snapshot", Rule::SuspendedTrim, "snapshot", "From then on open() and write() fail with ``ESTALE``"),
    (
        "snapshot",
        Rule::OvertakenReader,
        "snapshot",
        "If records are removed that such a reader would have come to next, its read() fails with ``ESTALE`` until it \
         seeks to the start of the file.",
    ),
    (
        "snapshot",
        Rule::CarriedOver,
        "snapshot",
        "The next kernel gets the records that are in the list when it is about to be executed, aggregates like any \
         others.",
    ),
    ("trim-log", Rule::RequestLength, "trim-log", "has less than 2 or more than 32 bytes"),
    ("trim-log", Rule::RequestTakenWhole, "trim-log", "write() returns the length of the request"),
    ("trim-log", Rule::TrimRemovesFirst, "trim-log", "the N oldest records are trimmed"),
    ("trim-log", Rule::TrimTooMany, "trim-log", "if there are less than N records"),
    (
        "trim-log",
        Rule::NumberRange,
        "trim-log",
        "if T is more than ``LONG_MAX``, or N more than ``ULONG_MAX``",
    ),
    ("trim-log", Rule::SuspendedTrim, "trim-log", "From then on a request fails with ``ESTALE``."),
    (
        "trim-log",
        Rule::CarriedOver,
        "trim-log",
        "The next kernel gets the records that are in the list when it is about to be executed.",
    ),
];

impl Rule {
    /// Whose words the promise is in where this dialect makes it, and where they stand.
    pub fn said_by(self, dialect: &Dialect) -> (Words, &'static str) {
        let own = SAID.iter().position(|(name, rule, ..)| *name == dialect.name && *rule == self);
        match own {
            Some(at) => {
                let (.., series, text) = &SAID[at];
                (Words::Quoted { from: From::Series(std::slice::from_ref(series)), text }, dialect.document)
            }
            None => (self.words(), self.source()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interface;

    #[test]
    fn a_promise_is_quoted_from_the_document_of_whoever_makes_it() {
        for interface in [Interface::TRIM_LOG, Interface::LOG_DIGEST, Interface::SNAPSHOT] {
            let dialect = interface.dialect();
            for rule in [Rule::OwnFileNeedsSysAdmin, Rule::RequestTakenWhole, Rule::SuspendedTrim] {
                let (words, _) = rule.said_by(dialect);
                let Words::Quoted { from: From::Series(series), .. } = words else { panic!("{rule:?}") };
                let own = match interface.name() {
                    "log-digest" => "log-trim",
                    name => name,
                };
                assert_eq!(series, [own], "{rule:?}");
            }
        }
        let (words, source) = Rule::TrimTooMany.said_by(Interface::UPSTREAM.dialect());
        assert_eq!((words, source), (Rule::TrimTooMany.words(), Rule::TrimTooMany.source()));
    }

    /// Each series has words of its own for what it shares with others.
    #[test]
    fn of_a_dialect_and_a_rule_there_is_one_quote() {
        for (at, (dialect, rule, ..)) in SAID.iter().enumerate() {
            assert!(!SAID[..at].iter().any(|(other, own, ..)| other == dialect && own == rule), "{rule:?}");
            assert!(Interface::KNOWN.iter().any(|interface| interface.name() == *dialect), "{dialect}");
        }
    }
}
