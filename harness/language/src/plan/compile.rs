//! Steps of a scenario become steps of a program.

use crate::vocabulary::FLUSH;
use std::collections::BTreeMap;

use imalab_wire::{End, Op, Program, Setup, Start, Step as ProgramStep, Task as ProgramTask, TaskId};
use sha2::{Digest, Sha256};

use super::built::Built;
use super::calls::Movers;
use super::count::Count;
use super::holds::{self as task_holds, Hold};
use super::programs::{self, Starts};
use super::slots::Slots;
use super::types::{Plan, PlannedStep};
use super::unresolved::Unresolved;
use super::{PlanError, budget, checkpoint, has_boot_policy, stress};
use crate::capabilities::Capabilities;
use crate::capability::Capability;
use crate::interface::{Adapter, Operations, TPM};
use crate::scenario::{self, Expectation, Scenario, Step, Task, Variant, Verb};
use crate::vocabulary::{Action, Expect, Mark, MarkAction};
use imalab_formats::Interface;

/// Up to this many files, reading the lists after every verb costs little beside the boot.
const QUICK_FILES: u64 = 2_000;

pub(super) fn compile(
    scenario: &Scenario,
    variant: &Variant,
    capabilities: &Capabilities,
    interface: Interface,
    seed: u64,
) -> Result<Plan, PlanError> {
    let flush = variant.machine.kernel_args.iter().any(|word| word == FLUSH);
    let suppresses = capabilities.has(Capability::HashTable) && !flush;
    let tasks = stress::write_out(&variant.tasks, seed);
    let dialect = interface.dialect().as_seen(capabilities.seen);
    let mut compiler = Compiler {
        scenario,
        variant,
        adapter: Adapter::of(&dialect),
        interface,
        bank_files: capabilities.has(Capability::BankFiles),
        movers: Movers::of(&tasks),
        barriers: barriers(&tasks),
        holds: holds(&tasks),
        task_holds: Vec::new(),
        pins_set: 0,
        starts: Starts::of(&tasks, &variant.programs),
        tasks: &tasks,
        count: None,
        task: 0,
        files: 0,
        slots: Slots::new(),
        program: Vec::new(),
        steps: Vec::new(),
        marks: Vec::new(),
        clock: None,
    };
    let task_holds = task_holds::all(&tasks);
    compiler.task_holds = task_holds.map_err(|(line, name)| compiler.unresolved(line, name))?;
    let mut made = Vec::with_capacity(tasks.len());
    let mut before: Vec<BTreeMap<usize, Slots>> = Vec::with_capacity(tasks.len());
    let booted = has_boot_policy(&variant.machine.kernel_args);
    let mut last = Some(Count::new(suppresses, &variant.policy, booted));
    for (number, task) in tasks.iter().enumerate() {
        let single = tasks.iter().filter(|other| other.boot == task.boot).count() == 1
            && !compiler.starts.in_boot(&tasks, task.boot);
        compiler.count = single
            .then(|| last.take().unwrap_or_else(|| Count::unknown(suppresses, &variant.policy, booted)));
        compiler.task = number;
        let slots = Slots::of(&tasks, number, &before);
        compiler.slots = slots.map_err(|name| compiler.unresolved(0, name))?;
        let mut spawns = BTreeMap::new();
        compiler.says_who();
        for (place, step) in task.steps.iter().enumerate() {
            if matches!(step.verb, Verb::Spawn { .. }) {
                spawns.insert(place, compiler.slots.clone());
            }
            compiler.step(place, step)?;
            compiler.says_ended(place);
        }
        compiler.says_over(task.steps.last());
        before.push(spawns);
        last = compiler.count.take();
        made.push(ProgramTask {
            name: task.name.clone(),
            boot: task.boot,
            start: match task.start {
                scenario::Start::Boot => Start::Boot,
                scenario::Start::Forked(_) | scenario::Start::Threaded(_) => Start::Spawned,
            },
            steps: std::mem::take(&mut compiler.program),
        });
    }
    made.extend(compiler.starts.finish(&tasks, &mut compiler.steps));
    compiler.task = made.len();
    compiler.slots = Slots::new();
    compiler.checkpoint(0, true, true);
    let finally = std::mem::take(&mut compiler.program);
    let (steps, mut marks, files, holds) =
        (compiler.steps, compiler.marks, compiler.files, compiler.task_holds);
    marks.sort_by_key(|mark| mark.number);
    Ok(Plan {
        scenario: scenario.id.clone(),
        summary: scenario.summary.clone(),
        parameters: variant.parameters.clone(),
        seed,
        interface,
        seen: capabilities.seen,
        machine: variant.machine.clone(),
        hash_table: capabilities.has(Capability::HashTable),
        stock: true,
        program: Program {
            token: token(scenario, variant, seed),
            setup: Setup {
                policy: variant.policy.clone().into_bytes(),
                files: programs::files(&variant.files),
            },
            tasks: made,
            finally,
            end: End::PowerOff,
        },
        budget: budget::of(&tasks, files),
        steps,
        marks,
        holds,
        known_defect: scenario.known_defect.clone(),
        known_limit: variant.known_limit.clone(),
        kernel_says: variant.kernel_says.clone(),
    })
}

/// Tells this run's program from any other's; never 0, which the agent sends when it has none.
fn token(scenario: &Scenario, variant: &Variant, seed: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(scenario.id.as_bytes());
    hash.update(format!("{:?}", variant.parameters).as_bytes());
    hash.update(seed.to_be_bytes());
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |token, byte| token << 8 | u64::from(*byte)) | 1
}

/// What tells a barrier or a hold from others: its boot, its name, and which time it is come to.
pub(super) type Meeting = (u16, String, u16);

/// A number for each barrier and round, and how many tasks come to it.
fn barriers(tasks: &[Task]) -> BTreeMap<Meeting, (u16, u16)> {
    let mut barriers: BTreeMap<Meeting, (u16, u16)> = BTreeMap::new();
    for task in tasks {
        for step in &task.steps {
            if let Verb::Barrier { name, round } = &step.verb {
                let id = u16::try_from(barriers.len()).unwrap_or(u16::MAX);
                barriers.entry((task.boot, name.clone(), *round)).or_insert((id, 0)).1 += 1;
            }
        }
    }
    barriers
}

/// The mark of each hold: the task that releases it may stand before the one that holds.
fn holds(tasks: &[Task]) -> BTreeMap<Meeting, u64> {
    let mut holds = BTreeMap::new();
    for task in tasks {
        for step in &task.steps {
            if let Verb::Hold { name, round } = &step.verb {
                let number = holds.len() as u64 + 1;
                holds.insert((task.boot, name.clone(), *round), number);
            }
        }
    }
    holds
}

pub(super) struct Compiler<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) variant: &'s Variant,
    pub(super) adapter: Adapter<'s>,
    pub(super) interface: Interface,
    pub(super) bank_files: bool,
    pub(super) tasks: &'s [Task],
    pub(super) movers: Movers,
    pub(super) barriers: BTreeMap<Meeting, (u16, u16)>,
    pub(super) holds: BTreeMap<Meeting, u64>,
    pub(super) task_holds: Vec<Hold>,
    /// How many of them the steps so far set.
    pub(super) pins_set: u16,
    pub(super) starts: Starts,
    /// Only while a single task runs.
    pub(super) count: Option<Count>,
    /// Index of the task.
    pub(super) task: usize,
    pub(super) files: u64,
    pub(super) slots: Slots,
    program: Vec<ProgramStep>,
    steps: Vec<PlannedStep>,
    marks: Vec<Mark>,
    /// Clock of the step that is being translated.
    clock: Option<u16>,
}

impl Compiler<'_> {
    fn step(&mut self, place: usize, step: &Step) -> Result<(), PlanError> {
        self.clock = step.clock;
        self.verb(place, step)?;
        self.clock = None;
        if let Some(count) = &mut self.count {
            count.step(step);
        }
        let moves = step.verb.asks_for_a_move() || matches!(step.verb, Verb::Save);
        let quiet = self.count.is_some() && self.slots.is_empty() && step.clock.is_none();
        if moves && quiet && self.files <= QUICK_FILES {
            self.checkpoint(0, false, false);
        }
        Ok(())
    }

    /// A step of this line names what nothing is.
    pub(super) fn unresolved(&self, line: u32, name: Unresolved) -> PlanError {
        let Unresolved { what, name } = name;
        PlanError::Unresolved { scenario: self.scenario.id.clone(), line, what, name }
    }

    /// What a step must give.
    pub(super) fn expect(&self, step: &Step) -> Expect {
        match (step.expect, &step.verb) {
            (Expectation::Default, Verb::Save) => {
                self.count.as_ref().and_then(Count::staged).map_or(Expect::Ok, Expect::Records)
            }
            (Expectation::Default | Expectation::Ok, _) => Expect::Ok,
            (Expectation::Errno(_), Verb::Stage | Verb::Save | Verb::Delete | Verb::Trim { .. })
                if self.interface.dialect().own_errors =>
            {
                Expect::Any
            }
            (Expectation::Errno(errno), _) => Expect::Errno(errno),
            (Expectation::Any, _) => Expect::Any,
            (Expectation::Blocked, _) => Expect::Blocked,
            (Expectation::NewRecords(records), _) => Expect::NewRecords(records),
            (Expectation::Records(records), _) => Expect::Records(records),
            (Expectation::Value(value), Verb::View { .. }) => Expect::Counter(value),
            (Expectation::Value(value), _) => Expect::Value(value),
        }
    }

    pub(super) fn checkpoint(&mut self, line: u32, full: bool, quote: bool) {
        let (text, operations) = if full {
            ("checkpoint", checkpoint::full(self.adapter, &self.variant.machine.banks, self.bank_files))
        } else {
            ("checkpoint quick", checkpoint::quick(self.adapter, self.bank_files))
        };
        let does = if quote { MarkAction::Quote } else { MarkAction::Read };
        let built = Built {
            text: text.to_owned(),
            operations: operations.at(self.slots.own),
            action: Action::Checkpoint,
            expect: Expect::Ok,
        };
        self.mark(line, built, does, None);
    }

    /// Adds a step that ends with a mark, of a number that was given before or the next one.
    pub(super) fn mark(&mut self, line: u32, mut built: Built, does: MarkAction, number: Option<u64>) {
        let taken = self.marks.iter().filter(|mark| mark.does != MarkAction::Hold).count();
        let number = number.unwrap_or((self.holds.len() + taken) as u64 + 1);
        let mark = Operations { ops: vec![Op::Mark { path: TPM.to_owned(), number }], reads: Vec::new() };
        self.marks.push(Mark { number, step: self.next(), does });
        built.operations = built.operations.then(mark);
        self.add_with(line, built, Some(number));
    }

    fn next(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    /// Adds a step.
    pub(super) fn add(&mut self, line: u32, built: Built) {
        self.add_with(line, built, None);
    }

    fn add_with(&mut self, line: u32, built: Built, mark: Option<u64>) {
        let id = self.next();
        self.program.push(ProgramStep { id, clock: self.clock, ops: built.operations.ops });
        self.steps.push(PlannedStep {
            id,
            task: TaskId::try_from(self.task).unwrap_or(TaskId::MAX),
            text: built.text,
            line,
            action: built.action,
            expect: built.expect,
            reads: built.operations.reads,
            mark,
        });
    }
}
