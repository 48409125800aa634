//! All that a new interface takes: this file. It removes records by a number in a file of its own, opened by one at a time.

use std::sync::LazyLock;

use nix::errno::Errno;

use imalab_formats::ima::dialect::{
    Access, Admin, Call, Dialect, Excludes, Form, Grammar, Means, Number, OwnFile, Place, Target, Verbs,
};
use imalab_language::plan::Interface;

/// The most records that one request may remove.
pub(crate) const MOST: u64 = 999;

/// The file that takes requests.
pub(crate) const DROP: OwnFile = OwnFile {
    name: "toy_drop",
    admin: Admin::Always,
    in_order: false,
    refuses: &[],
    excludes: Excludes::Others,
    place: Place::Any,
    shows: None,
    divides: false,
};

const OWN: Target = Target::Own(DROP.name);

static TOY: LazyLock<Dialect> = LazyLock::new(|| {
    let nothing = Interface::READ_ONLY.dialect();
    Dialect {
        name: "toy",
        document: "the test that you are reading",
        own_files: &[DROP],
        verbs: Verbs {
            trim: Some(&[
                Call::Open(Target::CURRENT, Access::Read),
                Call::Read,
                Call::Close,
                Call::Open(OWN, Access::Write),
                Call::Write("{n}"),
                Call::Close,
            ]),
            ..nothing.verbs
        },
        grammar: Grammar {
            form_is_promised: true,
            length: 1..=9,
            form: Form::Word,
            number: Some(Number {
                on: OWN,
                any_base: false,
                negative: None,
                positive: Means::Trim,
                most: MOST,
                beyond: Errno::EDOM,
                most_is_all: false,
                not_with_flush: false,
            }),
            ..nothing.grammar.clone()
        },
        exact_trim: true,
        ..nothing.clone()
    }
});

/// The interface.
pub(crate) fn toy() -> Interface {
    Interface::of(LazyLock::force(&TOY))
}
