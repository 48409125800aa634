//! `imalab shrink`: the few preemptions of a failed run that matter.

use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;
use super::again::Again;
use super::machines::Surroundings;
use super::recheck::tell;
use super::repro::compared;
use super::story::Story;
use crate::explore::Sign;
use crate::report::run_dir::OutDir;
use crate::report::{Exit, print, words};
use crate::suite::{self, Store};
use imalab_check::outcome::RunResult;
use imalab_run::{Interrupts, Lines, Ran, Scratch};
use imalab_schedule::{Choice, Shrunk, Strategy, Symbols, shrink};

#[derive(Args)]
pub(super) struct ShrinkArgs {
    /// Bundle of a run in the deterministic lane
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Try at most N schedules
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Write the bundle of the shrunk run to a new folder in DIR (default: where bundles are kept)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Boot this image instead of the one that is found by the bundle's digest
    #[arg(long, value_name = "BZIMAGE")]
    image: Option<PathBuf>,
    /// Use this initramfs instead of the one that is found by the bundle's digest
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
    /// Tell source lines by this `vmlinux`, another build of the same code (NAME+lines), with its System.map beside it
    #[arg(long, value_name = "FILE")]
    lines: Option<PathBuf>,
    #[command(flatten)]
    surroundings: Surroundings,
}

/// Why no further schedule is tried.
enum Stop {
    /// As many as were allowed have been.
    Enough,
    /// A signal came.
    Interrupted,
    Failed(Failure),
}

/// A run that showed it.
type Shown = (Ran, RunResult);

/// Runs schedules of a bundle's plan, and counts them.
struct Tries<'a> {
    again: &'a Again,
    args: &'a ShrinkArgs,
    scratch: &'a Scratch,
    interrupts: &'a Interrupts,
    sign: Sign,
    ran: u32,
    /// The last run that showed it, which is the one of the fewest preemptions.
    least: Option<Shown>,
}

impl Tries<'_> {
    fn run(&self, choices: &[Choice]) -> Result<Shown, Stop> {
        let strategy = Strategy::List { choices: choices.to_vec() };
        let context =
            self.again.context(&self.args.surroundings, Some(&strategy), (self.scratch, self.interrupts));
        let ran = self.again.run(context);
        if self.interrupts.seen() {
            return Err(Stop::Interrupted);
        }
        let ran = ran.map_err(Stop::Failed)?;
        let mut result = RunResult { schedule_hash: None, bundle: None, ..self.again.result.clone() };
        suite::course(&ran, &mut result);
        imalab_check::digest(&self.again.plan, &ran.trace).judge(suite::today()).put_into(&mut result);
        result.console_tail = imalab_run::console_tail(&ran.trace);
        suite::note_schedule(&ran, &mut result);
        Ok((ran, result))
    }

    /// The bundle's whole schedule has to show it, and to be the same.
    fn whole(&mut self, choices: &[Choice]) -> Result<(), Stop> {
        self.ran += 1;
        let shown = self.run(choices)?;
        let (_, result) = &shown;
        compared(self.again.result.schedule_hash.as_deref(), result.schedule_hash.as_deref())
            .map_err(Stop::Failed)?;
        if Sign::of(result) != self.sign {
            let told = result.reason.as_ref().map_or_else(|| "it passed".to_owned(), words::reason);
            return Err(Stop::Failed(Failure {
                exit: Exit::Infra,
                error: miette!("the bundle's whole schedule does not show what its run showed: {told}"),
            }));
        }
        self.least = Some(shown);
        Ok(())
    }

    /// Whether a run under these choices shows the same.
    fn shows(&mut self, choices: &[Choice]) -> Result<bool, Stop> {
        if self.ran >= self.args.runs {
            return Err(Stop::Enough);
        }
        self.ran += 1;
        let shown = self.run(choices)?;
        let same = Sign::of(&shown.1) == self.sign;
        if same {
            print::note(&format!("try {}: {}, the same", self.ran, preemptions(choices.len())));
            self.least = Some(shown);
        }
        Ok(same)
    }

    /// What is left has to show it again, under the same schedule.
    fn confirm(&self, left: &[Choice], (_, least): &Shown) -> Result<(), Stop> {
        let (_, again) = self.run(left)?;
        if Sign::of(&again) != self.sign {
            return Err(Stop::Failed(Failure {
                exit: Exit::Infra,
                error: miette!(
                    "what is left does not show it every time: this is a defect of imalab or QEMU"
                ),
            }));
        }
        compared(least.schedule_hash.as_deref(), again.schedule_hash.as_deref()).map_err(Stop::Failed)
    }
}

fn preemptions(count: usize) -> String {
    match count {
        0 => "no preemption".to_owned(),
        1 => "1 preemption".to_owned(),
        many => format!("{many} preemptions"),
    }
}

/// Leaves out preemptions while the run shows the same, and keeps a bundle of what is left.
pub(super) fn run(args: &ShrinkArgs) -> Result<Exit, Failure> {
    let again =
        Again::load(&args.bundle, args.image.as_deref(), args.initramfs.as_deref(), &args.surroundings)?;
    let Some(choices) = again.choices() else {
        return Err(Failure::usage(miette!(
            help = "`test --lane deterministic` runs scenarios in it",
            "only a run of the deterministic lane has a schedule that can be shrunk"
        )));
    };
    let symbols = imalab_run::symbols(again.image()).map_err(Failure::usage_of)?;
    let lines = match &args.lines {
        Some(vmlinux) => Some(Lines::of_the_same(vmlinux, &symbols).map_err(Failure::usage_of)?),
        None => Lines::beside(again.image()).ok(),
    };
    let place = args.out.clone().unwrap_or_else(|| args.surroundings.cache.join("bundles"));
    // Before anything has run.
    OutDir::create(&place).map_err(Failure::of_file)?.remove_abandoned();
    let store = Store { bundles: place, cache: args.surroundings.cache.clone(), ..Store::default() };
    let (scratch, interrupts) = args.surroundings.claim()?;
    let sign = Sign::of(&again.result);
    let (scratch, interrupts) = (&scratch, &interrupts);
    let mut tries = Tries { again: &again, args, scratch, interrupts, sign, ran: 0, least: None };
    print::note(&format!("{}: {}", preemptions(choices.len()), again.bundle.reason));
    let end = match tries.whole(choices) {
        Ok(()) => shrink(choices.to_vec(), |part| tries.shows(part)),
        Err(stop) => (choices.to_vec(), Shrunk::Stopped(stop)),
    };
    let (how, exit) = match end.1 {
        Shrunk::Minimal => ("none of them can be left out", Exit::Passed),
        Shrunk::Stopped(Stop::Enough) => {
            ("stopped after as many tries as were allowed (--runs)", Exit::Passed)
        }
        Shrunk::Stopped(Stop::Interrupted) => ("interrupted", Exit::Interrupted),
        Shrunk::Stopped(Stop::Failed(failure)) => return Err(failure),
    };
    let left = end.0;
    let Some(least) = tries.least.take() else { return Ok(exit) };
    print::line(&format!("{} of {}, {} tries; {how}", left.len(), preemptions(choices.len()), tries.ran))
        .map_err(Failure::setup)?;
    match tries.confirm(&left, &least) {
        Ok(()) => {}
        Err(Stop::Failed(failure)) => return Err(failure),
        Err(Stop::Interrupted | Stop::Enough) => print::note("what is left was not run once more"),
    }
    keep(&again, &store, (&symbols, lines.as_ref()), least).map(|()| exit)
}

/// Tells where what is left preempts, and keeps its bundle.
fn keep(
    again: &Again,
    store: &Store,
    (symbols, lines): (&Symbols, Option<&Lines>),
    (ran, mut result): Shown,
) -> Result<(), Failure> {
    if let Some(Ok(report)) = &ran.schedule {
        for line in
            (Story { report, holds: &again.plan.holds, program: &again.plan.program, symbols, lines }).lines()
        {
            print::line(&line).map_err(Failure::setup)?;
        }
    }
    let digest = imalab_check::digest(&again.plan, &ran.trace);
    let text = again.dir.read_scenario();
    store.keep(&mut result, &again.plan, (&ran, &digest), text.as_deref(), |_| again.used());
    let (kept, trouble) = (result.bundle.is_some(), result.not_stored.clone());
    tell(result, false)?;
    if kept {
        return Ok(());
    }
    let trouble = trouble.unwrap_or_else(|| "it is none of a run that failed".to_owned());
    Err(Failure { exit: Exit::Infra, error: miette!("the bundle of what is left is not kept: {trouble}") })
}
