//! `trim ima event logs`: each trim has one, where the policy asks for it.

use super::{Marks, Said, Trimmed};
use crate::changes::Change;
use imalab_formats::ima::model::File;
use imalab_language::finding::{Model, Value};
use imalab_language::plan::{Plan, has_boot_policy};
use imalab_wire::Op;

/// What a rule's `label=` names.
const LABEL: &str = "ima_log_trim";

pub(super) fn check(marks: &mut Marks<'_, '_>, trims: &[Said<Trimmed>]) {
    let event = marks.evidence.plan.interface.dialect().trim_mark.filter(|_| asks(marks.evidence.plan));
    for boot in 1..=marks.evidence.boots {
        let mut trimmed = 0;
        let made: Vec<(u64, usize)> = marks
            .changes
            .iter()
            .filter(|change| change.at.boot == boot)
            .filter_map(|change| match change.what {
                Change::Trimmed { records } => {
                    trimmed += records;
                    Some((trimmed, change.step))
                }
                _ => None,
            })
            .collect();
        let own: Vec<_> = trims.iter().filter(|said| marks.boot(said.place) == boot).collect();
        let mut left = &made[..];
        for said in own {
            let found = Value::count(said.says.number);
            // Those before it have none.
            let at = left.iter().position(|(number, _)| *number == said.says.number);
            match (at, left) {
                (Some(at), _) => {
                    missing(marks, &left[..at], event);
                    left = &left[at + 1..];
                }
                (None, [(number, _), rest @ ..]) => {
                    marks.says(said.place, "number", Value::count(*number), found);
                    left = rest;
                }
                (None, []) => marks.says(said.place, "number", Value::word(Value::NO_RECORD), found),
            }
            marks.compared(true);
        }
        missing(marks, left, event);
    }
}

/// Trims of which there is no record, though the policy asks for one.
fn missing(marks: &mut Marks<'_, '_>, trims: &[(u64, usize)], event: Option<&str>) {
    // What nobody read may have been it.
    let Some(event) = event.filter(|_| marks.unknown(marks.log.len()) == 0) else { return };
    for (number, step) in trims {
        let (step, expected) = (Some(marks.evidence.step(*step)), Value::count(*number));
        marks.findings.finding(Model::NoMark { step, event: event.to_owned(), expected });
    }
}

/// Whether the policy asks for records of trims in each boot, from the start to the end.
fn asks(plan: &Plan) -> bool {
    let tasks = plan.program.tasks.iter().flat_map(|task| &task.steps).chain(&plan.program.finally);
    let policy = |path: &str| plan.interface.dialect().file(path) == File::Policy;
    let loads = |op: &Op| matches!(op, Op::Open { path, .. } if policy(path));
    if tasks.flat_map(|step| &step.ops).any(loads) || has_boot_policy(&plan.machine.kernel_args) {
        return false;
    }
    let text = String::from_utf8_lossy(&plan.program.setup.policy);
    let asks = |rule: &str| {
        let mut words = rule.split_ascii_whitespace();
        let of = |word: &str| match word.split_once('=') {
            Some(("func", func)) => func == "CRITICAL_DATA",
            Some(("label", labels)) => labels.split('|').any(|label| label == LABEL),
            Some(("pcr", _)) => true,
            _ => false,
        };
        words.next() == Some("measure") && rule.contains("func=") && words.all(of)
    };
    text.lines().any(asks)
}
