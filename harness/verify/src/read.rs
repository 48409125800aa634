//! Reads what a list is compared with.

use std::path::{Path, PathBuf};

use super::error::VerifyError;
use super::input::read_small;
use super::{PcrsArg, QuoteFiles, StartArg, VerifyArgs};
use imalab_formats::ima::{Bank, Digest, PCR_LIMIT, PcrHint, PcrSelection, PcrValues};

/// Every file that is read, in order.
pub(super) fn paths(args: &VerifyArgs) -> impl Iterator<Item = &Path> {
    let starts = args.start.iter().filter_map(|start| match start {
        StartArg::File(file) => Some(&file.path),
        StartArg::Value(..) => None,
    });
    let quote = [&args.quote_message, &args.quote_signature, &args.quote_key];
    let pcrs = args.pcrs.iter().map(|pcrs| &pcrs.path);
    args.log.iter().chain(pcrs).chain(starts).chain(quote.into_iter().flatten()).map(PathBuf::as_path)
}

/// The values of `--pcrs`, one bank each.
pub(super) fn targets(args: &[PcrsArg]) -> Result<Vec<PcrValues>, VerifyError> {
    let mut all = Values { what: "value", banks: Vec::new() };
    args.iter().try_for_each(|arg| all.file(arg))?;
    Ok(all.banks)
}

/// The values of `--start`, one bank each.
pub(super) fn starts(args: &[StartArg]) -> Result<Vec<PcrValues>, VerifyError> {
    let mut all = Values { what: "start value", banks: Vec::new() };
    args.iter().try_for_each(|arg| match arg {
        StartArg::File(file) => all.file(file),
        StartArg::Value(pcr, value) => all.add(*pcr, *value),
    })?;
    Ok(all.banks)
}

/// Reads the files of the quote; `None` when there is none.
pub(super) fn quote_files(args: &VerifyArgs) -> Result<Option<QuoteFiles>, VerifyError> {
    let (Some(message), Some(signature), Some(key), Some(nonce)) =
        (&args.quote_message, &args.quote_signature, &args.quote_key, &args.nonce)
    else {
        return Ok(None);
    };
    Ok(Some(QuoteFiles {
        message: small(message)?,
        signature: small(signature)?,
        key: small(key)?,
        nonce: hex::decode(nonce).map_err(VerifyError::Nonce)?,
    }))
}

fn small(path: &Path) -> Result<Vec<u8>, VerifyError> {
    read_small(path).map_err(|source| VerifyError::Read { path: path.to_owned(), source })
}

struct Values {
    what: &'static str,
    banks: Vec<PcrValues>,
}

impl Values {
    fn file(&mut self, arg: &PcrsArg) -> Result<(), VerifyError> {
        if !arg.path.is_dir() {
            return self.one_file(&arg.path, arg.selection.as_ref(), None);
        }
        // A folder of sysfs has a file for each PCR, `pcr-<bank>/<PCR>`.
        let selection = arg.selection.clone().or_else(|| {
            let name = arg.path.canonicalize().ok()?;
            name.file_name()?.to_str()?.strip_prefix("pcr-")?.parse::<Bank>().ok().map(PcrSelection::from)
        });
        let mut found = false;
        for pcr in 0..PCR_LIMIT {
            let path = arg.path.join(pcr.to_string());
            let banks =
                || Bank::ALL.into_iter().any(|bank| selection.as_ref().is_none_or(|all| all.has(bank, pcr)));
            if path.is_file() && banks() {
                let bank = selection.as_ref().and_then(|all| all.banks().next()).map(|(bank, _)| bank.into());
                self.one_file(&path, bank.as_ref(), Some(pcr))?;
                found = true;
            }
        }
        if found {
            return Ok(());
        }
        let source = std::io::Error::other("this folder has no file of a PCR");
        Err(VerifyError::Read { path: arg.path.clone(), source })
    }

    fn one_file(
        &mut self,
        path: &Path,
        selection: Option<&PcrSelection>,
        index: Option<u32>,
    ) -> Result<(), VerifyError> {
        // Descriptors of a shell have numbers for names as well, and are no files.
        let name =
            || path.file_name()?.to_str()?.parse().ok().filter(|pcr| *pcr < PCR_LIMIT && path.is_file());
        let hint = PcrHint { selection: selection.cloned(), index: index.or_else(name) };
        let values = PcrValues::read(&small(path)?, &hint)
            .map_err(|source| VerifyError::Pcrs { path: path.to_owned(), source })?;
        let mut values = values.iter().flat_map(PcrValues::iter);
        values.try_for_each(|(pcr, value)| self.add(pcr, value))
    }

    fn add(&mut self, pcr: u32, value: Digest) -> Result<(), VerifyError> {
        let bank = value.bank();
        let place = self.banks.iter().position(|values| values.bank() == bank).unwrap_or_else(|| {
            self.banks.push(PcrValues::new(bank));
            self.banks.len() - 1
        });
        if self.banks[place].get(pcr).is_some() {
            return Err(VerifyError::Twice { what: self.what, bank, pcr });
        }
        self.banks[place].set(pcr, value);
        Ok(())
    }
}
