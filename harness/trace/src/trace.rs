//! The whole stream of one run, most of it not in memory.

use std::path::Path;

use super::Event;
use super::spool::{Spool, Spooled, Spooler, Unreadable};

/// The whole stream of one run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// In order of `seq`: every event, or all but those in the spool. Who reads a trace wants [`Trace::iter`] or
    /// [`Trace::notable`]: which of them are here depends on how it was recorded.
    pub events: Vec<Event>,
    /// TPM commands and what the guest read, where a run had them put.
    spool: Spool,
}

impl From<Vec<Event>> for Trace {
    fn from(events: Vec<Event>) -> Trace {
        Trace { events, spool: Spool::default() }
    }
}

/// An event where it is.
#[derive(Clone, Debug)]
pub enum Seen<'t> {
    /// In memory.
    Here(&'t Event),
    /// A copy of one in the spool, with its place.
    There(Event, Spooled<'t>),
}

impl Seen<'_> {
    /// The event.
    pub fn event(&self) -> &Event {
        match self {
            Seen::Here(event) => event,
            Seen::There(event, _) => event,
        }
    }
}

impl Trace {
    /// Every event in order of `seq`.
    ///
    /// # Errors
    /// When one cannot be read back; none comes after that.
    pub fn iter(&self) -> impl Iterator<Item = Result<Seen<'_>, Unreadable>> {
        let mut here = self.events.iter().peekable();
        let mut there = self.spool.iter().peekable();
        std::iter::from_fn(move || {
            let spooled = match there.peek() {
                Some(Ok((_, event))) => Some(event.seq),
                Some(Err(_)) => Some(0),
                None => None,
            };
            if let Some(event) = here.next_if(|event| spooled.is_none_or(|seq| event.seq < seq)) {
                return Some(Ok(Seen::Here(event)));
            }
            Some(there.next()?.map(|(place, event)| Seen::There(event, place)))
        })
    }

    /// Every event in order of `seq` but the many and large ones: TPM commands, and what the guest read.
    pub fn notable(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(|event| !event.what.is_bulk())
    }
}

/// Two traces are the same when their events are, wherever those are.
impl PartialEq for Trace {
    fn eq(&self, other: &Trace) -> bool {
        let mut others = other.iter();
        let same = self.iter().all(|one| match (one, others.next()) {
            (Ok(one), Some(Ok(other))) => one.event() == other.event(),
            _ => false,
        });
        same && others.next().is_none()
    }
}

/// Puts a trace together.
#[derive(Debug, Default)]
pub struct Recording {
    events: Vec<Event>,
    spooler: Spooler,
    next: u64,
}

impl Recording {
    /// Keeps all of it in memory.
    pub fn in_memory() -> Recording {
        Recording::default()
    }

    /// Puts what is much or large into a file in `folder`, which has no name and is gone with the trace.
    pub fn within(folder: &Path) -> Recording {
        Recording { spooler: Spooler::within(folder), ..Recording::default() }
    }

    /// Number of the event to come.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds the next event.
    pub fn push(&mut self, event: Event) {
        self.next += 1;
        let kept = if self.spooler.takes(&event) { self.spooler.push(event) } else { Some(event) };
        self.events.extend(kept);
    }

    /// The trace.
    pub fn finish(self) -> Trace {
        Trace { events: self.events, spool: self.spooler.finish() }
    }
}

#[cfg(test)]
mod tests {
    use imalab_wire::{Message, Piece};

    use super::*;
    use crate::{Exchange, Origin, What};

    fn events(count: u64) -> Vec<Event> {
        let what = |seq: u64| match seq % 3 {
            0 => What::Console(format!("line {seq}")),
            1 => {
                let (command, answer) = (vec![1; 65], seq.to_le_bytes().to_vec());
                let origin = Origin::Guest;
                What::Tpm(Exchange { origin, locality: 0, command, answer, begin_ns: seq, end_ns: seq })
            }
            _ => {
                let bytes = vec![7; usize::try_from(seq % 40_000).unwrap()];
                What::Guest(Message::Data(Piece { task: 0, step: 1, op: 2, offset: seq, bytes }))
            }
        };
        (0..count).map(|seq| Event { seq, at_ns: seq, what: what(seq) }).collect()
    }

    fn spooled(events: &[Event]) -> Trace {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::within(folder.path());
        events.iter().for_each(|event| recording.push(event.clone()));
        recording.finish()
    }

    #[test]
    fn what_was_recorded_comes_back_in_order() {
        // None, some that fit into a buffer, and some that do not; the folder is gone when they are read.
        for count in [0, 10, 3_000] {
            let events = events(count);
            let trace = spooled(&events);
            assert_eq!(trace.events.len(), events.len().div_ceil(3));
            let back: Vec<Event> = trace.iter().map(|seen| seen.unwrap().event().clone()).collect();
            assert_eq!(back, events);
            assert_eq!(trace, Trace::from(events));
        }
    }

    #[test]
    fn each_event_is_found_by_its_place() {
        let events = events(3_000);
        let trace = spooled(&events);
        let mut places = 0;
        for seen in trace.iter() {
            if let Seen::There(event, place) = seen.unwrap() {
                assert_eq!(place.event().unwrap(), event);
                places += 1;
            }
        }
        assert_eq!(places, 2_000);
    }

    #[test]
    fn what_is_notable_does_not_depend_on_how_it_was_recorded() {
        let events = events(30);
        let (there, here) = (spooled(&events), Trace::from(events));
        let seqs = |trace: &Trace| trace.notable().map(|event| event.seq).collect::<Vec<_>>();
        assert_eq!(seqs(&there), (0..30).step_by(3).collect::<Vec<_>>());
        assert_eq!(seqs(&there), seqs(&here));
    }

    #[test]
    fn traces_differ_in_any_event_and_in_length() {
        let all = events(30);
        let mut other = all.clone();
        other[29].at_ns += 1;
        assert_ne!(spooled(&all), Trace::from(other));
        assert_ne!(spooled(&all), Trace::from(all[..29].to_vec()));
        assert_ne!(Trace::from(all[..29].to_vec()), spooled(&all));
    }

    #[test]
    fn without_a_folder_it_stays_in_memory() {
        let mut recording = Recording::within(Path::new("/nowhere"));
        events(30).into_iter().for_each(|event| recording.push(event));
        assert_eq!(recording.next(), 30);
        assert_eq!(recording.finish().events.len(), 30);
    }
}
