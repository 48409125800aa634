//! A new interface is one file: this one. It takes numbers of records in a file of its own, opened once at a time; the planner has
//! its verbs, a made-up kernel that speaks it is held to its own promises, and one that does not is found.

use std::sync::LazyLock;

use imalab_wire::{Op, Outcome};

use super::call::{path, value};
use super::{FakeRun, Interface};
use crate::judge;
use crate::outcome::Outcome as Judgement;
use imalab_formats::ima::dialect::{
    Access, Admin, Call, Dialect, Excludes, Form, Grammar, Means, Number, OwnFile, Place, Target, Verbs,
};
use imalab_language::interface::adapter;
use imalab_language::plan::Action;

const FILE: OwnFile = OwnFile {
    name: "toy_drop",
    admin: Admin::Always,
    in_order: false,
    refuses: &[],
    excludes: Excludes::Others,
    place: Place::Any,
    shows: None,
    divides: false,
};

const OWN: Target = Target::Own(FILE.name);

static TOY: LazyLock<Dialect> = LazyLock::new(|| {
    let nothing = Interface::READ_ONLY.dialect();
    Dialect {
        name: "toy",
        document: "the test that you are reading",
        own_files: &[FILE],
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
                most: 999,
                beyond: nix::errno::Errno::EDOM,
                most_is_all: false,
                not_with_flush: false,
            }),
            ..nothing.grammar.clone()
        },
        exact_trim: true,
        ..nothing.clone()
    }
});

fn toy() -> Interface {
    Interface::of(LazyLock::force(&TOY))
}

fn speaking() -> FakeRun {
    let mut fake = FakeRun::new();
    fake.plan.interface = toy();
    fake
}

fn judged(fake: FakeRun) -> Judgement {
    let (plan, trace) = fake.finish();
    judge::of(&plan, &trace, &crate::all(&plan, &trace), super::TODAY).outcome
}

/// Opens the toy's file, writes to it and closes it.
fn asks(fake: &mut FakeRun, text: &str, gives: Outcome) {
    let open = Op::Open { slot: 0, path: path("toy_drop"), flags: 1, mode: 0 };
    let write = Op::Write { slot: 0, bytes: text.as_bytes().to_vec() };
    let ops = vec![
        (open, value(0), Vec::new()),
        (write, gives, Vec::new()),
        (Op::Close { slot: 0 }, value(0), Vec::new()),
    ];
    let step = fake.step("write", Action::SystemCall, ops, vec![]);
    fake.plan.steps[step].expect = imalab_language::plan::Expect::Any;
}

#[test]
fn its_verbs_are_calls() {
    let trim = adapter(toy()).trim(0, 7).unwrap();
    let written = trim.ops.iter().find_map(|op| match op {
        Op::Write { bytes, .. } => Some(bytes.as_slice()),
        _ => None,
    });
    assert_eq!(written, Some(&b"7"[..]));
    assert!(trim.ops.iter().any(|op| matches!(op, Op::Open { path, .. } if path.ends_with("/toy_drop"))));
    assert_eq!(adapter(toy()).stage(0), None);
}

#[test]
fn a_kernel_that_keeps_its_promises_passes() {
    let mut fake = speaking();
    fake.measure(5);
    fake.trim(2);
    fake.measure(1);
    asks(&mut fake, "1000", Outcome::Errno(nix::errno::Errno::EDOM as i32));
    asks(&mut fake, "9", Outcome::Errno(nix::errno::Errno::ENOENT as i32));
    fake.checkpoint();
    fake.trim(5);
    assert_eq!(judged(fake), Judgement::Passed);
}

#[test]
fn one_that_does_not_is_found() {
    for (text, gives) in [("9", value(1)), ("1000", Outcome::Errno(22)), ("1", Outcome::Errno(22))] {
        let mut fake = speaking();
        fake.measure(3);
        asks(&mut fake, text, gives);
        assert_eq!(judged(fake), Judgement::Failed, "{text}");
    }
}
