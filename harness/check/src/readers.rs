//! Invariant `readers`: whoever reads a list within the rules sees each record once, and whole.
//!
//! Whatever was read of an open file, in any portions, in order or by offset, must be that part of the bytes which the
//! file shows of its list: the whole log from where the list began when it was read. What was the end of the file must be
//! the end of a record. A reader keeps writers out, so nothing moves under it; a writer that changed the list itself
//! begins anew, and what it reads on from the middle of what is no longer there is nobody's promise (`seq_file` goes on
//! by number of records, `fs/seq_file.c`). A transaction keeps nobody out, and readers keep their place.

mod lists;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use super::evidence::{Evidence, Moment};
use super::findings::Findings;
use super::list_files::{Got, ListFiles, OpenList};
use super::log::{View, WholeLog};
use super::subjects::open_list;
use super::{Case, Digest};
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::Dialect;
use imalab_formats::ima::lists::{ListId, Ranges};
use imalab_formats::ima::model::{File, ListFile, Log};
use imalab_language::finding::{self, Readers};
use lists::States;

pub(super) fn check(case: &Case<'_>) -> CheckResult {
    let Digest { evidence, files, reconstructions, .. } = case.digest;
    let mut findings = Findings::new(Check::Readers);
    let Some(log) = &case.log else {
        findings.obstacle(finding::Evidence::NoListRead {});
        return findings.result();
    };
    let lists = States::of(log.len(), &reconstructions.changes);
    let mut reading = Reading {
        evidence,
        log,
        shards: shards(evidence, files, log),
        lists: &lists,
        shown: BTreeMap::new(),
        readers: 0,
        reads: 0,
        bytes: 0,
        unjudged: 0,
    };
    for open in &files.opened {
        reading.file(open, &mut findings);
    }
    findings.rests_on(reading.reads, "reads");
    findings.compared(reading.bytes, "bytes");
    findings.compared(reading.readers, "open files");
    findings.leaves_out(reading.unjudged, "reads outside of the rules");
    findings.result()
}

/// Places of the records that divide the log, by the file that was opened to have each: one is open at a time, and each opening adds
/// one. Empty where they are not as many.
fn shards(evidence: &Evidence<'_>, files: &ListFiles<'_>, log: &WholeLog<'_>) -> BTreeMap<Moment, usize> {
    let dialect = evidence.plan.interface.dialect();
    let divides = |open: &&OpenList| is_divided(dialect, open.file);
    let opened: Vec<Moment> = files.opened.iter().filter(divides).map(|open| open.opened).collect();
    let Some(event) = dialect.mark.filter(|_| !opened.is_empty()) else { return BTreeMap::new() };
    let marks: Vec<usize> = (0..log.len()).filter(|place| log.is_mark(*place, event)).collect();
    if marks.len() == opened.len() { opened.into_iter().zip(marks).collect() } else { BTreeMap::new() }
}

/// Whether opening a file has the log divided.
fn is_divided(dialect: &Dialect, file: File) -> bool {
    matches!(file, File::Own(name) if dialect.own_file(name).is_some_and(|own| own.divides))
}

struct Reading<'r> {
    evidence: &'r Evidence<'r>,
    log: &'r WholeLog<'r>,
    /// Places of the records that divide the log, by when a file was opened to have them.
    shards: BTreeMap<Moment, usize>,
    lists: &'r States,
    /// By the state of the lists.
    shown: BTreeMap<(usize, ListFile), Option<Rc<Shown>>>,
    readers: usize,
    reads: usize,
    bytes: usize,
    unjudged: usize,
}

impl Reading<'_> {
    fn file(&mut self, open: &OpenList, findings: &mut Findings) {
        let dialect = self.evidence.plan.interface.dialect();
        let list = match open.file {
            File::List(list) => list,
            file if is_divided(dialect, file) => return self.shard(open, findings),
            _ => return,
        };
        self.unjudged += open.lost;
        let before = self.reads;
        // Since when what it shows is one list.
        let mut since = open.opened;
        for got in &open.reads {
            if dialect.readers_are_views() {
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
            let expected = self.shown(list, self.lists.at(since)).filter(|shown| shown.knows(got));
            let Some(expected) = expected else {
                self.unjudged += 1;
                continue;
            };
            self.reads += 1;
            self.bytes += usize::try_from(got.length).unwrap_or_default();
            if let Some(wrong) = self.wrong(open, list, got, &expected) {
                findings.finding_at(self.evidence.began(got.step), wrong);
                // What comes after what is wrong is no news.
                break;
            }
        }
        self.readers += usize::from(self.reads > before);
    }

    /// A file that shows what is before the record by which its opening divided the log, until that is removed: nothing from then
    /// on.
    fn shard(&mut self, open: &OpenList, findings: &mut Findings) {
        self.unjudged += open.lost;
        let before = self.reads;
        let list = ListFile { ascii: false, bank: Bank::Sha1, list: ListId::CURRENT };
        let mark = self.shards.get(&open.opened).copied();
        let shown = self.lists.list(ListId::CURRENT, self.lists.at(open.opened));
        let Some(shown) = mark.zip(shown).map(|(mark, shown)| shown.before(mark)) else {
            self.unjudged += open.reads.len();
            return;
        };
        let full = Shown::of(self.log.view(list.ascii, list.bank), &shown);
        let empty = Shown::of(self.log.view(list.ascii, list.bank), &Ranges::default());
        for got in &open.reads {
            let expected = if self.lists.moved_between(open.opened, got.begin) { &empty } else { &full };
            if self.lists.moved_between(got.begin, got.end) || !expected.knows(got) {
                self.unjudged += 1;
                continue;
            }
            self.reads += 1;
            self.bytes += usize::try_from(got.length).unwrap_or_default();
            if let Some(wrong) = self.wrong(open, list, got, expected) {
                findings.finding_at(self.evidence.began(got.step), wrong);
                break;
            }
        }
        self.readers += usize::from(self.reads > before);
    }

    /// A list in a state of all lists, as a file shows it.
    fn shown(&mut self, file: ListFile, state: usize) -> Option<Rc<Shown>> {
        let (log, lists) = (self.log, self.lists);
        let make =
            || Some(Rc::new(Shown::of(log.view(file.ascii, file.bank), lists.list(file.list, state)?)));
        self.shown.entry((state, file)).or_insert_with(make).clone()
    }

    /// What is wrong with a read.
    fn wrong(&self, open: &OpenList, shown: ListFile, got: &Got, expected: &Shown) -> Option<Readers> {
        let (step, opened) = (self.evidence.step(got.step), self.evidence.step(open.step));
        let list = open_list(shown);
        let seen = &self.evidence.steps[got.step].seen[got.op];
        let pieces = if got.length == 0 { &[][..] } else { &seen.pieces[..] };
        let end = expected.end();
        let mut at = got.offset;
        for (number, piece) in pieces.iter().enumerate() {
            let Ok(found) = piece.bytes() else {
                return Some(Readers::Gone { step, opened, list, byte: at });
            };
            // Nothing is promised of what is beyond the end, but that there is nothing.
            if got.offset > end {
                let (bytes, byte) = (seen.length, got.offset);
                return Some(Readers::BeyondTheEnd { step, opened, list, bytes, byte, end });
            }
            let same = expected.same(self.log, at, &found);
            if same < found.len() {
                // The record that differs may begin in the piece before.
                let first = number.saturating_sub(1);
                let before =
                    if first < number { pieces[first].bytes().unwrap_or_default() } else { Cow::default() };
                let window = at - before.len() as u64;
                let next = pieces.get(number + 1).and_then(|next| next.bytes().ok()).unwrap_or_default();
                let read = [before, found, next].concat();
                let byte = at + same as u64;
                let number = expected.record_at(byte);
                let found_record = self.instead(expected, window, number, &read);
                return Some(Readers::WrongRecord {
                    step,
                    opened,
                    list,
                    number: number as u64 + 1,
                    byte,
                    expected_record: expected
                        .place(number)
                        .map(|place| self.log.record(self.evidence, place)),
                    found_record: found_record.map(|place| self.log.record(self.evidence, place)),
                });
            }
            at += found.len() as u64;
        }
        let number = expected.record_at(at);
        if got.to_end && at > 0 && at <= end && expected.start(number) != at {
            return Some(Readers::CutRecord { step, opened, list, number: number as u64 + 1, byte: at });
        }
        // A list that grows may have had less.
        let grows = !shown.is_staged() && matches!(open.file, File::List(_));
        if got.to_end && !grows && at < end {
            let (expected, found) = (expected.list.len() as u64, number as u64);
            return Some(Readers::EndedEarly { step, opened, list, expected, found });
        }
        None
    }

    /// The record that was read in the place of another, if it was read from its start: its place in the whole log. `read`
    /// begins at the byte `offset`.
    fn instead(&self, expected: &Shown, offset: u64, record: usize, read: &[u8]) -> Option<usize> {
        let from = expected.start(record).checked_sub(offset)?;
        self.find(expected, read.get(usize::try_from(from).ok()?..)?)
    }

    /// The record of the whole log that begins here.
    fn find(&self, expected: &Shown, read: &[u8]) -> Option<usize> {
        (0..self.log.len()).find(|place| {
            let bytes = expected.bytes(self.log, *place);
            bytes.is_some_and(|bytes| !bytes.is_empty() && read.starts_with(&bytes))
        })
    }
}

/// A list as one file shows it.
struct Shown {
    view: View,
    list: Ranges,
    /// Its records, up to the first of which nobody knows the bytes.
    stretches: Vec<Stretch>,
}

/// Records of a list that follow one another in the whole log.
struct Stretch {
    places: Range<usize>,
    /// Records and bytes of the list before it.
    records: usize,
    bytes: u64,
}

impl Shown {
    fn of(view: View, list: &Ranges) -> Shown {
        let mut stretches = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        for range in list.stretches() {
            let known = view.unknown_from(range.start).map_or(range.end, |unknown| unknown.min(range.end));
            let places = range.start..known;
            let length = view.length(places.clone()).unwrap_or(0);
            stretches.push(Stretch { places: places.clone(), records, bytes });
            (records, bytes) = (records + places.len(), bytes + length);
            if known < range.end {
                break;
            }
        }
        Shown { view, list: list.clone(), stretches }
    }

    /// Records of which the bytes are known.
    fn known(&self) -> usize {
        self.stretches.last().map_or(0, |last| last.records + last.places.len())
    }

    /// Bytes of all those.
    fn end(&self) -> u64 {
        self.start(self.known())
    }

    /// Whether it is known what the read should have found.
    fn knows(&self, got: &Got) -> bool {
        self.known() == self.list.len() || got.offset + got.length <= self.end()
    }

    /// The record that byte `at` is in: the one after the last when there is none.
    fn record_at(&self, at: u64) -> usize {
        let after = self.stretches.partition_point(|stretch| stretch.bytes <= at);
        let Some(stretch) = after.checked_sub(1).map(|at| &self.stretches[at]) else { return 0 };
        let place = self.view.record_at(stretch.places.clone(), at - stretch.bytes);
        stretch.records + place - stretch.places.start
    }

    /// Where a record begins; the end when there is none.
    fn start(&self, record: usize) -> u64 {
        let after = self.stretches.partition_point(|stretch| stretch.records <= record);
        let Some(stretch) = after.checked_sub(1).map(|at| &self.stretches[at]) else { return 0 };
        let inside = (record - stretch.records).min(stretch.places.len());
        stretch.bytes + self.view.start(stretch.places.start + inside) - self.view.start(stretch.places.start)
    }

    /// A record's place in the whole log.
    fn place(&self, record: usize) -> Option<usize> {
        let mut before = 0;
        self.list.stretches().iter().find_map(|range| {
            let inside = record.checked_sub(before).filter(|inside| *inside < range.len());
            before += range.len();
            inside.map(|inside| range.start + inside)
        })
    }

    /// The record at a place of the whole log, as the file shows it.
    fn bytes(&self, log: &WholeLog<'_>, place: usize) -> Option<Vec<u8>> {
        log.shown(place, self.view.ascii, self.view.bank)
    }

    /// How many of the bytes found at `offset` are as they should be.
    fn same(&self, log: &WholeLog<'_>, offset: u64, found: &[u8]) -> usize {
        let mut same = 0;
        let mut record = self.record_at(offset);
        let known = self.known();
        while same < found.len() && record < known {
            let bytes = self.place(record).and_then(|place| self.bytes(log, place)).unwrap_or_default();
            let skip = usize::try_from((offset + same as u64) - self.start(record)).unwrap_or(usize::MAX);
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
