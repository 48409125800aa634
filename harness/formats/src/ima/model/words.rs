//! Whose words a promise is in: those of a file, which can be looked up, or ours.

use super::Rule;

/// Whose words the promise is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// They stand so in a file, but for its line breaks and the marks of comments.
    Quoted {
        /// The file that has them.
        from: From,
        /// The words.
        text: &'static str,
    },
    /// They are ours: read off what the rule's source does, or concluded from what it says.
    Ours,
}

/// A file that is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Path in the kernel's tree.
    Kernel(&'static str),
    /// A document that each of these series of ours adds (`kernel-config/patches`).
    Series(&'static [&'static str]),
}

/// Mainline's document.
pub const DOCUMENT: &str = "Documentation/security/IMA-export-delete.rst";

impl Rule {
    /// Whose words the promise is in.
    pub fn words(self) -> Words {
        let document = |text| Words::Quoted { from: From::Kernel(DOCUMENT), text };
        let source = |path, text| Words::Quoted { from: From::Kernel(path), text };
        let series = |names, text| Words::Quoted { from: From::Series(names), text };
        match self {
            Rule::WriterNeedsSysAdmin => document(
                "Both the original and the staging interfaces gain the write permission for the root \
                 user and group, but require the process to have CAP_SYS_ADMIN set",
            ),
            Rule::OptionLetsRemove => document(
                "This option prevents inadvertently removing the IMA measurement list on systems which \
                 do not properly save it.",
            ),
            Rule::OneWriter => document(
                "the measurement interfaces can be accessed only by one actor (writer) at a time, so \
                 the others will get an error until the former closes it",
            ),
            Rule::WriterExcludesReaders => document("they can be in mutual exclusion with one writer"),
            Rule::ReadersExcludeWriter => document("they can be in mutual exclusion with one writer"),
            Rule::ReadersTogether => {
                document("Multiple readers can access concurrently the original and staged interfaces")
            }
            Rule::SameWriterManyFiles => document(
                "In order to see the same state across all the measurement interfaces, the same \
                 writer is allowed to open multiple interfaces for write or read/write",
            ),
            Rule::ExclusionOverAllFiles => document(
                "a semaphore-like locking scheme has been implemented on all the measurements list \
                 interfaces",
            ),
            Rule::RequestLength => source(
                "security/integrity/ima/ima_fs.c",
                "if (datalen < 2 || datalen > STAGED_REQ_LENGTH) return -EINVAL;",
            ),
            Rule::RequestEndsInNewline => {
                source("security/integrity/ima/ima_fs.c", "if (req[datalen - 1] != '\\n') return -EINVAL;")
            }
            Rule::VerbAlone => source(
                "security/integrity/ima/ima_fs.c",
                "if (datalen != 2 || !staged_interface) return -EINVAL;",
            ),
            Rule::VerbsOnStagedFiles => document(
                "``echo A > <_staged interface>``: the user requests IMA to stage the entire \
                 measurements list",
            ),
            Rule::NumbersOnOriginalFiles => document(
                "``echo N > <original interface>``: the user requests IMA to delete N measurements \
                 from the current measurements list",
            ),
            Rule::NumberIsDecimal => {
                source("security/integrity/ima/ima_fs.c", "kstrtoul(req, 10, &req_value)")
            }
            Rule::PlusSign => {
                source("include/linux/kstrtox.h", "may also be a plus sign, but not a minus sign.")
            }
            Rule::NumberRange => source(
                "include/linux/kstrtox.h",
                "Returns 0 on success, -ERANGE on overflow and -EINVAL on parsing error.",
            ),
            Rule::AtLeastOne => source("security/integrity/ima/ima_fs.c", "Must delete at least one entry"),
            Rule::RequestTakenWhole => source("security/integrity/ima/ima_fs.c", "return datalen;"),
            Rule::NoPositionedWrite => source("fs/seq_file.c", "file->f_mode &= ~FMODE_PWRITE;"),
            Rule::StageMovesWholeList => document(
                "Staging consists in atomically moving the current measurements list to a temporary \
                 list",
            ),
            Rule::StageWhileStaged => source(
                "security/integrity/ima/ima_queue.c",
                "If the staged measurements list is empty, the current measurements list is not \
                 empty, and measurement is not suspended, move the measurements from the current list \
                 to the staged one",
            ),
            Rule::StageEmpty => source(
                "security/integrity/ima/ima_queue.c",
                "If the staged measurements list is empty, the current measurements list is not \
                 empty, and measurement is not suspended, move the measurements from the current list \
                 to the staged one",
            ),
            Rule::DeleteRemovesStaged => document(
                "``echo D > <_staged interface>``: the user requests IMA to delete staged \
                 measurements",
            ),
            Rule::TrimRemovesFirst => document(
                "N measurements are staged from the beginning of the current measurements list and \
                 immediately deleted",
            ),
            Rule::TrimTooMany => {
                source("security/integrity/ima/ima_queue.c", "Not enough records to delete.")
            }
            Rule::TrimLeavesStaged => {
                document("the user requests IMA to delete N measurements from the current measurements list")
            }
            Rule::OriginalsAreReadOnly => series(
                &["rfc-v2", "two-command"],
                "only files of the staged records can be written to (else ``EACCES``)",
            ),
            Rule::StageFirstOnes => series(&["rfc-v2", "two-command"], "stages the N oldest records"),
            Rule::StageTooMany => {
                series(&["rfc-v2"], "no record is there, none is staged, or not as many as asked for")
            }
            Rule::TrimNotWhileStaged => {
                series(&["rfc-v2"], "there are staged records, which have to be deleted first")
            }
            Rule::CommitNeedsReading => {
                series(&["transaction"], "Opening for writing alone is refused with ``EACCES``")
            }
            Rule::TransactionLeavesReaders => series(
                &["transaction"],
                "A file that is open for reading alone is a view of the list at any time",
            ),
            Rule::OvertakenReader => series(
                &["transaction"],
                "If records are removed that it would have shown next, read() fails with ``ESTALE`` \
                 until it seeks to the start of the file",
            ),
            Rule::OwnFileNeedsSysAdmin => {
                series(&["trim-log"], "without ``CAP_SYS_ADMIN``, for reading as well")
            }
            Rule::OwnFileHasOneWriter => series(
                &["trim-log"],
                "for writing, with or without reading, while a file of the measurement list is open, or this file is for \
                 writing",
            ),
            Rule::OwnFileExcludesLists => series(
                &["trim-log"],
                "While ``ima_trim_log`` is open for writing, it is the files of the measurement list that cannot be opened",
            ),
            Rule::OwnFileDirection => series(&["log-trim"], "``EACCES`` if it is not for writing"),
            Rule::OwnFileIsOpenOnce => series(
                &["log-trim"],
                "``EBUSY`` while somebody else has the file open, until the last descriptor is closed",
            ),
            Rule::TrimsAreCounted => series(
                &["log-trim"],
                "Each command that removes records is counted once in ``runtime_measurements_trims``",
            ),
            Rule::TotalIsCounted => series(&["log-count"], "records since cold boot."),
            Rule::BytesAreCounted => series(
                &["log-count"],
                "their size in bytes, which is that of ``binary_runtime_measurements``.",
            ),
            Rule::MarkIsRecorded => series(&["log-digest"], "adds a ``log_digest`` and returns the length."),
            Rule::SnapshotIsRecorded => series(&["snapshot"], "open() adds a ``snapshot_aggregate``"),
            Rule::SnapshotShowsShard => series(&["snapshot"], "read() gives all records before it"),
            Rule::PurgeRemovesShard => {
                series(&["snapshot"], "After write() the list begins with the aggregate.")
            }
            Rule::PurgedOnce => series(&["snapshot"], "if this snapshot's records were removed already"),
            Rule::PurgeForgets => series(
                &["snapshot"],
                "was of is measured again when it is evaluated the next time, whether ``ima_flush_htable`` was given or not.",
            ),
            Rule::MarkIsThere => {
                series(&["log-trim"], "if there are fewer records, or no such ``log_digest``")
            }
            Rule::TrimToMark => {
                series(&["log-trim"], "The ``log_digest`` stays, and becomes the first record.")
            }
            Rule::RequestAtStart => series(
                &["trim-log"],
                "Who has read from the same descriptor seeks back to the start before it writes",
            ),
            Rule::TrimmedIsShown => series(
                &["trim-log"],
                "T is the number of records that were trimmed since this kernel began. Reading the file gives it at any time.",
            ),
            Rule::TrimmedIsCompared => series(
                &["trim-log"],
                "Of any number of requests with the same T, by whatever processes or threads, at most one trims.",
            ),
            Rule::TrimOfNone => series(&["trim-log"], "An N of 0 trims nothing, and is no error."),
            Rule::DuplicateSuppressed => {
                document("to be able to detect duplicate records independently of staging")
            }
            Rule::DigestsOutliveStaging => {
                document("the template digest of staged measurement records are kept in kernel memory")
            }
            Rule::DigestsOutliveDelete => document(
                "the template digest of staged measurement records are kept in kernel memory (only \
                 template data are freed)",
            ),
            Rule::FlushForgetsDeleted => {
                document("there can be duplicates between different groups of staged measurements")
            }
            Rule::FlushKeepsCurrent => {
                document("duplicate records are still avoided on records of the current measurements list")
            }
            Rule::FlushRefusesTrim => {
                document("Flushing the hash table is supported only for the staging with prompt flavor")
            }
            Rule::OriginalShowsCurrent => {
                document("``cat <original interface>``: the user reads the current measurements list")
            }
            Rule::StagedShowsStaged => {
                document("``cat <_staged interface>``: the user reads the staged measurements")
            }
            Rule::EveryListHasFiles => document(
                "IMA duplicates the current securityfs measurements interfaces (both binary and \
                 ASCII), by adding the ``_staged`` file suffix",
            ),
            Rule::ViolationsCounted => {
                source("security/integrity/ima/ima.h", "Total number of violations since hard boot.")
            }
            Rule::CarriedOver => document("they are both available when the secondary kernel starts"),
            Rule::StagedCarriedFirst => {
                document("the staged measurement records are marshalled before the current measurements list")
            }
            Rule::SuspendedStage => document("IMA also disallows staging when suspending measurement"),
            Rule::SuspendedDelete => document(
                "If measurement is suspended before requesting to delete staged or current \
                 measurements, IMA returns an error to user space",
            ),
            Rule::SuspendedTrim => document(
                "If measurement is suspended before requesting to delete staged or current \
                 measurements, IMA returns an error to user space",
            ),
            Rule::NamespaceGivesNoRight
            | Rule::ReaderNeedsNoCapability
            | Rule::ExclusionUntilLastClose
            | Rule::PassedOnIsGivenUp
            | Rule::DuplicatesShareFile
            | Rule::ExclusionOutlivesWriter
            | Rule::TaskEndCloses
            | Rule::RightsAreOfTheOpen
            | Rule::AccessModeHolds
            | Rule::BadPointer
            | Rule::CountersAreReadOnly
            | Rule::DeleteNothing
            | Rule::RefusalChangesNothing
            | Rule::NewRecordsAreCurrent
            | Rule::MeasuredIsRecorded
            | Rule::DigestsOutliveTrim
            | Rule::FlushKeepsStaged
            | Rule::ViolationAlwaysRecorded
            | Rule::ReadGoesOn
            | Rule::CountIsCurrent
            | Rule::CarriedAreCurrent
            | Rule::CarriedMayDouble
            | Rule::SuspendedRecordsNothing => Words::Ours,
        }
    }
}
