//! Invariant `readers`: whoever reads a list within the rules sees each record once, and whole.
//!
//! Whatever was read of an open file, in any portions, in order or by offset, must be that part of the bytes which the
//! file shows of its list: the whole log from where the list began when it was read. What was the end of the file must be
//! the end of a record. A reader keeps writers out, so nothing moves under it; a writer that changed the list itself
//! begins anew, and what it reads on from the middle of what is no longer there is nobody's promise (`seq_file` goes on
//! by number of records, `fs/seq_file.c`). A transaction keeps nobody out, and readers keep their place.

mod files;
mod lists;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::evidence::Evidence;
use super::log::{View, WholeLog};
use super::sheet::{Sheet, count};
use super::whole::Wholes;
use crate::ima::model::{ListFile, Ranges};
use crate::outcome::CheckResult;
use crate::plan::Interface;
use files::{Got, OpenList};
use lists::Lists;

pub(super) fn check(evidence: &Evidence<'_>, wholes: &Wholes) -> CheckResult {
    let mut sheet = Sheet::new("readers");
    let Some(whole) = wholes.last() else {
        sheet.obstacle("no checkpoint read the list");
        return sheet.result();
    };
    let log = WholeLog::of(evidence, whole);
    let lists = Lists::of(log.len(), &wholes.moves);
    let mut reading = Reading {
        evidence,
        log: &log,
        lists: &lists,
        shown: BTreeMap::new(),
        readers: 0,
        reads: 0,
        bytes: 0,
        unjudged: 0,
    };
    for open in files::open_lists(evidence) {
        reading.file(&open, &mut sheet);
    }
    if reading.reads > 0 {
        let unjudged = match reading.unjudged {
            0 => String::new(),
            unjudged => format!(", {} outside of the rules", count(unjudged, "read")),
        };
        sheet.fact(format!(
            "{} of {} in {}{unjudged}",
            count(reading.readers, "open file"),
            count(reading.bytes, "byte"),
            count(reading.reads, "read")
        ));
    }
    sheet.result()
}

struct Reading<'r> {
    evidence: &'r Evidence<'r>,
    log: &'r WholeLog<'r>,
    lists: &'r Lists,
    /// By the state of the lists.
    shown: BTreeMap<(usize, ListFile), Option<Rc<Shown>>>,
    readers: usize,
    reads: usize,
    bytes: usize,
    unjudged: usize,
}

impl Reading<'_> {
    fn file(&mut self, open: &OpenList, sheet: &mut Sheet) {
        self.unjudged += open.lost;
        let before = self.reads;
        // Since when what it shows is one list.
        let mut since = open.opened;
        for got in &open.reads {
            if self.evidence.plan.interface == Interface::Transaction {
                // A reader begins when it reads from the start, whoever removes records, and keeps its place from then on.
                if got.offset == 0 {
                    since = got.begin;
                    if self.lists.moved_between(got.begin, got.end) {
                        self.unjudged += 1;
                        // From where it goes on is not known.
                        break;
                    }
                }
            } else if open.writes {
                if self.lists.moved_between(got.begin, got.end) {
                    self.unjudged += 1;
                    continue;
                }
                if got.offset == 0 {
                    since = got.begin;
                } else if self.lists.moved_between(since, got.begin) {
                    self.unjudged += 1;
                    continue;
                }
            }
            let expected = self.shown(open.list, self.lists.at(since)).filter(|shown| shown.knows(got));
            let Some(expected) = expected else {
                self.unjudged += 1;
                continue;
            };
            self.reads += 1;
            self.bytes += usize::try_from(got.length).unwrap_or_default();
            if let Some(wrong) = self.wrong(open, got, &expected) {
                let place = self.evidence.name(got.step);
                let opened = self.evidence.name(open.step);
                sheet.finding(format!(
                    "{place}: a reader of the {} (opened by {opened}) {wrong}",
                    name(open.list)
                ));
                // What comes after what is wrong is no news.
                break;
            }
        }
        self.readers += usize::from(self.reads > before);
    }

    /// A list in a state of all lists, as a file shows it.
    fn shown(&mut self, file: ListFile, state: usize) -> Option<Rc<Shown>> {
        let (log, lists) = (self.log, self.lists);
        let make =
            || Some(Rc::new(Shown::of(log.view(file.ascii, file.bank), lists.list(file.staged, state)?)));
        self.shown.entry((state, file)).or_insert_with(make).clone()
    }

    /// What is wrong with a read.
    fn wrong(&self, open: &OpenList, got: &Got, expected: &Shown) -> Option<String> {
        let seen = &self.evidence.steps[got.step].seen[got.op];
        let found = joined(&seen.pieces, got.length);
        let end = expected.ends.last().copied().unwrap_or(0);
        // Nothing is promised of what is beyond the end, but that there is nothing.
        if got.offset > end {
            return (!found.is_empty())
                .then(|| format!("got {} at {}, beyond its {end}", count(found.len(), "byte"), got.offset));
        }
        let same = expected.same(got.offset, &found);
        if same < found.len() {
            return Some(self.differs(expected, got.offset, same, &found));
        }
        let last = got.offset + found.len() as u64;
        if got.to_end && last > 0 && expected.ends.binary_search(&last).is_err() {
            let at = expected.record_at(last);
            return Some(format!("came to the end within record {}, at byte {last}", at + 1));
        }
        if got.to_end && open.list.staged && last < end {
            let records = expected.record_at(last);
            return Some(format!(
                "came to the end after {}, the staged list has {}",
                count(records, "record"),
                expected.places.len()
            ));
        }
        None
    }

    /// Bytes from `same` on are not what they should be.
    fn differs(&self, expected: &Shown, offset: u64, same: usize, found: &[u8]) -> String {
        let at = offset + same as u64;
        let record = expected.record_at(at);
        let should = expected
            .places
            .get(record)
            .map_or_else(|| "nothing".to_owned(), |place| self.log.describe(*place));
        // The record that was read in its place, if it was read from its start.
        let start = record.checked_sub(1).map_or(0, |before| expected.ends[before]);
        let read = start.checked_sub(offset).and_then(|from| found.get(usize::try_from(from).ok()?..));
        let other = read.and_then(|read| self.find(expected, read));
        let other = other.map_or_else(String::new, |place| format!(", read {}", self.log.describe(place)));
        format!("should find {should} as record {}, which differs at byte {at}{other}", record + 1)
    }

    /// The record of the whole log that begins here.
    fn find(&self, expected: &Shown, read: &[u8]) -> Option<usize> {
        (0..self.log.len()).find(|place| {
            expected
                .view
                .bytes(*place..*place + 1)
                .is_some_and(|bytes| !bytes.is_empty() && read.starts_with(bytes))
        })
    }
}

/// A list as one file shows it.
struct Shown {
    view: Rc<View>,
    /// Its records, as places in the whole log.
    places: Vec<usize>,
    /// Where each record ends, bytes; up to where nobody knows.
    ends: Vec<u64>,
}

impl Shown {
    fn of(view: Rc<View>, list: &Ranges) -> Shown {
        let mut ends = Vec::with_capacity(list.len());
        let mut end = 0;
        for place in list.iter() {
            let Some(bytes) = view.bytes(place..place + 1) else { break };
            end += bytes.len() as u64;
            ends.push(end);
        }
        Shown { places: list.iter().collect(), view, ends }
    }

    /// Whether it is known what the read should have found.
    fn knows(&self, got: &Got) -> bool {
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.len() == self.places.len() || got.offset + got.length <= end
    }

    /// The record that byte `at` is in: the one after the last when there is none.
    fn record_at(&self, at: u64) -> usize {
        self.ends.partition_point(|end| *end <= at)
    }

    /// How many of the bytes found at `offset` are as they should be.
    fn same(&self, offset: u64, found: &[u8]) -> usize {
        let mut same = 0;
        let mut record = self.record_at(offset);
        while same < found.len() && record < self.ends.len() {
            let start = record.checked_sub(1).map_or(0, |before| self.ends[before]);
            let bytes = self.view.bytes(self.places[record]..self.places[record] + 1).unwrap_or_default();
            let skip = usize::try_from((offset + same as u64) - start).unwrap_or(usize::MAX);
            let bytes = bytes.get(skip..).unwrap_or_default();
            let rest = &found[same..];
            let equal = match rest.starts_with(bytes) {
                true => bytes.len(),
                false => bytes.iter().zip(rest).take_while(|(a, b)| a == b).count(),
            };
            same += equal;
            if equal < bytes.len() {
                return same;
            }
            record += 1;
        }
        same
    }
}

/// The bytes of a read, in one piece.
fn joined<'p>(pieces: &[&'p [u8]], length: u64) -> Cow<'p, [u8]> {
    match pieces {
        _ if length == 0 => Cow::Borrowed(&[]),
        [one] => Cow::Borrowed(one),
        many => Cow::Owned(many.concat()),
    }
}

/// The file in a finding's words: `binary sha256 list`.
fn name(file: ListFile) -> String {
    let form = if file.ascii { "ascii" } else { "binary" };
    format!("{form} {} {}list", file.bank, if file.staged { "staged " } else { "" })
}
