//! `imalab explore`: races that nobody wrote a scenario for.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use miette::miette;

use super::Failure;
use super::lane::proved_plugin;
use super::machines::MachineArgs;
use crate::explore::{
    Bounds, Campaign, CampaignEvent, Dir, DirError, Lab, Limits, Sign, State, Stop, core_ms, explore,
};
use crate::report::run_dir::hash_file;
use crate::report::{Exit, print};
use crate::suite;
use imalab_check::outcome::{Boot, Outcome};
use imalab_explore::Known;
use imalab_language::scenario;
use imalab_machine::accel::Accel;
use imalab_run::{Forks, Kernel, RunContext};

#[derive(Args)]
pub(super) struct ExploreArgs {
    #[command(flatten)]
    machines: MachineArgs,
    /// Start no program after TIME: `90s`, `10m`, `3h`
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10m")]
    budget: Duration,
    /// Run at most N programs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    programs: Option<u64>,
    /// Run each program under N schedules, and under N more when these show something new
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..10_000))]
    schedules: u64,
    /// Use at most N runs to reproduce and shrink a failure
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..))]
    shrink_runs: u32,
    /// Seed of the programs and their schedules (default: 1)
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    seed: Option<u64>,
    /// Run N machines in parallel
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Resume runs from a machine that was booted once and saved (`fork`), or boot each (`cold`)
    #[arg(long, value_name = "fork|cold", value_parser = super::test::boot, conflicts_with = "resume", default_value = "fork")]
    boot: Boot,
    /// Keep the campaign in DIR, a new directory (default: in the cache, named after kernel and seed)
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Continue the campaign in DIR
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Directory of scenarios whose known defects are not reported as new (default: as for `test`)
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
}

/// Takes a time: a number with `s`, `m` or `h`.
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number with `s`, `m` or `h`: 90s, 10m, 3h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Between two lines on how it goes.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Runs programs until the budget is used up.
pub(super) fn run(args: &ExploreArgs) -> Result<Exit, Failure> {
    let machines = args.machines.ready()?;
    let [kernel] = machines.kernels.as_slice() else {
        return Err(Failure::usage(miette!("a campaign runs on one kernel: name one")));
    };
    let surroundings = &args.machines.surroundings;
    let plugin = proved_plugin(surroundings)?;
    imalab_run::has_symbols(&kernel.image).map_err(Failure::usage_of)?;
    let scenarios =
        scenario::load_all(&super::selection::folder(args.scenarios.as_deref())?).map_err(|errors| {
            let first = errors.into_iter().next().map(miette::Report::new);
            Failure::usage(first.unwrap_or_else(|| miette!("the scenarios could not be read")))
        })?;
    let sha256 = hash_file(&kernel.image).map_err(Failure::of_file)?.sha256;
    let (dir, state, corpus) = begin(args, kernel, &sha256)?;
    let (scratch, interrupts) = surroundings.claim()?;
    let context = RunContext {
        kernel: &kernel.image,
        initramfs: &machines.initramfs,
        kernels: &machines.kernels,
        accel: Accel::Tcg,
        qemu: &surroundings.qemu,
        swtpm: &surroundings.swtpm,
        timeout_scale: 1.0,
        scratch: &scratch,
        interrupts: &interrupts,
        seeded: None,
        forks: None,
        debugger: None,
    };
    let mut booting = || print::note(&format!("asking kernel {} what it offers", kernel.name));
    let capabilities = suite::capabilities(context, &[], None, &surroundings.cache, &mut booting);
    let capabilities = match capabilities {
        Ok(capabilities) => capabilities,
        Err(_) if interrupts.seen() => return Ok(Exit::Interrupted),
        Err(error) => return Err(Failure::setup(error)),
    };
    let known = Known::of(&scenarios, &capabilities.release);
    print::note(&format!(
        "exploring {} ({}) from seed {}, in {}; {} defects of it are known",
        kernel.name,
        capabilities.release,
        state.seed,
        dir.path().display(),
        known.len()
    ));
    let forks = Forks::default();
    let lab = Lab {
        kernel,
        capabilities: &capabilities,
        surroundings: context,
        cache: &surroundings.cache,
        plugin: &plugin,
        forks: (state.boot == Boot::Fork).then_some(&forks),
        seed: state.seed,
    };
    let bounds = Bounds {
        budget: args.budget,
        programs: args.programs,
        schedules: args.schedules,
        jobs: usize::from(args.jobs),
        limits: Limits { runs: args.shrink_runs },
    };
    let mut campaign = Campaign { lab: &lab, dir, state, corpus, known, bounds, cores: core_ms() };
    let stop = explore(&mut campaign, &mut teller());
    end(&campaign, stop)
}

/// A new campaign, or one that is gone on with.
fn begin(
    args: &ExploreArgs,
    kernel: &Kernel,
    sha256: &str,
) -> Result<(Dir, State, Vec<imalab_explore::Program>), Failure> {
    if let Some(path) = &args.resume {
        let (dir, state, corpus) = Dir::resume(path).map_err(of_dir)?;
        if state.kernel != sha256 {
            return Err(Failure::usage(miette!(
                help = "name the kernel that it began with, or begin another campaign",
                "the campaign in {} is on another kernel than {}",
                path.display(),
                kernel.name
            )));
        }
        return Ok((dir, state, corpus));
    }
    let seed = args.seed.unwrap_or(1);
    let cache = || args.machines.surroundings.cache.join("explore").join(format!("{}-{seed}", kernel.name));
    let dir = Dir::create(&args.out.clone().unwrap_or_else(cache)).map_err(of_dir)?;
    let state = State::new(seed, sha256.to_owned(), args.boot);
    dir.write(&state).map_err(Failure::of_file)?;
    Ok((dir, state, Vec::new()))
}

fn of_dir(error: DirError) -> Failure {
    match error {
        DirError::File(error) => Failure::of_file(error),
        error => Failure::usage(error),
    }
}

/// Tells what is new at once, and how it goes from time to time.
fn teller() -> impl FnMut(CampaignEvent<'_>) {
    let mut told = Instant::now();
    move |what| match what {
        CampaignEvent::Program(state) => {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                print::note(&progress(state));
            }
        }
        CampaignEvent::Known { name, state } => print::note(&format!(
            "known: {name}, by program {} after {} schedules and {} s of CPU time",
            state.programs + 1,
            state.schedules,
            state.core_ms / 1000
        )),
        CampaignEvent::Pursues(sign) => print::note(&format!("{sign}: trying to reproduce it")),
        CampaignEvent::Found(found) => print::note(&format!(
            "found: {} ({}), by program {} after {} schedules; {} steps and {} preemptions are left{}",
            found.name,
            found.sign,
            found.program + 1,
            found.after,
            found.steps,
            found.preemptions,
            beside(&found.beside)
        )),
        CampaignEvent::Fleeting(fleeting) => print::note(&format!(
            "{} by program {} did not reproduce: {}. This is a defect of imalab or QEMU",
            fleeting.sign,
            fleeting.program + 1,
            fleeting.why
        )),
    }
}

fn beside(names: &std::collections::BTreeSet<String>) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!(". It may be a consequence of known defects: {}", names.join(", "))
}

/// How it goes, in a line.
fn progress(state: &State) -> String {
    let core_s = state.core_ms as f64 / 1000.0;
    let runs = state.schedules + state.retries;
    format!(
        "{} programs, {} schedules ({:.2} per CPU second), {} states, {} points and {} pairs, {} kept; known: {}, new: {}",
        state.programs,
        state.schedules,
        if core_s > 0.0 { runs as f64 / core_s } else { 0.0 },
        state.seen.states.len(),
        state.seen.points.blocks.len(),
        state.seen.points.pairs.len(),
        state.corpus,
        state.known.len(),
        state.found.len()
    )
}

/// Tells what came of it.
fn end(campaign: &Campaign<'_>, stop: Stop) -> Result<Exit, Failure> {
    let state = &campaign.state;
    let mut lines = vec![progress(state)];
    lines.extend(state.known.iter().map(|(name, times)| format!("known: {name}, {times} times")));
    for found in &state.found {
        let times = found.times;
        let path = campaign.dir.scenario(&found.name);
        lines.push(format!(
            "new: {}, {times} times: {}{}",
            found.sign,
            path.display(),
            beside(&found.beside)
        ));
        if let Some(bundle) = &found.bundle {
            lines.push(format!("  {} repro {}", imalab_print::front(), shown(bundle)));
        }
    }
    for fleeting in &state.fleeting {
        lines.push(format!("not reproduced: {}: {}", fleeting.sign, fleeting.why));
    }
    for line in lines {
        print::line(&line).map_err(Failure::setup)?;
    }
    match stop {
        Stop::Done => Ok(exit(state)),
        Stop::Interrupted => Ok(Exit::Interrupted),
        Stop::Trouble(trouble) => Err(Failure {
            exit: Exit::Infra,
            error: miette!(
                help = format!("`--resume {}` continues it", shown(campaign.dir.path())),
                "the campaign cannot continue: {}",
                trouble.told()
            ),
        }),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// What was found decides, then what did not show again. A campaign in which nothing ran has shown nothing.
fn exit(state: &State) -> Exit {
    if state.schedules == 0 {
        return Exit::NothingRan;
    }
    let of = |sign: &Sign| match sign.outcome {
        Outcome::KernelDied => Exit::KernelDied,
        Outcome::Infra => Exit::Infra,
        _ => Exit::ScenarioFailed,
    };
    let fleeting = if state.fleeting.is_empty() { Exit::Passed } else { Exit::Infra };
    state.found.iter().map(|found| of(&found.sign)).fold(fleeting, Exit::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_ran_nothing_holds() {
        let mut state = State::new(1, "sha".to_owned(), Boot::Fork);
        assert_eq!(exit(&state), Exit::NothingRan);
        state.schedules = 1;
        assert_eq!(exit(&state), Exit::Passed);
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("3h"), Ok(Duration::from_secs(10_800)));
        for wrong in ["", "m", "10", "10x", "-1s", "1.5h", "18446744073709551615h", "1ä"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
