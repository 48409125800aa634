//! `imalab verify`: joins the offline verifier of lists with that of quotes.

use std::io::{self, Write};

use super::{Failure, plain};
use crate::report::{Escaping, Exit};
use imalab_formats::ima::Bank;
use imalab_formats::tpm::quote::{self, FileError, KeyError, QuoteError};
use imalab_verify::{
    self, Conclusion, QuoteCheckError, QuoteFiles, Quoted, Verdict, VerifyArgs, VerifyError,
};

/// Judges lists offline.
pub(super) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let verdict = imalab_verify::run(args, check_quote).map_err(|error| {
        let exit = match error {
            VerifyError::Empty => Exit::NothingRan,
            VerifyError::Quote(_) => Exit::ScenarioFailed,
            _ => Exit::Usage,
        };
        Failure { exit, ..Failure::usage_of(error) }
    })?;
    let exit = match verdict.conclusion {
        Conclusion::Holds => Exit::Passed,
        Conclusion::PartlyCompared | Conclusion::NotCompared => Exit::NothingRan,
        Conclusion::DoesNotHold => Exit::ScenarioFailed,
    };
    match write(args, &verdict) {
        Ok(()) => Ok(exit),
        Err(error) => {
            let error = plain(CannotWrite(error));
            Err(Failure { exit: exit.and(Exit::Infra), error })
        }
    }
}

/// The verdict could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the verdict")]
struct CannotWrite(#[source] io::Error);

fn write(args: &VerifyArgs, verdict: &Verdict) -> io::Result<()> {
    let stdout = io::stdout().lock();
    let mut out = if args.json { Escaping::json(stdout) } else { Escaping::text(stdout) };
    if args.json { verdict.write_json(&mut out) } else { verdict.write_text(&mut out) }?;
    out.flush()
}

fn check_quote(files: &QuoteFiles) -> Result<Quoted, QuoteCheckError> {
    let key = quote::key_from_file(&files.key).map_err(|error| match error {
        // A key that may sign whatever it is given, or is nowhere on its curve, proves nothing.
        FileError::Public(KeyError::Attributes { .. } | KeyError::Point(_)) => {
            QuoteCheckError::Refuted(error.into())
        }
        error => QuoteCheckError::Unchecked(error.into()),
    })?;
    let signed =
        quote::signed(&key, &files.message, &files.signature, &files.nonce).map_err(|error| match error {
            QuoteError::Unsupported(_) | QuoteError::SignatureForm(_) => {
                QuoteCheckError::Unchecked(error.into())
            }
            error => QuoteCheckError::Refuted(error.into()),
        })?;
    let selection = signed.selections.iter().map(|(alg, map)| {
        let bank = Bank::from_tpm_alg(*alg).ok_or_else(|| {
            let what = format!("the quote covers a bank of algorithm {alg:#06x}, which is not supported");
            QuoteCheckError::Unchecked(what.into())
        })?;
        let pcrs = (0u32..).zip(map).flat_map(|(byte, bits)| {
            (0..8).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| byte * 8 + bit)
        });
        Ok((bank, pcrs.collect()))
    });
    let selection = selection.collect::<Result<_, QuoteCheckError>>()?;
    Ok(Quoted {
        selection,
        hash: signed.hash,
        digest: signed.digest,
        restricted: key.restricted(),
        empty_nonce: files.nonce.is_empty(),
    })
}
