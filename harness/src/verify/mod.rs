//! `imalab verify`: judges a measurement list offline, against PCR values or a quote.

mod args;
mod bench;
mod carried;
mod generate;
mod judge;
mod quoted;
pub mod speed;
mod target;
mod trail;
mod verdict;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use args::{PcrsArg, VerifyArgs};
pub use generate::{GenerateLogArgs, generate};
pub use judge::Judge;
pub use quoted::{QuoteFiles, Quoted};
pub use trail::Explanation;
pub use verdict::{BankVerdict, Inconsistency, Outcome, PcrVerdict, QuoteVerdict, Verdict};

use bench::Bench;

use crate::ima::{Bank, LogReader, PcrFileError, PcrValues, ReadError};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A measurement list is not well-formed.
    #[error("malformed measurement list {}{hint}", path.display())]
    Log {
        /// The list's file.
        path: PathBuf,
        /// What would help, or nothing.
        hint: String,
        /// Where and what. Record numbers count from the start of this file.
        source: ReadError,
    },
    /// The lists have no record: nothing to judge.
    #[error("the measurement list has no record")]
    Empty,
    /// A file of PCR values is not well-formed.
    #[error("malformed PCR values in {}", path.display())]
    Pcrs {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: PcrFileError,
    },
    /// Two files of PCR values are of one bank.
    #[error("the PCR values of bank {0} are given twice")]
    BankTwice(Bank),
    /// The nonce is not hexadecimal.
    #[error("expected the nonce in hexadecimal")]
    Nonce(#[source] hex::FromHexError),
    /// The quote does not verify.
    #[error("the quote does not verify")]
    Quote(#[source] QuoteCheckError),
    /// The verdict could not be written.
    #[error("cannot write the verdict")]
    Write(#[source] io::Error),
}

/// What a check of a quote's signature and nonce fails with.
pub type QuoteCheckError = Box<dyn std::error::Error + Send + Sync>;

/// Judges what `args` name, and writes the verdict to `out` as text, or JSON with `--json`.
///
/// `check_quote` verifies signature, magic and nonce of a quote and returns what it attests to; it is called
/// only when the arguments name one.
///
/// # Errors
///
/// [`VerifyError`] when no verdict could be reached, which is never a pass.
pub fn run(
    args: &VerifyArgs,
    check_quote: impl FnOnce(&QuoteFiles) -> Result<Quoted, QuoteCheckError>,
    out: &mut dyn Write,
) -> Result<Verdict, VerifyError> {
    let targets = read_targets(&args.pcrs)?;
    let quoted = match args.quote_files()? {
        Some(files) => Some(check_quote(&files).map_err(VerifyError::Quote)?),
        None => None,
    };
    let view = match args.view {
        Some(view) => view,
        None => guess_view(args)?,
    };
    let overlaps = carried::overlaps(args, view)?;
    let verdict = if overlaps.iter().all(|overlap| *overlap == 0) {
        judge(args, view, Judge::share_out(view, targets, quoted), &overlaps)?
    } else {
        // A file may begin as another ends by chance: each kernel has the same boot aggregate. The PCRs tell.
        let once = judge(args, view, Judge::share_out(view, targets.clone(), quoted.clone()), &overlaps)?;
        if once.holds {
            once
        } else {
            let none = vec![0; overlaps.len()];
            let every = judge(args, view, Judge::share_out(view, targets, quoted), &none)?;
            if every.holds { every } else { once }
        }
    };
    let written = if args.json { verdict.write_json(out) } else { verdict.write_text(out) };
    written.map_err(VerifyError::Write)?;
    Ok(verdict)
}

/// Has all files judged without so many records at the start of each.
fn judge(
    args: &VerifyArgs,
    view: Bank,
    judges: Vec<Judge>,
    overlaps: &[u64],
) -> Result<Verdict, VerifyError> {
    let judges = std::thread::scope(|scope| {
        let mut bench = Bench::seat(judges, scope);
        for (path, overlap) in args.log.iter().zip(overlaps) {
            read_log(path, view, args, *overlap, &mut bench)?;
        }
        Ok(bench.rise())
    })?;
    let mut verdict = Judge::joint_verdict(&judges, args.whole).ok_or(VerifyError::Empty)?;
    verdict.carried = overlaps.iter().sum();
    Ok(verdict)
}

fn open(path: &Path) -> Result<File, VerifyError> {
    File::open(path).map_err(|source| VerifyError::Read { path: path.to_owned(), source })
}

fn read_targets(pcrs: &[PcrsArg]) -> Result<Vec<PcrValues>, VerifyError> {
    let mut targets: Vec<PcrValues> = Vec::new();
    for PcrsArg { bank, path } in pcrs {
        if targets.iter().any(|target| target.bank() == *bank) {
            return Err(VerifyError::BankTwice(*bank));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| VerifyError::Read { path: path.clone(), source })?;
        let values = PcrValues::parse(&text, *bank)
            .map_err(|source| VerifyError::Pcrs { path: path.clone(), source })?;
        targets.push(values);
    }
    Ok(targets)
}

/// The bank whose file this is: the one as whose file the first record is well-formed, SHA-1 when none is.
fn guess_view(args: &VerifyArgs) -> Result<Bank, VerifyError> {
    let Some(path) = args.log.first() else { return Err(VerifyError::Empty) };
    for bank in Bank::ALL {
        let mut reader = LogReader::new(open(path)?, bank).byte_order(args.byte_order());
        if matches!(reader.next_record(), Ok(Some(_))) {
            return Ok(bank);
        }
    }
    Ok(Bank::Sha1)
}

fn read_log(
    path: &Path,
    view: Bank,
    args: &VerifyArgs,
    overlap: u64,
    bench: &mut Bench<'_>,
) -> Result<(), VerifyError> {
    let mut reader = LogReader::new(open(path)?, view).byte_order(args.byte_order());
    for _ in 0..overlap {
        reader.next_record().map_err(|source| log_error(path, view, args, source))?;
    }
    bench.hear(reader).map_err(|source| log_error(path, view, args, source))
}

fn log_error(path: &Path, view: Bank, args: &VerifyArgs, source: ReadError) -> VerifyError {
    let hint = match (source.record, args.view) {
        (1, Some(_)) => format!(", read as the file of bank {view} (see --view)"),
        _ => String::new(),
    };
    VerifyError::Log { path: path.to_owned(), hint, source }
}
