//! What no order of the operations explains, as a finding.

use super::event::{Does, Event};
use super::events::Events;
use super::search::{Stuck, Why};
use crate::evidence::Evidence;
use crate::log::WholeLog;
use crate::subjects::{self, errno, promise};
use imalab_formats::ima::model::{Broken, Expected, Found, Rule};
use imalab_language::finding::{Model, Operation, Promise, Step, Value};

/// Where the search came no further, and why.
pub(super) fn finding(
    evidence: &Evidence<'_>,
    events: &Events<'_>,
    log: &WholeLog<'_>,
    stuck: &Stuck,
) -> Model {
    let event = stuck.event.map(|(at, number)| &events.sequences[at].events[number]);
    let step = event.map(|event| evidence.step(event.step));
    let operation = event.and_then(|event| evidence.operation(event.step, event.op));
    let undecided = !stuck.certain;
    let dialect = evidence.plan.interface.dialect();
    let file = stuck.look.as_ref().map(|file| file.name.clone());
    match &stuck.why {
        Why::Broken(Broken { rule, expected: Expected::NoRecord }) => {
            Model::MustNotRecord { step, operation, file, promise: promise(*rule, dialect), undecided }
        }
        Why::Broken(broken) => {
            let promise = promise(broken.rule, dialect);
            of_call(broken, promise, event, step, operation, undecided)
        }
        Why::Content { rule, at, expected, length } => {
            let (list, records) = match event.map(|event| (&event.does, event)) {
                Some((Does::List { records, .. }, event)) => {
                    let list =
                        evidence.lists_of(event.step).iter().find(|list| usize::from(list.op) == event.op);
                    (list.map(subjects::list), Some(*records))
                }
                _ => (None, None),
            };
            Model::WrongRecord {
                step,
                operation,
                list,
                number: *at as u64 + 1,
                expected_record: expected.map(|place| log.record(evidence, place)),
                found_record: records
                    .and_then(|records| records.get(*at))
                    .map(|id| evidence.record_at(id, *at)),
                expected: Value::count(*length),
                found: Value::count(records.map_or(0, |records| records.len())),
                promise: promise(*rule, dialect),
                undecided,
            }
        }
        Why::NotRecorded => Model::NotRecorded {
            step,
            operation,
            file,
            next: (stuck.total < log.len()).then(|| log.record(evidence, stuck.total)),
            promise: promise(Rule::MeasuredIsRecorded, dialect),
            undecided,
        },
        Why::Unexplained { again: Some(rule) } => Model::RecordedAgain {
            step,
            operation,
            record: log.record(evidence, stuck.total),
            promise: promise(*rule, dialect),
            undecided,
        },
        Why::Unexplained { again: None } if stuck.total < log.len() => {
            let record = log.record(evidence, stuck.total);
            Model::UnexplainedRecord { step, operation, record, undecided }
        }
        Why::Unexplained { again: None } => Model::NoOrder { step, operation, undecided },
        Why::NotStarted => Model::FromNowhere { step, operation, undecided },
    }
}

/// A call that gave something else than the model.
fn of_call(
    broken: &Broken,
    promise: Promise,
    event: Option<&Event<'_>>,
    step: Option<Step>,
    operation: Option<Operation>,
    undecided: bool,
) -> Model {
    let (expected, refused) = match &broken.expected {
        Expected::Success | Expected::NoRecord => (Value::word(Value::SUCCESS), false),
        Expected::Error => (Value::word(Value::ERROR), true),
        Expected::Errnos(errnos) => match &errnos[..] {
            [one] => (errno(*one as i32), true),
            several => {
                let names = several.iter().map(|errno| subjects::errno_name(*errno as i32));
                (Value::OneOf(names.collect()), true)
            }
        },
        Expected::Number(number) => (Value::count(*number), false),
        Expected::Range { least, most } => {
            let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            (Value::Range { least: whole(*least), most: whole(*most) }, false)
        }
    };
    let found = match event.map(|event| (&event.does, event.found)) {
        Some((Does::Counter { number, .. }, _)) => Found::Value(i64::try_from(*number).unwrap_or(i64::MAX)),
        Some((_, found)) => found,
        None => Found::Never,
    };
    match found {
        Found::Errno(found) => {
            Model::UnexpectedError { step, operation, expected, found: errno(found), promise, undecided }
        }
        Found::Value(_) if refused => {
            let found = Value::word(Value::SUCCESS);
            Model::UnexpectedSuccess { step, operation, expected, found, promise, undecided }
        }
        Found::Value(found) => {
            let found = Value::Number(found);
            Model::OtherValue { step, operation, expected, found, promise, undecided }
        }
        Found::Never => {
            let found = Value::word(Value::NO_END);
            Model::OtherValue { step, operation, expected, found, promise, undecided }
        }
    }
}
