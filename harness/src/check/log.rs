//! The whole log as each file would show it, and where in it a measured file is.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use super::evidence::{Evidence, RecordId, Records};
use super::extended::extended;
use super::whole::Whole;
use crate::ima::model::{ListFile, Log, Ranges};
use crate::ima::{AsciiLine, Bank, ByteOrder, RecordRef, write_record};

/// The whole log of a run, by the place of each record.
#[derive(Debug)]
pub(super) struct WholeLog<'e> {
    records: &'e Records,
    /// `None` for those that were removed before anybody read them.
    ids: Vec<Option<RecordId>>,
    /// Places at which each record is.
    places: HashMap<RecordId, Vec<usize>>,
    /// The same record's last place before.
    same_before: Vec<Option<usize>>,
    /// Records by the file name that they show.
    names: HashMap<&'e [u8], Vec<RecordId>>,
    views: RefCell<BTreeMap<(bool, Bank), Rc<View>>>,
}

/// The whole log as one kind of file shows it.
#[derive(Debug, Default)]
pub(super) struct View {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
    /// Records of which the bytes are not known, in order.
    unknown: Vec<usize>,
}

impl<'e> WholeLog<'e> {
    /// What user space holds, as long as the tap bears it out. Else what the tap saw extended: no kernel can falsify that,
    /// and it has what was removed before anybody read it.
    pub(super) fn of(evidence: &'e Evidence<'_>, whole: &Whole) -> WholeLog<'e> {
        let held: Vec<Option<RecordId>> = whole.records.iter().copied().map(Some).collect();
        let extended = extended(evidence, whole);
        let borne_out = held.len() == extended.len()
            && held.iter().zip(&extended).all(|(held, extended)| extended.is_none() || held == extended);
        let ids = if borne_out || extended.is_empty() { held } else { extended };
        let records = &evidence.records;
        let mut places: HashMap<RecordId, Vec<usize>> = HashMap::new();
        let mut names: HashMap<&[u8], Vec<RecordId>> = HashMap::new();
        let mut same_before = Vec::with_capacity(ids.len());
        for (place, id) in ids.iter().enumerate() {
            let Some(id) = id else {
                same_before.push(None);
                continue;
            };
            let same = places.entry(*id).or_default();
            same_before.push(same.last().copied());
            if same.is_empty() {
                names.entry(records.get(*id).file_name()).or_default().push(*id);
            }
            same.push(place);
        }
        WholeLog { records, ids, places, same_before, names, views: RefCell::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, place: usize) -> Option<RecordId> {
        self.ids.get(place).copied().flatten()
    }

    /// The record in a finding's words.
    pub(super) fn describe(&self, place: usize) -> String {
        self.id(place).map_or_else(|| "a record that nobody read".to_owned(), |id| self.records.describe(id))
    }

    /// Places of the records that measuring a file of this name makes, in order. With its content, only those of the
    /// file's digest; without, of any.
    pub(super) fn of_file(&self, name: &str, content: Option<&[u8]>, violation: bool) -> Vec<usize> {
        let ids = self.names.get(name.as_bytes()).into_iter().flatten();
        let fits = |id: &&RecordId| {
            let record = self.records.get(**id);
            record.violation == violation
                && content.is_none_or(|content| record.is_of(content) != Some(false))
        };
        let mut places: Vec<usize> = ids.filter(fits).flat_map(|id| &self.places[id]).copied().collect();
        places.sort_unstable();
        places
    }

    /// The place of a record that is there once.
    pub(super) fn only_place(&self, id: RecordId) -> Option<usize> {
        match self.places.get(&id)?.as_slice() {
            [place] => Some(*place),
            _ => None,
        }
    }

    /// The log in one kind of file.
    pub(super) fn view(&self, ascii: bool, bank: Bank) -> Rc<View> {
        let mut views = self.views.borrow_mut();
        Rc::clone(views.entry((ascii, bank)).or_insert_with(|| Rc::new(self.show(ascii, bank))))
    }

    fn show(&self, ascii: bool, bank: Bank) -> View {
        let mut view = View::default();
        for (place, id) in self.ids.iter().enumerate() {
            if !id.is_some_and(|id| self.write(id, ascii, bank, &mut view.bytes)) {
                view.unknown.push(place);
            }
            view.ends.push(view.bytes.len());
        }
        view
    }

    fn write(&self, id: RecordId, ascii: bool, bank: Bank, into: &mut Vec<u8>) -> bool {
        let digest = self.records.shown(id, bank);
        let shown = RecordRef { digest: digest.as_bytes(), ..self.records.get(id).borrowed() };
        if !ascii {
            return write_record(into, shown, ByteOrder::Little).is_ok();
        }
        let line = AsciiLine::of(shown, ByteOrder::Little);
        line.map(|line| into.extend_from_slice(&line.to_bytes())).is_ok()
    }
}

impl View {
    /// The bytes of these records, which follow one another; `None` when not all are known.
    pub(super) fn bytes(&self, places: Range<usize>) -> Option<&[u8]> {
        let first = self.unknown.partition_point(|unknown| *unknown < places.start);
        if self.unknown.get(first).is_some_and(|unknown| *unknown < places.end) {
            return None;
        }
        let end =
            |place: usize| place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        self.bytes.get(end(places.start)?..end(places.end)?)
    }
}

impl Log for WholeLog<'_> {
    fn bytes(&self, file: ListFile, records: &Ranges) -> Option<u64> {
        let view = self.view(file.ascii, file.bank);
        let lengths = records.stretches().iter().map(|range| Some(view.bytes(range.clone())?.len() as u64));
        lengths.sum()
    }

    fn is_violation(&self, record: usize) -> bool {
        self.id(record).is_some_and(|id| self.records.get(id).violation)
    }

    fn same_before(&self, record: usize) -> Option<usize> {
        self.same_before.get(record).copied().flatten()
    }
}
