//! Programs that are like one that showed something new.

use crate::generate::Offers;
use crate::program::{Phase, Program, Request, Step};
use crate::rng::Rng;
use crate::sound::sound;

/// Tries until a change leaves a program that is another one.
const TRIES: usize = 20;

/// A program near `program`, as this seed decides; steps may come from `other`.
pub fn mutate(program: &Program, other: &Program, seed: u64, offers: Offers) -> Program {
    let mut rng = Rng::new(seed);
    let near = (0..TRIES).find_map(|_| {
        let mut near = program.clone();
        for _ in 0..1 + rng.below(3) {
            change(&mut near, other, &mut rng);
        }
        sound(&near).filter(|near| near != program && near.is_worthwhile())
    });
    near.unwrap_or_else(|| crate::generate(seed, offers))
}

/// One change.
fn change(program: &mut Program, other: &Program, rng: &mut Rng) {
    let places: Vec<_> = program.steps().map(|(place, _)| place).collect();
    let Some(place) = rng.one_of(&places).copied() else { return };
    let actors = program.actors.len();
    let phase = rng.below(program.phases.len());
    match rng.below(8) {
        0 => *program = program.without(place),
        // The same once more, here or elsewhere.
        1 | 2 => {
            let Some(step) = program.phases[place.phase].of(place.actor).get(place.step).copied() else {
                return;
            };
            insert(program, phase, rng.below(actors), step, rng);
        }
        3 => {
            let steps: Vec<Step> = other.steps().map(|(_, step)| *step).collect();
            let Some(step) = rng.one_of(&steps).copied() else { return };
            insert(program, phase, rng.below(actors), step, rng);
        }
        // What was done one after the other is done side by side.
        4 if phase + 1 < program.phases.len() => {
            let next = program.phases.remove(phase + 1);
            for (actor, steps) in next.acts.into_iter().enumerate() {
                program.phases[phase].of_mut(actor).extend(steps);
            }
        }
        // The race once more.
        5 => {
            let again = program.phases[phase].clone();
            program.phases.insert(phase, again);
        }
        6 => {
            let (one, two) = (rng.below(actors), rng.below(actors));
            let Phase { acts } = &mut program.phases[phase];
            acts.resize_with(actors, Vec::new);
            acts.swap(one, two);
        }
        _ => {
            let Some(step) = program.phases[place.phase].of_mut(place.actor).get_mut(place.step) else {
                return;
            };
            resize(step, rng);
        }
    }
}

fn insert(program: &mut Program, phase: usize, actor: usize, step: Step, rng: &mut Rng) {
    let Some(phase) = program.phases.get_mut(phase) else { return };
    let steps = phase.of_mut(actor);
    steps.insert(rng.below(steps.len() + 1), step);
}

/// Another number.
fn resize(step: &mut Step, rng: &mut Rng) {
    match step {
        Step::Measure { files } | Step::MeasureSame { files, .. } => *files = rng.within(1, 60) as u16,
        Step::Ask { request: Request::Trim(records), .. } => *records = rng.within(1, 9),
        Step::Ask { request: Request::Wrong(which), .. } => *which = rng.below(9) as u8,
        Step::Read { limit, .. } => *limit = if rng.one_in(2) { None } else { Some(rng.within(1, 9000)) },
        Step::ReadAt { at, .. } => *at = rng.within(0, 9000),
        Step::Fault { skip, .. } => *skip = rng.below(20) as u8,
        _ => {}
    }
}
