//! PCR values as bytes.

use super::{PCR_COUNT, PcrFileError};
use crate::ima::pcr_selection::PcrSelection;
use crate::ima::{Bank, Digest};

/// Sizes of C structures of libtss2 (`tss2_tpm2_types.h`) as tpm2-tools write them, numbers little-endian
/// (`lib/files.c`, `pcr_fwrite_serialized`): TPML_PCR_SELECTION is a count and room for 16 of 8 bytes, TPML_DIGEST a
/// count and room for 8 of a 16-bit size and 64 bytes.
const SELECTIONS: usize = 16;
const SELECTION_SIZE: usize = 8;
const DIGESTS: usize = 8;
const DIGEST_SIZE: usize = 2 + 64;
const HEAD: usize = 4 + SELECTIONS * SELECTION_SIZE + 4;
const LIST: usize = 4 + DIGESTS * DIGEST_SIZE;

pub(super) fn read(
    content: &[u8],
    selection: Option<&PcrSelection>,
) -> Result<Vec<(Bank, u32, Digest)>, PcrFileError> {
    if let Some(values) = serialized(content) {
        return Ok(values);
    }
    let listed = selection.and_then(PcrSelection::listed);
    let places = match (listed, selection) {
        (Some(listed), _) => listed,
        (None, Some(selection)) => all_of(selection.banks().map(|(bank, _)| bank)),
        (None, None) => every_bank_of(content.len()).ok_or_else(|| {
            PcrFileError::whole(
                "text, or the bytes of 24 PCRs a bank; other bytes need a selection as `tpm2_pcrread` was given it \
                 (for instance `sha256:10,FILE`)",
                format!("{} bytes", content.len()),
            )
        })?,
    };
    let wanted: usize = places.iter().map(|(bank, _)| bank.digest_size()).sum();
    if wanted != content.len() {
        let expected = format!("{wanted} bytes for the {} PCRs that were selected", places.len());
        return Err(PcrFileError::whole(expected, format!("{} bytes", content.len())));
    }
    let mut rest = content;
    let value = |(bank, pcr): (Bank, u32)| {
        let (bytes, after) = rest.split_at_checked(bank.digest_size())?;
        rest = after;
        Some((bank, pcr, Digest::from_bytes(bank, bytes)?))
    };
    Ok(places.into_iter().map_while(value).collect())
}

fn all_of(banks: impl IntoIterator<Item = Bank>) -> Vec<(Bank, u32)> {
    banks.into_iter().flat_map(|bank| (0..PCR_COUNT).map(move |pcr| (bank, pcr))).collect()
}

/// Every PCR of the banks of which these are so many bytes: no two sets of banks take as many.
fn every_bank_of(bytes: usize) -> Option<Vec<(Bank, u32)>> {
    (1u32..1 << Bank::ALL.len()).find_map(|set| {
        let banks = || (0..).zip(Bank::ALL).filter(move |(bit, _)| set >> bit & 1 == 1).map(|(_, bank)| bank);
        let size: usize = banks().map(Bank::digest_size).sum();
        (size * PCR_COUNT as usize == bytes).then(|| all_of(banks()))
    })
}

/// The form that has its selection in it; `None` when it is another.
fn serialized(content: &[u8]) -> Option<Vec<(Bank, u32, Digest)>> {
    let number = |at: usize| Some(u32::from_le_bytes(content.get(at..at + 4)?.try_into().ok()?) as usize);
    let short = |at: usize| Some(u16::from_le_bytes(content.get(at..at + 2)?.try_into().ok()?));
    let (selections, lists) = (number(0)?, number(HEAD - 4)?);
    if selections > SELECTIONS || content.len() != HEAD.checked_add(lists.checked_mul(LIST)?)? {
        return None;
    }
    let mut places = Vec::new();
    for at in (0..selections).map(|place| 4 + place * SELECTION_SIZE) {
        let alg = short(at)?;
        let map = content.get(at + 3..at + 3 + usize::from(*content.get(at + 2)?).min(4))?;
        let pcrs = (0u32..).zip(map).flat_map(|(byte, bits)| {
            (0..8).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| byte * 8 + bit)
        });
        places.extend(pcrs.map(|pcr| (Bank::from_tpm_alg(alg), pcr)));
    }
    let mut digests = Vec::new();
    for list in (0..lists).map(|list| HEAD + list * LIST) {
        for at in (0..number(list)?.min(DIGESTS)).map(|place| list + 4 + place * DIGEST_SIZE) {
            digests.push(content.get(at + 2..at + 2 + usize::from(short(at)?))?);
        }
    }
    if digests.len() != places.len() {
        return None;
    }
    let mut values = Vec::new();
    for ((bank, pcr), bytes) in places.into_iter().zip(digests) {
        // A bank that imalab does not know is of no use to it.
        let Some(bank) = bank else { continue };
        values.push((bank, pcr, Digest::from_bytes(bank, bytes)?));
    }
    Some(values)
}
