use imalab_formats::Interface;
use imalab_language::capabilities::Capabilities;
use imalab_language::capability::Capability;
use imalab_language::plan::{self, Planned};
use imalab_language::scenario;

use super::*;
use crate::render::{Head, render};

/// A kernel with everything.
fn capabilities() -> Capabilities {
    Capabilities {
        release: "7.3.4".to_owned(),
        interface: Interface::UPSTREAM,
        have: Capability::all().collect(),
        files: Default::default(),
        behaviours: Default::default(),
        seen: Default::default(),
        findings: Vec::new(),
    }
}

pub(crate) fn offers() -> Offers {
    Offers::of(&capabilities())
}

/// The plan of a program's text.
fn planned(text: &str) -> plan::Plan {
    let scenario = scenario::parse("it", "it.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let parameters = &plan::expand(&scenario)[0];
    match plan::plan(&scenario, parameters, &capabilities(), Interface::UPSTREAM, 1).unwrap() {
        Planned::Plan(plan) => *plan,
        Planned::Skip(skip) => panic!("{skip:?}\n{text}"),
    }
}

#[test]
fn every_seed_is_a_program_that_can_be_planned() {
    for seed in 0..1000 {
        let program = generate(seed, offers());
        let rendered = render(&program, &Head::generated());
        let plan = planned(&rendered.text);
        assert!(plan.steps.len() > 2, "{seed}");
        // What was left out of it is left out: nothing more has to be.
        assert_eq!(sound(&program).as_ref(), Some(&program), "{seed}\n{}", rendered.text);
    }
}

#[test]
fn what_is_kept_of_a_program_is_the_same_program() {
    for seed in 0..200 {
        let program = generate(seed, offers());
        let kept = serde_json::to_string(&program).unwrap();
        let again: Program = serde_json::from_str(&kept).unwrap();
        assert_eq!(again, program);
        let text = |program| render(program, &Head::generated()).text;
        assert_eq!(planned(&text(&again)), planned(&text(&program)));
    }
}

#[test]
fn a_seed_is_the_same_program_for_ever() {
    let texts: String =
        (0..3).map(|seed| render(&generate(seed, offers()), &Head::generated()).text).collect();
    insta::assert_snapshot!(texts);
}

#[test]
fn pairs_that_race_are_frequent() {
    let asks = |steps: &[Step], what: fn(Request) -> bool| {
        steps.iter().any(|step| matches!(step, Step::Ask { request, .. } if what(*request)))
    };
    let trims = |steps: &[Step]| asks(steps, |request| matches!(request, Request::Trim(1..TOO_MANY)));
    let deletes = |steps: &[Step]| asks(steps, |request| request == Request::Delete);
    let reads =
        |steps: &[Step]| steps.iter().any(|step| matches!(step, Step::ReadAt { .. } | Step::Read { .. }));
    let (mut trimmers, mut readers) = (0, 0);
    for seed in 0..300 {
        let program = generate(seed, offers());
        let two = |one: &dyn Fn(&[Step]) -> bool, other: &dyn Fn(&[Step]) -> bool| {
            program.phases.iter().any(|phase| {
                let (a, b) = (phase.of(0), phase.of(1));
                program.actors.get(1) == Some(&Actor::Thread) && (one(a) && other(b) || one(b) && other(a))
            })
        };
        trimmers += usize::from(two(&trims, &trims));
        readers += usize::from(two(&reads, &deletes));
    }
    assert!(trimmers > 30 && readers > 30, "{trimmers} {readers}");
}

#[test]
fn a_kernel_that_offers_nothing_has_programs_too() {
    let nothing =
        Offers { staging: false, trim: false, bank_files: false, flush: false, policy_records: false };
    for seed in 0..200 {
        let program = generate(seed, nothing);
        let removes = program.steps().any(|(_, step)| matches!(step, Step::Ask { .. } | Step::Attest { .. }));
        assert!(!removes, "{seed}");
    }
}
