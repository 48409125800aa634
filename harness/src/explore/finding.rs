//! What was found is made sure of, shortened, and kept.

use super::dir::{Dir, Found};
use super::lab::{Lab, Tried, Unfit};
use super::scenario::head;
use super::sign::Sign;
use crate::report::chain;
use crate::report::run_dir::KernelUsed;
use crate::report::words;
use crate::suite::Store;
use imalab_explore::{Head, Program, render, shorten};
use imalab_files::atomic::FileError;
use imalab_language::plan::Plan;
use imalab_run::RunError;
use imalab_schedule::{Choice, Strategy, draw, shrink};

/// How many runs making sure of a finding and shortening it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Runs.
    pub runs: u32,
}

/// How often a failure has to show again under its own schedule before it is one.
const AGAIN: u32 = 3;

/// Under how many schedules a shorter program is tried.
const SCHEDULES: u64 = 5;

/// What every program of the explorer is called in its plan: what a plan is called is a part of what its guest does.
pub(super) const NAME: &str = "explored";

/// Why a finding is not gone on with.
#[derive(Debug)]
pub enum Trouble {
    /// A machine could not be started.
    Run(RunError),
    /// The explorer's own text is no scenario: a defect of the explorer.
    Unfit(Unfit),
    /// Something could not be stored.
    File(FileError),
    /// A signal came.
    Interrupted,
}

impl From<RunError> for Trouble {
    fn from(error: RunError) -> Trouble {
        Trouble::Run(error)
    }
}

impl From<Unfit> for Trouble {
    fn from(error: Unfit) -> Trouble {
        Trouble::Unfit(error)
    }
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Trouble {
        Trouble::File(error)
    }
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Pursued {
    /// It is one.
    Found(Box<Found>),
    /// It did not show again: why.
    Fleeting(String),
}

/// Why no further one is tried.
enum Stop {
    Enough,
    Trouble(Trouble),
}

/// A program, its plan, and a run of it that shows it.
struct Shown {
    program: Program,
    plan: Plan,
    tried: Tried,
}

pub(super) struct Pursuit<'p> {
    lab: &'p Lab<'p>,
    limits: Limits,
    sign: Sign,
    /// Runs so far.
    pub(super) ran: u32,
    /// Runs after which no shorter program is tried any more: the rest is for its preemptions.
    until: u32,
    /// It shows without any preemption.
    plain: bool,
    /// The strategy that showed it first, which is the likeliest to show it again.
    first: Strategy,
}

impl<'p> Pursuit<'p> {
    pub(super) fn new(lab: &'p Lab<'p>, limits: Limits, sign: Sign) -> Pursuit<'p> {
        Pursuit { lab, limits, sign, ran: 0, until: limits.runs, plain: false, first: Strategy::None }
    }

    fn run(&mut self, plan: &Plan, strategy: &Strategy) -> Result<Tried, Trouble> {
        self.ran += 1;
        let tried = self.lab.run(plan, strategy, false);
        if self.lab.interrupts().seen() {
            return Err(Trouble::Interrupted);
        }
        Ok(tried?)
    }

    /// As [`Pursuit::run`], as long as it may.
    fn try_run(&mut self, plan: &Plan, strategy: &Strategy) -> Result<Tried, Stop> {
        if self.ran >= self.until {
            return Err(Stop::Enough);
        }
        self.run(plan, strategy).map_err(Stop::Trouble)
    }

    fn is_it(&self, tried: &Tried) -> bool {
        Sign::of(&tried.result) == self.sign
    }

    /// Makes sure of what `first` showed under `strategy`, shortens it and keeps it. What stands in the result beside the
    /// name, the steps and the preemptions is the caller's.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) fn pursue(
        &mut self,
        program: &Program,
        first: Tried,
        strategy: &Strategy,
        dir: &Dir,
    ) -> Result<Pursued, Trouble> {
        let plan = self.lab.plan(NAME, &render(program, &Head::generated()).text)?;
        let same = first.schedule().map_or_else(|| strategy.clone(), |schedule| list(schedule.choices()));
        if let Some(why) = self.differs(&plan, &same, &first)? {
            return Ok(Pursued::Fleeting(why));
        }
        let without = self.run(&plan, &Strategy::None)?;
        self.plain = self.is_it(&without);
        let tried = if self.plain { without } else { first };
        self.first = strategy.clone();
        self.until = self.limits.runs / 2;
        let shown = self.fewer_steps(Shown { program: program.clone(), plan, tried })?;
        self.until = self.limits.runs;
        let shown = self.fewer_preemptions(shown)?;
        if let Some(schedule) = shown.tried.schedule() {
            let same = list(schedule.choices());
            if let Some(why) = self.differs_twice(&shown.plan, &same, &shown.tried)? {
                return Ok(Pursued::Fleeting(format!("once shortened, {why}")));
            }
        }
        self.keep(shown, dir)
    }

    /// How a run with the same schedule is another than `first`, if one is.
    fn differs(&mut self, plan: &Plan, same: &Strategy, first: &Tried) -> Result<Option<String>, Trouble> {
        for _ in 0..AGAIN {
            if let Some(why) = self.differs_once(plan, same, first)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    fn differs_twice(
        &mut self,
        plan: &Plan,
        same: &Strategy,
        first: &Tried,
    ) -> Result<Option<String>, Trouble> {
        match self.differs_once(plan, same, first)? {
            Some(why) => Ok(Some(why)),
            None => self.differs_once(plan, same, first),
        }
    }

    fn differs_once(
        &mut self,
        plan: &Plan,
        same: &Strategy,
        first: &Tried,
    ) -> Result<Option<String>, Trouble> {
        let again = self.run(plan, same)?;
        let hashes = (&first.result.schedule_hash, &again.result.schedule_hash);
        if hashes.0 != hashes.1 {
            return Ok(Some(format!(
                "the same schedule gave another run: {:?}, then {:?}",
                hashes.0, hashes.1
            )));
        }
        let sign = Sign::of(&again.result);
        Ok((sign != self.sign).then(|| format!("the same schedule showed something else: {sign}")))
    }

    /// With those of its steps that matter.
    fn fewer_steps(&mut self, shown: Shown) -> Result<Shown, Trouble> {
        let program = shown.program.clone();
        let mut least = shown;
        let (_, end) = shorten(&program, |part| match self.shown_by(part)? {
            Some(shown) => {
                least = shown;
                Ok(true)
            }
            None => Ok(false),
        });
        stopped(end)?;
        Ok(least)
    }

    /// A run of the program that shows it, if one of some schedules does.
    fn shown_by(&mut self, program: &Program) -> Result<Option<Shown>, Stop> {
        let text = render(program, &Head::generated()).text;
        let plan = self.lab.plan(NAME, &text).map_err(|error| Stop::Trouble(error.into()))?;
        let without = self.try_run(&plan, &Strategy::None)?;
        let points = without.schedule().map_or(1, |schedule| schedule.events);
        if self.is_it(&without) {
            return Ok(Some(Shown { program: program.clone(), plan, tried: without }));
        }
        if self.plain {
            return Ok(None);
        }
        for number in 1..SCHEDULES {
            let strategy = match number {
                1 => again(&self.first, points),
                number => way(draw(self.lab.seed, number), number - 1, points),
            };
            let tried = self.try_run(&plan, &strategy)?;
            if self.is_it(&tried) {
                return Ok(Some(Shown { program: program.clone(), plan, tried }));
            }
        }
        Ok(None)
    }

    /// With those of its preemptions that matter.
    fn fewer_preemptions(&mut self, shown: Shown) -> Result<Shown, Trouble> {
        let Some(choices) = shown.tried.schedule().map(imalab_schedule::Report::choices) else {
            return Ok(shown);
        };
        if choices.is_empty() {
            return Ok(shown);
        }
        let Shown { program, plan, tried } = shown;
        let mut least = tried;
        let (_, end) = shrink(choices, |part| {
            let tried = self.try_run(&plan, &list(part.to_vec()))?;
            let same = self.is_it(&tried);
            if same {
                least = tried;
            }
            Ok(same)
        });
        stopped(end)?;
        Ok(Shown { program, plan, tried: least })
    }

    /// Writes its scenario and its bundle.
    fn keep(&self, shown: Shown, dir: &Dir) -> Result<Pursued, Trouble> {
        let Shown { program, mut plan, tried: Tried { ran, mut result, .. } } = shown;
        let name = dir.free_name(&self.sign.name());
        (plan.scenario, result.scenario) = (name.clone(), name.clone());
        let preemptions = ran
            .schedule
            .as_ref()
            .and_then(|told| told.as_ref().ok())
            .map_or(0, |told| told.preemptions.len());
        let told = result.reason.as_ref().map_or_else(|| self.sign.to_string(), words::reason);
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let release = &self.lab.capabilities.release;
        let head = head(&self.sign, result.reason.as_ref(), &result.checks, release, preemptions, &told);
        let text = render(&program, &head).text;
        // A text of ours that the suite does not take would be of no use to anybody.
        self.lab.plan(NAME, &text)?;
        dir.write_scenario(&name, &text)?;
        let cache = self.lab.cache.to_owned();
        let store =
            Store { bundles: dir.bundles(), scenarios: dir.path().to_owned(), cache, ..Store::default() };
        let observed = imalab_check::with_observed(&plan, &ran.trace);
        let digest = imalab_check::digest(&observed, &ran.trace);
        store.keep(&mut result, &plan, (&ran, &digest), Some(&text), |_| self.used());
        Ok(Pursued::Found(Box::new(Found {
            name,
            sign: self.sign.clone(),
            beside: Default::default(),
            times: 1,
            program: 0,
            after: 0,
            steps: program.steps().count(),
            preemptions,
            bundle: result.bundle,
        })))
    }

    fn used(&self) -> Result<KernelUsed, FileError> {
        let kernel = self.lab.kernel;
        let release = Some(self.lab.capabilities.release.as_str());
        KernelUsed::of(&kernel.name, release, &kernel.image, self.lab.surroundings.initramfs, [])
    }
}

/// What ended it, unless that was that no more may be tried.
fn stopped(end: imalab_schedule::Shrunk<Stop>) -> Result<(), Trouble> {
    match end {
        imalab_schedule::Shrunk::Stopped(Stop::Trouble(trouble)) => Err(trouble),
        imalab_schedule::Shrunk::Stopped(Stop::Enough) | imalab_schedule::Shrunk::Minimal => Ok(()),
    }
}

/// The same strategy for a run with so many points.
fn again(strategy: &Strategy, points: u64) -> Strategy {
    match strategy {
        Strategy::Pct { seed, depth, .. } => Strategy::Pct { seed: *seed, depth: *depth, points },
        other => other.clone(),
    }
}

fn list(choices: Vec<Choice>) -> Strategy {
    Strategy::List { choices }
}

/// The strategy of the schedule of this number, from 1: chances and depths that find different defects, in turn.
pub(super) fn way(seed: u64, number: u64, points: u64) -> Strategy {
    match number % 6 {
        1 => Strategy::Random { seed, per: 10 },
        2 => Strategy::Pct { seed, depth: 2, points },
        3 => Strategy::Random { seed, per: 4 },
        4 => Strategy::Pct { seed, depth: 3, points },
        5 => Strategy::Random { seed, per: 30 },
        _ => Strategy::Pct { seed, depth: 4, points },
    }
}

impl Trouble {
    /// In words.
    pub fn told(&self) -> String {
        match self {
            Trouble::Run(error) => chain(error),
            Trouble::Unfit(error) => format!("a defect of the explorer: {}", chain(error)),
            Trouble::File(error) => chain(error),
            Trouble::Interrupted => "interrupted".to_owned(),
        }
    }
}
