//! Steps of a scenario become steps of a program.

use std::collections::BTreeMap;

use imalab_wire::{End, Op, Program, Setup, Start, Step as ProgramStep, Task, TaskId};
use sha2::{Digest, Sha256};

use super::calls::{Descriptors, OWN};
use super::count::Count;
use super::types::{Action, Budget, Expect, Interface, Mark, MarkDeed, Plan, PlannedStep};
use super::{PlanError, calls, checkpoint};
use crate::interface::{Adapter, Capabilities, Capability, Deed, MEASURED, TPM, adapter, probe};
use crate::scenario::{Expectation, Records, Scenario, Step, Variant, Verb};

/// Up to this many files, reading the lists after every verb costs little beside the boot.
const QUICK_FILES: u64 = 2_000;

/// Seconds without any message that still count as progress; the agent reports on long operations.
const SILENCE_S: u32 = 30;

pub(super) fn compile(
    scenario: &Scenario,
    variant: &Variant,
    capabilities: &Capabilities,
    interface: Interface,
    seed: u64,
) -> Result<Plan, PlanError> {
    let flush = variant.machine.kernel_args.iter().any(|word| word == probe::FLUSH);
    let single = variant.tasks.len() == 1;
    let mut compiler = Compiler {
        scenario,
        variant,
        adapter: adapter(interface),
        interface,
        bank_files: capabilities.has(Capability::BankFiles),
        count: single.then(|| Count::new(capabilities.has(Capability::HashTable) && !flush)),
        task: 0,
        files: 0,
        descriptors: Descriptors::default(),
        program: Vec::new(),
        steps: Vec::new(),
        marks: Vec::new(),
        barriers: barriers(variant),
    };
    let mut tasks = Vec::new();
    for (task, number) in variant.tasks.iter().zip(0..) {
        compiler.task = number;
        compiler.descriptors = Descriptors::default();
        for step in &task.steps {
            compiler.step(step)?;
        }
        tasks.push(Task {
            name: task.name.clone(),
            boot: 0,
            start: Start::Boot,
            steps: std::mem::take(&mut compiler.program),
        });
    }
    compiler.task = TaskId::try_from(tasks.len()).unwrap_or(TaskId::MAX);
    compiler.checkpoint(0, true, true);
    let finally = std::mem::take(&mut compiler.program);
    let files = u32::try_from(compiler.files).unwrap_or(u32::MAX);
    Ok(Plan {
        scenario: scenario.id.clone(),
        summary: scenario.summary.clone(),
        parameters: variant.parameters.clone(),
        seed,
        interface,
        machine: variant.machine.clone(),
        hash_table: capabilities.has(Capability::HashTable),
        program: Program {
            token: token(scenario, variant, seed),
            setup: Setup { policy: variant.policy.clone().into_bytes() },
            tasks,
            finally,
            end: End::PowerOff,
        },
        steps: compiler.steps,
        marks: compiler.marks,
        // A record costs a TPM command, a few milliseconds at most, and is read back a few times.
        budget: Budget { silence_s: SILENCE_S, total_s: 120_u32.saturating_add(files / 20) },
        known_defect: scenario.known_defect.clone(),
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

/// A number for each barrier and round, and how many tasks come to it.
fn barriers(variant: &Variant) -> BTreeMap<(String, u16), (u16, u16)> {
    let mut barriers: BTreeMap<(String, u16), (u16, u16)> = BTreeMap::new();
    for step in variant.tasks.iter().flat_map(|task| &task.steps) {
        if let Verb::Barrier { name, round } = &step.verb {
            let id = u16::try_from(barriers.len()).unwrap_or(u16::MAX);
            barriers.entry((name.clone(), *round)).or_insert((id, 0)).1 += 1;
        }
    }
    barriers
}

struct Compiler<'s> {
    scenario: &'s Scenario,
    variant: &'s Variant,
    adapter: &'static dyn Adapter,
    interface: Interface,
    bank_files: bool,
    /// Only while a single task runs.
    count: Option<Count>,
    task: TaskId,
    files: u64,
    descriptors: Descriptors,
    program: Vec<ProgramStep>,
    steps: Vec<PlannedStep>,
    marks: Vec<Mark>,
    barriers: BTreeMap<(String, u16), (u16, u16)>,
}

/// A step on its way into the program.
pub(super) struct Built {
    pub(super) text: String,
    pub(super) deed: Deed,
    pub(super) action: Action,
    pub(super) expect: Expect,
}

impl Compiler<'_> {
    fn step(&mut self, step: &Step) -> Result<(), PlanError> {
        match &step.verb {
            Verb::Checkpoint => self.checkpoint(step.line, true, false),
            Verb::Quote => self.mark(step.line, "quote", Deed::nothing(), Action::Quote, true),
            Verb::Stage => self.verb(step, "stage".to_owned(), self.adapter.stage(OWN), Action::Stage)?,
            Verb::Save => self.verb(step, "save".to_owned(), self.adapter.save(OWN), Action::Save)?,
            Verb::Delete => self.verb(step, "delete".to_owned(), self.adapter.delete(OWN), Action::Delete)?,
            Verb::Trim { records } => {
                let records = self.records(step, *records)?;
                let deed = self.adapter.trim(OWN, records);
                self.verb(step, format!("trim {records}"), deed, Action::Trim { records })?;
            }
            Verb::Measure { files, name, salt } => self.measure(step, *files, name, salt),
            Verb::Barrier { name, round } => {
                let (id, parties) = self.barriers.get(&(name.clone(), *round)).copied().unwrap_or_default();
                let deed = Deed { ops: vec![Op::Barrier { id, parties }], reads: Vec::new() };
                let (text, action) = (format!("barrier {name}"), Action::Barrier);
                self.add(step.line, Built { text, deed, action, expect: self.expect(step) }, None);
            }
            Verb::View { file } => {
                let built = calls::view(self.adapter, file, self.expect(step));
                self.add(step.line, built, None);
            }
            Verb::Call(call) => {
                let built = self.descriptors.call(self.adapter, call, self.expect(step));
                self.add(step.line, built, None);
            }
        }
        if let Some(count) = &mut self.count {
            count.step(step);
        }
        let moves = matches!(step.verb, Verb::Stage | Verb::Save | Verb::Delete | Verb::Trim { .. });
        if moves && self.count.is_some() && self.descriptors.is_empty() && self.files <= QUICK_FILES {
            self.checkpoint(0, false, false);
        }
        Ok(())
    }

    /// Adds a verb that the interface translates.
    fn verb(
        &mut self,
        step: &Step,
        text: String,
        deed: Option<Deed>,
        action: Action,
    ) -> Result<(), PlanError> {
        let Some(deed) = deed else {
            return Err(PlanError::NoSuchVerb {
                scenario: self.scenario.id.clone(),
                line: step.line,
                verb: text,
                interface: self.interface,
            });
        };
        self.add(step.line, Built { text, deed, action, expect: self.expect(step) }, None);
        Ok(())
    }

    fn records(&self, step: &Step, records: Records) -> Result<u64, PlanError> {
        match records {
            Records::Exactly(records) => Ok(records),
            Records::All => self.count.as_ref().and_then(Count::current).ok_or_else(|| {
                PlanError::UnknownCount { scenario: self.scenario.id.clone(), line: step.line }
            }),
        }
    }

    fn measure(&mut self, step: &Step, files: u64, name: &str, salt: &str) {
        let expect = match self.expect(step) {
            Expect::Ok if step.expect == Expectation::Default => self
                .count
                .as_ref()
                .and_then(|count| count.new_records(files, name, salt))
                .map_or(Expect::Ok, Expect::NewRecords),
            expect => expect,
        };
        let measure = Deed {
            ops: vec![Op::Measure {
                dir: MEASURED.to_owned(),
                name: name.to_owned(),
                salt: salt.to_owned(),
                first: 0,
                count: files,
            }],
            reads: Vec::new(),
        };
        let deed = match expect {
            Expect::NewRecords(_) => checkpoint::count().then(measure).then(checkpoint::count()),
            _ => measure,
        };
        self.files = self.files.saturating_add(files);
        let salted = if salt.is_empty() { String::new() } else { format!(" salt {salt}") };
        let text = format!("measure {files} {name}{salted}");
        self.add(step.line, Built { text, deed, action: Action::Measure { files }, expect }, None);
    }

    fn expect(&self, step: &Step) -> Expect {
        match (step.expect, &step.verb) {
            (Expectation::Default, Verb::Save) => {
                self.count.as_ref().and_then(Count::staged).map_or(Expect::Ok, Expect::Records)
            }
            (Expectation::Default | Expectation::Ok, _) => Expect::Ok,
            (Expectation::Errno(errno), _) => Expect::Errno(errno),
            (Expectation::Any, _) => Expect::Any,
            (Expectation::NewRecords(records), _) => Expect::NewRecords(records),
            (Expectation::Records(records), _) => Expect::Records(records),
        }
    }

    fn checkpoint(&mut self, line: u32, full: bool, quote: bool) {
        let (text, deed) = if full {
            ("checkpoint", checkpoint::full(self.adapter, &self.variant.machine.banks, self.bank_files))
        } else {
            ("checkpoint quick", checkpoint::quick(self.adapter, self.bank_files))
        };
        self.mark(line, text, deed, Action::Checkpoint, quote);
    }

    fn mark(&mut self, line: u32, text: &str, deed: Deed, action: Action, quote: bool) {
        let number = self.marks.len() as u64 + 1;
        let does = if quote { MarkDeed::Quote } else { MarkDeed::Read };
        let mark = Deed { ops: vec![Op::Mark { path: TPM.to_owned(), number }], reads: Vec::new() };
        self.marks.push(Mark { number, step: self.next(), does });
        let built = Built { text: text.to_owned(), deed: deed.then(mark), action, expect: Expect::Ok };
        self.add(line, built, Some(number));
    }

    fn next(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, line: u32, built: Built, mark: Option<u64>) {
        let id = self.next();
        self.program.push(ProgramStep { id, clock: None, ops: built.deed.ops });
        self.steps.push(PlannedStep {
            id,
            task: self.task,
            text: built.text,
            line,
            action: built.action,
            expect: built.expect,
            reads: built.deed.reads,
            mark,
        });
    }
}
