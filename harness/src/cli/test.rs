//! `imalab test` and `imalab list`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use miette::miette;

use super::Failure;
use super::debugger::{Debugger, Telling};
use super::demands::Demands;
use super::lane::LaneArgs;
use super::machines::{self, MachineArgs};
use super::reports::ReportArgs;
use super::rerun;
use crate::carried;
use crate::report::list::{self, ScenarioEntry};
use crate::report::terminal::{Look, Terminal};
use crate::report::{self, Exit, Listeners, print};
use crate::suite::{self, Cover, DryRun, Partition, Request, SeededLane, Store};
use imalab_check::outcome::{Boot, SuiteResult};
use imalab_language::plan::{self, Interface};
use imalab_language::scenario::{self, Scenario};
use imalab_machine::command::script;
use imalab_run::{Interrupts, Scratch, machine_spec};

/// Errors of scenarios that are told at once.
const SHOWN: usize = 20;

/// Which scenarios.
#[derive(Args)]
#[command(next_help_heading = "Scenarios")]
pub(super) struct Selection {
    /// Scenarios: part of a name, or a pattern with `*` (default: all). A scenario that is `only-when-named` needs its full
    /// name
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Leave out scenarios that match PATTERN (repeatable)
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Directory of scenarios (default: those of the current checkout, else the built-in ones)
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

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

impl Selection {
    /// Those to be listed: without a pattern also those that have to be named to be run.
    fn listed(&self) -> Result<Vec<Scenario>, Failure> {
        self.chosen(true)
    }

    /// Those to be run.
    fn load(&self) -> Result<Vec<Scenario>, Failure> {
        self.chosen(false)
    }

    fn chosen(&self, unnamed: bool) -> Result<Vec<Scenario>, Failure> {
        let all = self.load_all()?;
        for pattern in &self.patterns {
            let taken = all.iter().any(|scenario| takes(pattern, scenario));
            let other = all.iter().find(|scenario| matches(pattern, &scenario.id));
            if !taken {
                return Err(no_match(pattern, other));
            }
        }
        for pattern in &self.exclude {
            if !all.iter().any(|scenario| matches(pattern, &scenario.id)) {
                return Err(no_match(pattern, None));
            }
        }
        Ok(all.into_iter().filter(|scenario| self.wants(scenario, unnamed)).collect())
    }

    /// The directory of scenarios.
    fn folder(&self) -> Result<PathBuf, Failure> {
        folder(self.scenarios.as_deref())
    }

    fn load_all(&self) -> Result<Vec<Scenario>, Failure> {
        scenario::load_all(&self.folder()?).map_err(|errors| {
            let count = errors.len();
            let mut reports = errors.into_iter().map(miette::Report::new);
            // All but the last are told here, so that everything can be mended at once.
            let last = reports.next_back();
            for report in reports.by_ref().take(SHOWN - 1) {
                report::fail(Exit::Usage, &report);
            }
            if count > SHOWN {
                print::note(&format!("and {} more like these; the last of them:", count - SHOWN));
            }
            Failure::usage(last.unwrap_or_else(|| miette!("{count} scenarios could not be read")))
        })
    }

    /// Whether a scenario is to be taken; `unnamed`: also where it has to be named and nobody names any.
    fn wants(&self, scenario: &Scenario, unnamed: bool) -> bool {
        let asked = match self.patterns.as_slice() {
            [] => unnamed || !scenario.only_when_named,
            patterns => patterns.iter().any(|pattern| takes(pattern, scenario)),
        };
        asked && !self.exclude.iter().any(|pattern| matches(pattern, &scenario.id))
    }
}

/// The directory of scenarios: the one that is given, or that of the checkout that this is in, or what imalab carries.
pub(super) fn folder(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    let home = carried::home(&machines::cache()).map_err(|error| Failure::of_kernels(&error))?;
    Ok(home.join(carried::SCENARIOS))
}

/// A pattern for nothing, or for what runs only by its full name.
fn no_match(pattern: &str, other: Option<&Scenario>) -> Failure {
    let help = match other {
        None => "`list` shows their names".to_owned(),
        Some(other) => format!("`{}` runs only by its full name", other.id),
    };
    Failure {
        exit: Exit::NothingRan,
        error: miette!(help = help, "no scenario matches `{}`", pattern.escape_debug()),
    }
}

/// Whether a pattern takes a scenario.
fn takes(pattern: &str, scenario: &Scenario) -> bool {
    if scenario.only_when_named { pattern == scenario.id } else { matches(pattern, &scenario.id) }
}

/// Whether `pattern` names `id`: a part of it, or with `*` the whole of it.
fn matches(pattern: &str, id: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    if first == pattern {
        return id.contains(pattern);
    }
    let Some(mut rest) = id.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Lists scenarios.
pub(super) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let entries: Vec<ScenarioEntry> = args
        .selection
        .listed()?
        .iter()
        .map(|scenario| {
            let listing = scenario.listing();
            ScenarioEntry {
                scenario: listing.id,
                summary: listing.summary,
                needs: listing.needs.iter().map(ToString::to_string).collect(),
                runs: listing.runs,
                only_when_named: listing.only_when_named,
            }
        })
        .collect();
    let mut out = io::stdout().lock();
    let told = if args.json {
        list::json(&entries, &mut out)
    } else {
        list::table(&entries, Look::detect(), &mut out)
    };
    told.map_err(Failure::setup)?;
    Ok(Exit::Passed)
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
    use rstest::rstest;

    use super::{Exit, Selection, matches, timeout_scale};
    use imalab_language::scenario;

    #[test]
    fn time_limits_are_scaled_within_reason() {
        assert_eq!(timeout_scale("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "nan", "inf", "101", "two"] {
            assert!(timeout_scale(wrong).is_err(), "{wrong}");
        }
    }

    #[rstest]
    #[case("stage", "stage/once", true)]
    #[case("once", "stage/once", true)]
    #[case("stage/once", "stage/once", true)]
    #[case("trim", "stage/once", false)]
    #[case("stage/*", "stage/once", true)]
    #[case("*/once", "stage/once", true)]
    #[case("st*ce", "stage/once", true)]
    #[case("stage*", "restage/once", false)]
    #[case("*once*twice", "stage/once", false)]
    #[case("*", "stage/once", true)]
    fn patterns(#[case] pattern: &str, #[case] id: &str, #[case] wanted: bool) {
        assert_eq!(matches(pattern, id), wanted);
    }

    #[rstest]
    #[case::alone(&[], &["scale/m*"], &["scale/thousand"])]
    #[case::from_a_pattern(&["scale/*"], &["thousand"], &[])]
    #[case::from_a_name(&["scale/million", "scale/t*"], &["million"], &["scale/thousand"])]
    fn what_is_excluded_is_left_out(
        #[case] patterns: &[&str],
        #[case] exclude: &[&str],
        #[case] taken: &[&str],
    ) {
        let folder = two_scenarios();
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let selection = Selection {
            patterns: own(patterns),
            exclude: own(exclude),
            scenarios: Some(folder.path().to_owned()),
        };
        let chosen = selection.load().ok().unwrap();
        assert_eq!(chosen.iter().map(|scenario| scenario.id.as_str()).collect::<Vec<_>>(), taken);
        let wrong = Selection { exclude: vec!["hundred".to_owned()], ..selection };
        assert_eq!(wrong.load().err().unwrap().exit, Exit::NothingRan, "it would exclude nothing");
    }

    /// One that has to be named to be run, and one that has not.
    fn two_scenarios() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("scale")).unwrap();
        let text = |more: &str| format!("summary: s\npromise: p\n{more}steps:\n  - stage\n");
        for (name, more) in [("thousand", ""), ("million", "only-when-named: true\n")] {
            std::fs::write(folder.path().join(format!("scale/{name}.yaml")), text(more)).unwrap();
        }
        folder
    }

    #[rstest]
    #[case::all(&[], &["scale/thousand"])]
    #[case::part(&["scale"], &["scale/thousand"])]
    #[case::any(&["*"], &["scale/thousand"])]
    #[case::its_name(&["scale/million"], &["scale/million"])]
    #[case::with_others(&["scale/m*", "scale/million", "thousand"], &["scale/million", "scale/thousand"])]
    fn some_are_taken_by_their_whole_name_alone(#[case] patterns: &[&str], #[case] taken: &[&str]) {
        let folder = two_scenarios();
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let selection =
            Selection { patterns, exclude: Vec::new(), scenarios: Some(folder.path().to_owned()) };
        let all = scenario::load_all(folder.path()).unwrap();
        let wanted = all.iter().filter(|scenario| selection.wants(scenario, false));
        assert_eq!(wanted.map(|scenario| scenario.id.as_str()).collect::<Vec<_>>(), taken);
        // Listed are all.
        assert_eq!(
            selection.listed().map(|listed| listed.len()).ok(),
            match selection.patterns.len() {
                0 => Some(2),
                3 => None,
                _ => Some(1),
            }
        );
    }
}
