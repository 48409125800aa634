//! `imalab verify`: judges a measurement list offline, against PCR values or a quote.

mod again;
mod args;
mod bench;
mod carried;
mod command;
mod error;
mod generate;
mod hint;
mod input;
mod joint;
mod judge;
mod marks;
mod outcome;
mod quoted;
mod read;
mod setup;
mod signed;
pub mod speed;
mod target;
mod text;
mod trail;
mod verdict;

use std::path::Path;

pub use args::{PcrsArg, StartArg, StartArgError, VerifyArgs};
pub use command::command;
pub use error::{QuoteCheckError, VerifyError};
pub use generate::{GenerateLogArgs, generate};
pub use joint::joint_verdict;
pub use judge::Judge;
pub use marks::{Marks, WrongMark};
pub use quoted::{QuoteFiles, Quoted};
pub use setup::Setup;
pub use signed::check_quote;
pub use trail::Explanation;
pub use verdict::{
    BankVerdict, Comparison, Conclusion, Demand, Inconsistency, Outcome, PcrVerdict, QuoteVerdict, Tail,
    Uncovered, UnknownTemplate, Verdict,
};

use again::Again;
use bench::Bench;
use input::{Source, SourceReader};
use marks::Keeper;

use imalab_formats::ima::{Bank, LogReader, Problem, ReadError, RecordRef};

/// The lists, and what they are judged by.
struct Case<'a> {
    args: &'a VerifyArgs,
    logs: Vec<Log<'a>>,
    setup: Setup,
}

/// A list, or a part of one.
struct Log<'a> {
    path: &'a Path,
    source: Source,
}

/// Judges what `args` name.
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
) -> Result<Verdict, VerifyError> {
    if let Some(path) = input::pipe_named_twice(read::paths(args)) {
        return Err(VerifyError::PipeTwice(path.to_owned()));
    }
    let targets = read::targets(&args.pcrs)?;
    let starts = read::starts(&args.start)?;
    let quoted = match read::quote_files(args)? {
        Some(files) => Some(check_quote(&files)?),
        None => None,
    };
    let log = |path| match Source::of(path) {
        Ok(source) => Ok(Log { path, source }),
        Err(source) => Err(VerifyError::Read { path: path.to_owned(), source }),
    };
    let logs = args.log.iter().map(|path| log(path.as_path())).collect::<Result<Vec<_>, _>>()?;
    let mut case = Case {
        args,
        logs,
        setup: Setup {
            view: args.view.unwrap_or(Bank::Sha1),
            order: args.byte_order(),
            targets,
            starts,
            quoted,
            padded_sha1: false,
        },
    };
    if args.view.is_none() {
        case.guess_view()?;
    }
    case.verdict()
}

impl Case<'_> {
    fn verdict(&self) -> Result<Verdict, VerifyError> {
        let overlaps = carried::overlaps(self)?;
        if overlaps.iter().all(|overlap| *overlap == 0) {
            return self.judge(&overlaps);
        }
        // A file may begin as another ends by chance: each kernel has the same boot aggregate. The PCRs tell.
        let once = self.judge(&overlaps)?;
        if once.holds {
            return Ok(once);
        }
        let every = self.judge(&vec![0; overlaps.len()])?;
        Ok(if every.conclusion < once.conclusion { every } else { once })
    }

    /// Has all files judged without so many records at the start of each.
    fn judge(&self, overlaps: &[u64]) -> Result<Verdict, VerifyError> {
        let demand = Demand {
            whole: self.args.whole,
            uncovered_tail: self.args.uncovered_tail,
            uncovered_pcr: &self.args.uncovered_pcr,
        };
        let judges = std::thread::scope(|scope| {
            let mut bench = Bench::seat(Judge::share_out(&self.setup), scope);
            for (log, overlap) in self.logs.iter().zip(overlaps) {
                let reader = self.reader_from(log, *overlap)?;
                bench.hear(reader).map_err(|source| self.log_error(log, source))?;
            }
            Ok::<_, VerifyError>(bench.rise())
        })?;
        let mut verdict = joint_verdict(&judges, &self.setup, demand).ok_or(VerifyError::Empty)?;
        if let Some(mut again) = Again::for_verdict(&verdict, &self.setup) {
            for (log, overlap) in self.logs.iter().zip(overlaps) {
                self.each_record(log, *overlap, |record, offset| again.record(record, offset))?;
            }
            again.explain(&mut verdict, demand);
        }
        if judges.iter().any(|judge| judge.marked) {
            let mut keeper = Keeper::new(&self.setup);
            for (log, overlap) in self.logs.iter().zip(overlaps) {
                self.each_record(log, *overlap, |record, offset| keeper.record(record, offset))?;
            }
            verdict.marks = keeper.done();
            verdict.conclude(demand);
        }
        verdict.carried = overlaps.iter().sum();
        Ok(verdict)
    }

    /// Reads the records of a file behind the first `overlap` once more.
    fn each_record(
        &self,
        log: &Log<'_>,
        overlap: u64,
        mut take: impl FnMut(RecordRef<'_>, u64),
    ) -> Result<(), VerifyError> {
        let mut reader = self.reader_from(log, overlap)?;
        loop {
            let offset = reader.offset();
            match reader.next_record().map_err(|source| self.log_error(log, source))? {
                Some(record) => take(record, offset),
                None => return Ok(()),
            }
        }
    }

    fn open(&self, log: &Log<'_>) -> Result<SourceReader, VerifyError> {
        log.source.open().map_err(|source| VerifyError::Read { path: log.path.to_owned(), source })
    }

    fn reader(&self, log: &Log<'_>) -> Result<LogReader<SourceReader>, VerifyError> {
        Ok(LogReader::new(self.open(log)?, self.setup.view).byte_order(self.setup.order))
    }

    /// A reader behind the first `overlap` records.
    fn reader_from(&self, log: &Log<'_>, overlap: u64) -> Result<LogReader<SourceReader>, VerifyError> {
        let mut reader = self.reader(log)?;
        for _ in 0..overlap {
            reader.next_record().map_err(|source| self.log_error(log, source))?;
        }
        Ok(reader)
    }

    /// Takes the bank as whose file the first record of all is well-formed, SHA-1 when none is.
    fn guess_view(&mut self) -> Result<(), VerifyError> {
        for log in &self.logs {
            let mut empty = true;
            for bank in Bank::ALL {
                let mut reader = LogReader::new(self.open(log)?, bank).byte_order(self.setup.order);
                match reader.next_record() {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        self.setup.view = bank;
                        return Ok(());
                    }
                    Err(_) => empty = false,
                }
            }
            if !empty {
                break;
            }
        }
        Ok(())
    }

    fn log_error(&self, log: &Log<'_>, source: ReadError) -> VerifyError {
        // What could not be read is not malformed.
        if let Problem::Io(source) = source.problem {
            return VerifyError::Read { path: log.path.to_owned(), source };
        }
        let hint = match source.record {
            1 => self.open(log).ok().and_then(|start| hint::of(start, self.args)),
            _ => None,
        };
        VerifyError::Log { path: log.path.to_owned(), hint: hint.unwrap_or_default(), source }
    }
}
