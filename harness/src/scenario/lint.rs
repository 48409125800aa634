//! What is wrong with steps that are each well-formed.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Draft;
use super::error::{Place, ScenarioError, Source};
use super::model::{Call, Expectation, File, Records, Step, Verb};

/// Refuses scenarios that cannot end, or that could not prove anything.
pub(super) fn check(source: &Source, tasks: &[Draft]) -> Result<(), ScenarioError> {
    barriers(source, tasks)?;
    for task in tasks {
        descriptors(source, task)?;
        custody(source, task)?;
    }
    if tasks.len() > 1 {
        alone(source, tasks)?;
    }
    Ok(())
}

/// A barrier at which one task waits for nobody orders nothing, and one that not all parties come to never opens.
fn barriers(source: &Source, tasks: &[Draft]) -> Result<(), ScenarioError> {
    let mut parties: BTreeMap<(&str, u16), Vec<(&str, Place)>> = BTreeMap::new();
    let mut visits: BTreeMap<&str, BTreeMap<&str, (u16, Place)>> = BTreeMap::new();
    for task in tasks {
        for (at, step) in &task.steps {
            if let Verb::Barrier { name, round } = &step.verb {
                parties.entry((name, *round)).or_default().push((&task.name, *at));
                visits.entry(name).or_default().insert(&task.name, (*round + 1, *at));
            }
        }
    }
    for (name, by_task) in &visits {
        let mut counts = by_task.iter();
        let Some((first, (times, _))) = counts.next() else { continue };
        if let Some((other, (otherwise, at))) = counts.find(|(_, (count, _))| count != times) {
            return Err(source
                .error(*at, format!("task `{other}` comes to barrier `{name}` {otherwise} times"))
                .expected(format!("{times} times, as task `{first}` does")));
        }
    }
    for ((name, _), who) in &parties {
        if let [(task, at)] = who.as_slice() {
            return Err(source
                .error(*at, format!("only task `{task}` comes to barrier `{name}`"))
                .expected("a barrier orders at least two tasks"));
        }
    }
    Ok(())
}

/// Descriptors are named before they are used, and each name stands for one at a time.
fn descriptors(source: &Source, task: &Draft) -> Result<(), ScenarioError> {
    let mut open = BTreeSet::new();
    for (at, step) in &task.steps {
        match &step.verb {
            // Where the open must fail, there is nothing to close or to use afterwards.
            Verb::Call(Call::Open { slot, .. }) if may_succeed(step) && !open.insert(slot.as_str()) => {
                return Err(source
                    .error(*at, format!("descriptor `{slot}` is open already"))
                    .expected("another name, or a `close` before"));
            }
            Verb::Call(Call::Read { slot, .. }) | Verb::Call(Call::Write { slot, .. })
                if !open.contains(slot.as_str()) =>
            {
                return Err(unopened(source, *at, slot, &open));
            }
            Verb::Call(Call::Close { slot }) if !open.remove(slot.as_str()) => {
                return Err(unopened(source, *at, slot, &open));
            }
            _ => {}
        }
    }
    Ok(())
}

fn unopened(source: &Source, at: Place, slot: &str, open: &BTreeSet<&str>) -> ScenarioError {
    let error = source.error(at, format!("descriptor `{slot}` is not open here"));
    if open.is_empty() {
        return error.expected("an `open` with this name before");
    }
    error.one_of(slot, open.iter().copied())
}

/// What is removed must have been read by the same task before, or nobody can prove afterwards what it was.
fn custody(source: &Source, task: &Draft) -> Result<(), ScenarioError> {
    let mut lists: BTreeMap<&str, bool> = BTreeMap::new();
    let mut read: BTreeSet<&str> = BTreeSet::new();
    let mut saved = false;
    // The current list was read whole, by whichever descriptor, and nothing of it was staged since.
    let mut seen = false;
    for (at, step) in &task.steps {
        let removes = match &step.verb {
            Verb::Call(Call::Open { slot, file, .. }) => {
                read.remove(slot.as_str());
                match file {
                    File::List { staged, .. } => lists.insert(slot, *staged),
                    _ => lists.remove(slot.as_str()),
                };
                false
            }
            Verb::Call(Call::Read { slot, limit, .. }) => {
                let whole = read.insert(slot) && limit.is_none();
                let list = lists.get(slot.as_str()).copied();
                if matches!(step.expect, Expectation::Records(_)) && !(whole && list.is_some()) {
                    return Err(source
                        .error(*at, "how many records this reads cannot be told")
                        .expected("the first read of a measurement list's descriptor, without `limit`"));
                }
                saved |= whole && list == Some(true);
                seen |= whole && list == Some(false);
                false
            }
            Verb::Call(Call::Write { slot, text }) => match lists.get(slot.as_str()) {
                Some(false) if !seen && may_succeed(step) && text.trim_end().parse::<u64>().is_ok() => {
                    return Err(source
                        .error(*at, "a written number may trim records that nobody has read")
                        .expected("`trim`, which reads the list first, a `read` of the whole list, or an errno in `expect:`"));
                }
                Some(true) if text == "A\n" && may_succeed(step) => {
                    (saved, seen) = (false, false);
                    false
                }
                Some(true) => text == "D\n",
                _ => false,
            },
            // A staged list that was read stays what it is until its delete; the next one is another.
            Verb::Stage if may_succeed(step) => {
                (saved, seen) = (false, false);
                false
            }
            Verb::Save | Verb::View { file: File::List { staged: true, .. } } if may_succeed(step) => {
                saved = true;
                false
            }
            Verb::View { file } if !matches!(file, File::List { .. }) => {
                if matches!(step.expect, Expectation::Records(_)) {
                    return Err(source.error(*at, "only a measurement list has records"));
                }
                false
            }
            Verb::Delete => true,
            _ => false,
        };
        if removes && may_succeed(step) {
            if !saved {
                return Err(unsaved(source, *at, step));
            }
            saved = false;
        }
    }
    Ok(())
}

fn may_succeed(step: &Step) -> bool {
    !matches!(step.expect, Expectation::Errno(_))
}

fn unsaved(source: &Source, at: Place, step: &Step) -> ScenarioError {
    let what = if matches!(step.verb, Verb::Delete) { "`delete`" } else { "this write" };
    source
        .error(at, format!("{what} removes records that nobody saved"))
        .expected("a `save` between `stage` and `delete`, or an errno in `expect:`")
}

/// What only a task that is alone can know.
fn alone(source: &Source, tasks: &[Draft]) -> Result<(), ScenarioError> {
    for (at, step) in tasks.iter().flat_map(|task| &task.steps) {
        let what = match (&step.verb, step.expect) {
            (Verb::Trim { records: Records::All }, _) => "`records: all`",
            (_, Expectation::NewRecords(_)) => "`new-records`",
            (Verb::Checkpoint, _) => "`checkpoint`",
            _ => continue,
        };
        return Err(source
            .error(*at, format!("{what} needs a scenario with a single task"))
            .expected("with other tasks running, the list can change at any moment"));
    }
    Ok(())
}
