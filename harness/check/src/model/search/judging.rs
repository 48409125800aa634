//! Whether what was seen of an event is what the model gives in a state.

use super::{Search, State, Why};
use crate::model::event::{Does, Event, Measured, Way};
use imalab_formats::ima::model::{Call, Effect, Found, Written};

impl Search<'_, '_> {
    /// What an event does to the state, when it may have happened there.
    pub(super) fn judge<'a>(
        &'a self,
        state: &State,
        at: usize,
        event: &'a Event<'_>,
    ) -> Result<Effect<'a>, Why> {
        let task = self.events.sequences[at].task;
        let judge =
            |call: Call<'a>| state.kernel.judge(self.log, task, call, event.found).map_err(Why::Broken);
        match event.does {
            Does::Call(Call::Receive { .. })
                if matches!(event.found, Found::Value(_)) && !state.kernel.has_mail(task) =>
            {
                Err(Why::NotStarted)
            }
            Does::Call(Call::Take { from, theirs, .. })
                if theirs.is_none_or(|theirs| !state.kernel.has_open(from, theirs)) =>
            {
                Err(Why::NotStarted)
            }
            Does::Call(call) => judge(call),
            Does::Write { slot, ref bytes } => {
                judge(Call::Write { slot, written: Written::Bytes(bytes), at: None })
            }
            Does::List { slot, records, read, .. } => {
                let shows = match read {
                    Way::On => state.kernel.about_to_show(task, slot),
                    Way::Through => state.kernel.shows_from_the_start(task, slot),
                };
                if let Some((list, shown)) = shows {
                    let length = shown.len();
                    let (mut expected, mut read) = (shown.iter(), records.iter());
                    for at in 0..records.len().max(length) {
                        let (place, found) = (expected.next(), read.next());
                        let same = match place.map(|place| self.log.id(place)) {
                            // A record that nobody else read may be anything.
                            Some(None) => found.is_some(),
                            known => known.flatten() == found,
                        };
                        if !same {
                            let rule = state.kernel.why_shown(list, place);
                            return Err(Why::Content { rule, at, expected: place, length });
                        }
                    }
                }
                match read {
                    Way::On => judge(Call::Read { slot, limit: None }),
                    Way::Through => judge(Call::ReadAt { slot, offset: 0, bytes: u64::MAX }),
                }
            }
            Does::Counter { slot, number } => {
                let (uncounted, early) = self.in_the_making(state, at, event);
                judge(Call::Counter { slot, number, uncounted, early })
            }
            Does::Files(_) => match self.look(state, at) {
                Some(file) => self.judge_file(state, &file).map(|_| Effect::None),
                None => Ok(Effect::None),
            },
            Does::Other => Ok(Effect::None),
        }
    }

    /// Records that were appended by operations which reach into the reading of a counter, and violations still to be
    /// appended by such: neither is atomic with its counter.
    fn in_the_making(&self, state: &State, reader: usize, event: &Event<'_>) -> (u64, u64) {
        let others =
            (0..state.next.len()).filter(|at| *at != reader && self.events.sequences[*at].boot == state.boot);
        let (mut uncounted, mut early) = (0, 0);
        for at in others {
            let sequence = &self.events.sequences[at];
            let last = state.next[at].checked_sub(1).and_then(|last| sequence.step(last));
            let last = last.map(|(event, _)| &sequence.events[event]);
            let measures = |event: &Event<'_>| event.measures || matches!(event.does, Does::Files(_));
            uncounted |= u64::from(last.is_some_and(|last| measures(last) && last.end >= event.begin));
            let next = self.next(state, at);
            let reaches = next.is_some_and(|next| measures(next) && next.begin <= event.end);
            early += u64::from(reaches || uncounted > 0);
        }
        (uncounted, early)
    }

    /// Whether measuring a file appends the next record.
    pub(super) fn judge_file(&self, state: &State, file: &Measured) -> Result<bool, Why> {
        let total = state.kernel.total();
        if state.kernel.is_suspended() {
            return Ok(false);
        }
        let before = &file.same[..file.same.partition_point(|place| *place < total)];
        if !file.violation && state.kernel.suppresses(before).is_some() {
            return Ok(false);
        }
        // A record that was removed before anybody read it may be anything.
        let unknown = total < self.log.len() && self.log.id(total).is_none();
        if file.same.contains(&total) || unknown {
            return state.kernel.may_record(self.log).map(|()| true).map_err(Why::Broken);
        }
        if file.certain { Err(Why::NotRecorded) } else { Ok(false) }
    }
}
