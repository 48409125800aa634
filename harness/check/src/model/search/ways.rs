//! Which ways there are on from a state, and in which order they are tried.

use super::{Search, State, Way};
use crate::evidence::Moment;
use crate::model::event::{Does, Event};
use imalab_formats::ima::model::{Call, Found};

impl Search<'_, '_> {
    /// The ways on, the likeliest first.
    pub(super) fn ways(&self, state: &State) -> Vec<Way> {
        let running: Vec<(usize, &Event<'_>)> = self.running(state).collect();
        // What ended before another began comes before it; times are taken right around the system calls, so those
        // that touch do not overlap.
        let comes_after = |event: &Event<'_>| {
            running.iter().any(|(_, other)| other.end <= event.begin && event.end > other.begin)
        };
        let next: Vec<(usize, &Event<'_>)> =
            running.iter().copied().filter(|(_, event)| !comes_after(event)).collect();
        let Some(first_end) = next.iter().map(|(_, event)| event.end).min() else {
            return self.ways_without_events(state);
        };
        // The end of a task that has nothing open is as good now as later.
        let ends = |(at, event): &&(usize, &Event<'_>)| {
            matches!(event.does, Does::Call(Call::End))
                && !state.kernel.has_lists(self.events.sequences[*at].task)
        };
        if let Some((at, _)) = next.iter().find(ends) {
            return vec![Way::Event(*at)];
        }
        let mut ways: Vec<((u8, Moment), Way)> = Vec::new();
        let mut measures = !self.events.policy.quiet;
        for (at, event) in next {
            measures |= event.measures;
            if self.judge(state, at, event).is_ok() {
                ways.push(((self.rank(state, at, event), event.begin), Way::Event(at)));
            }
            if event.found == Found::Never {
                ways.push(((5, event.begin), Way::Nothing(at)));
            }
        }
        // What some operation names is most likely its own.
        let named = self.is_named(state.kernel.total());
        if (measures || (!named && self.is_fresh(state))) && self.may_record(state) {
            let rank = match (named, self.is_fresh(state)) {
                (true, _) => 6,
                (false, true) => 0,
                (false, false) => self.rank_of_record(state),
            };
            ways.push(((rank, first_end), Way::Record));
        }
        ways.sort_by_key(|(rank, _)| *rank);
        ways.into_iter().map(|(_, way)| way).collect()
    }

    fn ways_without_events(&self, state: &State) -> Vec<Way> {
        let later = self.events.sequences.iter().zip(&state.next);
        let later =
            later.into_iter().any(|(sequence, next)| sequence.boot > state.boot && *next < sequence.steps());
        let mut ways = Vec::new();
        if later && usize::from(state.boot) + 1 < self.setups.len() {
            ways.push(Way::Kexec);
        }
        let named = self.is_named(state.kernel.total());
        if (!self.events.policy.quiet || (!named && self.is_fresh(state))) && self.may_record(state) {
            ways.push(Way::Record);
        }
        ways
    }

    /// Whether no task has done anything in this boot: the kernel's own records come first.
    fn is_fresh(&self, state: &State) -> bool {
        let of_boot = self.events.sequences.iter().zip(&state.next);
        of_boot.into_iter().all(|(sequence, next)| sequence.boot != state.boot || *next == 0)
    }

    fn may_record(&self, state: &State) -> bool {
        state.kernel.total() < self.log.len() && state.kernel.may_record(self.log).is_ok()
    }

    /// The order in which ways are tried: by what was read of the length that the log then had.
    fn rank(&self, state: &State, at: usize, event: &Event<'_>) -> u8 {
        let total = state.kernel.total();
        match event.length {
            None if self.look(state, at).is_some_and(|file| file.same.contains(&total)) => {
                self.rank_of_record(state)
            }
            Some(length) if length < total => 4,
            Some(length) if length > total => 3,
            Some(_) => 0,
            None => 1,
        }
    }

    /// A record that comes now is in what is read next, which may be known not to be so long.
    fn rank_of_record(&self, state: &State) -> u8 {
        let total = state.kernel.total();
        let too_long = self.running(state).any(|(at, _)| {
            let sequence = &self.events.sequences[at];
            let length = sequence.step(state.next[at]).and_then(|(event, _)| sequence.lengths[event]);
            length.is_some_and(|length| length <= total)
        });
        if too_long { 5 } else { 2 }
    }
}
