//! How fast `imalab verify` is beside `evmctl ima_measurement`, and how much memory both take.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;
use wait4::Wait4;

use super::generate::{GenerateLogArgs, generate, pcrs_path};
use imalab_formats::ima::{Bank, Mix};

/// The banks that evmctl 1.4 replays (`init_tpm_banks`, `evmctl.c`).
const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];

/// Compare `imalab verify` with `evmctl ima_measurement` on generated lists
#[derive(Clone, Debug, clap::Args)]
pub struct SpeedArgs {
    /// List length for imalab, in records
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub records: u64,

    /// List length for evmctl, in records; records per second are compared
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub evmctl_records: u64,

    /// Run each N times, in turns
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// imalab on the whole list, a run a round.
    pub imalab: Vec<Sample>,
    /// imalab on a tenth of it, once: its memory should be the same.
    pub imalab_tenth: Sample,
    /// evmctl, a run a round.
    pub evmctl: Vec<Sample>,
    /// Median over the rounds of imalab's records per second divided by evmctl's.
    pub ratio: f64,
}

/// One run of a verifier.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Records in the list.
    pub records: u64,
    /// Wall time from spawning to exit, seconds.
    pub seconds: f64,
    /// Most memory that was resident at a time, bytes (`ru_maxrss`).
    pub peak_rss: u64,
}

impl Sample {
    /// Records per second.
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    /// The lists could not be made.
    #[error("cannot make a measurement list")]
    Generate(#[source] io::Error),
    /// A verifier could not be started, or its result could not be had.
    #[error("cannot run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A verifier rejected a valid list.
    #[error("{} rejected a valid list: {status}", program.display())]
    Rejected {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// There was no round.
    #[error("expected at least one round")]
    NoRound,
}

/// A made list in a folder of its own.
struct List {
    dir: tempfile::TempDir,
    records: u64,
}

impl List {
    fn make(records: u64) -> Result<List, SpeedError> {
        let dir = tempfile::tempdir().map_err(SpeedError::Generate)?;
        let args = GenerateLogArgs {
            records,
            seed: 1,
            mix: Mix::Common,
            out: dir.path().join("log.bin"),
            pcrs_dir: dir.path().to_owned(),
            banks: BANKS.to_vec(),
        };
        generate(&args).map_err(|error| SpeedError::Generate(error.source))?;
        Ok(List { dir, records })
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log.bin")
    }

    /// `--pcrs <bank>,FILE` for each bank, which both programs take.
    fn pcrs(&self) -> impl Iterator<Item = String> {
        BANKS.iter().flat_map(|bank| {
            let path = pcrs_path(self.dir.path(), *bank);
            ["--pcrs".to_owned(), format!("{bank},{}", path.display())]
        })
    }

    fn verify(&self, imalab: &Path) -> Result<Sample, SpeedError> {
        let mut command = Command::new(imalab);
        command.arg("verify").args(self.pcrs()).arg("--whole").arg("--log").arg(self.log());
        self.time(command)
    }

    fn evmctl(&self) -> Result<Sample, SpeedError> {
        let mut command = Command::new("evmctl");
        // Without the option it extends violations as zeros, which no TPM was given.
        command.args(["ima_measurement", "--ignore-violations"]).args(self.pcrs()).arg(self.log());
        self.time(command)
    }

    fn time(&self, mut command: Command) -> Result<Sample, SpeedError> {
        let program = PathBuf::from(command.get_program());
        let failed = |source| SpeedError::Run { program: program.clone(), source };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let used = command.spawn().and_then(|mut child| child.wait4()).map_err(failed)?;
        let seconds = begin.elapsed().as_secs_f64();
        if !used.status.success() {
            return Err(SpeedError::Rejected { program, status: used.status });
        }
        Ok(Sample { records: self.records, seconds, peak_rss: used.rusage.maxrss })
    }
}

/// Makes the lists, runs both programs by turns and writes a line per round and the outcome to `out`.
///
/// `imalab` is the program to measure, built for release.
///
/// # Errors
///
/// [`SpeedError`], also when either program rejects the list: a fast wrong answer is not a measurement.
pub fn measure(args: &SpeedArgs, imalab: &Path, out: &mut dyn Write) -> Result<Speed, SpeedError> {
    let ours = List::make(args.records)?;
    let theirs = List::make(args.evmctl_records)?;
    let tenth = List::make(args.records / 10)?;
    let mut speed =
        Speed { imalab: Vec::new(), imalab_tenth: tenth.verify(imalab)?, evmctl: Vec::new(), ratio: 0.0 };
    let mut ratios = Vec::new();
    for round in 1..=args.rounds {
        let evmctl = theirs.evmctl()?;
        let imalab = ours.verify(imalab)?;
        let ratio = imalab.rate() / evmctl.rate();
        let line = format!(
            "round {round}: evmctl {:.0} records/s, imalab {:.0} records/s, {ratio:.1} times",
            evmctl.rate(),
            imalab.rate()
        );
        // The figures are in the result; a reader of the lines that went away does not spoil them.
        let _ = writeln!(out, "{line}");
        ratios.push(ratio);
        speed.evmctl.push(evmctl);
        speed.imalab.push(imalab);
    }
    speed.ratio = median(ratios).ok_or(SpeedError::NoRound)?;
    let peak = |samples: &[Sample]| samples.iter().map(|sample| sample.peak_rss >> 10).max().unwrap_or(0);
    let _ = writeln!(
        out,
        "median {:.1} times; peak resident memory: evmctl {} KiB ({} records), imalab {} KiB ({} records), {} \
         KiB ({} records)",
        speed.ratio,
        peak(&speed.evmctl),
        args.evmctl_records,
        peak(&speed.imalab),
        args.records,
        speed.imalab_tenth.peak_rss >> 10,
        tenth.records
    );
    Ok(speed)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
