//! The boot that asks for the removal of records, in the words of each dialect whose files the kernel has.

use imalab_wire::{Message, Op, StepId};
use nix::fcntl::OFlag;

use super::answers::Answers;
use super::{Boot, FILES, ProbeError, SLOT, boot, forms, identify, looked, measure, number, policy, removal};
use crate::capabilities::{Capabilities, FindingCode, ProbeFinding};
use crate::capability::Capability;
use crate::interface::{adapter, read_whole};
use crate::vocabulary::{BOOT_RECORDS, DEFAULT_POLICY, Form};
use imalab_formats::Interface;
use imalab_formats::ima::Bank;

/// More records than a probe makes.
pub(super) const TOO_MANY: u64 = 1_000_000;

/// What a dialect is asked for, in this order. Each dialect measures its own files: what a wrong one does all the same,
/// takes nothing away from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Measure,
    List,
    Stage,
    CountStaged,
    Save,
    Delete,
    CountDeleted,
    /// Reads the staged list while nothing is staged.
    ReadNothing,
    MeasureMore,
    CountMore,
    Trim,
    CountTrimmed,
    TrimTooMany,
    /// Deletes what a refused trim may have left staged.
    Settle,
    MeasureYet,
    StageMore,
    MeasureLast,
    CountYet,
    TrimWhileStaged,
    CountWhileStaged,
    /// Opens two files of the staged list for writing.
    SecondFile,
    /// Reads the staged list and deletes it by the same descriptor.
    AfterRead,
    Clear,
    // Of the boot with `ima_flush_htable`.
    MeasureStaged,
    CountMeasuredStaged,
    TrimAll,
    MeasureDeleted,
    CountForgotten,
}

const ALL: [Verb; 23] = {
    use Verb::*;
    [
        Measure,
        List,
        Stage,
        CountStaged,
        Save,
        Delete,
        CountDeleted,
        ReadNothing,
        MeasureMore,
        CountMore,
        Trim,
        CountTrimmed,
        TrimTooMany,
        Settle,
        MeasureYet,
        StageMore,
        MeasureLast,
        CountYet,
        TrimWhileStaged,
        CountWhileStaged,
        SecondFile,
        AfterRead,
        Clear,
    ]
};

/// Number of the step that loads a policy.
pub(super) const POLICY: StepId = 0;

/// The step's number.
pub(super) fn id(interface: Interface, verb: Verb) -> StepId {
    /// More than there are verbs.
    const VERBS: StepId = 32;
    place(interface) * VERBS + verb as StepId
}

/// A number for each interface, from 1; a small one.
pub(super) fn place(interface: Interface) -> StepId {
    let known = Interface::KNOWN.iter().position(|known| *known == interface);
    StepId::try_from(known.unwrap_or(Interface::KNOWN.len())).unwrap_or_default() + 1
}

/// The boot, where there is something to ask; of a kernel that is held to the promises of one dialect, in its words alone.
pub fn requests(found: &Capabilities, promises: Option<Interface>) -> Option<Boot> {
    let candidates = candidates(found, promises);
    let asks = candidates.iter().any(|interface| interface.dialect().removes());
    asks.then(|| asked(&candidates))
}

/// Interfaces in whose words a kernel is asked.
fn candidates(found: &Capabilities, promises: Option<Interface>) -> Vec<Interface> {
    match promises {
        Some(interface) => vec![interface],
        None => identify::candidates(&found.files, found.opens_for_writing()),
    }
}

fn asked(candidates: &[Interface]) -> Boot {
    let mut words: Vec<Interface> = Vec::new();
    for interface in candidates.iter().map(|interface| words_of(*interface)) {
        if !words.contains(&interface) {
            words.push(interface);
        }
    }
    let of = |interface: &Interface| ALL.map(|verb| (id(*interface, verb), ops(*interface, verb)));
    // What a wrong dialect's numbers do takes nothing away from a right one's requests.
    let forms = words.iter().flat_map(|interface| forms::steps(*interface));
    let steps = words.iter().flat_map(of).chain(forms);
    boot(&[], [(POLICY, policy(DEFAULT_POLICY))].into_iter().chain(steps))
}

/// All that is asked of anybody.
pub(super) fn questions() -> Boot {
    asked(Interface::KNOWN)
}

/// The interface in whose words another is asked, which has the same: nothing is asked twice.
pub(super) fn words_of(interface: Interface) -> Interface {
    let own = interface.dialect();
    let same = |other: &Interface| {
        let other = other.dialect();
        (other.verbs, other.staged, other.count) == (own.verbs, own.staged, own.count)
    };
    Interface::KNOWN.iter().copied().find(same).unwrap_or(interface)
}

pub(super) fn ops(interface: Interface, verb: Verb) -> Vec<Op> {
    let adapter = adapter(interface);
    let staged = |form| adapter.list(form, Some(Bank::Sha1), true);
    let operations = match verb {
        Verb::List => Some(read_whole(SLOT, looked::current(), None)),
        Verb::Stage | Verb::StageMore => adapter.stage(SLOT),
        Verb::Save | Verb::ReadNothing => staged(Form::Binary).map(|path| read_whole(SLOT, path, None)),
        Verb::Delete | Verb::Settle | Verb::Clear => adapter.delete(SLOT),
        Verb::Trim | Verb::TrimWhileStaged => adapter.trim(SLOT, 1),
        Verb::TrimTooMany => adapter.trim(SLOT, TOO_MANY),
        // Whoever cannot trim removes what is before a record of its own.
        Verb::TrimAll => adapter.trim(SLOT, BOOT_RECORDS + FILES).or_else(|| adapter.purge(SLOT)),
        Verb::SecondFile => return second_file(staged(Form::Binary), staged(Form::Ascii)),
        Verb::AfterRead => return after_read(interface, staged(Form::Binary)),
        Verb::Measure => return vec![measure(format!("new-{}", interface.name()))],
        Verb::MeasureMore => return vec![measure(format!("more-{}", interface.name()))],
        Verb::MeasureYet => return vec![measure(format!("yet-{}", interface.name()))],
        Verb::MeasureLast => return vec![measure(format!("last-{}", interface.name()))],
        Verb::MeasureStaged | Verb::MeasureDeleted => return vec![measure("probe".to_owned())],
        Verb::CountStaged
        | Verb::CountDeleted
        | Verb::CountMore
        | Verb::CountTrimmed
        | Verb::CountYet
        | Verb::CountWhileStaged
        | Verb::CountMeasuredStaged
        | Verb::CountForgotten => return number(&adapter.count()),
    };
    operations.map(|operations| operations.ops).unwrap_or_default()
}

fn second_file(first: Option<String>, second: Option<String>) -> Vec<Op> {
    let (Some(first), Some(second)) = (first, second) else { return Vec::new() };
    let open = |slot, path| Op::Open { slot, path, flags: OFlag::O_WRONLY.bits(), mode: 0 };
    vec![open(SLOT, first), open(SLOT + 1, second), Op::Close { slot: SLOT }, Op::Close { slot: SLOT + 1 }]
}

/// The request to delete, behind a read of the list by the same descriptor.
fn after_read(interface: Interface, path: Option<String>) -> Vec<Op> {
    let delete = adapter(interface).delete(SLOT).map(|operations| operations.ops).unwrap_or_default();
    let mut ops = Vec::new();
    for op in delete {
        match op {
            Op::Open { slot, path: of, mode, .. } if Some(&of) == path.as_ref() => {
                ops.push(Op::Open { slot, path: of, flags: OFlag::O_RDWR.bits(), mode });
                ops.push(Op::Read { slot, chunk: 4096, limit: None, send: false, nothing: None });
            }
            op => ops.push(op),
        }
    }
    ops
}

/// What became of the words of each dialect.
pub(super) struct Taken<'a> {
    pub(super) answers: &'a Answers,
}

impl Taken<'_> {
    pub(super) fn ok(&self, interface: Interface, verb: Verb) -> bool {
        self.answers.ok(id(words_of(interface), verb))
    }

    pub(super) fn errno(&self, interface: Interface, verb: Verb) -> Option<i32> {
        self.answers.errno(id(words_of(interface), verb))
    }

    pub(super) fn count(&self, interface: Interface, verb: Verb) -> Option<u64> {
        self.answers.count(id(words_of(interface), verb))
    }

    pub(super) fn told(&self, interface: Interface, verb: Verb) -> String {
        self.answers.told(id(words_of(interface), verb))
    }

    pub(super) fn bytes(&self, interface: Interface, verb: Verb) -> &[u8] {
        self.answers.bytes(id(words_of(interface), verb), 1)
    }
}

/// What a boot of its own need not be made for: nobody has files to ask.
pub(super) fn unasked(mut found: Capabilities) -> Capabilities {
    let strangers = identify::strangers(&found.files);
    if !strangers.is_empty() {
        let finding = unknown(&found, format!("files that no known interface has: {}", strangers.join(", ")));
        found.findings.push(finding);
    }
    if let Some(mixture) = identify::mixture(&found.files, found.opens_for_writing()) {
        let what = format!("files that no interface has together: {mixture}");
        let finding = unknown(&found, what);
        found.findings.push(finding);
    }
    found
}

/// What is taken for granted when the guest did not get through that boot: the first dialect that has such files.
pub fn without_requests(found: Capabilities, promises: Option<Interface>) -> Capabilities {
    let interface = promises.unwrap_or(found.interface);
    found.offering(interface)
}

/// What that boot's messages add; without any, since there was nothing to ask.
///
/// # Errors
///
/// As [`super::capabilities`].
pub fn with_requests(
    mut found: Capabilities,
    messages: Option<&[Message]>,
    promises: Option<Interface>,
) -> Result<Capabilities, ProbeError> {
    let Some(messages) = messages else {
        return Ok(match promises {
            Some(promises) => found.offering(promises),
            None => unasked(found),
        });
    };
    let answers = Answers::read(messages)?;
    let taken = Taken { answers: &answers };
    let seen = promises.or_else(|| identify::by_requests(&candidates(&found, None), &taken));
    let Some(interface) = seen else {
        let what = "files of staged records, and no request taken".to_owned();
        let finding = unknown(&found, what);
        found.findings.push(finding);
        return Ok(found.offering(Interface::READ_ONLY));
    };
    let mut found = found.offering(interface);
    for (what, verb) in [
        ("the staged list is read while nothing is staged", Verb::ReadNothing),
        ("a second staged file is opened by the writer", Verb::SecondFile),
        ("a delete follows a read by one descriptor", Verb::AfterRead),
        ("records are trimmed while others are staged", Verb::TrimWhileStaged),
        ("more records are trimmed than there are", Verb::TrimTooMany),
    ] {
        let told = taken.told(interface, verb);
        if told != "nothing" {
            found.behaviours.insert(what.to_owned(), told);
        }
    }
    // Whether files are recorded at all, the first boot has told.
    let counts = found.has(Capability::HashTable) || found.has(Capability::NoHashTable);
    let measures = counts && answers.ok(POLICY);
    found.findings.extend(removal::findings(interface, &taken, measures));
    if measures {
        forms::take(&mut found, &answers);
    }
    Ok(found)
}

fn unknown(found: &Capabilities, what: String) -> ProbeFinding {
    let files: Vec<String> = found.files.iter().map(|(name, mode)| format!("{name} {mode:o}")).collect();
    ProbeFinding::new(
        FindingCode::UnknownInterface,
        "remove records from the measurement list",
        "an interface that is known",
        format!("{what}; files and modes: {}", files.join(", ")),
        "none: no promises are known for such files (imalab's own words)",
    )
}
