//! Errors that a call may give, and what is said of a call that gave something else.

use nix::errno::Errno;

use super::Rule;

/// The errors that a call has to give one of, with the promise that each is by. None: it has to succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals(Vec<(Errno, Rule)>);

/// A call gave what the promise rules out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The promise.
    pub rule: Rule,
    /// What should have come.
    pub expected: Expected,
}

/// What a call should have given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Success, whatever its value.
    Success,
    /// An error, whichever.
    Error,
    /// One of these errors.
    Errnos(Vec<Errno>),
    /// A number: bytes of a call that reads or writes, or what a counter shows.
    Number(u64),
    /// One from the least to the most.
    Range {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// That nothing was recorded.
    NoRecord,
}

impl Expected {
    /// A number, or one from the least to the most.
    pub(super) fn range(least: u64, most: u64) -> Expected {
        if least == most { Expected::Number(most) } else { Expected::Range { least, most } }
    }
}

impl Broken {
    pub(super) fn new(rule: Rule, expected: Expected) -> Broken {
        Broken { rule, expected }
    }
}

impl Refusals {
    pub(super) fn add(&mut self, errno: Errno, rule: Rule) {
        self.0.push((errno, rule));
    }

    /// Only the first counts: it is said in which order a call is looked at.
    pub(super) fn keep_first(&mut self) {
        self.0.truncate(1);
    }

    /// The promise that keeps the call from succeeding.
    pub fn first(&self) -> Option<Rule> {
        self.0.first().map(|(_, rule)| *rule)
    }

    /// Whether this error is one of them.
    pub fn has(&self, errno: i32) -> bool {
        self.0.iter().any(|(allowed, _)| *allowed as i32 == errno)
    }

    /// The errors by number, each once.
    pub fn errnos(&self) -> Vec<Errno> {
        let mut errnos: Vec<Errno> = self.0.iter().map(|(errno, _)| *errno).collect();
        errnos.sort_unstable_by_key(|errno| *errno as i32);
        errnos.dedup();
        errnos
    }
}
