//! For every record of the whole log where it was at every moment, as data for a reader.

use serde::Serialize;

use super::changes::ListChange;
use super::evidence::{Evidence, RecordId};
use super::history::{History, Turn};
use super::reconstruction::Reconstructions;
use super::run_length::RunLength;

/// One record and where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordHistory {
    /// Its place in the whole log, from 1.
    pub number: usize,
    /// The event by which it was extended.
    pub event: u64,
    /// PCR that it was extended into.
    pub pcr: u32,
    /// Template name; empty of a record that no list ever showed.
    pub template: String,
    /// File name, or what the template has in its place.
    pub name: String,
    /// What was extended in the machine's first bank, as `sha256:...`.
    pub digest: String,
    /// Where it was, one place after the other.
    pub places: Vec<Place>,
}

/// A place that a record came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Boot of the program, from 0.
    pub boot: u16,
    /// What it is in.
    #[serde(rename = "in")]
    pub within: Within,
    /// The step that brought it there; none for a record that was just measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When that step's system call began, guest nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ns: Option<u64>,
}

/// What holds a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Within {
    /// The kernel's current list.
    Current,
    /// The kernel's staged list.
    Staged,
    /// The current list with which the kernel began: carried from the one before it.
    Carried,
    /// What user space has of it alone, read by this step.
    Chunk(String),
    /// Nothing: it was taken out and nobody had read it.
    Nothing,
    /// Nothing: the kexec to this boot is known to lose it.
    Lost,
}

/// The histories of all records of the last checkpoint's whole log.
pub(super) fn of<'l>(
    evidence: &'l Evidence<'_>,
    reconstructions: &'l Reconstructions,
    extended: &'l RunLength<Option<RecordId>>,
) -> impl Iterator<Item = RecordHistory> + use<'l> {
    // The tap's order is the truth; where the lists differ from it, a check has failed.
    let history = History::of(evidence, extended, &reconstructions.changes);
    let teller = Teller { evidence, changes: &reconstructions.changes };
    let events = reconstructions.last().into_iter().flat_map(|whole| whole.extend_events(evidence));
    (0..extended.len()).zip(events).filter_map(move |(at, event)| {
        Some(teller.history((at, event), extended.get(at).flatten()?, history.turns(at)))
    })
}

struct Teller<'t, 'a> {
    evidence: &'t Evidence<'a>,
    changes: &'t [ListChange],
}

impl Teller<'_, '_> {
    fn history(
        &self,
        (at, event): (usize, u64),
        id: RecordId,
        turns: impl Iterator<Item = Turn>,
    ) -> RecordHistory {
        let record = self.evidence.records.get(id);
        let digest = self.evidence.records.extended(id, 0);
        RecordHistory {
            number: at + 1,
            event,
            pcr: record.pcr,
            template: record.template.to_string(),
            name: record.name(),
            digest: format!("{}:{digest}", digest.bank()),
            places: turns.map(|turn| self.place(turn)).collect(),
        }
    }

    fn place(&self, turn: Turn) -> Place {
        let started = |boot: u32, within| Place { boot: from_0(boot), within, by: None, at_ns: None };
        match turn {
            Turn::Logged { boot } => started(boot, Within::Current),
            Turn::Carried { boot } => self.left(boot, Within::Carried),
            Turn::Lost { boot } => self.left(boot, Within::Lost),
            Turn::Staged { by } => self.changed(by, |_| Within::Staged),
            Turn::Deleted { by, saved } => self.changed(by, |_| match saved {
                Some(saved) => Within::Chunk(self.evidence.name(saved)),
                None => Within::Nothing,
            }),
            Turn::PutBack { by } => self.changed(by, |_| Within::Current),
            Turn::Trimmed { by } => self.changed(by, |step| Within::Chunk(self.evidence.name(step))),
        }
    }

    /// The kexec to this boot brought it there.
    fn left(&self, boot: u32, within: Within) -> Place {
        let step = boot.checked_sub(1).and_then(|before| self.evidence.left_by(before));
        let by = step.map(|step| self.evidence.name(step));
        Place { boot: from_0(boot), within, by, at_ns: None }
    }

    /// A change of the lists brought it there.
    fn changed(&self, by: usize, within: impl Fn(usize) -> Within) -> Place {
        let ListChange { at, step, .. } = self.changes[by];
        let name = self.evidence.name(step);
        Place { boot: from_0(at.boot), within: within(step), by: Some(name), at_ns: Some(at.ns) }
    }
}

/// The evidence counts boots from 1, a program from 0.
fn from_0(boot: u32) -> u16 {
    u16::try_from(boot.saturating_sub(1)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use crate::digest;
    use crate::fake_run::FakeRun;

    /// `boot in [by step]`, of each place that the record with this name came to.
    fn places(fake: FakeRun, name: &str) -> Vec<String> {
        let (plan, trace) = fake.finish();
        let histories: Vec<_> = digest(&plan, &trace).histories().collect();
        let numbers: Vec<usize> = histories.iter().map(|history| history.number).collect();
        assert_eq!(numbers, (1..=histories.len()).collect::<Vec<_>>());
        let history = histories.iter().find(|history| history.name == name).expect("a record of that name");
        let place = |place: &super::Place| {
            let within = serde_json::to_value(&place.within).expect("JSON");
            format!("{} {within} {}", place.boot, place.by.as_deref().unwrap_or("-"))
        };
        history.places.iter().map(place).collect()
    }

    fn story() -> FakeRun {
        let mut fake = FakeRun::new();
        fake.measure(1);
        fake.stage();
        fake.save();
        fake.measure(2);
        fake.trim(1);
        fake.execute();
        fake.stage();
        fake.save();
        fake.delete();
        fake
    }

    #[test]
    fn a_carried_record_is_followed_into_its_chunk() {
        let expected = [
            "0 \"current\" -",
            "0 \"staged\" step 1 `stage` (line 11)",
            "1 \"carried\" step 5 `kexec-execute` (line 15)",
            "1 \"staged\" step 6 `stage` (line 16)",
            "1 {\"chunk\":\"step 7 `save` (line 17)\"} step 8 `delete` (line 18)",
        ];
        assert_eq!(places(story(), "/m/f-1"), expected);
    }

    #[test]
    fn a_trimmed_record_is_in_what_was_read_before() {
        let expected =
            ["0 \"current\" -", "0 {\"chunk\":\"step 4 `trim` (line 14)\"} step 4 `trim` (line 14)"];
        assert_eq!(places(story(), "/m/f-2"), expected);
    }

    #[test]
    fn what_nobody_read_is_nowhere() {
        let mut fake = FakeRun::new();
        fake.measure(1);
        fake.checkpoint();
        fake.stage();
        fake.checkpoint();
        fake.delete();
        let places = places(fake, "/m/f-1");
        assert_eq!(places.last().map(String::as_str), Some("0 \"nothing\" step 4 `delete` (line 14)"));
    }
}
