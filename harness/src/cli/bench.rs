//! `imalab bench` and the hidden `imalab generate-log`.

mod determinism;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use miette::miette;
use serde::Serialize;

use super::machines::{MachineArgs, Machines, Surroundings, kernel};
use super::{Cli, Failure, selection, test};
use crate::bench::{self, BootError, PlotError};
use crate::report::run_dir::{RunDir, TRACE};
use crate::report::{self, Escaping, Exit, print, trace};
use determinism::DeterminismArgs;
use imalab_check::StepSummary;
use imalab_check::figures::Held;
use imalab_check::outcome::{RunResult, SuiteResult};
use imalab_files::{atomic, output};
use imalab_kernels::choice::Choice;
use imalab_run::{Kernel, RunContext};
use imalab_verify::speed::{self, SpeedArgs};
use imalab_verify::{GenerateLogArgs, generate};

/// What is the same for all benchmarks stands before or behind the benchmark's name: `cargo xtask bench` passes all of
/// it, whichever is asked for.
#[derive(Args)]
pub(super) struct BenchArgs {
    /// Kernels by name, as `kernel list` shows them (`boot` takes one; others: repeatable)
    #[arg(long = "kernel", value_name = "NAME,...", value_delimiter = ',', global = true)]
    names: Vec<String>,
    /// Kernel name and existing x86 boot image, instead of --kernel
    #[arg(long = "kernel-image", value_name = "NAME=BZIMAGE", value_parser = kernel, global = true)]
    kernels: Vec<Kernel>,
    /// Initramfs with the agent as /init
    #[arg(long, value_name = "FILE", global = true)]
    initramfs: Option<PathBuf>,
    /// Directory of scenarios
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) scenarios: Option<PathBuf>,
    /// Write the figures as JSON to FILE
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Compare the boot of a machine with bare QEMU
    Boot(BootArgs),
    /// Compare `imalab verify` with `evmctl ima_measurement`
    Verify(SpeedArgs),
    /// Show where the time of a suite goes
    Suite(SuiteArgs),
    /// Measure how long stage, delete and trim block others, by list length
    Latency(LatencyArgs),
    /// Repeat one seed of the deterministic lane while every CPU is busy, and compare all output of the runs
    Determinism(DeterminismArgs),
    /// Compare the kernel interfaces: calls, latency, memory, two agents, kexec (Markdown)
    Interfaces(InterfacesArgs),
}

#[derive(Args)]
struct BootArgs {
    /// Boot each machine N times, in turns
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    surroundings: Surroundings,
}

#[derive(Args)]
struct SuiteArgs {
    /// Run N machines in parallel
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Use the results of `imalab test --json FILE` with the same `--jobs`, and run nothing
    #[arg(long, value_name = "FILE", conflicts_with = "test")]
    results: Option<PathBuf>,
    /// Arguments of `imalab test`: patterns, and after `--` its flags
    #[arg(value_name = "ARGUMENT")]
    test: Vec<OsString>,
}

#[derive(Args)]
struct LatencyArgs {
    #[command(flatten)]
    lists: ListArgs,
    /// Use the results of `imalab test --json FILE`, and run nothing
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

#[derive(Args)]
struct InterfacesArgs {
    #[command(flatten)]
    lists: ListArgs,
    /// Use the results of `imalab test --out DIR` of these scenarios, and run nothing
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

/// What is measured by the length of the list.
#[derive(Args)]
struct ListArgs {
    /// List lengths to measure, in records
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        default_values_t = [100, 1_000, 10_000],
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    sizes: Vec<u64>,
    /// Repeat each N times
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Draw the figures as two SVG files in DIR
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

/// Measures.
pub(super) fn bench(args: &BenchArgs) -> Result<Exit, Failure> {
    print_line(&bench::host())?;
    match &args.what {
        What::Boot(boot) => args.boot(boot),
        What::Verify(speed) => {
            let program = program()?;
            let figures = speed::measure(speed, &program, &mut Escaping::text(io::stdout().lock()))
                .map_err(Failure::setup)?;
            args.keep(&figures)?;
            Ok(Exit::Passed)
        }
        What::Suite(suite) => args.suite(suite),
        What::Latency(latency) => args.latency(latency),
        What::Interfaces(interfaces) => args.interfaces(interfaces),
        What::Determinism(determinism) => args.determinism(determinism),
    }
}

/// Makes a list.
pub(super) fn generate_log(args: &GenerateLogArgs) -> Result<Exit, Failure> {
    generate(args).map_err(Failure::of_file)?;
    Ok(Exit::Passed)
}

pub(super) fn print_line(text: &str) -> Result<(), Failure> {
    print::line(text).map_err(Failure::setup)
}

fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(Failure::setup)
}

impl BenchArgs {
    fn boot(&self, args: &BootArgs) -> Result<Exit, Failure> {
        let machines = self.machines(&args.surroundings)?;
        let [kernel] = machines.kernels.as_slice() else {
            return Err(Failure::usage(miette!("`bench boot` takes one kernel")));
        };
        let (scratch, interrupts) = args.surroundings.claim()?;
        let choice = args.surroundings.accelerator();
        print_line(&format!("kernel {}; accelerator {}: {}", kernel.name, choice.accel, choice.reason))?;
        let context = RunContext {
            kernel: &kernel.image,
            initramfs: &machines.initramfs,
            kernels: &[],
            accel: choice.accel,
            qemu: &args.surroundings.qemu,
            swtpm: &args.surroundings.swtpm,
            timeout_scale: 1.0,
            scratch: &scratch,
            interrupts: &interrupts,
            seeded: None,
            forks: None,
            debugger: None,
        };
        let told = |number: usize, round: &bench::BootRound| {
            // The figures are kept; a reader of the lines that went away does not spoil them.
            let _ = print::line(&format!(
                "round {number}: imalab {:.0} ms, bare {:.0} ms ({:.2}), without a TPM {:.0} ms ({:.2})",
                round.imalab,
                round.bare,
                round.imalab / round.bare,
                round.bare_without_tpm,
                round.imalab / round.bare_without_tpm
            ));
        };
        let rounds = usize::try_from(args.rounds).unwrap_or(usize::MAX);
        let boot = match bench::boot(context, rounds, told) {
            Ok(boot) => boot,
            Err(error @ BootError::Interrupted) => {
                return Err(Failure { exit: Exit::Interrupted, error: miette!("{error}") });
            }
            Err(error) => return Err(Failure::setup(error)),
        };
        boot.lines().iter().try_for_each(|line| print_line(line))?;
        self.keep(&boot)?;
        Ok(Exit::Passed)
    }

    fn suite(&self, args: &SuiteArgs) -> Result<Exit, Failure> {
        let (exit, results) = match &args.results {
            Some(path) => (Exit::Passed, results(path)?),
            None => self.run(&selection::folder(self.scenarios.as_deref())?, &args.test, args.jobs)?,
        };
        let figures = bench::suite(&results, args.jobs.into());
        figures.lines().iter().try_for_each(|line| print_line(line))?;
        self.keep(&figures)?;
        Ok(exit)
    }

    fn latency(&self, args: &LatencyArgs) -> Result<Exit, Failure> {
        let lists = &args.lists;
        let (exit, results) = match &args.results {
            Some(path) => (Exit::Passed, results(path)?),
            None => self.run_each(lists, [("held-up", bench::held_up(&lists.sizes))], &[])?,
        };
        let growth = bench::growth(&results);
        growth.lines().iter().try_for_each(|line| print_line(line))?;
        if let Some(folder) = &lists.svg {
            draw(folder, "latency-growth.svg", bench::growth_plot(&growth))?;
            draw(folder, "latency-histograms.svg", bench::histograms(&growth))?;
        }
        self.keep(&growth)?;
        Ok(exit)
    }

    fn interfaces(&self, args: &InterfacesArgs) -> Result<Exit, Failure> {
        let lists = &args.lists;
        let out = tempfile::tempdir().map_err(Failure::setup)?;
        let (exit, results) = match &args.results {
            Some(path) => (Exit::Passed, results(path)?),
            None => {
                let out = ["--out".into(), out.path().into()];
                self.run_each(lists, bench::interfaces::scenarios(&lists.sizes), &out)?
            }
        };
        let compared = bench::interfaces::compare(&results, steps_of)?;
        compared.lines().iter().try_for_each(|line| print_line(line))?;
        if let Some(folder) = &lists.svg {
            let kernels: Vec<_> =
                compared.kernels.iter().map(|kernel| (kernel.name.as_str(), &kernel.held_up)).collect();
            draw(folder, "interfaces-append.svg", bench::compared(&kernels, Held::Append))?;
            draw(folder, "interfaces-request.svg", bench::compared(&kernels, Held::Writer))?;
        }
        self.keep(&compared)?;
        print_line(&bench::host())?;
        Ok(exit)
    }

    /// Runs scenarios that are no files yet, one machine after the other: side by side they would hold each other up.
    fn run_each<'n>(
        &self,
        lists: &ListArgs,
        scenarios: impl IntoIterator<Item = (&'n str, String)>,
        test: &[OsString],
    ) -> Result<(Exit, SuiteResult), Failure> {
        let folder = tempfile::tempdir().map_err(Failure::setup)?;
        for (name, text) in scenarios {
            std::fs::write(folder.path().join(format!("{name}.yaml")), text).map_err(Failure::setup)?;
        }
        let rounds = ["--repeat".into(), lists.rounds.to_string().into()];
        self.run(folder.path(), &[&rounds, test].concat(), 1)
    }

    /// Runs `imalab test` within this process, so that signals find one process alone.
    pub(super) fn run(
        &self,
        scenarios: &Path,
        test: &[OsString],
        jobs: u16,
    ) -> Result<(Exit, SuiteResult), Failure> {
        let folder = tempfile::tempdir().map_err(Failure::setup)?;
        let json = folder.path().join("results.json");
        let mut words: Vec<OsString> = vec!["imalab".into(), "test".into()];
        words.extend(test.iter().cloned());
        words.extend(["--jobs".into(), jobs.to_string().into()]);
        words.extend(["--scenarios".into(), scenarios.into()]);
        for kernel in &self.kernels {
            let mut pair = OsString::from(format!("{}=", kernel.name));
            pair.push(&kernel.image);
            words.extend(["--kernel-image".into(), pair]);
        }
        words.extend(self.names.iter().flat_map(|name| ["--kernel".into(), name.into()]));
        words.extend(self.initramfs.iter().flat_map(|path| ["--initramfs".into(), path.clone().into()]));
        words.extend(["--json".into(), json.clone().into()]);
        let cli = Cli::try_parse_from(words).map_err(|error| Failure::usage(miette!("{error}")))?;
        let super::Command::Test(test) = cli.command else {
            return Err(Failure::usage(miette!("`bench suite` takes the arguments of `test`")));
        };
        let exit = test::test(&test)?;
        // A call that had nothing to run, such as `--dry-run`, leaves none.
        if !json.exists() {
            return Err(Failure {
                exit,
                error: miette!("`test` left no results, so there is nothing to measure"),
            });
        }
        Ok((
            exit,
            report::json::read(&json).map_err(|error| Failure { exit: Exit::Infra, error: error.into() })?,
        ))
    }

    fn machines(&self, surroundings: &Surroundings) -> Result<Machines, Failure> {
        let choice = Choice { names: self.names.clone(), ..Choice::default() };
        let (kernel_images, initramfs) = (self.kernels.clone(), self.initramfs.clone());
        MachineArgs {
            choice,
            kernel_images,
            initramfs,
            added: Vec::new(),
            surroundings: surroundings.clone(),
        }
        .ready()
    }

    pub(super) fn keep(&self, figures: &impl Serialize) -> Result<(), Failure> {
        self.json.as_deref().map_or(Ok(()), |path| write(path, figures))
    }
}

/// Buckets that times can have, since they are numbers of 64 bits.
const MOST_BUCKETS: usize = 64;

/// The results of an earlier call, which may be somebody else's.
fn results(path: &Path) -> Result<SuiteResult, Failure> {
    let suite = report::json::read(path).map_err(Failure::of_document)?;
    let mut times = suite.runs.iter().flat_map(|run| &run.latency);
    if times.any(|latency| latency.buckets.len() > MOST_BUCKETS) {
        return Err(Failure::usage(miette!("{} holds times that cannot be", path.display())));
    }
    Ok(suite)
}

/// The steps of a run, from its stored trace.
fn steps_of(run: &RunResult) -> Result<Vec<StepSummary>, Failure> {
    let Some(dir) = &run.dir else {
        return Err(Failure::usage(miette!(
            help = "`imalab test --out DIR` keeps it, and the results in DIR name it",
            "these results have no evidence of {}",
            run.scenario
        )));
    };
    let plan = RunDir::existing(dir).read_plan().map_err(Failure::of_document)?;
    let trace = trace::read(&dir.join(TRACE)).map_err(Failure::usage)?;
    Ok(imalab_check::digest(&imalab_check::with_observed(&plan, &trace), &trace).steps())
}

fn draw(folder: &Path, name: &str, picture: Result<String, PlotError>) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::of_file(atomic::FileError::new("create the folder", folder, error)))?;
    let picture = picture.map_err(Failure::setup)?;
    output::write(&folder.join(name), picture.as_bytes()).map_err(Failure::of_file)
}

fn write(path: &Path, figures: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(figures).map_err(Failure::setup)?;
    text.push(b'\n');
    output::write(path, &text).map_err(Failure::of_file)
}
