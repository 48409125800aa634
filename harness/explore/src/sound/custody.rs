//! What is removed was read before, in whichever order; and nobody changes a list while another thread reads it in portions.

use super::descriptors::opened;
use crate::program::{Place, Program, Request, Slot, Step, TOO_MANY};

/// The first request that may remove what nobody has read, or reading in the middle of which a list may change.
pub(super) fn out_of_order(program: &Program) -> Option<Place> {
    program.steps().find(|(place, step)| !is_in_order(program, *place, step)).map(|(place, _)| place)
}

fn is_in_order(program: &Program, place: Place, step: &Step) -> bool {
    let process = Process { program, number: program.process(place.actor) };
    match *step {
        Step::Ask { slot, request: Request::Delete } => process.may_delete(place, slot),
        Step::Ask { slot, request: Request::Trim(records) } => {
            records >= TOO_MANY || records == 0 || process.may_trim(place, slot, records)
        }
        // It takes several calls, and the reference model knows one.
        Step::Read { .. } => process.steps().all(|(other, step)| !is_beside(place, other) || !changes(step)),
        // Between its reading and its request nobody else of its process may change the lists. Other processes are kept out.
        Step::Attest { .. } => {
            process.steps().all(|(other, step)| !is_beside(place, other) || !changes(step))
        }
        _ => true,
    }
}

/// Whether two steps are taken in whichever order.
fn is_beside(place: Place, other: Place) -> bool {
    place.phase == other.phase && place.actor != other.actor
}

fn stages(step: &Step) -> bool {
    matches!(step, Step::Ask { request: Request::Stage, .. } | Step::Attest { .. })
}

fn deletes(step: &Step) -> bool {
    matches!(step, Step::Ask { request: Request::Delete, .. } | Step::Attest { by_staging: true })
}

/// How many records of the current list a request removes at most.
fn trims(step: &Step) -> u32 {
    match *step {
        Step::Ask { request: Request::Trim(records), .. } if records < TOO_MANY => records,
        _ => 0,
    }
}

fn changes(step: &Step) -> bool {
    stages(step) || deletes(step) || trims(step) > 0
}

/// The steps of one process. Once it has a list open for writing, no other process changes the lists.
#[derive(Clone, Copy)]
struct Process<'p> {
    program: &'p Program,
    number: usize,
}

impl<'p> Process<'p> {
    fn steps(self) -> impl Iterator<Item = (Place, &'p Step)> {
        self.program.steps().filter(move |(place, _)| self.program.process(place.actor) == self.number)
    }

    fn at(self, place: Place) -> Option<&'p Step> {
        self.program.phases.get(place.phase)?.of(place.actor).get(place.step)
    }

    /// The reading of the whole list behind a descriptor, where it is one that counts as saving (docs/scenarios.md,
    /// "Descriptors") and comes before `place`. A request that is carried out by the descriptor says that it was open, and so that
    /// the reading was too.
    fn whole_read(self, slot: Slot, place: Place) -> Option<Place> {
        let movers = || self.steps().filter(|(_, step)| step.uses() == Some(slot) && step.moves());
        let (read, _) = movers().find(|(read, step)| {
            **step == Step::Read { slot, limit: None }
                && movers().all(|(other, _)| other.actor == read.actor && !other.is_before(*read))
        })?;
        read.is_before(place).then_some(read)
    }

    /// Whether a delete at `place` removes only what was read by the same descriptor.
    fn may_delete(self, place: Place, slot: Slot) -> bool {
        let is_list = |staged| self.is_of(slot, staged);
        is_list(true) && self.whole_read(slot, place).is_some_and(|read| self.is_still_read(read, place, slot))
            // On another file it is no request.
            || is_list(false)
    }

    fn is_of(self, slot: Slot, staged: bool) -> bool {
        let open = opened(self.program, self.number, slot).and_then(|open| self.at(open));
        matches!(open, Some(Step::Open { list, .. }) if list.staged == staged)
    }

    /// Whether what is staged at `place` is what `read` has shown, or nothing.
    fn is_still_read(self, read: Place, place: Place, slot: Slot) -> bool {
        let between = |other: Place| {
            other != read && other != place && !other.is_before(read) && !place.is_before(other)
        };
        let mut staged = self.steps().filter(|(other, step)| between(*other) && stages(step));
        if staged.next().is_none() {
            return true;
        }
        // Another staging is refused while the list is not empty, so nobody may have emptied it.
        let emptied = self.steps().any(|(other, step)| between(other) && deletes(step));
        !emptied && self.certainly_staged(read, slot)
    }

    /// Whether the staged list is certainly not empty when it is read: the same actor made a record and staged just before, and
    /// nobody else changed the lists.
    fn certainly_staged(self, read: Place, slot: Slot) -> bool {
        let before = |back: usize| {
            let step = read.step.checked_sub(back)?;
            self.at(Place { step, ..read })
        };
        let made = matches!(before(2), Some(Step::Measure { files: 1.. }));
        let staged = before(1) == Some(&Step::Ask { slot, request: Request::Stage });
        let alone = self.steps().all(|(other, step)| !is_beside(read, other) || !changes(step));
        made && staged && alone
    }

    /// Whether a trim at `place` removes only what was read by the same descriptor: the records that were surely made before
    /// the reading, and not staged since, are more than all trims together may remove.
    fn may_trim(self, place: Place, slot: Slot, records: u32) -> bool {
        if self.is_of(slot, true) {
            return true;
        }
        let Some(open) = opened(self.program, self.number, slot) else { return false };
        let staged: Vec<Place> = self
            .steps()
            .filter(|(other, step)| stages(step) && !place.is_before(*other))
            .map(|(other, _)| other)
            .collect();
        let others: u32 = self
            .steps()
            .filter(|(other, _)| *other != place && !place.is_before(*other) && !other.is_before(open))
            .map(|(_, step)| trims(step))
            .fold(0, u32::saturating_add);
        self.whole_read(slot, place).is_some_and(|read| {
            let made: u32 = self
                .steps()
                .filter(|(made, _)| open.is_before(*made) && made.is_before(read))
                .filter(|(made, _)| staged.iter().all(|staged| staged.is_before(*made)))
                .map(|(_, step)| match *step {
                    Step::Measure { files } => u32::from(files),
                    _ => 0,
                })
                .sum();
            others.saturating_add(records) <= made
        })
    }
}
