//! The command: a verdict on stdout, why there is none on stderr, and an exit code.

use std::io::{self, Write};

use imalab_print::{Escaping, error, plain};

use super::args::VerifyArgs;
use super::error::VerifyError;
use super::signed::check_quote;
use super::verdict::{Conclusion, Verdict};

/// Why the process ends; the numbers are those of all commands of imalab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    /// All that was to be compared was, and is as the records say.
    Holds = 0,
    /// The command line is wrong, or a file cannot be used.
    Usage = 2,
    /// Nothing was compared, or not all.
    NotCompared = 4,
    /// The verdict could not be written.
    NotWritten = 96,
    /// The list is not what the PCRs or the quote say.
    DoesNotHold = 100,
}

/// Prints a line on stderr when stdout takes no verdict.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the verdict")]
struct CannotWrite(#[source] io::Error);

/// Judges what `args` name, and prints the verdict. Gives back the exit code.
pub fn command(args: &VerifyArgs) -> u8 {
    let code = match super::run(args, check_quote) {
        Ok(verdict) => {
            let code = Code::of(&verdict);
            match write(args, &verdict) {
                Ok(()) => code,
                Err(cause) => {
                    error(&plain(CannotWrite(cause)));
                    // What was found about a list matters more than where it could not be told.
                    if code == Code::DoesNotHold { code } else { Code::NotWritten }
                }
            }
        }
        Err(cause) => {
            let code = match cause {
                VerifyError::Empty => Code::NotCompared,
                VerifyError::Quote(_) => Code::DoesNotHold,
                _ => Code::Usage,
            };
            error(&plain(cause));
            code
        }
    };
    code as u8
}

impl Code {
    fn of(verdict: &Verdict) -> Code {
        match verdict.conclusion {
            Conclusion::Holds => Code::Holds,
            Conclusion::PartlyCompared | Conclusion::NotCompared => Code::NotCompared,
            Conclusion::DoesNotHold => Code::DoesNotHold,
        }
    }
}

fn write(args: &VerifyArgs, verdict: &Verdict) -> io::Result<()> {
    let stdout = io::stdout().lock();
    let mut out = if args.json { Escaping::json(stdout) } else { Escaping::text(stdout) };
    if args.json { verdict.write_json(&mut out) } else { verdict.write_text(&mut out) }?;
    out.flush()
}
