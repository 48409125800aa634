//! Descriptors: opened once, by whoever closes them, and used in between.

use crate::program::{Place, Program, Slot, Step};

/// Where a descriptor of a process is opened: the first place of several.
pub(super) fn opened(program: &Program, process: usize, slot: Slot) -> Option<Place> {
    let mut places = program
        .steps()
        .filter(|(place, step)| program.process(place.actor) == process && step.makes() == Some(slot));
    places.next().map(|(place, _)| place)
}

fn closed(program: &Program, process: usize, slot: Slot) -> Option<Place> {
    let mut places = program
        .steps()
        .filter(|(place, step)| program.process(place.actor) == process && **step == Step::Close { slot });
    places.next().map(|(place, _)| place)
}

/// The first step that uses what may not be open, opens a second time, or closes what another thread opened or may still use.
/// What comes of a close by another thread is known (`found/closed-by-a-thread`), and hides what else there is.
pub(super) fn out_of_order(program: &Program) -> Option<Place> {
    program.steps().find(|(place, step)| !is_in_order(program, *place, step)).map(|(place, _)| place)
}

fn is_in_order(program: &Program, place: Place, step: &Step) -> bool {
    let process = program.process(place.actor);
    if let Some(slot) = step.makes() {
        return opened(program, process, slot) == Some(place);
    }
    let Some(slot) = step.uses() else { return true };
    let Some(open) = opened(program, process, slot) else { return false };
    if !open.is_before(place) {
        return false;
    }
    match closed(program, process, slot) {
        Some(close) if close == place => place.actor == open.actor,
        Some(close) => place.is_before(close),
        None => true,
    }
}
