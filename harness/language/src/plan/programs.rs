//! Starts of programs: the tasks that run them, and those that stand for their processes.

use std::collections::BTreeMap;

use imalab_wire::{
    File, KillAt, MAX_OBSERVED, Op, Run, Start, Step as ProgramStep, StepId, Task as ProgramTask, TaskId,
};

use super::types::PlannedStep;
use super::unresolved::Unresolved;
use crate::interface::IMA;
use crate::scenario::{self, GuestFile, Program, Task, Verb, start_of};
use crate::vocabulary::{Action, Expect};

/// Steps after those of all tasks: the last checkpoint.
const LAST: usize = 1;

/// Where a start of a program stands: its task and its step there.
type Place = (usize, usize);

/// The number of the task that runs the program, for each start. They come after all tasks of the scenario.
#[derive(Debug, Default)]
pub(super) struct Starts {
    tasks: BTreeMap<Place, (TaskId, Program, Option<scenario::KillAt>)>,
}

impl Starts {
    pub(super) fn of(tasks: &[Task], programs: &[Program]) -> Starts {
        let mut starts = Starts::default();
        let mut next = TaskId::try_from(tasks.len()).unwrap_or(TaskId::MAX);
        for (at, task) in tasks.iter().enumerate() {
            for (number, step) in task.steps.iter().enumerate() {
                let Verb::Start { program, kill_at } = &step.verb else { continue };
                let Some(program) = programs.iter().find(|known| known.name == *program) else { continue };
                let run = next;
                next = next.saturating_add(1).saturating_add(program.processes);
                starts.tasks.insert((at, number), (run, program.clone(), *kill_at));
            }
        }
        starts
    }

    /// Whether a boot has any.
    pub(super) fn in_boot(&self, tasks: &[Task], boot: u16) -> bool {
        self.tasks.keys().any(|(task, _)| tasks[*task].boot == boot)
    }

    /// The task that runs a program which is started here.
    pub(super) fn at(&self, place: Place, name: &str) -> Result<TaskId, Unresolved> {
        self.tasks.get(&place).map(|(task, ..)| *task).ok_or_else(|| Unresolved::program(name))
    }

    /// The task that runs the program which a step means.
    pub(super) fn meant(&self, tasks: &[Task], place: Place, name: &str) -> Result<TaskId, Unresolved> {
        let start = start_of(tasks, place, name).ok_or_else(|| Unresolved::program(name))?;
        self.at(start, name)
    }

    /// The tasks, in the order of their numbers, and the steps that they are. `steps` has all others.
    pub(super) fn finish(&self, tasks: &[Task], steps: &mut Vec<PlannedStep>) -> Vec<ProgramTask> {
        let mut all: Vec<_> = self.tasks.iter().collect();
        all.sort_by_key(|(_, (run, ..))| *run);
        let number = |steps: usize| StepId::try_from(steps).unwrap_or(StepId::MAX);
        // Observed calls are numbered behind all planned steps.
        let observed = number(steps.len() + all.len() + LAST);
        let mut made = Vec::new();
        for (order, ((task, step), (run, program, kill_at))) in (0..).zip(all) {
            let id = number(steps.len());
            let boot = tasks[*task].boot;
            let first_step = observed.saturating_add(MAX_OBSERVED.saturating_mul(order));
            let op = Op::Run { run: Box::new(self::run(program, *kill_at, first_step)) };
            let steps_of = vec![ProgramStep { id, clock: None, ops: vec![op] }];
            let name = &program.name;
            made.push(ProgramTask { name: name.clone(), boot, start: Start::Program, steps: steps_of });
            made.extend((0..program.processes).map(|_| ProgramTask {
                name: name.clone(),
                boot,
                start: Start::Observed,
                steps: Vec::new(),
            }));
            steps.push(PlannedStep {
                id,
                task: *run,
                text: format!("run {name}"),
                line: tasks[*task].steps[*step].line,
                action: Action::SystemCall,
                expect: Expect::Any,
                reads: Vec::new(),
                mark: None,
            });
        }
        made
    }
}

fn run(program: &Program, kill_at: Option<scenario::KillAt>, first_step: StepId) -> Run {
    Run {
        path: program.path.clone(),
        arguments: program.arguments.clone(),
        environment: program.environment.clone(),
        user: program.user.filter(|user| *user != 0),
        kill_at: kill_at.map(|at| KillAt { call: at.call, every: at.every }),
        watch: IMA.to_owned(),
        processes: program.processes,
        first_step,
    }
}

/// Files of the guest.
pub(super) fn files(files: &[GuestFile]) -> Vec<File> {
    let file = |file: &GuestFile| File {
        path: file.path.clone(),
        mode: file.mode,
        bytes: file.text.clone().into_bytes(),
    };
    files.iter().map(file).collect()
}
