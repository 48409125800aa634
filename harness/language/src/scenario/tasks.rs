//! Tasks: who starts them, and in which boot.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Place, ScenarioError, Source};
use super::fields::{self, Fields};
use super::grammar;
use super::model::{Expectation, Spawn, Start, Step, Task, Verb};
use super::node::{Kind, Node};
use super::steps;

/// Most tasks: each is a process of a small guest.
const MAX_TASKS: usize = 64;

/// The task that `steps:` is.
const MAIN: &str = "main";

/// A task as it stands in the file.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) at: Place,
    /// Boot that the file says.
    pub(super) boot: Option<u16>,
    /// Whether it is written within the step that starts it.
    pub(super) within: bool,
    pub(super) steps: Vec<Step>,
}

/// Reads `steps:` and `tasks:`.
pub(super) fn read(source: &Source, body: &Fields<'_>) -> Result<Vec<Task>, ScenarioError> {
    let mut drafts = Vec::new();
    if let Some(node) = body.get("steps") {
        let mut within = Vec::new();
        let steps = steps::read(source, node, MAIN, &mut within)?;
        drafts.extend(main(source, node.at, steps)?);
        drafts.append(&mut within);
    }
    if let Some(node) = body.get("tasks") {
        named(source, node, &mut drafts)?;
    }
    if drafts.is_empty() {
        return Err(source
            .error(Place::START, "the scenario does nothing")
            .expected("`steps:`, a list, or `tasks:`, a map of such lists"));
    }
    once(source, &drafts)?;
    if let Some(draft) = drafts.get(MAX_TASKS) {
        return Err(source.error(draft.at, format!("more than {MAX_TASKS} tasks")));
    }
    arrange(source, drafts)
}

/// What `steps:` does in each boot.
fn main(source: &Source, at: Place, steps: Vec<Step>) -> Result<Vec<Draft>, ScenarioError> {
    let mut boots = vec![Vec::new()];
    for step in steps {
        let ends = executes(source, &step)?;
        if let Some(boot) = boots.last_mut() {
            boot.push(step);
        }
        if ends {
            boots.push(Vec::new());
        }
    }
    if let Some(step) = boots.get(grammar::MAX_BOOTS as usize).and_then(|boot| boot.first()) {
        return Err(source.error(step.at, format!("more than {} boots", grammar::MAX_BOOTS)));
    }
    let draft = |(boot, steps)| Draft { name: MAIN.to_owned(), at, boot: Some(boot), within: false, steps };
    Ok((0..).zip(boots).map(draft).collect())
}

/// Whether a step goes on to the next boot.
fn executes(source: &Source, step: &Step) -> Result<bool, ScenarioError> {
    match (&step.verb, step.expect) {
        (Verb::KexecExecute { .. }, Expectation::Default | Expectation::Ok) => Ok(true),
        (Verb::KexecExecute { .. }, Expectation::Any | Expectation::Blocked) => Err(source
            .error(step.at, "whether the next boot comes has to be known")
            .expected("no `expect:`, or an errno")),
        _ => Ok(false),
    }
}

fn named(source: &Source, node: &Node, drafts: &mut Vec<Draft>) -> Result<(), ScenarioError> {
    let Kind::Map(entries) = &node.kind else {
        return Err(source
            .error(node.at, format!("`tasks`: expected a map, found {}", node.found()))
            .expected("a task's name and its list of steps"));
    };
    for (key, value) in entries {
        if !fields::is_name(&key.name) {
            return Err(source
                .error(key.at, format!("`{}` cannot name a task", key.name))
                .expected(fields::NAME_RULE));
        }
        let (boot, steps) = match &value.kind {
            Kind::Map(_) => {
                let fields = Fields::of(source, value, &format!("task `{}`", key.name), grammar::TASK)?;
                (fields.number("boot")?.and_then(|boot| u16::try_from(boot).ok()), fields.required("steps")?)
            }
            _ => (None, value),
        };
        let mut within = Vec::new();
        let steps = steps::read(source, steps, &key.name, &mut within)?;
        drafts.push(Draft { name: key.name.clone(), at: key.at, boot, within: false, steps });
        drafts.append(&mut within);
    }
    Ok(())
}

/// Each name stands for one task.
fn once(source: &Source, drafts: &[Draft]) -> Result<(), ScenarioError> {
    let mut seen = BTreeSet::new();
    for draft in drafts {
        // `steps:` have one `main` for each boot.
        let later = draft.name == MAIN && draft.boot > Some(0) && draft.at == drafts[0].at;
        if !seen.insert(&draft.name) && !later {
            let hint = if draft.within {
                "another name; a task that `repeat` starts would be started more than once"
            } else {
                "`steps:` are the task `main`"
            };
            return Err(source
                .error(draft.at, format!("there are two tasks `{}`", draft.name))
                .expected(hint));
        }
    }
    Ok(())
}

/// Puts tasks in the order of their boots, each after the one that starts it.
fn arrange(source: &Source, drafts: Vec<Draft>) -> Result<Vec<Task>, ScenarioError> {
    let spawns = spawns(source, &drafts)?;
    let mut boots = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.iter().enumerate() {
        boots.push(boot_of(source, &drafts, &spawns, at, draft)?);
    }
    let next = successions(source, &drafts, &boots)?;
    let last = next.last().map_or(0, |last| last + 1);
    if let Some((draft, boot)) = drafts.iter().zip(&boots).find(|(_, boot)| **boot > last) {
        return Err(source
            .error(draft.at, format!("no step starts boot {boot}"))
            .expected(format!("a `kexec-execute` in boot {}", boot - 1)));
    }
    let mut order: Vec<usize> = Vec::new();
    for boot in 0..=last {
        let mut left: Vec<usize> = (0..drafts.len()).filter(|at| boots[*at] == boot).collect();
        while !left.is_empty() {
            let ready = |at: &usize| spawns.get(at).is_none_or(|(spawn, _)| order.contains(&spawn.by));
            let Some(found) = left.iter().position(ready) else {
                let draft = &drafts[left[0]];
                return Err(source
                    .error(draft.at, format!("task `{}` is started by one that it starts", draft.name))
                    .expected("a first task that starts with its boot"));
            };
            order.push(left.remove(found));
        }
    }
    finish(source, drafts, &boots, &spawns, &order, last)
}

fn finish(
    source: &Source,
    drafts: Vec<Draft>,
    boots: &[u16],
    spawns: &BTreeMap<usize, (Spawn, bool)>,
    order: &[usize],
    last: u16,
) -> Result<Vec<Task>, ScenarioError> {
    let mut drafts: Vec<_> = drafts.into_iter().map(Some).collect();
    let mut tasks: Vec<Task> = Vec::new();
    let mut placed = BTreeMap::new();
    let idle = |boot| Task { name: MAIN.to_owned(), boot, start: Start::Boot, steps: Vec::new() };
    for (at, draft) in order.iter().filter_map(|at| Some((*at, drafts[*at].take()?))) {
        let boot = boots[at];
        // A boot in which nothing is done is still one that is looked at.
        let before = tasks.last().map_or(0, |task| task.boot + 1);
        tasks.extend((before..boot).map(idle));
        placed.insert(at, tasks.len());
        let start = match spawns.get(&at) {
            None => Start::Boot,
            Some((spawn, thread)) => {
                // The order has each task after the one that starts it.
                let by = placed.get(&spawn.by).copied().ok_or_else(|| {
                    source
                        .error(draft.at, format!("task `{}` comes before the one that starts it", draft.name))
                })?;
                let spawn = Spawn { by, step: spawn.step };
                if *thread { Start::Threaded(spawn) } else { Start::Forked(spawn) }
            }
        };
        tasks.push(Task { name: draft.name, boot, start, steps: draft.steps });
    }
    let before = tasks.last().map_or(0, |task| task.boot + 1);
    tasks.extend((before..=last).map(idle));
    Ok(tasks)
}

/// The step that starts each task that is not started by its boot.
fn spawns(source: &Source, drafts: &[Draft]) -> Result<BTreeMap<usize, (Spawn, bool)>, ScenarioError> {
    let mut spawns = BTreeMap::new();
    for (by, draft) in drafts.iter().enumerate() {
        for (number, step) in draft.steps.iter().enumerate() {
            let Verb::Spawn { task, thread } = &step.verb else { continue };
            let others = drafts.iter().filter(|other| other.name != MAIN && other.name != draft.name);
            let named = |other: &Draft| other.name == *task && task != MAIN && *task != draft.name;
            let Some(at) = drafts.iter().position(named) else {
                return Err(source
                    .error(step.at, format!("no task `{task}` to start"))
                    .one_of(task, others.map(|other| other.name.as_str()).collect::<Vec<_>>()));
            };
            if spawns.insert(at, (Spawn { by, step: number }, *thread)).is_some() {
                return Err(source
                    .error(step.at, format!("task `{task}` is started a second time"))
                    .expected("a task is started once; another one for each further time"));
            }
        }
    }
    Ok(spawns)
}

/// The boot of a task: what it says, or that of the task that starts it.
fn boot_of(
    source: &Source,
    drafts: &[Draft],
    spawns: &BTreeMap<usize, (Spawn, bool)>,
    at: usize,
    draft: &Draft,
) -> Result<u16, ScenarioError> {
    let mut first = at;
    // As many steps up as there are tasks lead to the first, or round in a circle that `arrange` refuses.
    for _ in 0..drafts.len() {
        match spawns.get(&first) {
            Some((spawn, _)) => first = spawn.by,
            None => break,
        }
    }
    let boot = drafts[first].boot.unwrap_or(0);
    match draft.boot {
        Some(said) if said != boot => Err(source
            .error(draft.at, format!("task `{}` is started in boot {boot}", draft.name))
            .expected(format!("`boot: {boot}`, or none"))),
        _ => Ok(boot),
    }
}

/// The boots from which a step goes on to the next, in order and without gaps.
fn successions(source: &Source, drafts: &[Draft], boots: &[u16]) -> Result<Vec<u16>, ScenarioError> {
    let mut found: BTreeMap<u16, Place> = BTreeMap::new();
    for (draft, boot) in drafts.iter().zip(boots) {
        for (at, step) in draft.steps.iter().enumerate() {
            if !executes(source, step)? {
                continue;
            }
            if at + 1 != draft.steps.len() {
                return Err(source
                    .error(draft.steps[at + 1].at, format!("task `{}` ends with its boot", draft.name))
                    .expected("`kexec-execute` last; only `steps:` continue in the next boot"));
            }
            if found.insert(*boot, step.at).is_some() {
                return Err(source
                    .error(step.at, format!("boot {boot} ends at another step too"))
                    .expected("one `kexec-execute` in a boot"));
            }
        }
    }
    for ((boot, at), expected) in found.iter().zip(0..) {
        if *boot != expected {
            return Err(source
                .error(*at, format!("no step starts boot {boot}"))
                .expected(format!("a `kexec-execute` in boot {expected}")));
        }
    }
    Ok(found.into_keys().collect())
}
