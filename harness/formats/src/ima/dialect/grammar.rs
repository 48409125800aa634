//! What bytes are a request.

use std::ops::RangeInclusive;

use nix::errno::Errno;

use super::Target;
use crate::ima::lists::Request;

/// How bytes are read as a request.
#[derive(Clone, Debug)]
pub struct Grammar {
    /// Whether the document says in which form numbers are taken; else what stands here of it is what a kernel is taken for that
    /// was not [asked](super::Seen).
    pub form_is_promised: bool,
    /// Fewest and most bytes.
    pub length: RangeInclusive<usize>,
    /// Whether the last byte must be a newline, which is no part of the request.
    pub newline_needed: bool,
    /// How it is taken apart.
    pub form: Form,
    /// Whether it is said which of several errors a request with several faults gives: that of the first.
    pub in_order: bool,
    /// Requests that are a word, and the files that take them.
    pub verbs: &'static [(Target, &'static str, Request)],
    /// Numbers.
    pub number: Option<Number>,
}

/// How the bytes of a request are taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a C string: its first letters are the verb, whatever follows; a zero byte ends a number, and a newline of its own may
    /// stand at its end.
    String,
    /// It is a word or a number, and nothing else.
    Word,
    /// `T:N`: the number, behind that of the records trimmed so far, which has digits and nothing else. A number of 0 asks for
    /// nothing, and is no error.
    CompareAndTrim,
    /// Whatever is written, it is not looked at.
    Anything,
    /// A word, a number of at most 20 digits and nothing else, or `marker` and such a number.
    Command,
}

/// What a number asks for.
#[derive(Clone, Debug)]
pub struct Number {
    /// The files that take it.
    pub on: Target,
    /// Whether `0x` and a leading zero count, as `kstrtol` takes them in base 0.
    pub any_base: bool,
    /// Whether it may be negative, and what it means then.
    pub negative: Option<Means>,
    /// What it means.
    pub positive: Means,
    /// The largest.
    pub most: u64,
    /// What a larger one gives.
    pub beyond: Errno,
    /// Whether the largest one stands for all records.
    pub most_is_all: bool,
    /// Whether it is refused with `ima_flush_htable`.
    pub not_with_flush: bool,
}

/// What becomes of N records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The first N are staged, if there are as many.
    StageFirst,
    /// The first N are staged, or all.
    StageUpTo,
    /// The first N of the current list are removed.
    Trim,
    /// The first N of the staged list are removed, the others go back to the current one.
    DeleteFirst,
}

impl Means {
    /// The request for so many records.
    pub fn request(self, records: u64) -> Request {
        match self {
            Means::StageFirst => Request::StageFirst(records),
            Means::StageUpTo => Request::StageUpTo(records),
            Means::Trim => Request::Trim(records),
            Means::DeleteFirst => Request::DeleteFirst(records),
        }
    }
}

/// A number that trims, in decimal and without a sign, as mainline takes it where a kernel was not asked; `ima_flush_htable` does
/// not forbid it as far as is known.
pub(super) const DECIMAL: Number = Number {
    on: Target::CURRENT,
    any_base: false,
    negative: None,
    positive: Means::Trim,
    most: u64::MAX,
    beyond: Errno::ERANGE,
    most_is_all: false,
    not_with_flush: false,
};

/// The grammar of a list that takes nothing.
pub(super) const NOTHING: Grammar = Grammar {
    form_is_promised: false,
    length: 0..=0,
    newline_needed: false,
    form: Form::Word,
    in_order: false,
    verbs: &[],
    number: None,
};
