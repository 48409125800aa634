//! A story for every rule: what a kernel that keeps all of them shows, and one that breaks this rule could not.

mod stories;

use nix::errno::Errno;
use rstest::rstest;

use super::*;
use crate::Interface;
use crate::ima::Bank;
use crate::ima::lists::{ListId, Ranges};
use stories::story;

/// Ten bytes a record; some are violations, some are the same as an earlier one.
#[derive(Default)]
struct Tale {
    violations: Vec<usize>,
    same: Vec<(usize, usize)>,
}

impl Log for Tale {
    fn bytes(&self, _: ListFile, records: &Ranges) -> Option<u64> {
        Some(10 * records.len() as u64)
    }

    fn is_violation(&self, record: usize) -> bool {
        self.violations.contains(&record)
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
    says_of(Interface::Upstream, story, tale, table, rules)
}

fn says_of(
    interface: Interface,
    story: &[Scene],
    tale: &Tale,
    table: HashTable,
    rules: Rules,
) -> Result<(), String> {
    let setup = Setup { table, interface, violations: 0 };
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
            Interface::RfcV2
        }
        Rule::CommitNeedsReading | Rule::TransactionLeavesReaders | Rule::OvertakenReader => {
            Interface::Transaction
        }
        Rule::OptionLetsRemove => Interface::NoStaging,
        _ => Interface::Upstream,
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

/// Another task begins to read.
fn reads_along() -> Scene {
    opens(2, 3, false, READ, OK)
}

/// What the proposals do otherwise than mainline.
#[rstest]
#[case::one_writer_of_many_files(
    Interface::RfcV2,
    vec![opens(0, 1, true, BOTH, OK), opens(0, 2, true, BOTH, errno(Errno::EBUSY))]
)]
#[case::all_that_there_are(
    Interface::TwoCommand,
    stager(3, [taken(1, "7\n"), Shows(true, vec![0, 1, 2]), taken(1, "D\n"), Shows(true, vec![])])
)]
#[case::trimmed_to_the_last(
    Interface::RfcV2,
    stager(3, [taken(1, "-9223372036854775807\n"), Shows(false, vec![]), asks(1, "-1\n", errno(Errno::ENOENT))])
)]
#[case::committed_twice(
    Interface::Transaction,
    vec![Records(3), opens(0, 1, false, BOTH, OK), taken(1, "1\n"), reads_along(), taken(1, "1\n"), Shows(false, vec![2])]
)]
#[case::not_committed(
    Interface::Transaction,
    vec![Records(3), opens(0, 1, false, BOTH, OK), reads_along(), closes(0, 1), Shows(false, vec![0, 1, 2])]
)]
#[case::two_transactions(
    Interface::Transaction,
    vec![opens(0, 1, false, BOTH, OK), reads_along(), opens(1, 1, false, BOTH, errno(Errno::EBUSY))]
)]
#[case::root_opens_an_original_in_vain(
    Interface::RfcV2Posted,
    vec![
        Records(1),
        opens(0, 1, false, WRITE, OK),
        asks(1, "A\n", errno(Errno::EINVAL)),
        opens(0, 2, true, WRITE, errno(Errno::EBUSY)),
    ]
)]
#[case::numbers_of_any_base(
    Interface::RfcV2Posted,
    stager(20, [taken(1, "-0x10\n"), Shows(false, vec![16, 17, 18, 19])])
)]
#[case::a_number_deletes_what_is_staged(
    Interface::V3Posted,
    stager(3, [taken(1, "A\n"), Records(1), taken(1, "2\n"), Shows(true, vec![]), Shows(false, vec![2, 3])])
)]
#[case::nothing_staged_to_delete(
    Interface::V3Posted,
    stager(3, [asks(1, "2\n", errno(Errno::ENOENT)), Shows(false, vec![0, 1, 2])])
)]
#[case::a_number_cuts(
    Interface::V4Posted,
    stager(3, [taken(1, "2\n"), Shows(true, vec![]), Shows(false, vec![2])])
)]
#[case::one_file_for_the_writer(
    Interface::V4Posted,
    vec![opens(0, 1, true, WRITE, OK), opens(0, 2, true, WRITE, errno(Errno::EBUSY))]
)]
#[case::staged_by_the_original(
    Interface::V5Posted,
    vec![
        Records(2),
        opens(0, 1, false, WRITE, OK),
        taken(1, "A\n"),
        closes(0, 1),
        opens(0, 1, true, WRITE, OK),
        asks(1, "A\n", errno(Errno::EINVAL)),
        taken(1, "D\n"),
    ]
)]
fn the_proposals_are_told_apart(#[case] interface: Interface, #[case] story: Vec<Scene>) {
    let tale = Tale::default();
    assert_eq!(says_of(interface, &story, &tale, HashTable::Kept, Rules::default()), Ok(()));
    assert!(says_of(Interface::Upstream, &story, &tale, HashTable::Kept, Rules::default()).is_err());
}

#[test]
fn a_trim_of_a_proposal_forgets_with_its_records() {
    let story = stager(2, [taken(1, "-1\n"), Knows(0, false), Knows(1, true)]);
    let told = says_of(Interface::RfcV2, &story, &Tale::default(), HashTable::Flushed, Rules::default());
    assert_eq!(told, Ok(()));
}

#[test]
fn the_posted_rfc_forgets_as_it_stages() {
    let story = stager(2, [taken(1, "A\n"), Knows(0, false), Knows(1, false)]);
    for (interface, right) in [(Interface::RfcV2Posted, true), (Interface::RfcV2, false)] {
        let told = says_of(interface, &story, &Tale::default(), HashTable::Flushed, Rules::default());
        assert_eq!(told.is_ok(), right, "{interface:?}: {told:?}");
    }
    // A delete that is taken once the list is the next kernel's is a defect of it there too.
    let late = stager(2, [taken(1, "A\n"), Does(0, Call::Suspend, OK), taken(1, "D\n")]);
    let table = HashTable::Kept;
    let told = says_of(Interface::RfcV2Posted, &late, &Tale::default(), table, Rules::default());
    assert!(told.unwrap_err().contains("SuspendedDelete"));
}

#[test]
fn nobody_knows_whether_version_five_trims_while_records_are_staged() {
    let story = |found| {
        vec![Records(2), opens(0, 1, false, WRITE, OK), taken(1, "A\n"), Records(2), asks(1, "1\n", found)]
    };
    for found in [TWO, errno(Errno::EEXIST)] {
        let (tale, table) = (Tale::default(), HashTable::Kept);
        let told = says_of(Interface::V5Posted, &story(found), &tale, table, Rules::default());
        assert_eq!(told, Ok(()), "{found:?}");
    }
}

/// What a call gave wrongly, and the promise that is then named.
#[rstest]
#[case::writer_beside_writer(
    vec![opens(0, 1, true, WRITE, OK), opens(1, 1, true, WRITE, OK)], Rule::OneWriter, "EBUSY"
)]
#[case::lost_with_the_first_close(
    writer(0, [closes(0, 1), opens(1, 1, true, WRITE, OK)]), Rule::OneWriter, "EBUSY"
)]
#[case::kept_after_the_last_close(
    writer(0, [closes(0, 1), closes(0, 2), opens(1, 1, true, WRITE, errno(Errno::EBUSY))]),
    Rule::ReadersExcludeWriter, "success"
)]
#[case::refused_without_a_reason(
    vec![opens(0, 1, true, WRITE, errno(Errno::EPERM))], Rule::WriterNeedsSysAdmin, "success"
)]
#[case::half_taken(writer(1, [asks(1, "A\n", Found::Value(1))]), Rule::RequestTakenWhole, "2")]
#[case::either_of_two(
    writer(1, [Does(0, Call::Suspend, OK), taken(1, "A\n")]), Rule::SuspendedStage, "EACCES"
)]
#[case::nothing_wrong_with_it(writer(1, [asks(1, "A\n", errno(Errno::EINVAL))]), Rule::StageMovesWholeList, "success")]
#[case::short(
    vec![Records(2), opens(0, 1, false, READ, OK), Does(0, Call::Read { slot: 1, limit: None }, Found::Value(19))],
    Rule::OriginalShowsCurrent, "20 bytes"
)]
#[case::too_much_at_a_place(
    vec![
        Records(2),
        opens(0, 1, false, READ, OK),
        Does(0, Call::ReadAt { slot: 1, offset: 15, bytes: 9 }, Found::Value(9)),
    ],
    Rule::OriginalShowsCurrent, "1 to 5 bytes"
)]
#[case::closed(vec![Does(0, Call::Read { slot: 1, limit: None }, TWO)], Rule::DuplicatesShareFile, "EBADF")]
#[case::counter(
    vec![Does(0, Call::Open { slot: 9, file: File::Count, access: READ, odd: false }, OK),
        Does(0, Call::Counter { slot: 9, number: 1, uncounted: 0, early: 0 }, TWO)],
    Rule::CountIsCurrent, "0"
)]
fn what_is_wrong_is_told_with_its_promise(
    #[case] story: Vec<Scene>,
    #[case] rule: Rule,
    #[case] expected: &str,
) {
    let told = says(&story, &Tale::default(), HashTable::Kept, Rules::default()).unwrap_err();
    let broken = format!("{:?}", Broken::new(rule, expected));
    assert!(told.ends_with(&broken), "{told}, not {broken}");
}

/// What no promise rules out.
#[rstest]
#[case::one_of_two_reasons(writer(0, [Does(0, Call::Suspend, OK), asks(1, "A\n", errno(Errno::ENOENT))]))]
#[case::the_other_of_two(writer(0, [Does(0, Call::Suspend, OK), asks(1, "A\n", errno(Errno::EACCES))]))]
#[case::odd_flags(vec![Does(0, Call::Open { slot: 1, file: list(true), access: READ, odd: true }, errno(Errno::ELOOP))])]
#[case::no_descriptors_left(vec![Does(0, Call::Limit, OK), opens(0, 1, true, READ, errno(Errno::EMFILE))])]
#[case::no_memory_for_a_table(
    writer(1, [taken(1, "A\n"), asks(1, "D\n", errno(Errno::ENOMEM)), Shows(true, vec![0])])
)]
#[case::a_thread_is_another_task(
    vec![opens(0, 1, true, WRITE, OK), Does(0, Call::Thread { child: 1 }, OK), opens(1, 2, true, WRITE, errno(Errno::EBUSY))]
)]
#[case::a_thread_has_the_same_descriptors(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Thread { child: 1 }, OK),
        closes(1, 1),
        opens(1, 2, true, READ, OK),
    ]
)]
#[case::a_child_has_its_own(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Fork { child: 1 }, OK),
        closes(0, 1),
        opens(0, 2, true, READ, errno(Errno::EBUSY)),
        Does(1, Call::End, OK),
        opens(0, 2, true, READ, OK),
    ]
)]
#[case::a_thread_that_ends_closes_nothing(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Thread { child: 1 }, OK),
        Does(1, Call::End, OK),
        opens(2, 1, true, READ, errno(Errno::EBUSY)),
    ]
)]
#[case::a_descriptor_on_its_way_is_open(
    vec![
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Send { slot: 1, to: 1 }, OK),
        closes(0, 1),
        opens(0, 1, true, READ, errno(Errno::EBUSY)),
        Does(1, Call::End, OK),
        opens(0, 1, true, READ, OK),
    ]
)]
#[case::closed_in_the_midst_of_a_call(
    vec![
        Records(1),
        opens(0, 1, true, WRITE, OK),
        Does(0, Call::Thread { child: 1 }, OK),
        Does(0, Call::Pin { slot: 1 }, OK),
        closes(1, 1),
        opens(2, 1, true, READ, errno(Errno::EBUSY)),
        taken(1, "A\n"),
        Does(0, Call::Unpin, OK),
        opens(2, 1, true, READ, OK),
        Shows(true, vec![0]),
    ]
)]
#[case::beyond_the_end(
    vec![
        Records(1),
        opens(0, 1, false, READ, OK),
        Does(0, Call::Seek { slot: 1, offset: 0, whence: 2 }, errno(Errno::EINVAL)),
        Does(0, Call::Seek { slot: 1, offset: 99, whence: 0 }, Found::Value(99)),
        Does(0, Call::Read { slot: 1, limit: None }, Found::Value(0)),
        Does(0, Call::Seek { slot: 1, offset: 0, whence: 0 }, OK),
        Does(0, Call::Read { slot: 1, limit: None }, Found::Value(10)),
    ]
)]
#[case::half_read_and_then_trimmed(
    writer(3, [
        Does(0, Call::Read { slot: 2, limit: Some(5) }, Found::Value(5)),
        taken(2, "1\n"),
        Does(0, Call::Read { slot: 2, limit: None }, Found::Value(7)),
        Does(0, Call::Seek { slot: 2, offset: 0, whence: 0 }, OK),
        Does(0, Call::Read { slot: 2, limit: None }, Found::Value(20)),
    ])
)]
#[case::a_call_without_an_end(writer(1, [asks(1, "A\n", Found::Never), Shows(true, vec![0])]))]
fn what_may_be_passes(#[case] story: Vec<Scene>) {
    let table =
        if story.iter().any(|scene| matches!(scene, Does(_, _, found) if *found == errno(Errno::ENOMEM))) {
            HashTable::Flushed
        } else {
            HashTable::Kept
        };
    assert_eq!(says(&story, &Tale::default(), table, Rules::default()), Ok(()));
}

#[test]
fn a_kernel_without_requests_only_grows() {
    let setup = Setup { table: HashTable::Kept, interface: Interface::ReadOnly, violations: 0 };
    let mut kernel = Kernel::new(setup, Rules::default());
    let tale = Tale::default();
    kernel.record(&tale);
    for (call, found) in [
        (Call::Open { slot: 1, file: list(false), access: WRITE, odd: false }, OK),
        (Call::Write { slot: 1, written: Written::Bytes(b"1\n"), at: None }, errno(Errno::EINVAL)),
        (Call::Open { slot: 2, file: list(false), access: READ, odd: false }, OK),
    ] {
        let effect = kernel.judge(&tale, 0, call, found).unwrap();
        kernel.apply(0, effect);
    }
    assert_eq!(kernel.shows(ListFile { ascii: false, bank: Bank::Sha1, list: ListId::CURRENT }).len(), 1);
}

#[test]
fn rules_have_words_and_a_source() {
    for rule in Rule::ALL {
        assert!(!rule.promise().contains("  ") && !rule.source().is_empty(), "{rule:?}");
    }
}
