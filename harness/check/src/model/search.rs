//! Looks for an order of all events that explains every one of them.
//!
//! Events of one task are in their order. Of two tasks, one comes before the other when it ended before the other began;
//! else any order will do, as long as the model then gives what was seen. The order of appends is that of the whole
//! log. Depth first, never twice from the same state at the same place; what was read tells which order to try first,
//! so that a sound run takes few detours.

mod judging;
mod ways;

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::event::{Does, Event, Measured};
use super::events::Events;
use crate::log::WholeLog;
use imalab_formats::ima::model::{Broken, Call, Found, Kernel, Rule, Setup};

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
