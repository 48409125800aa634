//! The few steps of a program that matter.

use imalab_schedule::Shrunk;

use crate::program::{Place, Program};
use crate::sound::sound;

/// Leaves out steps of a program while it `shows` the same, until no single one can be left out; `program` itself shows it.
/// Steps that make no sense without those that were left out are left out with them.
pub fn shorten<E>(
    program: &Program,
    mut shows: impl FnMut(&Program) -> Result<bool, E>,
) -> (Program, Shrunk<E>) {
    let all: Vec<Place> = program.steps().map(|(place, _)| place).collect();
    let mut least = program.clone();
    let (_, end) = imalab_schedule::shrink(all, |kept| {
        let Some(part) = sound(&only(program, kept)) else { return Ok(false) };
        if !part.is_worthwhile() {
            return Ok(false);
        }
        let same = shows(&part)?;
        if same {
            least = part;
        }
        Ok(same)
    });
    (least, end)
}

/// The program with these of its steps.
fn only(program: &Program, kept: &[Place]) -> Program {
    let mut part = program.clone();
    for (phase, acts) in part.phases.iter_mut().enumerate() {
        for (actor, steps) in acts.acts.iter_mut().enumerate() {
            let mut step = 0;
            steps.retain(|_| {
                step += 1;
                kept.contains(&Place { phase, actor, step: step - 1 })
            });
        }
    }
    part
}
