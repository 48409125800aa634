//! Quotes as files that tpm2-tools read: `tpm2_checkquote -u key.pub -m quote.msg -s quote.sig -q "$(cat nonce.hex)"`.

use std::fs;
use std::io;
use std::path::Path;

use imalab_files::atomic::{self, FileError};
use imalab_trace::QuoteTaken;

/// A quote's files: `TPM2B_PUBLIC` of the key, `TPMS_ATTEST`, `TPMT_SIGNATURE`, the nonce in hexadecimal.
pub const QUOTE_FILES: [&str; 4] = ["key.pub", "quote.msg", "quote.sig", "nonce.hex"];

pub(super) fn write(folder: &Path, quote: &QuoteTaken) -> Result<(), FileError> {
    fs::create_dir_all(folder).map_err(|error| FileError::new("create the folder", folder, error))?;
    // The tools take a key with its size in front (TPM2B_PUBLIC, TPM 2.0 Library Part 2, 12.2.5).
    let size = u16::try_from(quote.key.len()).map_err(|_| {
        let error =
            io::Error::new(io::ErrorKind::InvalidData, "the attestation key is longer than any TPMT_PUBLIC");
        FileError::new("write", &folder.join("key.pub"), error)
    })?;
    let public = [&size.to_be_bytes()[..], &quote.key].concat();
    let nonce = hex::encode(&quote.nonce);
    let contents = [&public[..], &quote.attest, &quote.signature, nonce.as_bytes()];
    for (name, bytes) in QUOTE_FILES.into_iter().zip(contents) {
        atomic::write(&folder.join(name), bytes)?;
    }
    for value in &quote.values {
        let text = hex::encode(&value.digest) + "\n";
        atomic::write(&folder.join(format!("pcr10-{}.hex", value.bank)), text.as_bytes())?;
    }
    Ok(())
}
