//! What an actor does while others act.

use super::{Maker, Open};
use crate::program::{Access, Actor, Request, Slot, Step};

/// What a thread of a writer, or somebody else, is there for in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Idle,
    /// Removes the first records.
    Trimmer,
    /// Stages.
    Stager,
    /// Deletes what is staged.
    Deleter,
    /// Walks over a list that the process has open.
    Walker,
    /// Makes records.
    Measurer,
    /// Opens lists itself, and may be kept out.
    Stranger,
    /// Asks for what is refused.
    Wrong,
}

use Role::{Deleter, Idle, Measurer, Stager, Stranger, Trimmer, Walker, Wrong};

/// Two that race, of which the first may be any thread.
const PAIRS: [(u32, (Role, Role)); 12] = [
    (8, (Trimmer, Trimmer)),
    (8, (Walker, Deleter)),
    (4, (Walker, Trimmer)),
    (3, (Trimmer, Deleter)),
    (3, (Stager, Deleter)),
    (3, (Stager, Stager)),
    (3, (Measurer, Stager)),
    (3, (Measurer, Trimmer)),
    (2, (Measurer, Deleter)),
    (2, (Walker, Stager)),
    (2, (Wrong, Trimmer)),
    (1, (Wrong, Deleter)),
];

/// What the actors are there for in a race; the first two are of the writer's process.
pub(crate) fn racing(maker: &mut Maker<'_>, actors: &[Actor]) -> Vec<Role> {
    let (first, second) = maker.rng.weighted(&PAIRS).unwrap_or((Measurer, Stager));
    let mut roles = vec![first, second];
    if maker.rng.one_in(2) {
        roles.reverse();
    }
    for actor in actors.iter().skip(2) {
        let others = match actor {
            Actor::Thread => [(3, Idle), (2, Measurer), (2, Walker), (1, Trimmer)],
            Actor::Process => [(2, Idle), (3, Measurer), (3, Stranger), (1, Stranger)],
        };
        roles.push(maker.rng.weighted(&others).unwrap_or(Idle));
    }
    roles
}

/// What an actor does in its role, with what its process has open.
pub(crate) fn act(maker: &mut Maker<'_>, role: Role, open: &Open) -> Vec<Step> {
    let any: Vec<Slot> = open.staged.iter().chain(&open.current).copied().collect();
    let slot = |maker: &mut Maker<'_>, of: &[Slot]| maker.rng.one_of(of).copied();
    let ask = |slot: Option<Slot>, request| slot.map(|slot| Step::Ask { slot, request });
    let mut steps = Vec::new();
    match role {
        Idle => {}
        Trimmer => {
            let own = slot(maker, &open.current);
            for _ in 0..1 + maker.rng.below(3) {
                let records = maker.rng.weighted(&[(3, 1), (3, 2), (4, 5)]).unwrap_or(1);
                steps.extend(ask(own, Request::Trim(records)));
            }
        }
        Stager => {
            let own = slot(maker, &open.staged);
            if maker.rng.one_in(2) {
                steps.push(Step::Measure { files: maker.rng.within(1, 5) as u16 });
            }
            steps.extend(ask(own, Request::Stage));
        }
        Deleter => steps.extend(ask(slot(maker, &open.staged), Request::Delete)),
        Walker => {
            // Best what the others remove from.
            let of = if open.staged.len() > 1 { &open.staged } else { &any };
            let Some(slot) = slot(maker, of) else { return steps };
            let moves = maker.rng.one_in(4);
            for _ in 0..1 + maker.rng.below(4) {
                steps.extend(walk(maker, slot, moves));
            }
        }
        Measurer => steps.extend((0..1 + maker.rng.below(3)).map(|_| record(maker))),
        Stranger => steps.extend(look(maker)),
        Wrong => {
            for _ in 0..1 + maker.rng.below(3) {
                let request = maker.wrong();
                steps.extend(ask(slot(maker, &any), request));
            }
        }
    }
    steps
}

/// Ways to go over a list; by a descriptor of which another task has to know that it read it whole, without moving its offset.
fn walk(maker: &mut Maker<'_>, slot: Slot, moves: bool) -> Vec<Step> {
    match maker.rng.below(4) {
        0 if moves => vec![Step::Rewind { slot }, Step::Read { slot, limit: None }],
        1 if moves => vec![Step::Read { slot, limit: Some(maker.rng.within(1, 3000)) }],
        0..=2 => vec![Step::ReadAt {
            slot,
            at: maker.rng.within(0, 4000),
            bytes: maker.rng.within(1, 4000) as u16,
        }],
        _ => vec![Step::ReadAt { slot, at: 1_000_000_000, bytes: 1 }],
    }
}

/// Something that IMA records.
fn record(maker: &mut Maker<'_>) -> Step {
    let files = maker.rng.within(1, 8) as u16;
    match maker.rng.below(8) {
        0 => Step::Violate { files: 1 + (files / 4) as u8, time_of_use: maker.rng.one_in(2) },
        1 => Step::LoadPolicy { rules: maker.rng.within(1, 4) as u8 },
        2 | 3 => Step::MeasureSame { name: maker.rng.below(2) as u8, files },
        _ => Step::Measure { files },
    }
}

/// What somebody does who opens the lists alone.
fn look(maker: &mut Maker<'_>) -> Vec<Step> {
    let staged = maker.rng.one_in(2);
    match maker.rng.below(4) {
        0 => vec![Step::ViewCount { violations: maker.rng.one_in(3) }],
        1 => {
            let (slot, list) = (maker.slot(), maker.list(staged));
            let mut steps = vec![Step::Open { slot, list, access: Access::Read }];
            for _ in 0..1 + maker.rng.below(3) {
                steps.extend(walk(maker, slot, true));
            }
            steps.push(Step::Close { slot });
            steps
        }
        _ => vec![Step::View { list: maker.list(staged) }],
    }
}

/// What a process of its own does: as an agent that removes, as a reader, or as whoever makes records.
pub(crate) fn session(maker: &mut Maker<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..1 + maker.rng.below(3) {
        match maker.rng.below(8) {
            0 | 1 if maker.offers.staging => {
                let (slot, list) = (maker.slot(), maker.list(true));
                steps.push(Step::Open { slot, list, access: Access::ReadWrite });
                steps.push(Step::Ask { slot, request: Request::Stage });
                steps.push(Step::Read { slot, limit: None });
                if !maker.rng.one_in(4) {
                    steps.push(Step::Ask { slot, request: Request::Delete });
                }
                steps.push(Step::Close { slot });
            }
            2 if maker.offers.trim => {
                let (slot, list) = (maker.slot(), maker.list(false));
                steps.push(Step::Open { slot, list, access: Access::ReadWrite });
                steps.push(Step::Measure { files: maker.rng.within(3, 9) as u16 });
                steps.push(Step::Read { slot, limit: None });
                steps.push(Step::Ask { slot, request: Request::Trim(maker.rng.within(1, 3)) });
                steps.push(Step::Close { slot });
            }
            3 if maker.offers.trim => {
                steps.push(Step::Attest { by_staging: maker.offers.staging && maker.rng.one_in(3) });
            }
            4 | 5 => steps.extend(look(maker)),
            _ => steps.push(record(maker)),
        }
    }
    steps
}
