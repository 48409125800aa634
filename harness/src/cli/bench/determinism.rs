//! `imalab bench determinism`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::super::Failure;
use super::{BenchArgs, print_line};
use crate::bench::{Determinism, Load, Print, Repetition};
use crate::report::Exit;
use crate::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult};

#[derive(Args)]
pub(super) struct DeterminismArgs {
    /// Repeat the seed N times
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(2..))]
    repeats: u32,
    /// Seed to repeat
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Scenario to run, by its full name
    #[arg(value_name = "SCENARIO", default_value = "race/stager-and-trimmer")]
    scenario: String,
    /// Strategy, as `test --strategy` takes it
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<String>,
    /// As `test --boot` takes it
    #[arg(long, value_name = "fork|cold")]
    boot: Option<String>,
    /// Keep the evidence of every run in DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// QEMU to prove, even if it is not on the list yet (default: the one in the PATH)
    #[arg(long, value_name = "PROGRAM")]
    qemu: Option<PathBuf>,
    /// Plugin to prove (default: the one that was built with this program)
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
}

impl BenchArgs {
    /// The same seed again and again. Another run is a failure of the harness, whatever the runs say of the kernel.
    pub(super) fn determinism(&self, args: &DeterminismArgs) -> Result<Exit, Failure> {
        let temporary = tempfile::tempdir().map_err(Failure::setup)?;
        let out = args.out.as_deref().unwrap_or_else(|| temporary.path());
        let repeats = args.repeats.to_string();
        let seed = args.seed.to_string();
        let words =
            ["--lane", "deterministic", "--unproved", "--same-seed", "--repeat", &repeats, "--seed", &seed];
        let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
        words.extend([args.scenario.as_str().into(), "--out".into(), out.into()]);
        let paths = [("--qemu", &args.qemu), ("--plugin", &args.plugin)];
        for (option, path) in paths.iter().filter_map(|(option, path)| Some((option, path.as_ref()?))) {
            words.extend([option.into(), path.into()]);
        }
        words.extend(args.boot.iter().flat_map(|boot| ["--boot".into(), boot.into()]));
        words.extend(args.strategy.iter().flat_map(|strategy| ["--strategy".into(), strategy.into()]));
        let busy = Load::start(std::thread::available_parallelism().map_or(1, usize::from));
        let (exit, results) =
            self.run(&super::super::selection::folder(self.scenarios.as_deref())?, &words, 1)?;
        drop(busy);
        if results.interrupted {
            return Ok(exit);
        }
        let mut cases: BTreeMap<String, Vec<Repetition>> = BTreeMap::new();
        let ran = |run: &&RunResult| run.outcome != Outcome::Skipped;
        for run in results.runs.iter().filter(ran) {
            let id = RunId { repeat: 1, ..RunId::of(run) };
            // A run without a schedule is one of its own.
            let print = Print::of(run).map_err(|error| error.to_string());
            cases.entry(id.to_string()).or_default().push((print, run.wall_ms));
        }
        let cases: BTreeMap<String, Determinism> =
            cases.into_iter().map(|(name, runs)| (name, Determinism::of(args.seed, runs))).collect();
        for (name, case) in &cases {
            print_line(name)?;
            case.lines().iter().try_for_each(|line| print_line(line))?;
        }
        self.keep(&cases)?;
        if cases.is_empty() {
            return Ok(exit);
        }
        // Whatever the runs say of the kernel was said by `test`.
        Ok(if cases.values().all(Determinism::holds) { Exit::Passed } else { Exit::Infra })
    }
}
