//! Quotes as a TPM makes them, with a key of our own.

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest, Sha256};

use imalab_trace::{PcrValue, QuoteTaken};

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// A quote over PCR 10 of the values' banks, by a TPM that was reset `resets` times.
pub(crate) fn quote(mark: u64, nonce: &[u8], values: Vec<PcrValue>, resets: u32) -> QuoteTaken {
    let key = SigningKey::from_slice(&[7; 32]).expect("a scalar");
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (point.x().expect("not the identity"), point.y().expect("not compressed"));
    // TPMT_PUBLIC: ECC, SHA-256, restricted | sign | fixedTPM, no policy, ECDSA with SHA-256 on P-256.
    let public = [
        &[0, 0x23, 0, 0x0b][..],
        &(1_u32 << 16 | 1 << 18 | 1 << 1).to_be_bytes(),
        &[0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10],
        &sized(x),
        &sized(y),
    ]
    .concat();

    let selections: Vec<u8> = values
        .iter()
        .flat_map(|value| [&value.bank.tpm_alg().to_be_bytes()[..], &[3, 0, 4, 0]].concat())
        .collect();
    let digest = Sha256::digest(values.iter().flat_map(|value| value.digest.clone()).collect::<Vec<_>>());
    // TPMS_ATTEST: magic, type, signer, nonce, clock, resets, restarts, safe, firmware, PCRs, their digest.
    let attest = [
        &[0xff, 0x54, 0x43, 0x47, 0x80, 0x18][..],
        &sized(&[]),
        &sized(nonce),
        &9_u64.to_be_bytes(),
        &resets.to_be_bytes(),
        &[0; 4],
        &[1],
        &[0; 8],
        &(values.len() as u32).to_be_bytes(),
        &selections,
        &sized(&digest),
    ]
    .concat();

    let signature: Signature = key.sign_prehash(&Sha256::digest(&attest)).expect("a digest of full size");
    let (r, s) = signature.split_bytes();
    let signature = [&[0, 0x18, 0, 0x0b][..], &sized(&r), &sized(&s)].concat();
    QuoteTaken { mark, nonce: nonce.to_vec(), key: public, attest, signature, values }
}
