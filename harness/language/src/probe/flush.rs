//! The boot that asks whether `ima_flush_htable` makes a kernel forget the digests of what it removed.

use imalab_wire::{Message, StepId};

use super::answers::{Answers, counted, grown};
use super::requests::{POLICY, Verb, id, ops};
use super::{Boot, FILES, FLUSH, ProbeError, SLOT, boot, measure, policy};
use crate::capabilities::{Capabilities, FindingCode, ProbeFinding, promise};
use crate::capability::Capability;
use crate::interface::read_whole;
use crate::vocabulary::DEFAULT_POLICY;
use imalab_formats::Interface;
use imalab_formats::ima::dialect::Flushed;
use imalab_formats::ima::model::Rule;

/// What PID 1 was started with: the kernel hands it the words of its command line that no part of it knows
/// (`unknown_bootoption`, `init/main.c`).
const COMMAND_LINE: &str = "/proc/1/cmdline";

/// What kernels say of the option when they have no hash table: mainline's words (`ima_flush_htable_setup`,
/// `security/integrity/ima/ima_queue.c`) and those of our own series.
const NO_TABLE: [&str; 2] = ["Hash table not enabled", "there is no hash table"];

/// The second boot, when the kernel removes records.
pub fn second(found: &Capabilities) -> Option<Boot> {
    let removes = found.has(Capability::Policy) && found.interface.dialect().removes();
    removes.then(|| asked(found.interface))
}

/// Numbers of the steps that are not of a dialect.
const ARGUMENTS: StepId = 1;
const MEASURE: StepId = 2;

fn asked(interface: Interface) -> Boot {
    use Verb::*;
    let verbs: &[Verb] = if interface.dialect().verbs.stage.is_some() {
        &[
            Stage,
            CountStaged,
            MeasureStaged,
            CountMeasuredStaged,
            Save,
            Delete,
            CountDeleted,
            MeasureDeleted,
            CountForgotten,
        ]
    } else {
        &[TrimAll, CountDeleted, MeasureDeleted, CountForgotten]
    };
    let steps = [
        (ARGUMENTS, read_whole(SLOT, COMMAND_LINE.to_owned(), None).ops),
        (POLICY, policy(DEFAULT_POLICY)),
        (MEASURE, vec![measure("probe".to_owned())]),
    ];
    let of = verbs.iter().map(|verb| (id(interface, *verb), ops(interface, *verb)));
    boot(&[FLUSH], steps.into_iter().chain(of))
}

/// What it asks of any interface.
pub(super) fn questions() -> Vec<Boot> {
    let removes = |interface: &Interface| interface.dialect().removes();
    Interface::KNOWN.iter().copied().filter(removes).map(asked).collect()
}

/// What is taken for granted when the guest did not get through that boot: what needs the option then runs, and shows
/// how the kernel dies.
pub fn without_second(mut found: Capabilities) -> Capabilities {
    if found.has(Capability::HashTable) {
        found.have.insert(Capability::FlushHtable);
    }
    found
}

/// What the second boot's messages add, and its console.
///
/// # Errors
///
/// As [`super::capabilities`].
pub fn with_second(
    mut found: Capabilities,
    messages: &[Message],
    console: &[String],
) -> Result<Capabilities, ProbeError> {
    let answers = Answers::read(messages)?;
    let arguments = answers.text(ARGUMENTS, 1);
    let known = !arguments.split('\0').any(|word| word == FLUSH);
    let no_table = console.iter().any(|line| NO_TABLE.iter().any(|words| line.contains(words)));
    if known && !no_table && found.has(Capability::NoHashTable) {
        found.have.remove(&Capability::NoHashTable);
        found.have.insert(Capability::HashTable);
        found.findings.push(ProbeFinding::new(
            FindingCode::DoublesRecorded,
            format!("measure {FILES} files a second time"),
            format!("no record: the kernel took {FLUSH} without saying that it has no hash table"),
            format!("{FILES} records"),
            promise(Rule::DuplicateSuppressed),
        ));
    }
    if !found.has(Capability::HashTable) {
        return Ok(found);
    }
    // Whoever removes records has the option: it is in the document of every interface that does.
    found.have.insert(Capability::FlushHtable);
    // Where doubles are recorded at any time, they say nothing of a staging.
    let doubles = found.findings.iter().any(|finding| finding.code == FindingCode::DoublesRecorded);
    let (finding, seen) = effect(found.interface, &answers, known, doubles);
    found.findings.extend(finding);
    if let Some(seen) = seen {
        found.behaviours.insert(FLUSHED.to_owned(), told(seen).to_owned());
    }
    Ok(found)
}

fn effect(
    interface: Interface,
    answers: &Answers,
    known: bool,
    doubles: bool,
) -> (Option<ProbeFinding>, Option<Flushed>) {
    let of = |verb| id(interface, verb);
    let forgets = promise(Rule::FlushForgetsDeleted);
    if !known {
        let finding = ProbeFinding::new(
            FindingCode::FlushUnknown,
            format!("boot with {FLUSH}"),
            "a kernel that knows the option",
            format!("that it was handed to PID 1 as an unknown word ({COMMAND_LINE})"),
            forgets,
        );
        return (Some(finding), None);
    }
    let refused = [Verb::Stage, Verb::Save, Verb::Delete, Verb::TrimAll]
        .into_iter()
        .find(|verb| answers.errno(of(*verb)).is_some());
    if let Some(verb) = refused {
        let (code, what) = match verb {
            Verb::Stage => (FindingCode::StageRefused, "stage"),
            Verb::Save => (FindingCode::SaveRefused, "read the staged list"),
            Verb::Delete => (FindingCode::DeleteRefused, "delete"),
            _ => (FindingCode::TrimRefused, "trim all records"),
        };
        let asked = format!("{what}, with {FLUSH}");
        let finding = ProbeFinding::new(code, asked, "success", answers.told(of(verb)), forgets);
        return (Some(finding), None);
    }
    // By how much it grew: a counter that is wrong after a removal is a finding of its own.
    let counts = |from, to| (answers.count(of(from)), answers.count(of(to)));
    let (staged, restaged) = counts(Verb::CountStaged, Verb::CountMeasuredStaged);
    let (emptied, after) = counts(Verb::CountDeleted, Verb::CountForgotten);
    let dialect = interface.dialect();
    let at_stage = match dialect.verbs.stage {
        Some(_) if !doubles => grown(staged, restaged),
        _ => Some(0),
    };
    let seen = match (at_stage, grown(emptied, after)) {
        (Some(0), Some(FILES)) => Some(Flushed::AtDelete),
        (Some(FILES), Some(0)) => Some(Flushed::AtStage),
        _ => None,
    };
    let again = |what: &str| format!("measure {FILES} files again {what}, with {FLUSH}");
    let finding = match (dialect.flushed, seen) {
        (promised, Some(seen)) if promised == seen => None,
        (Flushed::Always, Some(Flushed::AtDelete)) => None,
        (Flushed::AtDelete, _) if at_stage != Some(0) => Some(ProbeFinding::new(
            FindingCode::FlushedOtherwise,
            again("whose records are staged"),
            counted(staged),
            counted(restaged),
            promise(Rule::FlushKeepsStaged),
        )),
        (Flushed::AtDelete | Flushed::Always, _) => Some(ProbeFinding::new(
            FindingCode::FlushIgnored,
            again("whose records were removed"),
            counted(emptied.map(|emptied| emptied + FILES)),
            counted(after),
            forgets,
        )),
        (Flushed::AtStage, _) => Some(ProbeFinding::new(
            FindingCode::FlushedOtherwise,
            again("whose records are staged"),
            counted(staged.map(|staged| staged + FILES)),
            counted(restaged),
            format!(
                "digests are dropped as their records are staged (imalab's own words of {})",
                dialect.document
            ),
        )),
    };
    (finding, seen)
}

/// What it is called in [`Capabilities::behaviours`] when digests are dropped.
const FLUSHED: &str = "with ima_flush_htable, digests are dropped";

fn told(seen: Flushed) -> &'static str {
    match seen {
        Flushed::AtStage => "as their records are staged",
        Flushed::AtDelete | Flushed::Always => "as their records are deleted",
    }
}
