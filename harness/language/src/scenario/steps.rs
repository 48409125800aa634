//! Steps: one verb each, with its fields.

use std::collections::BTreeMap;

use super::error::{Place, ScenarioError, Source};
use super::expectation;
use super::fields::Fields;
use super::grammar::{self, Form};
use super::model::{Expectation, KexecCall, Leave, Step, Verb};
use super::node::{Key, Kind, Node};
use super::tasks::Draft;
use super::verbs;

/// Most steps of a task once `repeat` is written out.
pub const MAX_STEPS: usize = 4096;

/// Reads a task's steps; tasks that are written within them go to `drafts`.
pub(super) fn read(
    source: &Source,
    node: &Node,
    task: &str,
    drafts: &mut Vec<Draft>,
) -> Result<Vec<Step>, ScenarioError> {
    let mut reader = Reader {
        source,
        task: task.to_owned(),
        chosen: false,
        steps: Vec::new(),
        rounds: BTreeMap::new(),
        drafts,
    };
    reader.list(node, "steps", false)?;
    Ok(reader.steps)
}

/// Most steps that a `stress` becomes.
const MAX_CHOSEN: usize = 20_000;

/// Takes in the steps of a task one by one.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    /// The task's name, and within `stress` the step's too: files of a step's own are named by it.
    pub(super) task: String,
    /// Whether `stress` chooses the steps.
    chosen: bool,
    pub(super) steps: Vec<Step>,
    /// How often this task has come to each barrier, hold and release of its boot.
    rounds: BTreeMap<(&'static str, String), u16>,
    drafts: &'s mut Vec<Draft>,
}

impl Reader<'_> {
    fn list(&mut self, node: &Node, name: &str, repeated: bool) -> Result<(), ScenarioError> {
        for item in items(self.source, node, name)? {
            self.step(item, repeated)?;
            if self.steps.len() > MAX_STEPS {
                return Err(self
                    .source
                    .error(item.at, format!("task `{}` has more than {MAX_STEPS} steps", self.task)));
            }
        }
        Ok(())
    }

    fn step(&mut self, node: &Node, repeated: bool) -> Result<(), ScenarioError> {
        let source = self.source;
        let nothing = Node { at: node.at, kind: Kind::Null };
        let (at, form, value) = verb_of(source, node, &nothing)?;
        // `- trim: 5` is `- trim: {records: 5}`.
        let long;
        let value = match (&value.kind, form.short) {
            (Kind::Map(_) | Kind::Null, _) | (_, None) => value,
            (_, Some(field)) => {
                let key = Key { at: value.at, name: field.to_owned() };
                long = Node { at: value.at, kind: Kind::Map(vec![(key, value.clone())]) };
                &long
            }
        };
        let fields = Fields::of_verb(source, value, form)?;
        if self.chosen && grammar::NEVER_CHOSEN.contains(&form.name) {
            return Err(source
                .error(at, format!("`{}` cannot be left to chance", form.name))
                .expected("steps that neither order nor start nor end tasks"));
        }
        let mut expect = expectation::read(source, form, fields.get("expect"))?;
        if self.chosen && expect == Expectation::Default {
            expect = Expectation::Any;
        }
        match form.name {
            "repeat" => self.repeat(at, &fields, repeated),
            "background" => self.background(at, &fields, expect),
            "stress" => self.stress(at, &fields),
            "kexec" => {
                let load = verbs::kexec_load(&fields)?;
                let by = match load {
                    Verb::KexecLoad { call: KexecCall::File { on }, .. } => on,
                    _ => Leave::Reboot,
                };
                self.push(at, load, expect);
                self.push(at, Verb::KexecExecute { by }, expect);
                Ok(())
            }
            _ => {
                let verb = verbs::read(self, form, &fields)?;
                self.push(at, verb, expect);
                Ok(())
            }
        }
    }

    fn push(&mut self, at: Place, verb: Verb, expect: Expectation) {
        if matches!(verb, Verb::KexecExecute { .. }) && expect.may_succeed() {
            // The next boot counts anew.
            self.rounds.clear();
        }
        self.steps.push(Step::new(at, verb, expect));
    }

    /// How often the task has come to this before, in this boot.
    pub(super) fn round(&mut self, verb: &'static str, name: &str) -> u16 {
        let round = self.rounds.entry((verb, name.to_owned())).or_default();
        *round += 1;
        *round - 1
    }

    fn repeat(&mut self, at: Place, fields: &Fields<'_>, repeated: bool) -> Result<(), ScenarioError> {
        if repeated {
            return Err(self.source.error(at, "`repeat` within `repeat`"));
        }
        let times = fields.number("times")?.unwrap_or(1);
        let steps = fields.required("steps")?;
        (0..times).try_for_each(|_| self.list(steps, "steps", true))
    }

    fn background(
        &mut self,
        at: Place,
        fields: &Fields<'_>,
        expect: Expectation,
    ) -> Result<(), ScenarioError> {
        let name = fields.needed_name("as")?;
        let steps = read(self.source, fields.required("steps")?, &name, self.drafts)?;
        self.drafts.push(Draft { name: name.clone(), at, boot: None, within: true, steps });
        self.push(at, Verb::Spawn { task: name, thread: false }, expect);
        Ok(())
    }

    fn stress(&mut self, at: Place, fields: &Fields<'_>) -> Result<(), ScenarioError> {
        let ms = fields.number32("ms")?.unwrap_or(1);
        let times = fields.number32("times")?.unwrap_or(DEFAULT_TIMES);
        let stem = format!("{}-{}", self.task, self.steps.len() + 1);
        let mut choose = Vec::new();
        for (number, item) in items(self.source, fields.required("choose")?, "choose")?.iter().enumerate() {
            let mut reader = Reader {
                source: self.source,
                task: format!("{stem}-{}", number + 1),
                chosen: true,
                steps: Vec::new(),
                rounds: BTreeMap::new(),
                drafts: self.drafts,
            };
            match &item.kind {
                Kind::List(_) => reader.list(item, "choose", false)?,
                _ => reader.step(item, false)?,
            }
            choose.push(reader.steps);
        }
        let longest = choose.iter().map(Vec::len).max().unwrap_or(0);
        if times as usize * longest > MAX_CHOSEN {
            return Err(self
                .source
                .error(at, format!("{times} times {longest} steps are more than {MAX_CHOSEN}"))
                .expected("a smaller `times:`"));
        }
        self.push(at, Verb::Stress { ms, times, choose }, Expectation::Ok);
        Ok(())
    }
}

/// How many steps `stress` chooses unless the scenario says otherwise.
const DEFAULT_TIMES: u32 = 100;

fn items<'n>(source: &Source, node: &'n Node, name: &str) -> Result<&'n [Node], ScenarioError> {
    let Kind::List(items) = &node.kind else {
        return Err(
            source.error(node.at, format!("`{name}`: expected a list of steps, found {}", node.found()))
        );
    };
    if items.is_empty() {
        return Err(source.error(node.at, format!("`{name}`: the list is empty")));
    }
    Ok(items)
}

/// A step's verb, with what stands below it.
fn verb_of<'n>(
    source: &Source,
    node: &'n Node,
    nothing: &'n Node,
) -> Result<(Place, &'static Form, &'n Node), ScenarioError> {
    let (at, name, value) = match &node.kind {
        Kind::Text(name) => (node.at, name, nothing),
        Kind::Map(entries) => match entries.as_slice() {
            [(key, value)] => (key.at, &key.name, value),
            _ => {
                return Err(source
                    .error(node.at, format!("a step has one verb, found {} keys", entries.len()))
                    .expected("the verb's fields are indented below it, or written in braces"));
            }
        },
        _ => {
            return Err(source
                .error(node.at, format!("expected a step, found {}", node.found()))
                .expected("`- verb`, `- verb: value` or `- verb: {field: value}`"));
        }
    };
    let form = grammar::form(name).ok_or_else(|| {
        let names = grammar::forms().map(|form| form.name);
        source.error(at, format!("unknown verb `{name}`")).one_of(name, names)
    })?;
    Ok((at, form, value))
}
