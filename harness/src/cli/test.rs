//! `imalab test` and `imalab list`.

use std::io;
use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;
use super::demands::Demands;
use super::machines::MachineArgs;
use super::reports::ReportArgs;
use crate::report::list::{self, ScenarioEntry};
use crate::report::terminal::Look;
use crate::report::{self, Exit, Listeners, say};
use crate::suite::{self, Partition, Request, Store};
use imalab_language::lane::Lane;
use imalab_language::plan::{self, Interface, Planned, Shape};
use imalab_language::scenario::{self, Scenario};
use imalab_machine::command::script;
use imalab_run::{Interrupts, Scratch, machine_spec};

/// Errors of scenarios that are told at once.
const TOLD: usize = 20;

/// Which scenarios.
#[derive(Args)]
pub(super) struct Selection {
    /// Scenarios to take: a part of the name, or a pattern with `*`; without any, all. Those that are `only-when-named`
    /// are taken by their whole name alone
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Folder of the scenarios
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    scenarios: PathBuf,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Prints JSON
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
    /// A word for every kernel's command line; may be given several times. Words that change what is measured before a
    /// scenario loads its policy are refused: a scenario gives them itself
    #[arg(long = "kernel-arg", value_name = "WORD", allow_hyphen_values = true)]
    kernel_args: Vec<String>,
    /// Lane: what decides the order in which a guest's processors run
    #[arg(long, value_name = "LANE", default_value_t)]
    lane: Lane,
    /// Holds every kernel to the promises of NAME, whatever interface it is seen to have: `upstream`, `rfc-v2@posted`, ...
    #[arg(long, value_name = "NAME")]
    promises: Option<Interface>,
    /// Machines side by side; without it, as many as the host has processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Runs each scenario so often; every repetition has a seed of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Runs a part of the suite, as `slice:1/3` or `hash:1/3`; `merge` puts the results together
    #[arg(long, value_name = "PART")]
    partition: Option<Partition>,
    /// Decides whatever a scenario leaves to chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Keeps every run's evidence in a folder of its own below DIR, and the results beside them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    reports: ReportArgs,
    /// Prints the commands that would start each machine, ready to paste, and runs no scenario
    #[arg(long)]
    dry_run: bool,
}

impl Selection {
    /// Those to be listed: all that there are, where nobody asks for some.
    fn listed(&self) -> Result<Vec<Scenario>, Failure> {
        if self.patterns.is_empty() { self.load_all() } else { self.load() }
    }

    fn load(&self) -> Result<Vec<Scenario>, Failure> {
        let all = self.load_all()?;
        for pattern in &self.patterns {
            if all.iter().any(|scenario| takes(pattern, scenario)) {
                continue;
            }
            let help = match all.iter().find(|scenario| matches(pattern, &scenario.id)) {
                None => "`list` shows their names".to_owned(),
                Some(other) => format!("`{}` is taken by its whole name alone", other.id),
            };
            return Err(Failure {
                exit: Exit::NothingRan,
                error: miette!(help = help, "no scenario matches `{pattern}`"),
            });
        }
        Ok(all.into_iter().filter(|scenario| self.wants(scenario)).collect())
    }

    fn load_all(&self) -> Result<Vec<Scenario>, Failure> {
        scenario::load_all(&self.scenarios).map_err(|errors| {
            let count = errors.len();
            let mut reports = errors.into_iter().map(miette::Report::new);
            // All but the last are told here, so that everything can be mended at once.
            let last = reports.next_back();
            for report in reports.by_ref().take(TOLD - 1) {
                report::fail(Exit::Usage, &report);
            }
            if count > TOLD {
                say::note(&format!("and {} more like these; the last of them:", count - TOLD));
            }
            Failure::usage(last.unwrap_or_else(|| miette!("{count} scenarios could not be read")))
        })
    }

    /// Whether a scenario is to be taken.
    fn wants(&self, scenario: &Scenario) -> bool {
        match self.patterns.as_slice() {
            [] => !scenario.only_when_named,
            patterns => patterns.iter().any(|pattern| takes(pattern, scenario)),
        }
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
    let scenarios = args.selection.load()?;
    check_words(&args.kernel_args)?;
    args.machines.check()?;
    let kernels = args.demands.of(&args.machines.kernels)?;
    let (scratch, interrupts) = args.machines.surroundings.claim()?;
    let surroundings = &args.machines.surroundings;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let request = Request {
        kernels: &kernels,
        initramfs: args.machines.initramfs.clone(),
        kernel_args: args.kernel_args.clone(),
        scenarios: &scenarios,
        jobs: args.jobs.map_or(processors, usize::from),
        repeat: args.repeat,
        partition: args.partition,
        seed: args.seed,
        lane: args.lane.implemented().map_err(Failure::usage_of)?,
        promises: args.promises,
        accelerator: surroundings.accelerator(),
        qemu: surroundings.qemu.clone(),
        swtpm: surroundings.swtpm.clone(),
        cache: surroundings.cache.clone(),
        store: Store {
            out: args.out.clone(),
            bundles: surroundings.cache.join("bundles"),
            scenarios: args.selection.scenarios.clone(),
        },
    };
    if args.dry_run {
        return dry_run(&request, &scratch, &interrupts);
    }
    request.store.prepare().map_err(Failure::of_file)?;
    let results = args.out.as_ref().map(|out| out.join(report::merge::RESULTS));
    let mut listeners =
        Listeners::of(&args.reports.files(), results.as_deref()).map_err(Failure::of_reports)?;
    let suite = suite::suite(&request, &scratch, &interrupts, &mut listeners).map_err(Failure::usage)?;
    Ok(Exit::of(&suite).and(listeners.exit()))
}

/// Refuses words for every kernel's command line by which sound kernels would fail.
fn check_words(words: &[String]) -> Result<(), Failure> {
    let Some((word, change)) = plan::unfit(words) else { return Ok(()) };
    if matches!(change, plan::Change::Form | plan::Change::Rest) {
        return Err(Failure::usage(miette!("--kernel-arg {word}: {}", change.why())));
    }
    Err(Failure::usage(miette!(
        help = format!(
            "a scenario that is about it gives the word itself, `machine: {{kernel-args: [\"{word}\"]}}`, and expects what \
             comes of it; `shell --kernel-arg` takes any"
        ),
        "--kernel-arg {word}: {}",
        change.why()
    )))
}

/// Prints how each machine would be started. A kernel that was never asked what it can do is asked, since that
/// decides what is planned.
fn dry_run(request: &Request<'_>, scratch: &Scratch, interrupts: &Interrupts) -> Result<Exit, Failure> {
    let mut exit = Exit::Passed;
    for kernel in request.kernels {
        let context = request.context(kernel, scratch, interrupts);
        let known = match suite::capabilities(context, &request.kernel_args, request.promises, &request.cache)
        {
            Err(_) if interrupts.seen() => return Ok(Exit::Interrupted),
            known => known.map_err(Failure::setup)?,
        };
        for finding in &known.findings {
            exit = Exit::ScenarioFailed;
            report::say::line(&format!("# {} on {}: {finding}", suite::PROBE, kernel.name))
                .map_err(Failure::setup)?;
        }
        for scenario in request.scenarios {
            for parameters in plan::expand(scenario) {
                let planned = plan::plan(scenario, &parameters, &known, known.interface, request.seed)
                    .map_err(Failure::usage_of)?;
                let title = format!("# {} {parameters:?} on {}", scenario.id, kernel.name);
                let text = match planned {
                    Planned::Skip(skip) => format!("{title}: skipped: {}", skip.reason),
                    Planned::Plan(plan) => {
                        let kernel_args = plan::words_of(&request.kernel_args, &plan.machine.kernel_args);
                        let shape = Shape { kernel_args, ..plan.machine };
                        let spec = machine_spec(context, &shape, request.initramfs.clone(), None);
                        format!("{title}\n{}", script(&spec, true))
                    }
                };
                say::line(&text).map_err(Failure::setup)?;
            }
        }
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Selection, matches};
    use imalab_language::scenario;

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
    #[case::all(&[], &["scale/thousand"])]
    #[case::part(&["scale"], &["scale/thousand"])]
    #[case::any(&["*"], &["scale/thousand"])]
    #[case::its_name(&["scale/million"], &["scale/million"])]
    #[case::with_others(&["scale/m*", "scale/million", "thousand"], &["scale/million", "scale/thousand"])]
    fn some_are_taken_by_their_whole_name_alone(#[case] patterns: &[&str], #[case] taken: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("scale")).unwrap();
        let text = |more: &str| format!("summary: s\npromise: p\n{more}steps:\n  - stage\n");
        for (name, more) in [("thousand", ""), ("million", "only-when-named: true\n")] {
            std::fs::write(folder.path().join(format!("scale/{name}.yaml")), text(more)).unwrap();
        }
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let selection = Selection { patterns, scenarios: folder.path().to_owned() };
        let all = scenario::load_all(folder.path()).unwrap();
        let wanted = all.iter().filter(|scenario| selection.wants(scenario));
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
