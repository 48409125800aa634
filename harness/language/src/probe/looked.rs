//! What the first boot's answers say: what is there, whatever becomes of requests.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;

use super::answers::{Answers, counted, grown};
use super::{Ask, FILES, identify};
use crate::capabilities::{Capabilities, FindingCode, OPENED, ProbeFinding, promise};
use crate::capability::Capability;
use crate::interface::IMA;
use imalab_formats::Interface;
use imalab_formats::ima::Bank;
use imalab_formats::ima::lists::Kind;
use imalab_formats::ima::model::Rule;

/// Name of the current list's binary file, which is the same for all interfaces.
fn file_name(bank: Option<Bank>) -> Option<String> {
    Interface::READ_ONLY.dialect().file_name(Kind::Current, false, bank)
}

/// The current list by its sha1 file.
pub(super) fn current() -> String {
    format!("{IMA}/{}", file_name(Some(Bank::Sha1)).unwrap_or_default())
}

/// Errors of an open that say that a device is not there.
const NO_DEVICE: [Errno; 3] = [Errno::ENOENT, Errno::ENXIO, Errno::ENODEV];

/// What the kernel offers, as far as the first boot tells.
pub(super) fn of(answers: &Answers) -> Capabilities {
    let line = |line: &str| {
        let (mode, name) = line.split_once(' ')?;
        Some((name.to_owned(), u32::from_str_radix(mode, 8).ok()?))
    };
    let files: BTreeMap<String, u32> = answers.text(Ask::Files.id(), 0).lines().filter_map(line).collect();
    let seen = Seen { answers };
    let has = |bank| file_name(bank).is_some_and(|name| files.contains_key(&name));
    let ok = |ask: Ask| answers.ok(ask.id());
    let tpm_is_there = answers.errno(Ask::Tpm.id()).is_some_and(|errno| !is_one_of(errno, &NO_DEVICE));
    let holds = [
        (Capability::Ima, has(None)),
        (Capability::Tpm, ok(Ask::Tpm) || tpm_is_there),
        (Capability::Policy, ok(Ask::Policy)),
        (Capability::PolicyRecords, seen.policy_records().is_some_and(|records| records > 0)),
        (Capability::BankFiles, has(Some(Bank::Sha1))),
        (Capability::HashTable, seen.doubles().is_some_and(|doubles| doubles != FILES)),
        (Capability::NoHashTable, seen.doubles() == Some(FILES)),
        (Capability::Kexec, ok(Ask::Kexec)),
        (Capability::CrashKernel, ok(Ask::Kexec) && ok(Ask::CrashLoaded) && ok(Ask::SysRq)),
        (Capability::AllocationFaults, ok(Ask::Faults)),
        // The others follow from other boots.
    ];
    let have: BTreeSet<Capability> = holds.into_iter().filter_map(|(has, is)| is.then_some(has)).collect();
    let interface = identify::by_files(&files, ok(Ask::OpenForWriting));
    let findings = seen.findings();
    let behaviours = BTreeMap::from([(OPENED.to_owned(), answers.told(Ask::OpenForWriting.id()))]);
    let release = answers.release.clone();
    Capabilities { release, interface, have, files, behaviours, seen: Default::default(), findings }
        .offering(interface)
}

fn is_one_of(errno: i32, errnos: &[Errno]) -> bool {
    errnos.iter().any(|one| *one as i32 == errno)
}

/// The answers.
struct Seen<'a> {
    answers: &'a Answers,
}

impl Seen<'_> {
    fn counted(&self, ask: Ask) -> Option<u64> {
        self.answers.count(ask.id())
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

    fn findings(&self) -> Vec<ProbeFinding> {
        let mut findings = Vec::new();
        let answers = self.answers;
        if answers.errno(Ask::Tpm.id()).is_some_and(|errno| !is_one_of(errno, &NO_DEVICE)) {
            findings.push(ProbeFinding::new(
                FindingCode::TpmUnusable,
                format!("open {}", super::TPM),
                "success, or no such device",
                answers.told(Ask::Tpm.id()),
                "an existing device that nobody else has open can be opened (imalab's own words)",
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
}
