//! Looks for an order of all events that explains every one of them.
//!
//! Events of one task are in their order. Of two tasks, one comes before the other when it ended before the other began;
//! else any order will do, as long as the model then gives what was seen. The order of appends is that of the whole
//! log. Depth first, never twice from the same state at the same place; what was read tells which order to try first,
//! so that a sound run takes few detours.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::events::{Does, Event, Events, Measured};
use crate::check::evidence::Moment;
use crate::check::log::WholeLog;
use crate::ima::model::{Broken, Call, Effect, Found, Kernel, Rule, Setup, Written};

/// What came of the search.
#[derive(Debug)]
pub(super) struct Searched {
    /// Dead ends, and the end.
    pub(super) tried: u64,
    /// Why no order explains everything; none when one does.
    pub(super) stuck: Option<Stuck>,
}

/// The furthest that any order came.
#[derive(Debug)]
pub(super) struct Stuck {
    /// Whether every order was tried.
    pub(super) certain: bool,
    /// What could not be: task's place among the sequences and place of the event there; none when it is a record.
    pub(super) event: Option<(usize, usize)>,
    /// The file that it looks at.
    pub(super) look: Option<Rc<Measured>>,
    /// Length of the whole log there.
    pub(super) total: usize,
    pub(super) why: Why,
}

/// Why an event cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The model says something else.
    Broken(Broken),
    /// A list read holds another record at this place of the reading; expected is a place of the whole log.
    Content { rule: Rule, at: usize, expected: Option<usize>, length: usize },
    /// A file that must be recorded is not the next record.
    NotRecorded,
    /// There are records that no operation made.
    Unexplained { again: Option<Rule> },
    /// A task that was never started did something.
    NotStarted,
}

/// One way on from a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The next event of this sequence happens.
    Event(usize),
    /// The next event of this sequence, which never ended, did nothing.
    Nothing(usize),
    /// The kernel appends a record of its own.
    Record,
    /// The kernel is replaced by the one that it loaded.
    Kexec,
}

/// Where the search is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    kernel: Kernel,
    boot: u16,
    /// Next event of each sequence.
    next: Vec<usize>,
    /// Whether each sequence has begun.
    begun: Vec<bool>,
}

/// A step of a sequence, and the file that it looks at.
type Look = (usize, Rc<Measured>);

pub(super) struct Search<'s, 'e> {
    events: &'s Events<'e>,
    log: &'s WholeLog<'s>,
    /// The kernel of each boot.
    setups: &'s [Setup],
    /// For each record of the whole log whether an operation names it.
    named: Vec<bool>,
    /// Of each sequence the last look that was asked for.
    looks: RefCell<Vec<Option<Look>>>,
}

impl<'s, 'e> Search<'s, 'e> {
    pub(super) fn new(events: &'s Events<'e>, log: &'s WholeLog<'s>, setups: &'s [Setup]) -> Search<'s, 'e> {
        let mut named = vec![false; log.len()];
        for event in events.sequences.iter().flat_map(|sequence| &sequence.events) {
            if let Does::Files(files) = &event.does {
                let places = (0..files.looks()).flat_map(|at| files.look(at, log).same);
                places.for_each(|place| named[place] = true);
            }
        }
        let looks = RefCell::new(vec![None; events.sequences.len()]);
        Search { events, log, setups, named, looks }
    }

    /// Searches, for so many steps at most.
    pub(super) fn run(&self, kernel: Kernel, patience: u64) -> Searched {
        let begun = self.events.sequences.iter().map(|sequence| !sequence.spawned).collect();
        let next = vec![0; self.events.sequences.len()];
        let mut state = State { kernel, boot: 0, next, begun };
        let mut before: Vec<(State, Vec<Way>)> = Vec::new();
        let mut seen = HashSet::new();
        let mut furthest: Option<(usize, State)> = None;
        let (mut tried, mut steps) = (1, 0);
        loop {
            if self.is_done(&state) {
                return Searched { tried, stuck: None };
            }
            steps += 1;
            let mut ways = self.ways(&state);
            if ways.is_empty() {
                let far = state.next.iter().sum::<usize>() + state.kernel.total();
                if furthest.as_ref().is_none_or(|(before, _)| *before < far) {
                    furthest = Some((far, state.clone()));
                }
            } else if ways.len() > 1 && !seen.insert(fingerprint(&state)) {
                ways.clear();
            }
            if ways.is_empty() || steps > patience {
                let Some((earlier, mut others)) = before.pop().filter(|_| steps <= patience) else { break };
                tried += 1;
                state = earlier;
                ways.append(&mut others);
            }
            let way = ways.remove(0);
            if !ways.is_empty() {
                before.push((state.clone(), ways));
            }
            self.go(&mut state, way);
        }
        let state = furthest.map_or(state, |(_, state)| state);
        Searched { tried, stuck: Some(self.explain(&state, steps <= patience)) }
    }

    fn is_done(&self, state: &State) -> bool {
        let all = self.events.sequences.iter().zip(&state.next);
        state.kernel.total() >= self.log.len()
            && all.into_iter().all(|(sequence, next)| *next >= sequence.steps())
    }

    /// The next event of a sequence that is running.
    fn next(&self, state: &State, at: usize) -> Option<&Event<'_>> {
        let sequence = &self.events.sequences[at];
        if sequence.boot != state.boot || !state.begun[at] {
            return None;
        }
        sequence.step(state.next[at]).map(|(event, _)| &sequence.events[event])
    }

    /// The file that the next step of a sequence looks at.
    fn look(&self, state: &State, at: usize) -> Option<Rc<Measured>> {
        let step = state.next[at];
        let last = &mut self.looks.borrow_mut()[at];
        if let Some((_, look)) = last.as_ref().filter(|(of, _)| *of == step) {
            return Some(Rc::clone(look));
        }
        let sequence = &self.events.sequences[at];
        let (event, of_event) = sequence.step(step)?;
        let Does::Files(files) = &sequence.events[event].does else { return None };
        let look = Rc::new(files.look(of_event, self.log));
        *last = Some((step, Rc::clone(&look)));
        Some(look)
    }

    fn is_named(&self, place: usize) -> bool {
        self.named.get(place).copied().unwrap_or(false)
    }

    fn running<'a>(&'a self, state: &'a State) -> impl Iterator<Item = (usize, &'a Event<'a>)> {
        (0..state.next.len()).filter_map(|at| Some((at, self.next(state, at)?)))
    }

    /// The ways on, the likeliest first.
    fn ways(&self, state: &State) -> Vec<Way> {
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

    fn judge<'a>(&'a self, state: &State, at: usize, event: &'a Event<'_>) -> Result<Effect<'a>, Why> {
        let task = self.events.sequences[at].task;
        let judge =
            |call: Call<'a>| state.kernel.judge(self.log, task, call, event.found).map_err(Why::Broken);
        match event.does {
            Does::Call(Call::Receive { .. })
                if matches!(event.found, Found::Value(_)) && !state.kernel.has_mail(task) =>
            {
                Err(Why::NotStarted)
            }
            Does::Call(call) => judge(call),
            Does::Write { slot, ref bytes } => {
                judge(Call::Write { slot, written: Written::Bytes(bytes), at: None })
            }
            Does::List { slot, records, .. } => {
                if let Some((list, shown)) = state.kernel.about_to_show(task, slot) {
                    let length = shown.len();
                    let mut expected = shown.iter();
                    for at in 0..records.len().max(length) {
                        let (place, found) = (expected.next(), records.get(at).copied());
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
                judge(Call::Read { slot, limit: None })
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
    fn judge_file(&self, state: &State, file: &Measured) -> Result<bool, Why> {
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

    fn go(&self, state: &mut State, way: Way) {
        match way {
            Way::Event(at) => {
                let Some(event) = self.next(state, at) else { return };
                let task = self.events.sequences[at].task;
                match &event.does {
                    Does::Files(_) => {
                        let look = self.look(state, at);
                        if look.is_some_and(|file| self.judge_file(state, &file) == Ok(true)) {
                            state.kernel.record(self.log);
                        }
                        state.next[at] += 1;
                        return;
                    }
                    Does::Call(Call::Fork { child } | Call::Thread { child })
                        if matches!(event.found, Found::Value(_)) =>
                    {
                        if let Some(begun) = state.begun.get_mut(usize::from(*child)) {
                            *begun = true;
                        }
                    }
                    _ => {}
                }
                if let Ok(effect) = self.judge(state, at, event) {
                    state.kernel.apply(task, effect);
                }
                state.next[at] += 1;
            }
            Way::Nothing(at) => state.next[at] += 1,
            Way::Record => state.kernel.record(self.log),
            Way::Kexec => {
                state.boot += 1;
                if let Some(setup) = self.setups.get(usize::from(state.boot)) {
                    state.kernel.kexec(*setup, self.log.lost_at(state.boot));
                }
            }
        }
    }

    /// Why there is no way on.
    fn explain(&self, state: &State, certain: bool) -> Stuck {
        let total = state.kernel.total();
        let stuck = |event, why| Stuck { certain, event, look: None, total, why };
        let due = self.running(state).min_by_key(|(_, event)| event.end);
        let again = self.again(state);
        match due {
            Some((at, event)) => {
                let why = match self.judge(state, at, event) {
                    // A record too many is behind what a reader finds, whatever that is.
                    Err(Why::Content { .. } | Why::Broken(_)) if again.is_some() => {
                        Why::Unexplained { again }
                    }
                    Err(why) => why,
                    Ok(_) => Why::Unexplained { again },
                };
                Stuck {
                    look: self.look(state, at),
                    ..stuck(self.events.sequences[at].step(state.next[at]).map(|(event, _)| (at, event)), why)
                }
            }
            None if total < self.log.len() => stuck(None, Why::Unexplained { again }),
            None => stuck(None, Why::NotStarted),
        }
    }

    /// The promise that the next record breaks because the same one is known.
    fn again(&self, state: &State) -> Option<Rule> {
        let total = state.kernel.total();
        if total >= self.log.len() {
            return None;
        }
        state.kernel.may_record(self.log).err().map(|broken| broken.rule)
    }
}

fn fingerprint(state: &State) -> (u64, u64) {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        state.hash(&mut hasher);
        hasher.finish()
    };
    (hash(0), hash(1))
}
