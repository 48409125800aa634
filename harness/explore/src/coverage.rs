//! What runs have come to, and what of it is new.

use std::collections::BTreeSet;

use imalab_schedule::{Coverage, draw};
use serde::{Deserialize, Serialize};

/// What all runs so far have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Points of the kernel's code, and ordered pairs of them.
    pub points: Coverage,
    /// States of the lists in which a step came to an end, as hashes.
    pub states: BTreeSet<u64>,
}

/// How much of a run was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// Points and pairs.
    pub points: usize,
    /// States.
    pub states: usize,
}

impl Fresh {
    /// Whether anything was.
    pub fn any(self) -> bool {
        self.points + self.states > 0
    }
}

impl Seen {
    /// Takes in what a run came to, and tells what of it is new.
    pub fn take(&mut self, points: Option<&Coverage>, states: &States) -> Fresh {
        let fresh = Fresh {
            points: points.map_or(0, |points| self.points.lacks(points)),
            states: states.0.difference(&self.states).count(),
        };
        if let Some(points) = points {
            self.points.add(points);
        }
        self.states.extend(&states.0);
        fresh
    }
}

/// What the lists and their files were when steps of a run ended: how long they were, roughly, and who had them open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States(BTreeSet<u64>);

/// What is remembered of the lists from step to step.
#[derive(Clone, Copy, Debug, Default)]
struct Lists {
    staged: bool,
    current: u64,
    readers: u64,
    writers: u64,
}

impl States {
    /// Those of steps in the order in which they began, each with its words in the plan, its end, and the records that it read.
    pub fn of<'s>(steps: impl IntoIterator<Item = (&'s str, &'s str, Option<u64>)>) -> States {
        let (mut lists, mut states) = (Lists::default(), BTreeSet::new());
        for (text, end, records) in steps {
            lists.step(text, end == DONE, records);
            let key = [kind(text), draw_text(end_kind(end)), lists.bucket()];
            states.insert(key.into_iter().fold(0, draw));
        }
        States(states)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The end of a step that succeeded and read nothing.
const DONE: &str = "done";

impl Lists {
    fn step(&mut self, text: &str, done: bool, records: Option<u64>) {
        let mut words = text.split_whitespace();
        match (words.next().unwrap_or(""), done) {
            ("stage", true) => (self.staged, self.current) = (true, 0),
            ("delete", true) => self.staged = false,
            ("measure" | "violate", true) => {
                self.current += words.next().and_then(|files| files.parse().ok()).unwrap_or(1);
            }
            ("trim", true) => {
                let trimmed: u64 = words.next().and_then(|records| records.parse().ok()).unwrap_or(1);
                self.current = self.current.saturating_sub(trimmed);
            }
            ("write", true) if text.ends_with("\"A\\n\"") => (self.staged, self.current) = (true, 0),
            ("write", true) if text.ends_with("\"D\\n\"") => self.staged = false,
            ("open", true) if text.ends_with("read-write") => self.writers += 1,
            ("open", true) => self.readers += 1,
            ("close", true) => {
                if self.writers > 0 {
                    self.writers -= 1
                } else {
                    self.readers = self.readers.saturating_sub(1)
                }
            }
            _ => {}
        }
        if let (Some(records), false) = (records, text.contains("staged")) {
            self.current = records;
        }
    }

    /// The state, with lengths by their order of magnitude.
    fn bucket(self) -> u64 {
        let size = u64::from(self.current.checked_ilog2().map_or(0, |log| log + 1));
        u64::from(self.staged) | self.writers.min(3) << 1 | self.readers.min(3) << 3 | size.min(12) << 5
    }
}

/// A step's words without its numbers.
fn kind(text: &str) -> u64 {
    text.chars().filter(|c| !c.is_ascii_digit()).fold(0, |hash, c| draw(hash, u64::from(c)))
}

/// An end without its numbers: whether there were records matters, and not how many.
fn end_kind(end: &str) -> &str {
    match end.strip_suffix(" records") {
        Some("0") => "none",
        Some(_) => "records",
        None => end,
    }
}

fn draw_text(text: &str) -> u64 {
    text.bytes().fold(1, |hash, byte| draw(hash, u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_new_once() {
        let mut seen = Seen::default();
        let run = States::of([("stage", DONE, None), ("delete", DONE, None)]);
        let points = Coverage { blocks: [1, 2].into(), pairs: [3].into() };
        assert_eq!(seen.take(Some(&points), &run), Fresh { points: 3, states: 2 });
        assert!(!seen.take(Some(&points), &run).any());
        assert!(!seen.take(None, &States::default()).any());
    }

    #[test]
    fn a_state_is_where_a_step_ended_and_how() {
        let after = |steps: &[(&str, &str, Option<u64>)]| States::of(steps.iter().copied());
        let alone = after(&[("delete", "ENOENT from write", None)]);
        assert_ne!(alone, after(&[("delete", DONE, None)]));
        // How many does not matter as long as it is about as many.
        assert_eq!(after(&[("measure 5", DONE, None)]), after(&[("measure 6", DONE, None)]));
        assert_ne!(after(&[("measure 5", DONE, None)]), after(&[("measure 60", DONE, None)]));
        assert_eq!(after(&[("stage", DONE, None), ("trim 5", "ENOENT from write", None)]).len(), 2);
    }
}
