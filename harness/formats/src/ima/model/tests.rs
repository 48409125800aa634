//! A story for every rule: what a kernel that keeps all of them shows, and one that breaks this rule could not.

mod free;
mod proposals;
mod stories;
mod wrong;

use nix::errno::Errno;

use super::*;
use crate::Interface;
use crate::ima::Bank;
use crate::ima::dialect::Seen;
use crate::ima::lists::{ListId, Ranges};
use stories::story;

/// Ten bytes a record; some are violations, some are the same as an earlier one.
#[derive(Default)]
struct Tale {
    violations: Vec<usize>,
    marks: Vec<usize>,
    same: Vec<(usize, usize)>,
}

impl Log for Tale {
    fn bytes(&self, _: ListFile, records: &Ranges) -> Option<u64> {
        Some(10 * records.len() as u64)
    }

    fn is_violation(&self, record: usize) -> bool {
        self.violations.contains(&record)
    }

    fn is_mark(&self, record: usize, _: &str) -> bool {
        self.marks.contains(&record)
    }

    fn same_before(&self, record: usize) -> Option<usize> {
        self.same.iter().find(|(later, _)| *later == record).map(|(_, before)| *before)
    }
}

/// One event of a story.
enum Scene {
    /// A task's call gave this.
    Does(Task, Call<'static>, Found),
    /// So many records were appended.
    Records(usize),
    /// A file shows these records.
    Shows(bool, Vec<usize>),
    /// Measuring what makes the same record as this one is suppressed, or not.
    Knows(usize, bool),
    /// Nothing could be recorded any more.
    Deaf,
    /// Another kernel takes over.
    Kexec,
}

use Scene::{Deaf, Does, Kexec, Knows, Records, Shows};

const OK: Found = Found::Value(0);
const TWO: Found = Found::Value(2);
const READ: Access = Access { read: true, write: false };
const WRITE: Access = Access { read: false, write: true };
const BOTH: Access = Access { read: true, write: true };

fn errno(errno: Errno) -> Found {
    Found::Errno(errno as i32)
}

fn id(staged: bool) -> ListId {
    if staged { ListId::STAGED } else { ListId::CURRENT }
}

fn list(staged: bool) -> File {
    File::List(ListFile { ascii: false, bank: Bank::Sha1, list: id(staged) })
}

fn opens(task: Task, slot: Slot, staged: bool, access: Access, found: Found) -> Scene {
    Does(task, Call::Open { slot, file: list(staged), access, odd: false }, found)
}

/// Opens a file that the interface has beside the lists.
fn opens_own(task: Task, slot: Slot, name: &'static str, access: Access, found: Found) -> Scene {
    Does(task, Call::Open { slot, file: File::Own(name), access, odd: false }, found)
}

/// Task 0 has divided so many records in slot 1.
fn divider(records: usize, then: impl IntoIterator<Item = Scene>) -> Vec<Scene> {
    let mut story = vec![Records(records), Records(1), opens_own(0, 1, "snapshot", BOTH, OK)];
    story.extend(then);
    story
}

/// Task 0 has such a file open for writing in slot 1, and so many records are there.
fn requester(records: usize, name: &'static str, then: impl IntoIterator<Item = Scene>) -> Vec<Scene> {
    let mut story = vec![Records(records), opens_own(0, 1, name, WRITE, OK)];
    story.extend(then);
    story
}

fn closes(task: Task, slot: Slot) -> Scene {
    Does(task, Call::Close { slot }, OK)
}

fn asks(slot: Slot, text: &'static str, found: Found) -> Scene {
    Does(0, Call::Write { slot, written: Written::Bytes(text.as_bytes()), at: None }, found)
}

fn taken(slot: Slot, text: &'static str) -> Scene {
    asks(slot, text, Found::Value(text.len() as i64))
}

fn counts(file: File, number: u64) -> Vec<Scene> {
    let counter = Call::Counter { slot: 9, number, uncounted: 0, early: 0 };
    vec![
        Does(0, Call::Open { slot: 9, file, access: READ, odd: false }, OK),
        Does(0, counter, Found::Value(2)),
        closes(0, 9),
    ]
}

/// Task 0 has the staged file in slot 1 and the original in slot 2, and so many records are there.
fn writer(records: usize, then: impl IntoIterator<Item = Scene>) -> Vec<Scene> {
    let mut story = vec![Records(records), opens(0, 1, true, BOTH, OK), opens(0, 2, false, BOTH, OK)];
    story.extend(then);
    story
}

fn says(story: &[Scene], tale: &Tale, table: HashTable, rules: Rules) -> Result<(), String> {
    says_of(Interface::UPSTREAM, story, tale, table, rules)
}

fn says_of(
    interface: Interface,
    story: &[Scene],
    tale: &Tale,
    table: HashTable,
    rules: Rules,
) -> Result<(), String> {
    says_when_booted(Setup { table, interface, seen: Seen::default(), violations: 0 }, story, tale, rules)
}

fn says_when_booted(setup: Setup, story: &[Scene], tale: &Tale, rules: Rules) -> Result<(), String> {
    let mut kernel = Kernel::new(setup, rules);
    for (at, scene) in story.iter().enumerate() {
        let wrong = |why: String| Err(format!("scene {at}: {why}"));
        match *scene {
            Does(task, call, found) => match kernel.judge(tale, task, call, found) {
                Ok(effect) => kernel.apply(task, effect),
                Err(broken) => return wrong(format!("{broken:?}")),
            },
            Records(count) => {
                for _ in 0..count {
                    if let Err(broken) = kernel.may_record(tale) {
                        return wrong(format!("{broken:?}"));
                    }
                    kernel.record(tale);
                }
            }
            Shows(staged, ref records) => {
                let shown: Vec<usize> = kernel
                    .shows(ListFile { ascii: true, bank: Bank::Sha1, list: id(staged) })
                    .iter()
                    .collect();
                if shown != *records {
                    return wrong(format!("{shown:?}"));
                }
            }
            Knows(record, known) => {
                if kernel.suppresses(&[record]).is_some() != known {
                    return wrong(format!("{:?}", kernel.why_suppressed(record)));
                }
            }
            Deaf => {
                if !kernel.is_suspended() {
                    return wrong("it records".to_owned());
                }
            }
            Kexec => kernel.kexec(setup, 0),
        }
    }
    Ok(())
}

/// Task 0 has the staged file in slot 1, and so many records are there.
fn stager(records: usize, then: impl IntoIterator<Item = Scene>) -> Vec<Scene> {
    let mut story = vec![Records(records), opens(0, 1, true, BOTH, OK)];
    story.extend(then);
    story
}

/// The interface that a rule's story is told of.
fn told_of(rule: Rule) -> Interface {
    match rule {
        Rule::OriginalsAreReadOnly | Rule::StageFirstOnes | Rule::StageTooMany | Rule::TrimNotWhileStaged => {
            Interface::RFC_V2
        }
        Rule::CommitNeedsReading | Rule::TransactionLeavesReaders | Rule::OvertakenReader => {
            Interface::TRANSACTION
        }
        Rule::OptionLetsRemove => Interface::NO_STAGING,
        Rule::OwnFileNeedsSysAdmin
        | Rule::OwnFileHasOneWriter
        | Rule::OwnFileExcludesLists
        | Rule::RequestAtStart
        | Rule::TrimmedIsShown
        | Rule::TrimmedIsCompared
        | Rule::TrimOfNone => Interface::TRIM_LOG,
        Rule::SnapshotIsRecorded
        | Rule::SnapshotShowsShard
        | Rule::PurgeRemovesShard
        | Rule::PurgedOnce
        | Rule::PurgeForgets => Interface::SNAPSHOT,
        Rule::OwnFileDirection
        | Rule::OwnFileIsOpenOnce
        | Rule::TrimsAreCounted
        | Rule::TotalIsCounted
        | Rule::BytesAreCounted
        | Rule::MarkIsRecorded
        | Rule::MarkIsThere
        | Rule::TrimToMark => Interface::LOG_DIGEST,
        _ => Interface::UPSTREAM,
    }
}

#[test]
fn every_rule_has_a_story_that_only_a_kernel_with_it_tells() {
    for rule in Rule::ALL {
        let (story, tale, table) = story(*rule);
        let interface = told_of(*rule);
        assert_eq!(says_of(interface, &story, &tale, table, Rules::default()), Ok(()), "{rule:?}");
        assert!(says_of(interface, &story, &tale, table, Rules::without(*rule)).is_err(), "{rule:?}");
    }
}

#[test]
fn rules_have_words_and_a_source() {
    for rule in Rule::ALL {
        assert!(!rule.promise().contains("  ") && !rule.source().is_empty(), "{rule:?}");
    }
}
