//! For each rule what a kernel that keeps it shows.

use super::*;

pub(super) fn story(rule: Rule) -> (Vec<Scene>, Tale, HashTable) {
    let mut tale = Tale::default();
    let mut table = HashTable::Kept;
    let (busy, perm) = (errno(Errno::EBUSY), errno(Errno::EPERM));
    let (inval, noent) = (errno(Errno::EINVAL), errno(Errno::ENOENT));
    let (odd, stale) = (errno(Errno::EBADF), errno(Errno::ESTALE));
    let admin = Call::Drop { capability: 21 };
    let story = match rule {
        Rule::WriterNeedsSysAdmin => vec![Does(0, admin, OK), opens(0, 1, true, WRITE, perm)],
        Rule::NamespaceGivesNoRight => vec![Does(0, Call::NewNamespace, OK), opens(0, 1, true, WRITE, perm)],
        Rule::ReaderNeedsNoCapability => vec![Does(0, admin, OK), opens(0, 1, true, READ, OK)],
        Rule::OptionLetsRemove => vec![Records(2), opens(0, 1, false, WRITE, OK), asks(1, "1\n", inval)],
        Rule::OneWriter => vec![opens(0, 1, true, WRITE, OK), opens(1, 1, true, WRITE, busy)],
        Rule::WriterExcludesReaders => vec![opens(0, 1, true, WRITE, OK), opens(0, 2, true, READ, busy)],
        Rule::ReadersExcludeWriter => vec![opens(0, 1, true, READ, OK), opens(0, 2, true, WRITE, busy)],
        Rule::ReadersTogether => vec![opens(0, 1, true, READ, OK), opens(1, 1, false, READ, OK)],
        Rule::SameWriterManyFiles => writer(0, []),
        Rule::ExclusionOverAllFiles => vec![opens(0, 1, true, WRITE, OK), opens(1, 1, false, READ, busy)],
        Rule::ExclusionUntilLastClose => writer(0, [closes(0, 1), opens(1, 1, true, WRITE, busy)]),
        Rule::PassedOnIsGivenUp => vec![
            opens(0, 1, true, WRITE, OK),
            Does(0, Call::Send { slot: 1, to: 1 }, OK),
            closes(0, 1),
            opens(0, 1, true, WRITE, busy),
        ],
        Rule::DuplicatesShareFile => vec![
            opens(0, 1, true, WRITE, OK),
            Does(0, Call::Duplicate { slot: 1, to: 2 }, OK),
            closes(0, 1),
            opens(1, 1, true, READ, busy),
        ],
        Rule::ExclusionOutlivesWriter => vec![
            opens(0, 1, true, WRITE, OK),
            Does(0, Call::Send { slot: 1, to: 1 }, OK),
            Does(0, Call::End, OK),
            Does(1, Call::Receive { slot: 4 }, OK),
            opens(2, 1, true, WRITE, busy),
            closes(1, 4),
            opens(2, 1, true, WRITE, OK),
        ],
        Rule::TaskEndCloses => {
            vec![opens(0, 1, true, WRITE, OK), Does(0, Call::End, OK), opens(1, 1, true, WRITE, OK)]
        }
        Rule::RightsAreOfTheOpen => writer(2, [Does(0, admin, OK), taken(1, "A\n")]),
        Rule::AccessModeHolds => vec![
            Records(1),
            opens(0, 1, true, READ, OK),
            asks(1, "A\n", odd),
            closes(0, 1),
            opens(0, 2, false, WRITE, OK),
            Does(0, Call::Read { slot: 2, limit: None }, odd),
        ],
        Rule::RequestLength => writer(2, [asks(2, "000000000000000000001\n", inval)]),
        Rule::RequestEndsInNewline => writer(2, [asks(1, "AA", inval)]),
        Rule::VerbAlone => writer(2, [asks(1, "AA\n", inval)]),
        Rule::VerbsOnStagedFiles => writer(2, [asks(2, "A\n", inval)]),
        Rule::NumbersOnOriginalFiles => writer(2, [asks(1, "1\n", inval)]),
        Rule::NumberIsDecimal => writer(2, [asks(2, "1x\n", inval)]),
        Rule::PlusSign => writer(2, [taken(2, "+1\n")]),
        Rule::NumberRange => writer(2, [asks(2, "18446744073709551616\n", errno(Errno::ERANGE))]),
        Rule::AtLeastOne => writer(2, [asks(2, "0\n", inval)]),
        Rule::BadPointer => {
            let nowhere = Call::Write { slot: 1, written: Written::Nowhere(2), at: None };
            writer(2, [Does(0, nowhere, errno(Errno::EFAULT))])
        }
        Rule::RequestTakenWhole => writer(2, [taken(1, "A\n")]),
        Rule::NoPositionedWrite => {
            let placed = Call::Write { slot: 1, written: Written::Bytes(b"A\n"), at: Some(0) };
            writer(2, [Does(0, placed, errno(Errno::ESPIPE)), Shows(true, vec![])])
        }
        Rule::CountersAreReadOnly => vec![
            Does(0, Call::Open { slot: 1, file: File::Count, access: WRITE, odd: false }, OK),
            asks(1, "0\n", inval),
        ],
        Rule::StageMovesWholeList => {
            writer(3, [taken(1, "A\n"), Shows(true, vec![0, 1, 2]), Shows(false, vec![])])
        }
        Rule::StageWhileStaged => {
            writer(3, [taken(1, "A\n"), Records(1), asks(1, "A\n", errno(Errno::EEXIST))])
        }
        Rule::StageEmpty => writer(0, [asks(1, "A\n", noent)]),
        Rule::DeleteRemovesStaged => writer(3, [taken(1, "A\n"), taken(1, "D\n"), Shows(true, vec![])]),
        Rule::DeleteNothing => writer(3, [asks(1, "D\n", noent)]),
        Rule::TrimRemovesFirst => writer(3, [taken(2, "2\n"), Shows(false, vec![2])]),
        Rule::TrimTooMany => writer(3, [asks(2, "4\n", noent)]),
        Rule::TrimLeavesStaged => {
            writer(2, [taken(1, "A\n"), Records(2), taken(2, "1\n"), Shows(true, vec![0, 1])])
        }
        Rule::RefusalChangesNothing => writer(3, [asks(2, "4\n", noent), Shows(false, vec![0, 1, 2])]),
        Rule::NewRecordsAreCurrent => writer(2, [taken(1, "A\n"), Records(1), Shows(false, vec![2])]),
        Rule::MeasuredIsRecorded => vec![Records(1)],
        Rule::DuplicateSuppressed => vec![Records(1), Knows(0, true)],
        Rule::DigestsOutliveStaging => writer(2, [taken(1, "A\n"), Knows(1, true)]),
        Rule::DigestsOutliveDelete => writer(2, [taken(1, "A\n"), taken(1, "D\n"), Knows(1, true)]),
        Rule::DigestsOutliveTrim => writer(2, [taken(2, "1\n"), Knows(0, true)]),
        Rule::FlushForgetsDeleted => {
            table = HashTable::Flushed;
            tale.same = vec![(2, 0)];
            writer(2, [taken(1, "A\n"), taken(1, "D\n"), Knows(0, false), Records(1), Knows(2, true)])
        }
        Rule::FlushKeepsStaged => {
            table = HashTable::Flushed;
            writer(2, [taken(1, "A\n"), Knows(0, true)])
        }
        Rule::FlushKeepsCurrent => {
            table = HashTable::Flushed;
            writer(2, [taken(1, "A\n"), Records(1), taken(1, "D\n"), Knows(2, true)])
        }
        Rule::FlushRefusesTrim => {
            table = HashTable::Flushed;
            writer(2, [asks(2, "1\n", inval)])
        }
        Rule::ViolationAlwaysRecorded => {
            tale.violations = vec![0, 1];
            vec![Records(2)]
        }
        Rule::OriginalShowsCurrent | Rule::StagedShowsStaged => {
            writer(2, [taken(1, "A\n"), Records(1), Shows(true, vec![0, 1]), Shows(false, vec![2])])
        }
        Rule::EveryListHasFiles => vec![opens(0, 1, true, READ, OK)],
        Rule::ReadGoesOn => vec![
            Records(3),
            opens(0, 1, false, READ, OK),
            Does(0, Call::Read { slot: 1, limit: Some(12) }, Found::Value(12)),
            Does(0, Call::Read { slot: 1, limit: None }, Found::Value(18)),
            Does(0, Call::Read { slot: 1, limit: None }, Found::Value(0)),
        ],
        Rule::CountIsCurrent => {
            let mut story = writer(3, [taken(1, "A\n"), Records(1)]);
            story.extend(counts(File::Count, 1));
            story
        }
        Rule::ViolationsCounted => {
            tale.violations = vec![0, 2];
            let mut story = vec![Records(3)];
            story.extend(counts(File::Violations, 2));
            story
        }
        Rule::CarriedOver => vec![Records(2), Does(0, Call::Suspend, OK), Kexec, Shows(false, vec![0, 1])],
        Rule::StagedCarriedFirst | Rule::CarriedAreCurrent => writer(
            2,
            [
                taken(1, "A\n"),
                Records(3),
                taken(2, "1\n"),
                Does(0, Call::Suspend, OK),
                Kexec,
                Records(1),
                Shows(false, vec![0, 1, 3, 4, 5]),
                Shows(true, vec![]),
            ],
        ),
        Rule::CarriedMayDouble => vec![Records(1), Does(0, Call::Suspend, OK), Kexec, Knows(0, false)],
        Rule::SuspendedStage => writer(2, [Does(0, Call::Suspend, OK), asks(1, "A\n", errno(Errno::EACCES))]),
        Rule::SuspendedDelete => {
            writer(2, [taken(1, "A\n"), Does(0, Call::Suspend, OK), asks(1, "D\n", stale)])
        }
        Rule::SuspendedTrim => writer(2, [Does(0, Call::Suspend, OK), asks(2, "1\n", stale)]),
        Rule::SuspendedRecordsNothing => vec![Records(1), Does(0, Call::Suspend, OK), Deaf],
        Rule::OriginalsAreReadOnly => vec![opens(0, 1, false, WRITE, errno(Errno::EACCES))],
        Rule::StageFirstOnes => stager(3, [taken(1, "2\n"), Shows(true, vec![0, 1]), Shows(false, vec![2])]),
        Rule::StageTooMany => stager(3, [asks(1, "4\n", noent)]),
        Rule::TrimNotWhileStaged => stager(3, [taken(1, "1\n"), asks(1, "-1\n", errno(Errno::EEXIST))]),
        Rule::CommitNeedsReading => vec![opens(0, 1, false, WRITE, errno(Errno::EACCES))],
        Rule::TransactionLeavesReaders => vec![opens(0, 1, false, BOTH, OK), opens(1, 1, false, READ, OK)],
        Rule::OwnFileNeedsSysAdmin => {
            vec![Does(0, admin, OK), opens_own(0, 1, "ima_trim_log", READ, perm)]
        }
        Rule::OwnFileHasOneWriter => {
            requester(0, "ima_trim_log", [opens_own(1, 1, "ima_trim_log", BOTH, busy)])
        }
        Rule::OwnFileExcludesLists => requester(0, "ima_trim_log", [opens(1, 1, false, READ, busy)]),
        Rule::RequestAtStart => vec![
            Records(2),
            opens_own(0, 1, "ima_trim_log", BOTH, OK),
            Does(0, Call::Counter { slot: 1, number: 0, uncounted: 0, early: 0 }, TWO),
            asks(1, "0:1", inval),
            Does(0, Call::Seek { slot: 1, offset: 0, whence: 0 }, OK),
            taken(1, "0:1"),
        ],
        Rule::TrimmedIsShown => requester(
            3,
            "ima_trim_log",
            [
                taken(1, "0:2"),
                opens_own(0, 2, "ima_trim_log", READ, OK),
                Does(0, Call::Number { slot: 2, number: 2 }, TWO),
            ],
        ),
        Rule::TrimmedIsCompared => {
            requester(3, "ima_trim_log", [taken(1, "0:1"), asks(1, "0:1", inval), taken(1, "1:1\n")])
        }
        Rule::TrimOfNone => requester(3, "ima_trim_log", [taken(1, "0:0"), Shows(false, vec![0, 1, 2])]),
        Rule::OwnFileDirection => vec![opens_own(0, 1, "trim", READ, errno(Errno::EACCES))],
        Rule::OwnFileIsOpenOnce => requester(0, "trim", [opens_own(1, 1, "trim", WRITE, busy)]),
        Rule::TrimsAreCounted => requester(
            3,
            "trim",
            [
                taken(1, "2\n"),
                opens_own(0, 2, "runtime_measurements_trims", READ, OK),
                Does(0, Call::Counter { slot: 2, number: 1, uncounted: 0, early: 0 }, TWO),
            ],
        ),
        Rule::TotalIsCounted => requester(
            3,
            "trim",
            [
                taken(1, "2\n"),
                opens_own(0, 2, "runtime_measurements_count", READ, OK),
                Does(0, Call::Counter { slot: 2, number: 3, uncounted: 0, early: 0 }, TWO),
            ],
        ),
        Rule::BytesAreCounted => requester(
            3,
            "trim",
            [
                taken(1, "2\n"),
                opens_own(0, 2, "runtime_measurements_in_memory_size", READ, OK),
                Does(0, Call::Counter { slot: 2, number: 10, uncounted: 0, early: 0 }, TWO),
            ],
        ),
        Rule::MarkIsRecorded => {
            tale.marks = vec![2];
            vec![
                Records(2),
                opens_own(0, 1, "log_digest", WRITE, OK),
                Records(1),
                taken(1, "1\n"),
                asks(1, "1", noent),
            ]
        }
        Rule::SnapshotIsRecorded => {
            tale.marks = vec![2];
            let again = opens_own(0, 1, "snapshot", READ, errno(Errno::EIO));
            divider(2, [closes(0, 1), again])
        }
        Rule::SnapshotShowsShard => {
            tale.marks = vec![2];
            divider(2, [Records(1), Does(0, Call::Read { slot: 1, limit: None }, Found::Value(20))])
        }
        Rule::PurgeRemovesShard => {
            tale.marks = vec![2];
            divider(2, [Records(1), taken(1, "x"), Shows(false, vec![2, 3])])
        }
        Rule::PurgedOnce => {
            tale.marks = vec![2];
            divider(2, [taken(1, "x"), asks(1, "x", errno(Errno::EALREADY))])
        }
        Rule::PurgeForgets => {
            tale.marks = vec![2];
            divider(2, [taken(1, "x"), Knows(0, false), Knows(2, true)])
        }
        Rule::MarkIsThere => requester(3, "trim", [asks(1, "last\n", noent), asks(1, "marker 1", noent)]),
        Rule::TrimToMark => {
            tale.marks = vec![1, 3];
            requester(
                5,
                "trim",
                [
                    taken(1, "first"),
                    Shows(false, vec![1, 2, 3, 4]),
                    taken(1, "last"),
                    Shows(false, vec![3, 4]),
                ],
            )
        }
        Rule::OvertakenReader => vec![
            Records(3),
            opens(1, 1, false, READ, OK),
            Does(1, Call::Read { slot: 1, limit: Some(12) }, Found::Value(12)),
            opens(0, 1, false, BOTH, OK),
            taken(1, "2\n"),
            Does(1, Call::Read { slot: 1, limit: None }, stale),
        ],
    };
    (story, tale, table)
}
