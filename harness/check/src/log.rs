//! The whole log as each file would show it, and where in it a measured file is.

mod view;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;

use super::evidence::{Evidence, RecordId, Records};
use super::reconstruction::Reconstruction;
use super::run_length::RunLength;
use imalab_formats::ima::lists::Ranges;
use imalab_formats::ima::model::{ListFile, Log};
use imalab_formats::ima::{AsciiLine, Bank, ByteOrder, RecordRef, write_record};
use imalab_language::scenario::Lost;
use view::Ends;
pub(super) use view::View;

/// The whole log of a run, by the place of each record.
#[derive(Debug)]
pub(super) struct WholeLog<'e> {
    records: &'e Records,
    /// `None` for those that were removed before anybody read them.
    ids: RunLength<Option<RecordId>>,
    /// By the number of each record where it is first, if anywhere.
    first: Vec<Option<usize>>,
    /// Further places of those that are there more than once.
    again: HashMap<RecordId, Vec<usize>>,
    /// The same record's last place before, of those further places.
    same_before: HashMap<usize, usize>,
    /// Records by the hash of the file name that they show.
    names: Vec<(u32, RecordId)>,
    ends: RefCell<BTreeMap<bool, Rc<Ends>>>,
    /// What a kexec is known to lose.
    lost: Option<Lost>,
}

impl<'e> WholeLog<'e> {
    /// What user space holds, as long as the tap bears it out. Else what the tap saw extended: no kernel can falsify that,
    /// and it has what was removed before anybody read it.
    pub(super) fn of(
        evidence: &'e Evidence<'_>,
        whole: &Reconstruction,
        extended: &RunLength<Option<RecordId>>,
    ) -> WholeLog<'e> {
        let borne_out = whole.records.len() == extended.len()
            && whole
                .records
                .iter()
                .zip(extended.iter())
                .all(|(held, extended)| extended.is_none_or(|id| id == held));
        let held = || whole.records.iter().map(Some).collect();
        let ids = if borne_out || extended.is_empty() { held() } else { extended.clone() };
        let lost = evidence.limit.map(|limit| limit.lost);
        let records = &evidence.records;
        // Of a record that only its extend is known of, no view can be made.
        let is_shown = |id: &RecordId| records.get(*id).is_shown();
        let ids: RunLength<Option<RecordId>> = ids.iter().map(|id| id.filter(is_shown)).collect();
        let mut first = vec![None; records.len()];
        let mut again: HashMap<RecordId, Vec<usize>> = HashMap::new();
        let (mut same_before, mut names) = (HashMap::new(), Vec::with_capacity(records.len()));
        for (place, id) in ids.iter().enumerate() {
            let Some(id) = id else { continue };
            if let Some(held) = first[id.0 as usize] {
                let places = again.entry(id).or_default();
                same_before.insert(place, places.last().copied().unwrap_or(held));
                places.push(place);
            } else {
                first[id.0 as usize] = Some(place);
                names.push((hash(records.get(id).file_name()), id));
            }
        }
        names.sort_unstable();
        WholeLog { records, ids, first, again, same_before, names, ends: RefCell::default(), lost }
    }

    /// Records that the kexec to this boot, from 0, is known to lose at the end of the list.
    pub(super) fn lost_at(&self, boot: u16) -> u64 {
        self.lost.filter(|lost| lost.kexec == boot).map_or(0, |lost| lost.records.unwrap_or(u64::MAX))
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, place: usize) -> Option<RecordId> {
        self.ids.get(place).flatten()
    }

    /// Places of the records that measuring a file of this name makes, in order. With its content, only those of the
    /// file's digest; without, of any.
    pub(super) fn of_file(&self, name: &str, content: Option<&[u8]>, violation: bool) -> Vec<usize> {
        let hash = hash(name.as_bytes());
        let from = self.names.partition_point(|(other, _)| *other < hash);
        let ids = self.names[from..].iter().take_while(|(other, _)| *other == hash).map(|(_, id)| *id);
        let fits = |id: &RecordId| {
            let record = self.records.get(*id);
            record.violation == violation
                && record.file_name() == name.as_bytes()
                && content.is_none_or(|content| record.is_of(content) != Some(false))
        };
        let mut places: Vec<usize> = ids.filter(fits).flat_map(|id| self.places(id)).collect();
        places.sort_unstable();
        places
    }

    /// The places of a record, in order.
    fn places(&self, id: RecordId) -> impl Iterator<Item = usize> {
        let again = self.again.get(&id).map_or(&[][..], Vec::as_slice);
        self.first[id.0 as usize].into_iter().chain(again.iter().copied())
    }

    /// The place of a record that is there once.
    pub(super) fn only_place(&self, id: RecordId) -> Option<usize> {
        let mut places = self.places(id);
        places.next().filter(|_| places.next().is_none())
    }

    /// The log in one kind of file.
    pub(super) fn view(&self, ascii: bool, bank: Bank) -> View {
        let mut ends = self.ends.borrow_mut();
        let ends = ends.entry(ascii).or_insert_with(|| {
            let length = |id: Option<RecordId>| id.and_then(|id| self.length(id, ascii));
            Rc::new(Ends::of(self.ids.iter().map(length)))
        });
        View::of(ends, ascii, bank)
    }

    /// Bytes of a record as the SHA-1 bank's file shows it.
    fn length(&self, id: RecordId, ascii: bool) -> Option<u64> {
        if !ascii {
            return Some(self.records.get(id).size());
        }
        let mut line = Vec::new();
        self.write(id, true, Bank::Sha1, &mut line).then_some(line.len() as u64)
    }

    /// A record as one kind of file shows it, if that is known.
    pub(super) fn shown(&self, place: usize, ascii: bool, bank: Bank) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(self.id(place)?, ascii, bank, &mut bytes).then_some(bytes)
    }

    fn write(&self, id: RecordId, ascii: bool, bank: Bank, into: &mut Vec<u8>) -> bool {
        let digest = self.records.shown(id, bank);
        let record = self.records.get(id);
        let shown = RecordRef { digest: digest.as_bytes(), ..record.borrowed() };
        if !ascii {
            return write_record(into, shown, ByteOrder::Little).is_ok();
        }
        let line = AsciiLine::of(shown, ByteOrder::Little);
        line.map(|line| into.extend_from_slice(&line.to_bytes())).is_ok()
    }
}

impl Log for WholeLog<'_> {
    fn bytes(&self, file: ListFile, records: &Ranges) -> Option<u64> {
        let view = self.view(file.ascii, file.bank);
        records.stretches().iter().map(|range| view.length(range.clone())).sum()
    }

    fn is_violation(&self, record: usize) -> bool {
        self.id(record).is_some_and(|id| self.records.get(id).violation)
    }

    fn is_mark(&self, record: usize, event: &str) -> bool {
        self.id(record).is_some_and(|id| self.records.get(id).is_mark(event))
    }

    fn same_before(&self, record: usize) -> Option<usize> {
        self.same_before.get(&record).copied()
    }
}

fn hash(name: &[u8]) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    (hasher.finish() >> 32) as u32
}
