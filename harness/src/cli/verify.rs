//! `imalab verify`: joins the offline verifier of lists with that of quotes.

use std::io;

use super::Failure;
use crate::ima::Bank;
use crate::report::{Escaping, Exit};
use crate::tpm::quote;
use crate::verify::{self, QuoteCheckError, QuoteFiles, Quoted, VerifyArgs};

/// Judges lists offline.
pub(super) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let stdout = io::stdout().lock();
    let mut out = if args.json { Escaping::json(stdout) } else { Escaping::text(stdout) };
    let verdict = verify::run(args, check_quote, &mut out).map_err(Failure::usage_of)?;
    Ok(if verdict.holds { Exit::Passed } else { Exit::ScenarioFailed })
}

fn check_quote(files: &QuoteFiles) -> Result<Quoted, QuoteCheckError> {
    let key = quote::key_from_file(&files.key)?;
    let signed = quote::signed(&key, &files.message, &files.signature, &files.nonce)?;
    let selection = signed.selections.iter().map(|(alg, map)| {
        let bank = Bank::from_tpm_alg(*alg).ok_or_else(|| {
            format!("the quote covers a bank of algorithm {alg:#06x}, which imalab does not know")
        })?;
        let pcrs = (0u32..).zip(map).flat_map(|(byte, bits)| {
            (0..8).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| byte * 8 + bit)
        });
        Ok((bank, pcrs.collect()))
    });
    let selection = selection.collect::<Result<_, QuoteCheckError>>()?;
    Ok(Quoted { selection, hash: Bank::Sha256, digest: signed.digest })
}
