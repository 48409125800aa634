//! The promises of the interface, one by one.
//!
//! Each is in our words here; [`Rule::words`] has those of who made it, where there are any. The model keeps all of them; [`super::Rules::without`] turns exactly one over,
//! and what a run showed must then no longer be what the model says (the mutation check, `harness/tests/e2e/mutation.rs`).

/// Where the document is: `Documentation/security/IMA-export-delete.rst`.
macro_rules! document {
    ($section:literal) => {
        concat!("Documentation/security/IMA-export-delete.rst, \"", $section, "\"")
    };
}

/// Which scenario shows that a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// This one: its path below the scenarios' folder, without `.yaml`.
    By(&'static str),
    /// None yet; this is what it is to be called.
    Awaited(&'static str),
}

macro_rules! rules {
    ($($rule:ident: $promise:literal, $source:expr, $shown:ident $scenario:literal;)*) => {
        /// A promise of the interface.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $promise] $rule,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// Its name: `one-writer`. It stays what it is.
            pub fn name(self) -> String {
                let camel = match self { $(Rule::$rule => stringify!($rule),)* };
                let mut name = String::with_capacity(camel.len() + 4);
                for letter in camel.chars() {
                    if letter.is_ascii_uppercase() && !name.is_empty() {
                        name.push('-');
                    }
                    name.push(letter.to_ascii_lowercase());
                }
                name
            }

            /// What it says, in our words.
            pub fn promise(self) -> &'static str {
                match self { $(Rule::$rule => $promise,)* }
            }

            /// Who made it: the document's section, or the kernel's file.
            pub fn source(self) -> &'static str {
                match self { $(Rule::$rule => $source,)* }
            }

            /// Which scenario shows it.
            pub fn shown_by(self) -> Shown {
                match self { $(Rule::$rule => Shown::$shown($scenario),)* }
            }
        }
    };
}

const STAGE: &str = "ima_queue_stage, security/integrity/ima/ima_queue.c";
const DELETE: &str = "ima_queue_staged_delete_all, security/integrity/ima/ima_queue.c";
const TRIM: &str = "ima_queue_delete_partial, security/integrity/ima/ima_queue.c";
const WRITE: &str = "_ima_measurements_write, security/integrity/ima/ima_fs.c";
const NUMBER: &str = "kstrtoul, include/linux/kstrtox.h";
/// The documents of our own series for the proposals.
const STAGING: &str = "Documentation/security/IMA-staging.rst of the series rfc-v2 and two-command";
const RFC_V2: &str = "Documentation/security/IMA-staging.rst of the series rfc-v2";
const TRIM_LOG: &str = "Documentation/security/IMA-trim-log.rst of the series trim-log";
const LOG_COUNT: &str = "Documentation/security/IMA-log-count.rst of the series log-count and log-trim";
const LOG_DIGEST: &str = "Documentation/security/IMA-log-digest.rst of the series log-digest";
const SNAPSHOT: &str = "Documentation/security/IMA-snapshot.rst of the series snapshot";
const TRANSACTION: &str = "Documentation/security/IMA-list-transaction.rst of the series transaction";

rules! {
    // Who may open.
    WriterNeedsSysAdmin:
        "the interfaces gain the write permission for the root user and group, but require the process to have \
         CAP_SYS_ADMIN set",
        document!("Usage"), By "access/capability";
    NamespaceGivesNoRight:
        "CAP_SYS_ADMIN is that of the initial user namespace",
        "capable, kernel/capability.c", By "access/user-namespace";
    ReaderNeedsNoCapability:
        "the process is required to have CAP_SYS_ADMIN set for the write permission alone",
        document!("Usage"), By "access/capability";
    OneWriter:
        "the measurement interfaces can be accessed only by one actor (writer) at a time, so the others will get an \
         error until the former closes it",
        document!("Management of Staged Measurements"), By "access/two-writers";
    WriterExcludesReaders:
        "readers can be in mutual exclusion with one writer: no reader opens while there is a writer",
        document!("Interface Access"), By "access/writer-holds-off-readers";
    ReadersExcludeWriter:
        "readers can be in mutual exclusion with one writer: no writer opens while there are readers",
        document!("Interface Access"), By "access/reader-holds-off-writers";
    ReadersTogether:
        "multiple readers can access concurrently the original and staged interfaces",
        document!("Interface Access"), By "access/readers-together";
    SameWriterManyFiles:
        "in order to see the same state across all the measurement interfaces, the same writer is allowed to open \
         multiple interfaces for write or read/write",
        document!("Interface Access"), By "access/one-writer-many-files";
    ExclusionOverAllFiles:
        "a semaphore-like locking scheme has been implemented on all the measurements list interfaces: the files \
         exclude each other",
        document!("Interface Access"), By "access/writer-holds-off-readers";
    ExclusionUntilLastClose:
        "the writer's exclusion lasts until the last of its files is closed, by any task",
        document!("Management of Staged Measurements"), By "found/closed-by-a-thread";
    PassedOnIsGivenUp:
        "the others get an error until the writer closes it: one that passed its file on and closed it is one of the others \
         while the file is open",
        document!("Management of Staged Measurements"), By "found/owner-comes-back";
    DuplicatesShareFile:
        "a file is closed when the last descriptor of it is: duplicates, and those that a child inherits or that are \
         passed on, are the same open file",
        "dup(2), fork(2), unix(7)", By "access/duplicates";
    ExclusionOutlivesWriter:
        "a writer that has ended still excludes others while its file is open elsewhere",
        document!("Management of Staged Measurements"), By "access/outlives-the-writer";
    TaskEndCloses:
        "when a process ends, all its descriptors are closed: a dead process excludes nobody",
        "_exit(2)", By "access/ends-without-close";
    RightsAreOfTheOpen:
        "a task with a descriptor that was opened for writing may write, even if it could not open one itself",
        "open(2); capable is asked in _ima_measurements_open alone", By "access/capability-after-open";
    AccessModeHolds:
        "a file opened for reading alone cannot be written, one opened for writing alone cannot be read: EBADF",
        "read(2), write(2)", By "access/direction";

    OptionLetsRemove:
        "CONFIG_IMA_STAGING: \"This option prevents inadvertently removing the IMA measurement list on systems which do not \
         properly save it.\" Without it no request is taken",
        document!("Usage"), Awaited "found/trims-without-staging";

    // The form of a request.
    RequestLength:
        "a request is 2 to 21 bytes long, else EINVAL",
        WRITE, By "stage/bad-requests";
    RequestEndsInNewline:
        "a request ends in a newline, else EINVAL",
        WRITE, By "stage/bad-requests";
    VerbAlone:
        "`A` and `D` stand alone before the newline, else EINVAL",
        WRITE, By "stage/bad-requests";
    VerbsOnStagedFiles:
        "`echo A > <_staged interface>`, `echo D > <_staged interface>`: on an original interface they are EINVAL",
        document!("Staging with prompt"), By "stage/bad-requests";
    NumbersOnOriginalFiles:
        "`echo N > <original interface>`: on a staged interface a number is EINVAL",
        document!("Staging and deleting"), By "stage/bad-requests";
    NumberIsDecimal:
        "a number is decimal digits and nothing else, without a minus sign, else EINVAL",
        NUMBER, By "stage/bad-requests";
    PlusSign:
        "the first character may also be a plus sign",
        NUMBER, By "trim/number-forms";
    NumberRange:
        "a number beyond 64 bits is ERANGE",
        NUMBER, By "stage/bad-requests";
    AtLeastOne:
        "at least one record must be deleted: 0 is EINVAL",
        WRITE, By "trim/none";
    BadPointer:
        "a request that cannot be read is EFAULT",
        "write(2)", By "errors/bad-pointer";
    RequestTakenWhole:
        "a request that succeeds has taken all its bytes",
        WRITE, By "stage/once";
    NoPositionedWrite:
        "a request has no place in the file: pwrite is ESPIPE and asks for nothing",
        "seq_open, fs/seq_file.c", By "errors/other-bytes";
    CountersAreReadOnly:
        "the counters cannot be written",
        "ima_fs_init, security/integrity/ima/ima_fs.c", By "errors/counters";

    // What a request does.
    StageMovesWholeList:
        "staging consists in atomically moving the current measurements list to a temporary list",
        document!("Introduction"), By "stage/once";
    StageWhileStaged:
        "there is one staged list: staging while it is not empty is EEXIST",
        STAGE, By "stage/staged-twice";
    StageEmpty:
        "staging an empty list is ENOENT",
        STAGE, By "stage/empty-list";
    DeleteRemovesStaged:
        "`echo D > <_staged interface>`: the user requests IMA to delete staged measurements",
        document!("Staging with prompt"), By "stage/once";
    DeleteNothing:
        "deleting when nothing is staged is ENOENT",
        DELETE, By "stage/nothing-staged";
    TrimRemovesFirst:
        "N measurements are staged from the beginning of the current measurements list and immediately deleted",
        document!("Introduction"), By "trim/some";
    TrimTooMany:
        "deleting more records than the current list has is ENOENT",
        TRIM, By "trim/too-many";
    TrimLeavesStaged:
        "`echo N > <original interface>`: N measurements are deleted from the current measurements list, not from the \
         staged one",
        document!("Staging and deleting"), By "trim/while-staged";
    RefusalChangesNothing:
        "a request that is refused changes nothing",
        document!("Management of Staged Measurements"), By "trim/too-many";
    NewRecordsAreCurrent:
        "the staged measurements are in a temporary list: records that are measured meanwhile go to the current one",
        document!("Introduction"), By "stage/while-measuring-goes-on";

    // What the proposals promise that mainline does not.
    OriginalsAreReadOnly:
        "only files of the staged records can be written to: opening another for writing is EACCES",
        STAGING, By "proposals/rfc-v2-access";
    StageFirstOnes:
        "N stages the N oldest records",
        STAGING, By "proposals/rfc-v2-stage-some";
    StageTooMany:
        "staging more records than there are is ENOENT",
        RFC_V2, By "proposals/rfc-v2-requests";
    TrimNotWhileStaged:
        "while there are staged records, which have to be deleted first, -N is EEXIST",
        RFC_V2, By "proposals/rfc-v2-trim";
    CommitNeedsReading:
        "opening a list for writing alone is refused with EACCES",
        TRANSACTION, By "proposals/transaction-access";
    TransactionLeavesReaders:
        "a file that is open for reading alone is a view of the list at any time",
        TRANSACTION, By "proposals/transaction-readers";
    OvertakenReader:
        "if records are removed that a reader would have shown next, read() fails with ESTALE until it seeks to the \
         start of the file",
        TRANSACTION, By "proposals/transaction-readers";
    OwnFileNeedsSysAdmin:
        "the interface's own file cannot be opened without CAP_SYS_ADMIN: EPERM",
        TRIM_LOG, By "proposals/trim-log-access";
    OwnFileDirection:
        "the interface's own file is opened only in the ways that its document names",
        LOG_COUNT, By "proposals/log-trim-access";
    OwnFileHasOneWriter:
        "opening the interface's own file for writing is EBUSY while it is open for writing",
        TRIM_LOG, By "proposals/trim-log-access";
    OwnFileExcludesLists:
        "while the interface's own file is open for writing, it is the files of the measurement list that cannot be opened, \
         and the other way round: EBUSY",
        TRIM_LOG, By "proposals/trim-log-access";
    OwnFileIsOpenOnce:
        "while somebody else has the interface's own file open, until the last descriptor is closed, it is EBUSY",
        LOG_COUNT, By "proposals/log-trim-access";
    RequestAtStart:
        "a request is written at the start of the file, else EINVAL",
        TRIM_LOG, By "proposals/trim-log-requests";
    TrimmedIsShown:
        "the number of records that were trimmed can be read at any time",
        TRIM_LOG, By "proposals/trim-log-requests";
    TrimmedIsCompared:
        "of any number of requests with the same T, by whatever processes or threads, at most one trims: the others are EINVAL",
        TRIM_LOG, By "proposals/trim-log-compare";
    TrimOfNone:
        "an N of 0 trims nothing, and is not an error",
        TRIM_LOG, By "proposals/trim-log-requests";
    TrimsAreCounted:
        "each command that removes records is counted once in runtime_measurements_trims",
        LOG_COUNT, By "proposals/log-trim-to-a-digest";
    TotalIsCounted:
        "runtime_measurements_count is the number of records since cold boot",
        LOG_COUNT, By "proposals/log-trim-to-a-digest";
    BytesAreCounted:
        "runtime_measurements_in_memory_size is the records' size in bytes, which is that of binary_runtime_measurements",
        LOG_COUNT, By "proposals/log-trim-to-a-digest";
    MarkIsRecorded:
        "a write() of `1` adds a log_digest, and returns the length",
        LOG_DIGEST, By "proposals/log-trim-to-a-digest";
    SnapshotIsRecorded:
        "open() adds a snapshot_aggregate",
        SNAPSHOT, By "proposals/snapshot-requests";
    SnapshotShowsShard:
        "read() gives all records before the aggregate, and then the end of the file",
        SNAPSHOT, By "proposals/snapshot-requests";
    PurgeRemovesShard:
        "write() of anything removes what is before the aggregate, which is then the first record of the list",
        SNAPSHOT, By "proposals/snapshot-requests";
    PurgedOnce:
        "a second write() is EALREADY: this snapshot's records were removed already",
        SNAPSHOT, By "proposals/snapshot-requests";
    PurgeForgets:
        "a file that one of the removed records was of is measured again when it is evaluated the next time, whether \
         ima_flush_htable was given or not",
        SNAPSHOT, By "proposals/snapshot-forgets";
    MarkIsThere:
        "trimming up to a log_digest that is not there is ENOENT",
        LOG_COUNT, By "proposals/log-trim-requests";
    TrimToMark:
        "trimming up to a log_digest removes what is before it: it stays, and becomes the first record",
        LOG_COUNT, By "proposals/log-trim-to-a-digest";

    // What is measured.
    MeasuredIsRecorded:
        "a file that a rule of the policy measures is recorded",
        "Documentation/ABI/testing/ima_policy", By "stage/once";
    DuplicateSuppressed:
        "duplicate records are detected and recorded once",
        document!("Hash table"), By "htable/kept-after-delete";
    DigestsOutliveStaging:
        "the template digest of staged measurement records are kept, to be able to detect duplicate records \
         independently of staging",
        document!("Hash table"), By "htable/kept-after-delete";
    DigestsOutliveDelete:
        "by default, the template digest of staged measurement records are kept in kernel memory (only template data \
         are freed)",
        document!("Hash table"), By "htable/kept-after-delete";
    DigestsOutliveTrim:
        "the template digests of records deleted without prompt are kept as well",
        document!("Hash table"), By "htable/kept-after-trim";
    FlushForgetsDeleted:
        "ima_flush_htable explicitly requests a complete deletion of the staged measurements: there can be duplicates \
         between different groups of staged measurements",
        document!("Hash table"), By "htable/flushed-by-delete";
    FlushKeepsStaged:
        "ima_flush_htable drops digests when the staged measurements are deleted, not when they are staged",
        document!("Hash table"), By "htable/flushed-by-delete";
    FlushKeepsCurrent:
        "if ima_flush_htable has been specified, duplicate records are still avoided on records of the current \
         measurements list",
        document!("Hash table"), By "found/flush-forgets-current";
    FlushRefusesTrim:
        "flushing the hash table is supported only for the staging with prompt flavor: a number is EINVAL",
        document!("Hash table"), By "htable/flush-refuses-trim";
    ViolationAlwaysRecorded:
        "a violation is recorded each time, however often it happens",
        "ima_add_template_entry, security/integrity/ima/ima_queue.c", By "violations/again";

    // What files show.
    OriginalShowsCurrent:
        "`cat <original interface>`: the user reads the current measurements list",
        document!("Staging and deleting"), By "stage/once";
    StagedShowsStaged:
        "`cat <_staged interface>`: the user reads the staged measurements",
        document!("Staging with prompt"), By "stage/once";
    EveryListHasFiles:
        "IMA duplicates the current securityfs measurements interfaces (both binary and ASCII), by adding the \
         `_staged` file suffix",
        document!("Usage"), By "banks/each";
    ReadGoesOn:
        "a read continues where the previous one ended",
        "read(2)", By "readers/goes-on-at-the-end";
    CountIsCurrent:
        "runtime_measurements_count is the number of records in the current list",
        "ima_fs_init, security/integrity/ima/ima_fs.c", By "stage/once";
    ViolationsCounted:
        "violations is the number of violations since the boot; since a kexec, as the kernel takes them over or not",
        "ima_num_violations, security/integrity/ima/ima.h", By "stage/violation";

    // kexec.
    CarriedOver:
        "the staged measurement records and the current measurements list are both available when the secondary \
         kernel starts",
        document!("Kexec"), By "kexec/staged-and-current";
    StagedCarriedFirst:
        "the staged measurement records are marshalled before the current measurements list",
        document!("Kexec"), By "kexec/staged-and-current";
    CarriedAreCurrent:
        "what was carried over is in the current list of the secondary kernel, and nothing is staged there",
        "ima_restore_measurement_entry, security/integrity/ima/ima_queue.c", By "kexec/staged-and-current";
    CarriedMayDouble:
        "records carried across kexec are not in the hash table: the same file is recorded again",
        "ima_add_digest_entry, security/integrity/ima/ima_queue.c", By "kexec/measured-again";
    SuspendedStage:
        "IMA also disallows staging when suspending measurement: EACCES",
        document!("Kexec"), By "kexec/stage-while-suspended";
    SuspendedDelete:
        "if measurement is suspended before requesting to delete staged measurements, IMA returns an error to user \
         space: ESTALE",
        document!("Kexec"), By "kexec/delete-while-suspended";
    SuspendedTrim:
        "if measurement is suspended before requesting to delete current measurements, IMA returns an error to user \
         space: ESTALE",
        document!("Kexec"), By "kexec/trim-while-suspended";
    SuspendedRecordsNothing:
        "nothing is recorded once measurement is suspended",
        "ima_add_template_entry, security/integrity/ima/ima_queue.c", By "kexec/measure-while-suspended";
}
