//! `imalab shrink`: the few preemptions of a failed run that matter.

use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;
use super::again::Again;
use super::machines::Surroundings;
use super::repro::compared;
use crate::report::words;
use crate::report::{Exit, print};
use crate::suite::{self, Store};
use imalab_check::outcome::{Outcome, RunResult};
use imalab_language::finding::{Finding, KernelDied};
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
    #[command(flatten)]
    surroundings: Surroundings,
}

/// What two runs have in common that show the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sign {
    outcome: Outcome,
    code: Option<&'static str>,
    /// Where the kernel died.
    function: Option<String>,
}

impl Sign {
    fn of(result: &RunResult) -> Sign {
        let finding = result.reason.as_ref().map(|reason| &reason.finding);
        let function = match finding {
            Some(Finding::KernelDied(
                KernelDied::Panic { function, called_from, .. }
                | KernelDied::Oops { function, called_from, .. }
                | KernelDied::Bug { function, called_from, .. },
            )) => called_from.as_ref().or(function.as_ref()).cloned(),
            _ => None,
        };
        Sign { outcome: result.outcome, code: finding.map(Finding::code), function }
    }
}

/// Why no further schedule is tried.
enum Stop {
    /// As many as were allowed have been.
    Enough,
    /// A signal came.
    Interrupted,
    Failed(Failure),
}

/// Runs schedules of a bundle's plan, and counts them.
struct Tries<'a> {
    again: &'a Again,
    args: &'a ShrinkArgs,
    scratch: &'a Scratch,
    interrupts: &'a Interrupts,
    ran: u32,
}

impl Tries<'_> {
    fn run(&self, choices: &[Choice]) -> Result<(Ran, RunResult), Stop> {
        let strategy = Strategy::List { choices: choices.to_vec() };
        let context =
            self.again.context(&self.args.surroundings, Some(&strategy), (self.scratch, self.interrupts));
        let ran = imalab_run::run(&self.again.plan, context);
        if self.interrupts.seen() {
            return Err(Stop::Interrupted);
        }
        let ran = ran.map_err(|error| Stop::Failed(Failure::setup(error)))?;
        let mut result = RunResult { schedule_hash: None, bundle: None, ..self.again.result.clone() };
        suite::times(&ran, &mut result);
        imalab_check::digest(&self.again.plan, &ran.trace).judge(suite::today()).put_into(&mut result);
        result.console_tail = imalab_run::console_tail(&ran.trace);
        suite::note_schedule(&ran, &mut result);
        Ok((ran, result))
    }

    /// Whether a run under these choices shows the same.
    fn shows(&mut self, choices: &[Choice], sign: &Sign) -> Result<bool, Stop> {
        if self.ran >= self.args.runs {
            return Err(Stop::Enough);
        }
        self.ran += 1;
        let (_, result) = self.run(choices)?;
        let same = Sign::of(&result) == *sign;
        if same {
            let preemptions = match choices.len() {
                0 => "no preemption".to_owned(),
                1 => "1 preemption".to_owned(),
                many => format!("{many} preemptions"),
            };
            print::note(&format!("try {}: {preemptions}, the same", self.ran));
        }
        Ok(same)
    }
}

/// Leaves out preemptions while the run shows the same, and keeps a bundle of what is left.
pub(super) fn run(args: &ShrinkArgs) -> Result<Exit, Failure> {
    let again = Again::load(&args.bundle, None, None, &args.surroundings)?;
    let Some(choices) = again.choices() else {
        return Err(Failure::usage(miette!(
            help = "`test --lane deterministic` runs scenarios in it",
            "only a run of the deterministic lane has a schedule that can be shrunk"
        )));
    };
    let sign = Sign::of(&again.result);
    let (scratch, interrupts) = args.surroundings.claim()?;
    let mut tries = Tries { again: &again, args, scratch: &scratch, interrupts: &interrupts, ran: 0 };
    print::note(&format!("{} preemptions: {}", choices.len(), again.bundle.reason));
    match whole(&mut tries, &sign, choices) {
        Ok(()) => {}
        Err(Stop::Failed(failure)) => return Err(failure),
        Err(Stop::Interrupted | Stop::Enough) => return Ok(Exit::Interrupted),
    }
    let (left, end) = shrink(choices.to_vec(), |part| tries.shows(part, &sign));
    let how = match end {
        Shrunk::Minimal => "none of them can be left out",
        Shrunk::Stopped(Stop::Enough) => "stopped after as many tries as were allowed (--runs)",
        // The least that was seen is run once more, by somebody who was told to stop.
        Shrunk::Stopped(Stop::Interrupted) => {
            print::note(&format!("interrupted: {} preemptions were left", left.len()));
            return Ok(Exit::Interrupted);
        }
        Shrunk::Stopped(Stop::Failed(failure)) => return Err(failure),
    };
    let told = format!("{} of {} preemptions, {} tries; {how}", left.len(), choices.len(), tries.ran);
    print::line(&told).map_err(Failure::setup)?;
    keep(&tries, &sign, &left)
}

/// The bundle's whole schedule has to show it, and to be the same.
fn whole(tries: &mut Tries<'_>, sign: &Sign, choices: &[Choice]) -> Result<(), Stop> {
    tries.ran += 1;
    let (_, result) = tries.run(choices)?;
    compared(tries.again.result.schedule_hash.as_deref(), result.schedule_hash.as_deref())
        .map_err(Stop::Failed)?;
    let shown = Sign::of(&result);
    if shown == *sign {
        return Ok(());
    }
    let told = result.reason.as_ref().map_or_else(|| "passed".to_owned(), words::reason);
    Err(Stop::Failed(Failure {
        exit: Exit::Infra,
        error: miette!("the bundle's whole schedule does not show what its run showed: {told}"),
    }))
}

/// Runs what is left twice, tells where it preempts, and keeps its bundle.
fn keep(tries: &Tries<'_>, sign: &Sign, left: &[Choice]) -> Result<Exit, Failure> {
    let run = || match tries.run(left) {
        Ok(run) => Ok(Some(run)),
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Interrupted | Stop::Enough) => Ok(None),
    };
    let (Some((_, first)), Some((ran, mut result))) = (run()?, run()?) else { return Ok(Exit::Interrupted) };
    if Sign::of(&first) != *sign || Sign::of(&result) != *sign {
        return Err(Failure {
            exit: Exit::Infra,
            error: miette!("what is left does not show it every time: this is a defect of imalab or QEMU"),
        });
    }
    compared(first.schedule_hash.as_deref(), result.schedule_hash.as_deref())?;
    if let Some(Ok(report)) = &ran.schedule {
        let symbols = imalab_run::symbols(tries.again.image()).map_err(Failure::setup)?;
        for line in story(report, &symbols) {
            print::line(&line).map_err(Failure::setup)?;
        }
    }
    let bundles = tries.args.surroundings.cache.join("bundles");
    let place = tries.args.out.clone().unwrap_or_else(|| bundles.clone());
    let store = Store { out: None, bundles: place, scenarios: PathBuf::new() };
    store.prepare().map_err(Failure::of_file)?;
    let digest = imalab_check::digest(&tries.again.plan, &ran.trace);
    let text = tries.again.dir.read_scenario();
    let used = tries.again.bundle.kernel.clone();
    store.keep_with(&mut result, &tries.again.plan, (&ran, &digest), text.as_deref(), |_| Ok(used));
    super::recheck::tell(result, false)?;
    Ok(Exit::Passed)
}

/// A line for each processor that did not go on.
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
    report.preemptions.iter().map(line).collect()
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
        let report = Report {
            schema: SCHEMA,
            hash,
            end,
            events: 10,
            tpm_commands: 1,
            instructions: 90,
            expired: 0,
            preemptions,
            left_out: 0,
        };
        let told = [
            "  point 3: CPU 1 is preempted at ima_queue_stage+0x84, after 77 instructions",
            "  point 9: CPU 1 is held at ima_queue_stage, after 77 instructions",
        ];
        assert_eq!(story(&report, &symbols), told);
    }
}
