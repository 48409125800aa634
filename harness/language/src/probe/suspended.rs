//! The boot that asks what is refused once measuring is suspended for the next kernel.
//!
//! The TPM is held, so that the kernel waits for it on its way out, when its reboot notifiers have run (`device_shutdown`,
//! `drivers/base/core.c`); another task asks meanwhile. Staged records are deleted before a first kexec, where any can be; before
//! the next one the list is trimmed and staged, with nothing staged before.

use imalab_wire::{Message, Op, Setup, Start, Step, StepId, Task, TaskId};

use super::answers::{Answers, counted as told};
use super::{Boot, ProbeError, SLOT, count, measure, policy};
use crate::capabilities::{Capabilities, FindingCode, ProbeFinding, promise};
use crate::capability::Capability;
use crate::interface::{TPM, adapter};
use crate::vocabulary::{DEFAULT_POLICY, Mark, MarkAction};
use imalab_formats::Interface;
use imalab_formats::ima::dialect::{Dialect, Late};
use imalab_formats::ima::model::Rule;
use imalab_wire::kernels::SAME;

/// Steps, and their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Policy,
    Measure,
    Stage,
    MeasureMore,
    Load,
    Hold,
    ForkHolder,
    AwaitHolder,
    ForkLate,
    Execute,
    AwaitMain,
    LateDelete,
    LateTrim,
    LateStage,
    Release,
    CountAll,
    Count,
}

/// A step of the kernel that so many kexecs have started.
fn id(kernel: u16, ask: Ask) -> StepId {
    StepId::from(kernel) * 32 + ask as StepId
}

/// Tasks of each kernel but the last: the one that leaves it, the one that holds the TPM, and the one that asks.
const TASKS: TaskId = 3;

/// The boot, where the kernel removes records, drives a TPM, and carries its list over when it goes.
pub fn fourth(found: &Capabilities) -> Option<Boot> {
    let needed = [Capability::Policy, Capability::Tpm, Capability::KexecLate];
    let asks = found.interface.dialect().removes() && needed.into_iter().all(|one| found.has(one));
    // What is refused at any time, or cannot be counted, says nothing then.
    let refuses = [
        FindingCode::StageRefused,
        FindingCode::DeleteRefused,
        FindingCode::TrimRefused,
        FindingCode::CounterUnreadable,
    ];
    let says = found.findings.iter().all(|finding| !refuses.contains(&finding.code));
    (asks && says).then(|| boot(found.interface))
}

/// What it asks of any interface.
pub(super) fn questions() -> Vec<Boot> {
    let removes = |interface: &Interface| interface.dialect().removes();
    Interface::KNOWN.iter().copied().filter(removes).map(boot).collect()
}

/// What is asked of each kernel on its way out.
fn late(dialect: &Dialect) -> Vec<Vec<Ask>> {
    match (dialect.verbs.delete, dialect.verbs.trim) {
        (Some(_), Some(_)) => vec![vec![Ask::LateDelete], vec![Ask::LateTrim, Ask::LateStage]],
        (Some(_), None) => vec![vec![Ask::LateDelete], vec![Ask::LateStage]],
        (None, _) => vec![vec![Ask::LateTrim]],
    }
}

fn boot(interface: Interface) -> Boot {
    use Ask::*;
    let dialect = interface.dialect();
    let rounds = late(dialect);
    let mut tasks = Vec::new();
    let mut marks = Vec::new();
    for (kernel, asked) in (0_u16..).zip(&rounds) {
        let mut task = |name: &str, start, asks: &[Ask]| {
            let step =
                |ask: &Ask| Step { id: id(kernel, *ask), clock: None, ops: ops(interface, kernel, *ask) };
            let steps = asks.iter().map(step).collect();
            tasks.push(Task { name: name.to_owned(), boot: kernel, start, steps });
        };
        let before: &[Ask] = match kernel {
            0 if dialect.verbs.stage.is_some() => &[Policy, Measure, CountAll, Stage, MeasureMore, Count],
            0 => &[Policy, Measure, MeasureMore, Count],
            _ => &[Count],
        };
        let leaves = [Load, ForkHolder, AwaitHolder, ForkLate, Execute];
        task("probe", Start::Boot, &[before, &leaves].concat());
        task("holder", Start::Spawned, &[Hold]);
        task("late", Start::Spawned, &[&[AwaitMain], &asked[..], &[Release]].concat());
        marks.push(Mark { number: hold(kernel), step: id(kernel, Hold), does: MarkAction::Hold });
    }
    let last = u16::try_from(rounds.len()).unwrap_or(u16::MAX);
    let steps = vec![Step { id: id(last, Count), clock: None, ops: count() }];
    tasks.push(Task { name: "probe".to_owned(), boot: last, start: Start::Boot, steps });
    let boot = super::boot(&[], []);
    let program = imalab_wire::Program {
        token: u64::from_be_bytes(*b"imalater"),
        setup: Setup::default(),
        tasks,
        ..boot.program
    };
    Boot { program, marks, ..boot }
}

/// Number of the mark by which a kernel's TPM is held.
fn hold(kernel: u16) -> u64 {
    u64::from(kernel) + 1
}

fn ops(interface: Interface, kernel: u16, ask: Ask) -> Vec<Op> {
    let main = kernel * TASKS;
    let operations = match ask {
        Ask::Stage | Ask::LateStage => adapter(interface).stage(SLOT),
        Ask::LateDelete => adapter(interface).delete(SLOT),
        // Whoever cannot trim removes what is before a record of its own.
        Ask::LateTrim => adapter(interface).trim(SLOT, 1).or_else(|| adapter(interface).purge(SLOT)),
        Ask::Policy => return policy(DEFAULT_POLICY),
        Ask::Measure => return vec![measure("late".to_owned())],
        Ask::MeasureMore => return vec![measure("later".to_owned())],
        Ask::Load => return vec![Op::KexecLoad { kernel: SAME.to_owned(), args: String::new(), flags: 0 }],
        Ask::Hold => return vec![Op::Mark { path: TPM.to_owned(), number: hold(kernel) }],
        Ask::ForkHolder => return vec![Op::Fork { task: main + 1 }],
        Ask::AwaitHolder => return vec![Op::AwaitBlocked { task: main + 1 }],
        Ask::ForkLate => return vec![Op::Fork { task: main + 2 }],
        Ask::Execute => return vec![Op::KexecExecute],
        Ask::AwaitMain => return vec![Op::AwaitBlocked { task: main }],
        Ask::Release => return vec![Op::ReleaseHold { hold: hold(kernel) }],
        Ask::CountAll | Ask::Count => return count(),
    };
    operations.map(|operations| operations.ops).unwrap_or_default()
}

/// What that boot's messages add.
///
/// # Errors
///
/// As [`super::capabilities`].
pub fn with_fourth(mut found: Capabilities, messages: &[Message]) -> Result<Capabilities, ProbeError> {
    let answers = Answers::read(messages)?;
    let dialect = found.interface.dialect();
    let rounds = late(dialect);
    let mut taken = false;
    for (kernel, asked) in (0_u16..).zip(&rounds) {
        for ask in asked {
            let step = id(kernel, *ask);
            let told = answers.told(step);
            if told == "nothing" {
                continue;
            }
            let (what, late, rule) = match ask {
                Ask::LateDelete => ("delete", dialect.suspended.delete, Rule::SuspendedDelete),
                Ask::LateStage => ("stage", dialect.suspended.stage, Rule::SuspendedStage),
                _ if dialect.verbs.trim.is_none() => ("purge", dialect.suspended.trim, Rule::SuspendedTrim),
                _ => ("trim 1", dialect.suspended.trim, Rule::SuspendedTrim),
            };
            taken |= answers.ok(step);
            found.findings.extend(finding(&answers, step, what, late, rule));
            found.behaviours.insert(format!("{what}, when measuring is suspended"), told);
        }
    }
    // What is taken then is a finding of its own, and says what becomes of the count.
    found.findings.extend(carried(&answers, dialect, rounds.len()).filter(|_| !taken));
    Ok(found)
}

fn finding(answers: &Answers, step: StepId, what: &str, late: Late, rule: Rule) -> Option<ProbeFinding> {
    let asked = format!("{what}, when measuring is suspended for the next kernel");
    let told = answers.told(step);
    let (code, expected) = match (late, answers.errno(step)) {
        (Late::Unsaid, _) | (Late::Refused, Some(_)) => return None,
        (Late::With(errno), Some(found)) if errno as i32 == found => return None,
        (Late::With(errno), Some(_)) => (FindingCode::SuspendedError, errno.to_string()),
        (Late::With(errno), None) => (FindingCode::SuspendedTaken, errno.to_string()),
        (Late::Refused, None) => (FindingCode::SuspendedTaken, "an error".to_owned()),
    };
    Some(ProbeFinding::new(code, asked, expected, told, promise(rule)))
}

/// What each kernel begins with, when nothing was taken: what the one before it had, and its own boot aggregate.
fn carried(answers: &Answers, dialect: &Dialect, kernels: usize) -> Option<ProbeFinding> {
    let counted = |kernel: usize| {
        let kernel = u16::try_from(kernel).ok()?;
        answers.count(id(kernel, Ask::Count))
    };
    let staged = match dialect.verbs.stage.filter(|_| dialect.carries_staged) {
        Some(_) => answers.count(id(0, Ask::CountAll)),
        None => Some(0),
    };
    (1..=kernels).find_map(|kernel| {
        let before = counted(kernel - 1).zip(if kernel == 1 { staged } else { Some(0) });
        let expected = before.map(|(current, staged)| current + staged + 1);
        let came = counted(kernel);
        let wrong = || {
            ProbeFinding::new(
                FindingCode::KexecCarriesOther,
                "kexec into this kernel, with its list, after requests that were refused",
                told(expected),
                told(came),
                promise(Rule::CarriedOver),
            )
        };
        (expected.is_none() || expected != came).then(wrong)
    })
}
