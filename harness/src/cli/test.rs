//! `imalab test` and `imalab list`.

use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;
use super::debugger::{Debugger, Telling};
use super::demands::Demands;
use super::lane::LaneArgs;
use super::machines::MachineArgs;
use super::reports::ReportArgs;
use super::rerun;
use super::selection::Selection;
use crate::report::terminal::Terminal;
use crate::report::{self, Exit, Listeners, print};
use crate::suite::{self, Cover, DryRun, Partition, Request, SeededLane, Store};
use imalab_check::outcome::{Boot, SuiteResult};
use imalab_language::plan::{self, Interface};
use imalab_machine::command::script;
use imalab_run::{Interrupts, Scratch, machine_spec};

#[derive(Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    machines: MachineArgs,
    #[command(flatten)]
    demands: Demands,
    /// Append WORD to the kernel command line (repeatable). Words that change what is measured before a
    /// scenario's policy is loaded are refused: set them in the scenario
    #[arg(long = "kernel-arg", value_name = "WORD", allow_hyphen_values = true, help_heading = "Kernels")]
    kernel_args: Vec<String>,
    /// Boot the kernel for each run (`cold`), or resume each run from a machine that was booted once and saved (`fork`); default:
    /// fork in the deterministic lane, where it affects what a seed means, else cold
    #[arg(long, value_name = "fork|cold", value_parser = boot)]
    boot: Option<Boot>,
    #[command(flatten)]
    lane: LaneArgs,
    /// Check every kernel against the promises of this interface, regardless of the probe: `upstream`, `rfc-v2@posted`, ...
    #[arg(long, value_name = "NAME", help_heading = "Kernels")]
    promises: Option<Interface>,
    /// Run N machines in parallel (default: number of CPUs)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Repeat each scenario N times, each time with the next seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Run one part of the suite: `slice:1/3` or `hash:1/3`; `merge` joins the results
    #[arg(long, value_name = "PART")]
    partition: Option<Partition>,
    /// Seed for all random choices of a scenario
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Repeat with the same seed, instead of the next
    #[arg(long, conflicts_with_all = ["schedules", "rerun_failed"])]
    same_seed: bool,
    /// Keep the results and the evidence of every run in DIR
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Include kernels and initramfs in the bundles of failed runs (`full`), or find them by digest (`lean`)
    #[arg(
        long,
        value_name = "full|lean",
        hide_possible_values = true,
        default_value = "lean",
        help_heading = "Results"
    )]
    bundle: Carry,
    #[command(flatten)]
    reports: ReportArgs,
    /// Start no further run after N failures (without a number: 1)
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    fail_fast: Option<u32>,
    /// Run only what failed or was interrupted in RESULTS, with the same seeds; RESULTS is a file of `--json` or
    /// `--json-lines`, or a directory of `--out`
    #[arg(long, value_name = "RESULTS", conflicts_with_all = ["repeat", "seed", "partition"])]
    rerun_failed: Option<PathBuf>,
    /// Multiply all time limits of runs by FACTOR (0.1 to 100)
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = timeout_scale)]
    timeout_scale: f64,
    #[command(flatten)]
    debugger: Debugger,
    /// Print the commands that would start each machine, and run no scenario
    #[arg(long, conflicts_with = "port")]
    dry_run: bool,
}

/// What bundles carry.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Carry {
    /// Kernels and image.
    Full,
    /// Evidence alone.
    Lean,
}

/// Runs scenarios.
pub(super) fn test(args: &TestArgs) -> Result<Exit, Failure> {
    let scenarios = match &args.rerun_failed {
        // What ran once because it was named is named by its failure.
        Some(_) => args.selection.listed()?,
        None => args.selection.load()?,
    };
    check_words(&args.kernel_args)?;
    args.lane.check(args.dry_run)?;
    let boot = args.boot.unwrap_or_else(|| args.lane.boot());
    let debugger = args.debugger.port(args.lane.lane, boot == Boot::Fork)?;
    let machines = args.machines.ready()?;
    let kernels = args.demands.of(&machines.kernels)?;
    let rerun = args.rerun_failed.as_deref();
    let only =
        rerun.map(|results| rerun::failed(results, &scenarios, &kernels, &args.lane, boot)).transpose()?;
    let (scratch, interrupts) = args.machines.surroundings.claim()?;
    let surroundings = &args.machines.surroundings;
    let seeded = args.lane.seeded(surroundings, &kernels)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let request = Request {
        kernels: &kernels,
        initramfs: machines.initramfs,
        kernel_args: args.kernel_args.clone(),
        scenarios: &scenarios,
        // There is one port.
        jobs: if debugger.is_some() { 1 } else { args.jobs.map_or(processors, usize::from) },
        repeat: args.lane.schedules.unwrap_or(args.repeat),
        raced: seeded.is_some() && args.lane.schedules.is_none() && args.repeat == 1,
        only,
        fail_fast: args.fail_fast.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        timeout_scale: args.timeout_scale,
        debugger,
        partition: args.partition,
        seed: args.seed,
        same_seed: args.same_seed,
        lane: args.lane.lane,
        accelerator: args.lane.accelerator(surroundings),
        seeded,
        boot,
        promises: args.promises,
        qemu: surroundings.qemu.clone(),
        swtpm: surroundings.swtpm.clone(),
        cache: surroundings.cache.clone(),
        store: Store {
            out: args.out.clone(),
            bundles: surroundings.cache.join("bundles"),
            scenarios: args.selection.folder()?,
            carries: args.bundle == Carry::Full,
            cache: surroundings.cache.clone(),
        },
    };
    if args.dry_run {
        return dry_run(&request, &scratch, &interrupts);
    }
    request.store.prepare().map_err(Failure::of_file)?;
    let results = args.out.as_ref().map(|out| out.join(report::merge::RESULTS));
    let mut listeners =
        Listeners::of(&args.reports.files()?, results.as_deref()).map_err(Failure::of_reports)?;
    let mut telling = Telling { kernels: &kernels, port: debugger, to: &mut listeners };
    let suite = suite::suite(&request, &scratch, &interrupts, &mut telling).map_err(Failure::usage)?;
    for cover in request.seeded.iter().flat_map(SeededLane::covered) {
        print::note(&covered(&cover));
    }
    Ok(Exit::of(&suite).and(listeners.exit()))
}

/// How far all schedules of a case were tried.
fn covered(Cover { case, ran, all }: &Cover) -> String {
    match all - ran {
        0 => format!("{case}: all {all} schedules were run"),
        left => {
            format!(
                "{case}: {ran} of {all} schedules were run, {left} are left (continue with another --seed)"
            )
        }
    }
}

pub(super) fn boot(text: &str) -> Result<Boot, String> {
    let found = [Boot::Fork, Boot::Cold].into_iter().find(|boot| boot.name() == text);
    found.ok_or_else(|| "expected fork or cold".to_owned())
}

/// Takes a factor of time limits.
fn timeout_scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.1..=100.0).contains(&scale) { Ok(scale) } else { Err("expected 0.1 to 100".to_owned()) }
}

/// Refuses words for every kernel's command line by which sound kernels would fail.
fn check_words(words: &[String]) -> Result<(), Failure> {
    let Some((word, change)) = plan::unfit(words) else { return Ok(()) };
    if matches!(change, plan::Change::Form | plan::Change::Rest) {
        return Err(Failure::usage(miette!("--kernel-arg {word}: {}", change.why())));
    }
    Err(Failure::usage(miette!(
        help = format!(
            "a scenario that tests it sets the word itself, `machine: {{kernel-args: [\"{word}\"]}}`, and expects \
             the result; `shell --kernel-arg` takes any word"
        ),
        "--kernel-arg {word}: {}",
        change.why()
    )))
}

/// Prints how each machine would be started, and what would end without one; ends as the runs would, as far as that is
/// known without them.
fn dry_run(request: &Request<'_>, scratch: &Scratch, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let (mut machines, mut ended, mut trouble) = (0, Vec::new(), None);
    let mut each = |run: DryRun<'_>| {
        let text = match run {
            DryRun::Machine { id, plan, context } => {
                machines += 1;
                let spec = machine_spec(context, &plan.machine, request.initramfs.clone(), None);
                format!("# {id}\n{}", script(&spec, true))
            }
            DryRun::Ended(result) => {
                ended.push(result.clone());
                format!("# {}", report::terminal::outcome_line(result))
            }
        };
        if let Err(error) = print::line(&text) {
            trouble.get_or_insert(error);
        }
    };
    let mut listener = Terminal::beside(true);
    suite::dry_run(request, scratch, interrupts, &mut listener, &mut each).map_err(Failure::usage)?;
    if let Some(error) = trouble {
        return Err(Failure::setup(error));
    }
    let would = SuiteResult { runs: ended, interrupted: interrupts.seen(), ..SuiteResult::default() };
    Ok(match Exit::of(&would) {
        Exit::NothingRan if machines > 0 => Exit::Passed,
        exit => exit,
    })
}

#[cfg(test)]
mod tests {
    use super::timeout_scale;

    #[test]
    fn time_limits_are_scaled_within_reason() {
        assert_eq!(timeout_scale("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "nan", "inf", "101", "two"] {
            assert!(timeout_scale(wrong).is_err(), "{wrong}");
        }
    }
}
