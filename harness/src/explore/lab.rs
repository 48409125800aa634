//! One kernel, and runs on it in the deterministic lane.

use std::path::Path;

use crate::suite;
use imalab_check::outcome::{AcceleratorUsed, RunResult};
use imalab_explore::States;
use imalab_language::capabilities::Capabilities;
use imalab_language::lane::Lane;
use imalab_language::plan::{self, Plan, PlanError, Planned};
use imalab_language::scenario::{self, ScenarioError};
use imalab_machine::accel::Accel;
use imalab_run::{Forks, Interrupts, Kernel, Ran, RunContext, RunError, Scratch, Seeded};
use imalab_schedule::{Report, Strategy};

/// What runs of a campaign share.
pub struct Lab<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// What it was seen to offer.
    pub capabilities: &'a Capabilities,
    /// What guests run in.
    pub surroundings: RunContext<'a>,
    /// Where kernels and images are kept.
    pub cache: &'a Path,
    /// QEMU's plugin of ours.
    pub plugin: &'a Path,
    /// Saved machines to go on from; none where each machine boots.
    pub forks: Option<&'a Forks>,
    /// Decides the guests' random numbers. One for all, so that one saved machine is enough.
    pub seed: u64,
}

/// A run, judged.
#[derive(Debug)]
pub struct Tried {
    /// What it left.
    pub ran: Ran,
    /// What became of it.
    pub result: RunResult,
    /// States of the lists that it came to.
    pub states: States,
}

/// A text of ours is no scenario that can be run here.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is none at all.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// It has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The kernel lacks something.
    #[error("the kernel lacks {0}")]
    Lacks(String),
}

impl Tried {
    /// Its schedule, where it is known.
    pub fn schedule(&self) -> Option<&Report> {
        self.ran.schedule.as_ref()?.as_ref().ok()
    }
}

impl Lab<'_> {
    /// The surroundings of the runs.
    pub fn context<'c>(&'c self, strategy: &'c Strategy, coverage: bool) -> RunContext<'c> {
        let seeded = Seeded { seed: self.seed, strategy, plugin: self.plugin, coverage };
        RunContext { accel: Accel::Tcg, seeded: Some(seeded), forks: self.forks, ..self.surroundings }
    }

    /// Signals to this process.
    pub fn interrupts(&self) -> &Interrupts {
        self.surroundings.interrupts
    }

    /// Folders of machines.
    pub fn scratch(&self) -> &Scratch {
        self.surroundings.scratch
    }

    /// The plan of a scenario's text; the scenario is called `name`.
    ///
    /// # Errors
    /// `Unfit`.
    pub fn plan(&self, name: &str, text: &str) -> Result<Plan, Unfit> {
        let scenario = scenario::parse(name, &format!("{name}.yaml"), text)?;
        let parameters = plan::expand(&scenario).into_iter().next().unwrap_or_default();
        let interface = self.capabilities.interface;
        match plan::plan(&scenario, &parameters, self.capabilities, interface, self.seed)? {
            Planned::Plan(mut plan) => {
                plan.stock = self.kernel.stock;
                Ok(*plan)
            }
            Planned::Skip(skip) => {
                let missing: Vec<&str> = skip.missing.iter().map(|capability| capability.name()).collect();
                Err(Unfit::Lacks(missing.join(", ")))
            }
        }
    }

    /// Runs a plan under a strategy and judges it. `coverage`: its schedule tells what it came to.
    ///
    /// # Errors
    /// [`RunError`] when the machine could not be started.
    pub fn run(&self, plan: &Plan, strategy: &Strategy, coverage: bool) -> Result<Tried, RunError> {
        let context = self.context(strategy, coverage);
        let ran = imalab_run::run(plan, context);
        if let Some(forks) = self.forks {
            forks.used(plan, context);
        }
        let ran = ran?;
        let mut result = self.blank(plan, strategy);
        suite::course(&ran, &mut result);
        let observed = imalab_check::with_observed(plan, &ran.trace);
        let digest = imalab_check::digest(&observed, &ran.trace);
        digest.judge(suite::today()).put_into(&mut result);
        let steps = digest.steps();
        let ends: Vec<String> = steps.iter().map(|step| step.end()).collect();
        let told =
            steps.iter().zip(&ends).map(|(step, end)| (step.text.as_str(), end.as_str(), step.records));
        let states = States::of(told);
        result.console_tail = imalab_run::console_tail(&ran.trace);
        suite::note_schedule(&ran, &mut result);
        Ok(Tried { ran, result, states })
    }

    fn blank(&self, plan: &Plan, strategy: &Strategy) -> RunResult {
        let (scenario, parameters) = (plan.scenario.clone(), plan.parameters.clone());
        RunResult {
            release: Some(self.capabilities.release.clone()),
            interface: Some(self.capabilities.interface),
            accelerator: Some(AcceleratorUsed {
                name: Accel::Tcg.to_string(),
                reason: "the deterministic lane counts instructions".to_owned(),
            }),
            strategy: Some(name(strategy)),
            ..RunResult::not_judged(
                scenario,
                parameters,
                self.kernel.name.clone(),
                Lane::Deterministic,
                self.seed,
            )
        }
    }
}

/// A strategy as results have it.
fn name(strategy: &Strategy) -> String {
    match strategy {
        Strategy::None => "random:0".to_owned(),
        Strategy::Random { per, .. } => format!("random:{per}"),
        Strategy::Pct { depth, .. } => format!("pct:{depth}"),
        Strategy::List { choices } => format!("list of {}", choices.len()),
    }
}
