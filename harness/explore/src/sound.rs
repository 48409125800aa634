//! Which programs prove something: in every order of their actors a record that is removed was read before.
//!
//! A program that removes what nobody has read loses records by itself, and a finding of `exactly-once` would be a false one. So
//! each request to remove has to be in order whatever the actors' turns are, and one that is not is left out. What is looked at
//! is conservative: more is left out than would have to be.

mod custody;
mod descriptors;

use imalab_language::scenario;

use crate::program::{Actor, Place, Program, Step};
use crate::render::{Head, render};

/// Most steps of a program.
pub(crate) const MOST_STEPS: usize = 120;
/// Most records that its steps may make.
const MOST_RECORDS: u32 = 600;

/// The program without the steps that are out of order, without actors and phases that do nothing; `None` where nothing is left
/// or the language refuses the rest.
pub fn sound(program: &Program) -> Option<Program> {
    let mut left = program.clone();
    left.cpus = left.cpus.clamp(1, 4);
    let actors = left.actors.len();
    left.phases.iter_mut().for_each(|phase| phase.acts.truncate(actors));
    loop {
        let out = too_many(&left)
            .or_else(|| descriptors::out_of_order(&left))
            .or_else(|| custody::out_of_order(&left));
        if let Some(place) = out {
            left = left.without(place);
            continue;
        }
        left = packed(&left);
        left.actors.first()?;
        left.phases.first()?;
        match refused(&left) {
            Ok(()) => return Some(left),
            Err(place) => left = left.without(place?),
        }
    }
}

/// The step that the language refuses, if it is one.
fn refused(program: &Program) -> Result<(), Option<Place>> {
    let rendered = render(program, &Head::generated());
    match scenario::parse("explored", "explored.yaml", &rendered.text) {
        Ok(_) => Ok(()),
        Err(error) => Err(rendered.step(error.line)),
    }
}

fn too_many(program: &Program) -> Option<Place> {
    let mut records = 0;
    for (number, (place, step)) in program.steps().enumerate() {
        records += match *step {
            Step::Measure { files } | Step::MeasureSame { files, .. } => u32::from(files),
            Step::Violate { files, .. } => u32::from(files),
            _ => 0,
        };
        if number >= MOST_STEPS || records > MOST_RECORDS {
            return Some(place);
        }
    }
    None
}

/// Without phases in which nobody, and actors but `main` that never do anything.
fn packed(program: &Program) -> Program {
    let busy: Vec<bool> =
        (0..program.actors.len()).map(|actor| actor == 0 || program.first_phase(actor).is_some()).collect();
    let mut packed = program.clone();
    packed.phases.retain(|phase| phase.acts.iter().any(|steps| !steps.is_empty()));
    for phase in &mut packed.phases {
        let mut actor = 0;
        phase.acts.retain(|_| {
            actor += 1;
            busy.get(actor - 1).copied().unwrap_or(false)
        });
        while phase.acts.last().is_some_and(Vec::is_empty) {
            phase.acts.pop();
        }
    }
    let kept: Vec<Actor> =
        packed.actors.iter().zip(&busy).filter(|(_, busy)| **busy).map(|(actor, _)| *actor).collect();
    packed.actors = kept;
    packed
}

#[cfg(test)]
mod tests;
