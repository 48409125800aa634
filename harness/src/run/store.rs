//! What a run leaves on disk: everything below `--out`, or a bundle for a run that did not pass.

use std::path::PathBuf;

use super::kernels;
use super::one::Ran;
use super::suite::{Kernel, Request};
use crate::check::RunLog;
use crate::event::{Host, What};
use crate::ima::{AsciiLine, Bank, ByteOrder, LogReader};
use crate::outcome::{Outcome, RunResult};
use crate::plan::Plan;
use crate::report::RunId;
use crate::report::atomic::FileError;
use crate::report::run_dir::{Bundle, KernelUsed, OutDir, RunDir, hash_file};
use crate::report::trace;

/// Evidence could not be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("a run's evidence could not be kept")]
#[diagnostic(transparent)]
pub struct StoreError(#[from] FileError);

/// Where runs leave their evidence.
#[derive(Clone, Debug)]
pub struct Store {
    /// `--out`: every run has a folder there.
    pub out: Option<PathBuf>,
    /// Where bundles go without `--out`.
    pub bundles: PathBuf,
    /// Folder of the scenarios, for the text of the one that was run.
    pub scenarios: PathBuf,
}

impl Store {
    /// Keeps what `ran` left and notes in `result` where.
    ///
    /// # Errors
    /// When a file cannot be written whole.
    pub fn keep(
        &self,
        result: &mut RunResult,
        plan: &Plan,
        ran: &Ran,
        kernel: &Kernel,
        request: &Request<'_>,
    ) -> Result<(), StoreError> {
        let passed = matches!(result.outcome, Outcome::Passed | Outcome::KnownDefect | Outcome::KnownLimit);
        let place = match &self.out {
            Some(out) => out,
            None if passed => return Ok(()),
            None => &self.bundles,
        };
        let dir = OutDir::create(place)?.run(&RunId::of(result))?;
        if self.out.is_some() {
            result.dir = Some(dir.path().to_owned());
        }
        if !passed {
            result.bundle = Some(dir.path().to_owned());
            result.repro = Some(dir.repro());
        }
        self.write(&dir, result, plan, ran)?;
        if !passed {
            let used = KernelUsed {
                name: kernel.name.clone(),
                release: result.release.clone(),
                image: hash_file(&kernel.image)?,
                config: kernel
                    .image
                    .parent()
                    .map(|folder| folder.join("config"))
                    .filter(|config| config.exists())
                    .map(|config| hash_file(&config))
                    .transpose()?,
                initramfs: hash_file(&request.initramfs)?,
                others: kernels::others(plan, request.kernels)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|other| Ok((other.name.clone(), hash_file(&other.image)?)))
                    .collect::<Result<_, FileError>>()?,
            };
            dir.write_bundle(&Bundle::of(result, used, &dir)?)?;
        }
        Ok(())
    }

    fn write(&self, dir: &RunDir, result: &RunResult, plan: &Plan, ran: &Ran) -> Result<(), FileError> {
        dir.write_plan(plan)?;
        trace::write(&dir.path().join(crate::report::run_dir::TRACE), &ran.trace)?;
        dir.write_console(&ran.console)?;
        dir.write_tpm(&ran.trace)?;
        dir.write_commands(&ran.commands)?;
        let log = RunLog::of(plan, &ran.trace);
        dir.write_log(log.records())?;
        dir.write_records(log.lives())?;
        // Up to the first record whose fields have no text.
        dir.write_lines(log.records().map_while(|record| line(&record)))?;
        let last = ran.trace.notable().rev().find_map(|event| match &event.what {
            What::Pcrs(reading) => Some(reading),
            _ => None,
        });
        if let Some(reading) = last {
            dir.write_pcrs(reading)?;
        }
        for event in ran.trace.notable() {
            match &event.what {
                What::Quote(quote) => dir.write_quote(quote)?,
                What::Host(Host::Processors { text, .. }) => dir.write_processors(text)?,
                _ => {}
            }
        }
        if let Ok(text) = std::fs::read_to_string(self.scenarios.join(format!("{}.yaml", plan.scenario))) {
            dir.write_scenario(&text)?;
        }
        dir.write_result(result)
    }
}

/// A record in the view of SHA-1 as a line; nothing of one that no list showed.
fn line(record: &[u8]) -> Option<Vec<u8>> {
    match LogReader::new(record, Bank::Sha1).next_record() {
        Ok(Some(record)) => Some(AsciiLine::of(record, ByteOrder::Little).ok()?.to_bytes()),
        Ok(None) => Some(Vec::new()),
        Err(_) => None,
    }
}
