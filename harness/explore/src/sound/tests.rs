use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::program::{Access, List, Phase, Request};

const STAGED: List = List { staged: true, ascii: false, sha256: false };
const CURRENT: List = List { staged: false, ascii: false, sha256: false };

fn open(slot: u8, list: List) -> Step {
    Step::Open { slot, list, access: Access::ReadWrite }
}

fn ask(slot: u8, request: Request) -> Step {
    Step::Ask { slot, request }
}

fn read(slot: u8) -> Step {
    Step::Read { slot, limit: None }
}

const MADE: Step = Step::Measure { files: 10 };

/// `main` alone, then `main` and a thread of it.
fn program(alone: &[Step], main: &[Step], thread: &[Step]) -> Program {
    let phases =
        vec![Phase { acts: vec![alone.to_vec()] }, Phase { acts: vec![main.to_vec(), thread.to_vec()] }];
    let actors = vec![Actor::Process, Actor::Thread];
    Program { cpus: 2, flush: false, policy_records: false, actors, phases }
}

/// Requests that are left of the second phase.
fn left(program: &Program) -> Vec<Request> {
    let left = sound(program).unwrap();
    let asked = left.steps().filter(|(place, _)| place.phase == 1).filter_map(|(_, step)| match step {
        Step::Ask { request, .. } => Some(*request),
        _ => None,
    });
    asked.collect()
}

use Request::{Delete, Stage, Trim};

#[rstest]
#[case::read_before(&[MADE, open(0, CURRENT), MADE, read(0)], &[ask(0, Trim(5))], &[MADE], &[Trim(5)])]
#[case::not_read(&[MADE, open(0, CURRENT), MADE], &[ask(0, Trim(5))], &[MADE], &[])]
#[case::read_in_part(&[open(0, CURRENT), MADE, Step::Read { slot: 0, limit: Some(9) }], &[ask(0, Trim(5))], &[MADE], &[])]
#[case::made_before_it_was_open(&[MADE, open(0, CURRENT), read(0)], &[ask(0, Trim(5))], &[MADE], &[])]
#[case::more_than_was_read(&[open(0, CURRENT), MADE, read(0), MADE], &[ask(0, Trim(11))], &[MADE], &[])]
#[case::both_together(&[open(0, CURRENT), open(1, CURRENT), MADE, read(0), read(1)], &[ask(0, Trim(5))], &[ask(1, Trim(5))], &[Trim(5), Trim(5)])]
#[case::both_are_too_many(&[open(0, CURRENT), open(1, CURRENT), MADE, read(0), read(1)], &[ask(0, Trim(6))], &[ask(1, Trim(5))], &[Trim(5)])]
#[case::staged_meanwhile(&[open(0, CURRENT), open(1, STAGED), MADE, read(0)], &[ask(0, Trim(5))], &[ask(1, Stage)], &[Stage])]
#[case::by_a_thread(&[open(0, CURRENT), MADE, read(0)], &[Step::Rewind { slot: 0 }, ask(0, Trim(5))], &[Step::Rewind { slot: 0 }], &[])]
#[case::deletes_what_it_read(&[open(0, STAGED), MADE, ask(0, Stage), read(0)], &[ask(0, Delete)], &[MADE], &[Delete])]
#[case::deletes_before_it_read(&[open(0, STAGED), MADE, ask(0, Stage)], &[ask(0, Delete)], &[read(0)], &[])]
#[case::another_one_is_refused(&[open(0, STAGED), open(1, STAGED), MADE, ask(0, Stage), read(0)], &[ask(0, Delete)], &[ask(1, Stage)], &[Delete, Stage])]
#[case::nothing_may_be_staged(&[open(0, STAGED), open(1, STAGED), ask(0, Stage), read(0)], &[ask(0, Delete)], &[MADE, ask(1, Stage)], &[Stage])]
#[case::both_delete(&[open(0, STAGED), open(1, STAGED), MADE, ask(0, Stage), read(0), read(1)], &[ask(0, Delete)], &[ask(1, Delete)], &[Delete, Delete])]
#[case::both_delete_and_stage(&[open(0, STAGED), open(1, STAGED), MADE, ask(0, Stage), read(0), read(1)], &[ask(0, Delete), ask(0, Stage)], &[ask(1, Delete)], &[Delete, Stage])]
#[case::who_reads_meanwhile_does_so_at_once(&[open(0, STAGED), open(1, STAGED), MADE, ask(0, Stage), read(0)], &[ask(0, Delete)], &[read(1)], &[Delete])]
fn what_is_removed_was_read(
    #[case] alone: &[Step],
    #[case] main: &[Step],
    #[case] thread: &[Step],
    #[case] asked: &[Request],
) {
    assert_eq!(left(&program(alone, main, thread)), asked);
}

#[test]
fn descriptors_are_open_when_they_are_used() {
    let whole = program(
        &[read(0), open(0, CURRENT), open(0, STAGED)],
        &[read(0), Step::Close { slot: 0 }],
        &[read(0)],
    );
    let left = sound(&whole).unwrap();
    let steps: Vec<Step> = left.steps().map(|(_, step)| *step).collect();
    // The thread might come after the close.
    assert_eq!(steps, [open(0, CURRENT), read(0), Step::Close { slot: 0 }]);
}

#[test]
fn a_list_that_may_change_is_read_by_one_call() {
    let far = Step::ReadAt { slot: 1, at: 1_000_000_000, bytes: 1 };
    let alone = [open(0, STAGED), open(1, STAGED), MADE, ask(0, Stage), read(0)];
    let left = sound(&program(&alone, &[ask(0, Delete)], &[read(1), far])).unwrap();
    assert_eq!(left.phases[1].of(1), [far]);
    // Of what nobody changes meanwhile it may be any.
    let left = sound(&program(&alone, &[MADE], &[read(1), far])).unwrap();
    assert_eq!(left.phases[1].of(1), [read(1), far]);
}

#[test]
fn nothing_is_no_program() {
    assert_eq!(sound(&program(&[read(0)], &[], &[])), None);
}

#[test]
fn who_does_nothing_is_left_out() {
    let left = sound(&program(&[MADE], &[], &[])).unwrap();
    assert_eq!((left.actors.len(), left.phases.len()), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// What is left of a program without some of its steps is in order, and so is what is left of a changed one.
    #[test]
    fn what_is_left_is_in_order(seed: u64, other: u64, less: Vec<prop::sample::Index>) {
        let offers = crate::generate::tests::offers();
        let (one, two) = (crate::generate(seed, offers), crate::generate(other, offers));
        let near = crate::mutate(&one, &two, seed, offers);
        prop_assert_eq!(sound(&near), Some(near.clone()));
        let mut part = near;
        for index in less.iter().take(10) {
            let places: Vec<Place> = part.steps().map(|(place, _)| place).collect();
            if !places.is_empty() {
                part = part.without(places[index.index(places.len())]);
            }
        }
        if let Some(left) = sound(&part) {
            prop_assert_eq!(sound(&left), Some(left.clone()));
        }
    }
}
