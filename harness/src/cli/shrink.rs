//! `imalab shrink`: the few preemptions of a failed run that matter.

use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;
use super::again::Again;
use super::machines::Surroundings;
use super::recheck::tell;
use super::repro::compared;
use crate::explore::Sign;
use crate::report::run_dir::{OutDir, SCHEDULE};
use crate::report::{Exit, print, words};
use crate::suite::{self, Store};
use imalab_check::outcome::RunResult;
use imalab_run::{Interrupts, Ran, Scratch};
use imalab_schedule::{Choice, Does, Report, Shrunk, Strategy, Symbols, shrink};

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
    /// Boot this image instead of the one found by the bundle's digest
    #[arg(long, value_name = "BZIMAGE")]
    image: Option<PathBuf>,
    /// Use this initramfs instead of the one found by the bundle's digest
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
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
        imalab_check::digest(&imalab_check::with_observed(&self.again.plan, &ran.trace), &ran.trace)
            .judge(suite::today())
            .put_into(&mut result);
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
                error: miette!("the bundle's complete schedule does not reproduce its failure: {told}"),
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
                    "the shrunk schedule does not reproduce it every time: this is a defect of imalab or QEMU"
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
        Shrunk::Stopped(Stop::Enough) => ("stopped after the allowed number of tries (--runs)", Exit::Passed),
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
        Err(Stop::Interrupted | Stop::Enough) => print::note("the shrunk schedule was not run once more"),
    }
    keep(&again, &store, &symbols, least).map(|()| exit)
}

/// Tells where what is left preempts, and keeps its bundle.
fn keep(again: &Again, store: &Store, symbols: &Symbols, (ran, mut result): Shown) -> Result<(), Failure> {
    if let Some(Ok(report)) = &ran.schedule {
        for line in story(report, symbols) {
            print::line(&line).map_err(Failure::setup)?;
        }
    }
    let observed = imalab_check::with_observed(&again.plan, &ran.trace);
    let digest = imalab_check::digest(&observed, &ran.trace);
    let text = again.dir.read_scenario();
    store.keep(&mut result, &again.plan, (&ran, &digest), text.as_deref(), |_| again.used());
    let (kept, trouble) = (result.bundle.is_some(), result.not_stored.clone());
    tell(result, false)?;
    if kept {
        return Ok(());
    }
    let trouble = trouble.unwrap_or_else(|| "the run did not fail".to_owned());
    Err(Failure {
        exit: Exit::Infra,
        error: miette!("the bundle of the shrunk run is not stored: {trouble}"),
    })
}

/// Preemptions that are told; `schedule.json` has all.
const SHOWN: usize = 20;

/// A line for each processor that did not go on, of the first ones.
fn story(report: &Report, symbols: &Symbols) -> Vec<String> {
    let line = |one: &imalab_schedule::Preemption| {
        let does = match one.does {
            Does::Preempt => "is preempted",
            Does::Hold => "is held",
        };
        let at = symbols.name(one.address);
        format!(
            "  point {}: CPU {} {does} at {at}, after {} instructions",
            one.event, one.cpu, one.instructions
        )
    };
    let more = report.preemptions.len().saturating_sub(SHOWN);
    let rest = (more > 0).then(|| format!("  and {more} more: {SCHEDULE} of the bundle"));
    report.preemptions.iter().take(SHOWN).map(line).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use imalab_schedule::{End, Preemption, SCHEMA};

    use super::*;

    #[test]
    fn a_story_says_who_stopped_where() {
        let symbols =
            Symbols::parse("ffffffff81000000 T _text\nffffffff81000100 T ima_queue_stage\n").unwrap();
        let one = |event, does, address| Preemption { event, does, cpu: 1, address, instructions: 77 };
        let preemptions =
            vec![one(3, Does::Preempt, 0xffff_ffff_8100_0184), one(9, Does::Hold, 0xffff_ffff_8100_0100)];
        let hash = String::new();
        let end = End::Reached;
        let mut report = Report {
            schema: SCHEMA,
            hash,
            end,
            events: 10,
            tpm_commands: 1,
            instructions: 90,
            expired: 0,
            preemptions,
            left_out: 0,
            holds: Vec::new(),
            pins: Vec::new(),
            coverage: None,
            from: None,
        };
        let told = [
            "  point 3: CPU 1 is preempted at ima_queue_stage+0x84, after 77 instructions",
            "  point 9: CPU 1 is held at ima_queue_stage, after 77 instructions",
        ];
        assert_eq!(story(&report, &symbols), told);
        report.preemptions = vec![one(1, Does::Preempt, 0); 25];
        assert_eq!(story(&report, &symbols).last().unwrap(), "  and 5 more: schedule.json of the bundle");
    }
}
