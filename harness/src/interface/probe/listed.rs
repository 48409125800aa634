//! What the first boot's answers say: which interface is there, what it offers, and what it did otherwise than promised.

use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::StepId;
use nix::errno::Errno;

use super::super::finding::{FindingCode, ProbeFinding, promise};
use super::super::upstream::file_name;
use super::super::{Capabilities, Capability, IMA, adapter};
use super::answers::{Answers, counted, grown};
use super::{Ask, FILES, Verb};
use crate::ima::Bank;
use crate::ima::model::Rule;
use crate::plan::{Form, Interface};

/// The current list by its sha1 file.
pub(super) fn current() -> String {
    format!("{IMA}/{}", file_name(Form::Binary, Some(Bank::Sha1), false))
}

/// Errors of an open that say that a device is not there.
const NO_DEVICE: [Errno; 3] = [Errno::ENOENT, Errno::ENXIO, Errno::ENODEV];

/// What interfaces promise: a kernel that has one has all of these. Of the boot option the second boot knows.
fn promised(interface: Interface) -> &'static [Capability] {
    use Capability::*;
    match interface {
        Interface::Upstream => &[Staging, Trim, TrimWhileStaged, ExactTrim, Upstream],
        Interface::RfcV2 => &[Staging, Trim, ExactTrim, RfcV2],
        Interface::TwoCommand => &[Staging, Trim, TwoCommand],
        Interface::Transaction => &[Trim, ExactTrim, Transaction],
        Interface::ReadOnly => &[],
    }
}

/// What the kernel offers.
pub(super) fn of(answers: &Answers) -> Capabilities {
    let seen = Seen::of(answers);
    let interface = seen.interface();
    let has = |bank| seen.files.contains_key(&file_name(Form::Binary, bank, false));
    let ok = |ask: Ask| answers.ok(ask.id());
    let holds = |capability: Capability| match capability {
        Capability::Ima => has(None),
        Capability::Tpm => {
            ok(Ask::Tpm) || answers.errno(Ask::Tpm.id()).is_some_and(|errno| !is_one_of(errno, &NO_DEVICE))
        }
        Capability::Policy => ok(Ask::Policy),
        Capability::PolicyRecords => seen.policy_records().is_some_and(|records| records > 0),
        Capability::BankFiles => has(Some(Bank::Sha1)),
        Capability::HashTable => seen.doubles().is_some_and(|doubles| doubles != FILES),
        Capability::NoHashTable => seen.doubles() == Some(FILES),
        Capability::Kexec => ok(Ask::Kexec),
        Capability::CrashKernel => ok(Ask::Kexec) && ok(Ask::CrashLoaded) && ok(Ask::SysRq),
        Capability::AllocationFaults => ok(Ask::Faults),
        // Only the second boot can tell, and the third.
        Capability::FlushHtable
        | Capability::KexecCarry
        | Capability::KexecLate
        | Capability::KexecRecords => false,
        Capability::Staging
        | Capability::Trim
        | Capability::TrimWhileStaged
        | Capability::ExactTrim
        | Capability::Upstream
        | Capability::RfcV2
        | Capability::TwoCommand
        | Capability::Transaction => promised(interface).contains(&capability),
    };
    let have: BTreeSet<Capability> = Capability::ALL.into_iter().filter(|c| holds(*c)).collect();
    let findings = seen.findings(interface);
    Capabilities { release: answers.release.clone(), interface, have, files: seen.files, findings }
}

fn is_one_of(errno: i32, errnos: &[Errno]) -> bool {
    errnos.iter().any(|one| *one as i32 == errno)
}

/// The answers, and the files by their modes.
struct Seen<'a> {
    answers: &'a Answers,
    files: BTreeMap<String, u32>,
}

impl Seen<'_> {
    fn of(answers: &Answers) -> Seen<'_> {
        let line = |line: &str| {
            let (mode, name) = line.split_once(' ')?;
            Some((name.to_owned(), u32::from_str_radix(mode, 8).ok()?))
        };
        let files = answers.text(Ask::Files.id(), 0).lines().filter_map(line).collect();
        Seen { answers, files }
    }

    fn ok(&self, interface: Interface, verb: Verb) -> bool {
        self.answers.ok(id(interface, verb))
    }

    fn count(&self, interface: Interface, verb: Verb) -> Option<u64> {
        self.answers.count(id(interface, verb))
    }

    fn counted(&self, ask: Ask) -> Option<u64> {
        self.answers.count(ask.id())
    }

    /// Whether files may be written by their owner or its group.
    fn writable(&self, name: &str) -> bool {
        self.files.get(name).is_some_and(|mode| mode & 0o220 != 0)
    }

    /// Whether the kernel has the files of staged records that an interface has.
    fn has_staged_files(&self, interface: Interface) -> bool {
        let path = adapter(interface).list(Form::Binary, Some(Bank::Sha1), true);
        path.as_deref()
            .and_then(|path| path.rsplit('/').next())
            .is_some_and(|name| self.files.contains_key(name))
    }

    /// Whose requests the kernel takes. One that has the files of an interface and takes nothing has it all the same.
    fn interface(&self) -> Interface {
        let original = file_name(Form::Binary, Some(Bank::Sha1), false);
        let takes =
            |interface: &Interface| self.has_staged_files(*interface) && self.ok(*interface, Verb::Stage);
        if let Some(interface) = Interface::REMOVING.into_iter().find(takes) {
            return interface;
        }
        let staged = Interface::REMOVING.into_iter().any(|interface| self.has_staged_files(interface));
        match (staged, self.writable(&original)) {
            (true, true) if self.has_staged_files(Interface::Upstream) => Interface::Upstream,
            (true, _) | (false, false) => Interface::ReadOnly,
            // Who may write a list without reading it is not in a transaction.
            (false, true) if self.answers.ok(Ask::OpenForWriting.id()) => Interface::ReadOnly,
            (false, true) => Interface::Transaction,
        }
    }

    /// Records that a policy made of itself when it was loaded.
    fn policy_records(&self) -> Option<u64> {
        let loaded = self.answers.ok(Ask::LoadMore.id()).then(|| self.counted(Ask::CountLoaded)).flatten();
        grown(self.counted(Ask::CountPolicy), loaded)
    }

    /// Whether the list has what was measured.
    fn measures(&self) -> bool {
        self.answers.ok(Ask::Policy.id())
            && grown(self.counted(Ask::CountBefore), self.counted(Ask::CountMeasured)) == Some(FILES)
    }

    /// Records of files that were measured before.
    fn doubles(&self) -> Option<u64> {
        self.measures().then(|| grown(self.counted(Ask::CountMeasured), self.counted(Ask::CountAgain)))?
    }

    fn findings(&self, interface: Interface) -> Vec<ProbeFinding> {
        let mut findings = self.of_the_kernel();
        let has_staged = Interface::REMOVING.into_iter().any(|interface| self.has_staged_files(interface));
        if interface == Interface::ReadOnly && has_staged {
            findings.push(self.unknown_interface());
        }
        let promised = promised(interface);
        if promised.contains(&Capability::Staging) {
            findings.extend(self.of_staging(interface));
        }
        if promised.contains(&Capability::Trim) && self.measures() {
            findings.extend(self.of_trimming(interface));
            findings.extend(self.of_both(interface));
        }
        findings
    }

    fn unknown_interface(&self) -> ProbeFinding {
        let files: Vec<String> = self.files.iter().map(|(name, mode)| format!("{name} {mode:o}")).collect();
        ProbeFinding::new(
            FindingCode::UnknownInterface,
            "stage records",
            "a request of an interface that is known to be taken",
            format!("files of staged records, and none taken; files and modes: {}", files.join(", ")),
            "none: nobody's promises are known for such files (imalab's own words)",
        )
    }

    /// What no interface is needed for.
    fn of_the_kernel(&self) -> Vec<ProbeFinding> {
        let mut findings = Vec::new();
        let answers = self.answers;
        if answers.errno(Ask::Tpm.id()).is_some_and(|errno| !is_one_of(errno, &NO_DEVICE)) {
            findings.push(ProbeFinding::new(
                FindingCode::TpmUnusable,
                format!("open {}", super::TPM),
                "success, or no such device",
                answers.told(Ask::Tpm.id()),
                "a device that is there and that nobody has open opens (imalab's own words)",
            ));
        }
        if !answers.ok(Ask::Policy.id()) {
            return findings;
        }
        for ask in [Ask::Measure, Ask::MeasureAgain] {
            if !answers.ok(ask.id()) {
                findings.push(ProbeFinding::new(
                    FindingCode::FileNotMade,
                    format!("make and open {FILES} files in {}", super::MEASURED),
                    "success",
                    answers.told(ask.id()),
                    "open(2)",
                ));
                return findings;
            }
        }
        for ask in [Ask::CountBefore, Ask::CountMeasured, Ask::CountAgain] {
            if self.counted(ask).is_none() {
                findings.push(ProbeFinding::new(
                    FindingCode::CounterUnreadable,
                    "read runtime_measurements_count",
                    "a number",
                    format!("{:?}, {}", answers.text(ask.id(), 1), answers.told(ask.id())),
                    promise(Rule::CountIsCurrent),
                ));
                return findings;
            }
        }
        let (before, measured) = (self.counted(Ask::CountBefore), self.counted(Ask::CountMeasured));
        if !self.measures() {
            findings.push(ProbeFinding::new(
                FindingCode::PolicyNotFollowed,
                format!("load a policy that measures, and open {FILES} new files"),
                counted(before.map(|before| before + FILES)),
                counted(measured),
                promise(Rule::MeasuredIsRecorded),
            ));
        }
        if let Some(doubles) = self.doubles().filter(|doubles| ![0, FILES].contains(doubles)) {
            findings.push(ProbeFinding::new(
                FindingCode::DoublesRecorded,
                format!("measure {FILES} files a second time"),
                format!("no record, or {FILES} without a hash table"),
                format!("{doubles} records"),
                promise(Rule::DuplicateSuppressed),
            ));
        }
        if let Some(records) = self.policy_records().filter(|records| *records > 1) {
            findings.push(ProbeFinding::new(
                FindingCode::PolicyRecordedOften,
                "load a policy that is written at once",
                "one record of it at most",
                format!("{records} records"),
                "ima_measure_raw_policy, security/integrity/ima/ima_policy.c: one record for each write",
            ));
        }
        findings
    }

    /// The first thing that is wrong with staging, saving or deleting.
    fn of_staging(&self, interface: Interface) -> Option<ProbeFinding> {
        let (list, save) = (id(interface, Verb::List), id(interface, Verb::Save));
        if !self.ok(interface, Verb::Stage) {
            let rule = Rule::StageMovesWholeList;
            return Some(self.refused(
                FindingCode::StageRefused,
                "stage all records",
                interface,
                Verb::Stage,
                rule,
            ));
        }
        let staged = self.count(interface, Verb::CountStaged);
        if staged != Some(0) {
            return Some(ProbeFinding::new(
                FindingCode::StageCount,
                "stage all records",
                counted(Some(0)),
                counted(staged),
                promise(Rule::StageMovesWholeList),
            ));
        }
        if !self.answers.ok(save) {
            let rule = Rule::StagedShowsStaged;
            let what = "read the staged list";
            return Some(self.refused(FindingCode::SaveRefused, what, interface, Verb::Save, rule));
        }
        let (was, is) = (self.answers.bytes(list, 1), self.answers.bytes(save, 1));
        if self.answers.ok(list) && was != is {
            let other = if was.len() == is.len() { "as many others" } else { "other ones" };
            return Some(ProbeFinding::new(
                FindingCode::SaveDiffers,
                "read the staged list",
                format!("the {} bytes that the current list was", was.len()),
                format!("{} bytes, {other}", is.len()),
                promise(Rule::StagedShowsStaged),
            ));
        }
        if !self.ok(interface, Verb::Delete) {
            let rule = Rule::DeleteRemovesStaged;
            let what = "delete the staged list";
            return Some(self.refused(FindingCode::DeleteRefused, what, interface, Verb::Delete, rule));
        }
        let deleted = self.count(interface, Verb::CountDeleted);
        (deleted != Some(0)).then(|| {
            ProbeFinding::new(
                FindingCode::DeleteCount,
                "delete the staged list, when all records were staged",
                counted(Some(0)),
                counted(deleted),
                promise(Rule::CountIsCurrent),
            )
        })
    }

    fn refused(
        &self,
        code: FindingCode,
        what: &str,
        interface: Interface,
        verb: Verb,
        rule: Rule,
    ) -> ProbeFinding {
        let found = self.answers.told(id(interface, verb));
        ProbeFinding::new(code, what, "success", found, promise(rule))
    }

    /// What is wrong with trimming while nothing is staged.
    fn of_trimming(&self, interface: Interface) -> Vec<ProbeFinding> {
        let mut findings = Vec::new();
        let others = Interface::REMOVING.into_iter().take_while(|other| *other != interface).last();
        let before =
            others.map_or(self.counted(Ask::CountAgain), |other| self.count(other, Verb::CountTrimmed));
        let trimmed = self.count(interface, Verb::CountTrimmed);
        let rule = Rule::TrimRemovesFirst;
        if !self.ok(interface, Verb::Trim) {
            findings.push(self.refused(FindingCode::TrimRefused, "trim 1", interface, Verb::Trim, rule));
        } else if grown(trimmed, before) != Some(1) {
            findings.push(ProbeFinding::new(
                FindingCode::TrimCount,
                "trim 1",
                counted(before.and_then(|before| before.checked_sub(1))),
                counted(trimmed),
                promise(rule),
            ));
        }
        let exact = promised(interface).contains(&Capability::ExactTrim);
        if exact && self.ok(interface, Verb::TrimTooMany) {
            findings.push(ProbeFinding::new(
                FindingCode::TrimTooManyTaken,
                format!("trim {}, more records than there are", super::TOO_MANY),
                "ENOENT",
                "success",
                promise(Rule::TrimTooMany),
            ));
        }
        findings
    }

    /// What is wrong with trimming while records are staged.
    fn of_both(&self, interface: Interface) -> Option<ProbeFinding> {
        if !promised(interface).contains(&Capability::Staging) {
            return None;
        }
        if !self.ok(interface, Verb::StageMore) {
            let (code, what) = (FindingCode::StageRefused, "stage records that came after a delete");
            return Some(self.refused(code, what, interface, Verb::StageMore, Rule::StageMovesWholeList));
        }
        let taken = self.ok(interface, Verb::TrimWhileStaged);
        match (promised(interface).contains(&Capability::TrimWhileStaged), taken) {
            (true, false) => {
                let (code, what) = (FindingCode::TrimWhileStagedRefused, "trim 1 while records are staged");
                Some(self.refused(code, what, interface, Verb::TrimWhileStaged, Rule::TrimLeavesStaged))
            }
            (true, true) => {
                let (before, after) =
                    (self.count(interface, Verb::CountYet), self.count(interface, Verb::CountWhileStaged));
                (grown(after, before) != Some(1)).then(|| {
                    ProbeFinding::new(
                        FindingCode::TrimCount,
                        "trim 1 while records are staged",
                        counted(before.and_then(|before| before.checked_sub(1))),
                        counted(after),
                        promise(Rule::TrimLeavesStaged),
                    )
                })
            }
            (false, true) => Some(ProbeFinding::new(
                FindingCode::TrimWhileStagedTaken,
                "trim 1 while records are staged",
                "EEXIST",
                "success",
                promise(Rule::TrimNotWhileStaged),
            )),
            (false, false) => None,
        }
    }
}

fn id(interface: Interface, verb: Verb) -> StepId {
    Ask::Of(interface, verb).id()
}
