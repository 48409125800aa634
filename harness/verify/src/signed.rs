//! Signature, nonce and selection of a quote.

use imalab_formats::ima::Bank;
use imalab_formats::tpm::quote::{self, FileError, KeyError, QuoteError};

use super::error::QuoteCheckError;
use super::quoted::{QuoteFiles, Quoted};

/// What a quote attests to, if it is one by its key over its nonce.
///
/// # Errors
/// [`QuoteCheckError`].
pub fn check_quote(files: &QuoteFiles) -> Result<Quoted, QuoteCheckError> {
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
