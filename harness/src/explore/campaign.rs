//! Programs and their schedules, one after the other, and what comes of them.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::dir::{Dir, Fleeting, Found, Kept, State};
use super::finding::{Limits, NAME, Pursued, Pursuit, Trouble, way};
use super::lab::{Lab, Tried};
use super::sign::Sign;
use imalab_check::outcome::Outcome;
use imalab_explore::{Explained, Fresh, Head, Known, Offers, Program, generate, mutate, render};
use imalab_language::plan::Plan;
use imalab_run::RunError;
use imalab_schedule::{Strategy, draw};

/// How much of it there is to be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// No program begins after so much time.
    pub budget: Duration,
    /// So many programs at most in this call.
    pub programs: Option<u64>,
    /// Schedules of a program that shows nothing new.
    pub schedules: u64,
    /// Machines side by side.
    pub jobs: usize,
    /// What making sure of a finding may take.
    pub limits: Limits,
}

/// Why it ended.
#[derive(Debug)]
pub enum Stop {
    /// The time was over, or so many programs were run.
    Done,
    /// A signal came.
    Interrupted,
    /// Something that no further program would get over.
    Trouble(Trouble),
}

/// What happened in a campaign.
#[derive(Debug)]
pub enum CampaignEvent<'t> {
    /// A program was run.
    Program(&'t State),
    /// A known defect was shown for the first time.
    Known {
        /// Its scenario.
        name: &'t str,
        /// What the campaign had come to.
        state: &'t State,
    },
    /// Something failed in a way that was not seen before, and is made sure of.
    Pursues(&'t Sign),
    /// It is one.
    Found(&'t Found),
    /// It did not show again.
    Fleeting(&'t Fleeting),
}

/// A campaign under way.
pub struct Campaign<'c> {
    /// The kernel and its machines.
    pub lab: &'c Lab<'c>,
    /// Where it is kept.
    pub dir: Dir,
    /// What it has come to.
    pub state: State,
    /// Programs that showed something new.
    pub corpus: Vec<Program>,
    /// What is known already.
    pub known: Known,
    /// How much of it there is to be.
    pub bounds: Bounds,
    /// Milliseconds of processors of this process's machines that are counted already.
    pub cores: u64,
}

/// Goes on until its bounds, or a signal. What it came to is kept after each program.
pub fn explore(campaign: &mut Campaign<'_>, tell: &mut dyn FnMut(CampaignEvent<'_>)) -> Stop {
    let begin = Instant::now();
    let last = campaign.bounds.programs.map(|programs| campaign.state.programs.saturating_add(programs));
    while begin.elapsed() < campaign.bounds.budget && last.is_none_or(|last| campaign.state.programs < last) {
        let ended = campaign.program(tell);
        if ended.is_ok() {
            campaign.state.programs += 1;
        }
        // After a signal too: what was found stands. The program itself is run again then.
        if let Err(error) = campaign.dir.write(&campaign.state) {
            return Stop::Trouble(error.into());
        }
        match ended {
            Ok(()) => tell(CampaignEvent::Program(&campaign.state)),
            Err(Trouble::Interrupted) => return Stop::Interrupted,
            Err(trouble) => return Stop::Trouble(trouble),
        }
    }
    Stop::Done
}

/// Milliseconds of processors of all machines of this process that have ended.
pub fn core_ms() -> u64 {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN);
    let sum = used.map(|used| used.user_time().num_milliseconds() + used.system_time().num_milliseconds());
    u64::try_from(sum.unwrap_or(0)).unwrap_or(0)
}

/// How many new points make a program worth keeping that came to no new state: some are new in nearly every run.
const WORTH_KEEPING: usize = 40;

/// Failures of a program after which it is not run any more.
const ENOUGH: u32 = 2;

impl Campaign<'_> {
    /// The next program: a new one, or one like another that showed something new.
    fn next(&self) -> Program {
        let seed = draw(self.state.seed, self.state.programs);
        let offers = Offers::of(self.lab.capabilities);
        let pick = |event: u64| {
            let count = self.corpus.len().max(1) as u64;
            self.corpus.get(usize::try_from(draw(seed, event) % count).unwrap_or(0))
        };
        match (draw(seed, 0).is_multiple_of(2), pick(1), pick(2)) {
            (true, Some(one), Some(other)) => mutate(one, other, seed, offers),
            _ => generate(seed, offers),
        }
    }

    fn program(&mut self, tell: &mut dyn FnMut(CampaignEvent<'_>)) -> Result<(), Trouble> {
        let program = self.next();
        let text = render(&program, &Head::generated()).text;
        let plan = self.lab.plan(NAME, &text)?;
        if let Some(forks) = self.lab.forks {
            forks.expect(&plan, self.lab.context(&Strategy::None, true), u64::from(u32::MAX));
        }
        let seed = draw(self.state.seed, self.state.programs);
        let (mut fresh, mut failed, mut number, mut points) = (Fresh::default(), 0, 0, 1);
        // What showed something new is looked at once more as long.
        while number < self.bounds.schedules + if fresh.any() { self.bounds.schedules } else { 0 } {
            let most = if number == 0 { 1 } else { self.bounds.jobs.max(1) as u64 };
            let strategies: Vec<Strategy> = (number..number + most)
                .map(|number| match number {
                    0 => Strategy::None,
                    number => way(draw(seed, number), number, points),
                })
                .collect();
            number += most;
            for (tried, strategy) in self.side_by_side(&plan, &strategies).into_iter().zip(&strategies) {
                if self.lab.interrupts().seen() {
                    return Err(Trouble::Interrupted);
                }
                let tried = tried?;
                self.state.schedules += 1;
                self.count_cores();
                if *strategy == Strategy::None {
                    points = tried.schedule().map_or(1, |schedule| schedule.events);
                }
                let coverage = tried.schedule().and_then(|schedule| schedule.coverage.as_ref());
                let new = self.state.seen.take(coverage, &tried.states);
                fresh = Fresh { points: fresh.points + new.points, states: fresh.states + new.states };
                if !matches!(tried.result.outcome, Outcome::Passed | Outcome::Skipped) {
                    failed += 1;
                    self.failed(&program, tried, strategy, tell)?;
                }
            }
            if failed >= ENOUGH {
                break;
            }
        }
        if fresh.states > 0 || fresh.points >= WORTH_KEEPING {
            let kept = Kept { number: self.state.programs, program: program.clone() };
            self.dir.keep(self.state.corpus, &kept, &text)?;
            self.state.corpus += 1;
            self.corpus.push(program);
        }
        Ok(())
    }

    /// What machines have taken since the last time.
    fn count_cores(&mut self) {
        let now = core_ms();
        self.state.core_ms += now.saturating_sub(std::mem::replace(&mut self.cores, now));
    }

    fn side_by_side(&self, plan: &Plan, strategies: &[Strategy]) -> Vec<Result<Tried, RunError>> {
        let lab = self.lab;
        if let [strategy] = strategies {
            return vec![lab.run(plan, strategy, true)];
        }
        thread::scope(|scope| {
            let runs: Vec<_> = strategies
                .iter()
                .map(|strategy| scope.spawn(move || lab.run(plan, strategy, true)))
                .collect();
            runs.into_iter()
                .map(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    }

    /// Tells what is known of a failure, or makes sure of it.
    fn failed(
        &mut self,
        program: &Program,
        tried: Tried,
        strategy: &Strategy,
        tell: &mut dyn FnMut(CampaignEvent<'_>),
    ) -> Result<(), Trouble> {
        let result = &tried.result;
        let sign = Sign::of(result);
        let beside = match self.known.explain(result.outcome, result.reason.as_ref(), &result.checks) {
            Explained::By(names) => {
                self.shown(&names, tell);
                return Ok(());
            }
            Explained::Partly(names) => {
                self.shown(&names, tell);
                names
            }
            Explained::Not => BTreeSet::new(),
        };
        if let Some(found) = self.state.found.iter_mut().find(|found| found.sign == sign) {
            found.times += 1;
            return Ok(());
        }
        if self.state.fleeting.iter().any(|fleeting| fleeting.sign == sign) {
            return Ok(());
        }
        tell(CampaignEvent::Pursues(&sign));
        let mut pursuit = Pursuit::new(self.lab, self.bounds.limits, sign.clone());
        let pursued = pursuit.pursue(program, tried, strategy, &self.dir);
        self.state.retries += u64::from(pursuit.ran);
        self.count_cores();
        let (number, after) = (self.state.programs, self.state.schedules);
        match pursued? {
            Pursued::Found(found) => {
                let found = Found { beside, program: number, after, ..*found };
                tell(CampaignEvent::Found(&found));
                self.state.found.push(found);
            }
            Pursued::Fleeting(why) => {
                let fleeting = Fleeting { sign, program: number, why };
                tell(CampaignEvent::Fleeting(&fleeting));
                self.state.fleeting.push(fleeting);
            }
        }
        Ok(())
    }

    fn shown(&mut self, names: &BTreeSet<String>, tell: &mut dyn FnMut(CampaignEvent<'_>)) {
        for name in names {
            *self.state.known.entry(name.clone()).or_default() += 1;
            if self.state.known.get(name) == Some(&1) {
                tell(CampaignEvent::Known { name, state: &self.state });
            }
        }
    }
}
