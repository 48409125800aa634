//! What could not be explained, in a finding's words.

use imalab_wire::Op;

use super::events::{Does, Event, Events};
use super::search::{Stuck, Why};
use crate::evidence::Evidence;
use crate::log::WholeLog;
use crate::op_text;
use crate::runs::Runs;
use crate::sheet::count;
use imalab_formats::ima::model::{Found, Rule, Words};

/// Longest part of the whole log's record that a finding shows is the record's own business ([`WholeLog::describe`]).
pub(super) fn finding(
    evidence: &Evidence<'_>,
    events: &Events<'_>,
    log: &WholeLog<'_>,
    stuck: &Stuck,
) -> String {
    let event = stuck.event.map(|(at, number)| &events.sequences[at].events[number]);
    let place = event.map_or_else(|| "at the end".to_owned(), |event| place(evidence, event));
    let (what, rule) = what(evidence, log, stuck, event);
    let rule = rule.map_or_else(String::new, |rule| match rule.words() {
        Words::Quoted { text, .. } => {
            format!("; the promise: {} (\"{text}\", {})", rule.promise(), rule.source())
        }
        Words::Ours => format!("; the promise, in our words: {} ({})", rule.promise(), rule.source()),
    });
    let doubt = if stuck.certain {
        String::new()
    } else {
        " (could not be decided: too many orders are possible; this is the furthest that one came)".to_owned()
    };
    format!("{place}: {what}{rule}{doubt}")
}

fn place(evidence: &Evidence<'_>, event: &Event<'_>) -> String {
    let op = evidence.steps.get(event.step).and_then(|step| step.ops.get(event.op));
    let op = op.map_or_else(String::new, |op: &Op| format!(", {}", op_text::describe(op)));
    format!("{}: operation {}{op}", evidence.name(event.step), event.op)
}

fn what(
    evidence: &Evidence<'_>,
    log: &WholeLog<'_>,
    stuck: &Stuck,
    event: Option<&Event<'_>>,
) -> (String, Option<Rule>) {
    match &stuck.why {
        Why::Broken(broken) => {
            let found = event.map_or_else(String::new, found);
            (format!("expected {}, found {found}", broken.expected), Some(broken.rule))
        }
        Why::Content { rule, at, expected, length } => {
            let records = match event.map(|event| &event.does) {
                Some(Does::List { records, .. }) => (*records).clone(),
                _ => Runs::default(),
            };
            let expected = expected.map_or_else(|| "nothing".to_owned(), |place| log.describe(place));
            let found =
                records.get(*at).map_or_else(|| "nothing".to_owned(), |id| evidence.records.describe(id));
            let lengths = format!("{} expected, {} found", count(*length, "record"), records.len());
            (format!("record {} should be {expected}, found {found} ({lengths})", at + 1), Some(*rule))
        }
        Why::NotRecorded => {
            let name = stuck.look.as_ref().map_or("?", |file| file.name.as_str());
            let next = if stuck.total < log.len() { log.describe(stuck.total) } else { "none".to_owned() };
            (format!("{name} should be recorded, the next record is {next}"), Some(Rule::MeasuredIsRecorded))
        }
        Why::Unexplained { again: Some(rule) } => {
            (format!("{} was recorded again", log.describe(stuck.total)), Some(*rule))
        }
        Why::Unexplained { again: None } if stuck.total < log.len() => (
            format!(
                "nothing explains record {} of the whole log, {}",
                stuck.total + 1,
                log.describe(stuck.total)
            ),
            None,
        ),
        Why::Unexplained { again: None } => {
            ("no order of what happened at once explains it".to_owned(), None)
        }
        Why::NotStarted => {
            ("it comes from nowhere: nobody started the task, or sent the descriptor".to_owned(), None)
        }
    }
}

fn found(event: &Event<'_>) -> String {
    match (&event.does, event.found) {
        (Does::Counter { number, .. }, _) => number.to_string(),
        (_, Found::Value(value)) => match event.does {
            Does::Call(imalab_formats::ima::model::Call::Open { .. }) => "success".to_owned(),
            Does::Call(_) | Does::List { .. } => format!("{value} bytes"),
            _ => format!("success ({value})"),
        },
        (_, Found::Errno(errno)) => op_text::errno_name(errno),
        (_, Found::Never) => "no end".to_owned(),
    }
}
