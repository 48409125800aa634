//! A TPM with PCR 10 alone: it extends, is read, and quotes with a key of its own (TPM 2.0 Library, Part 2 and 3).

use imalab_formats::ima::{Bank, Digest};
use imalab_trace::{Exchange, Origin, PcrReading, PcrValue, QuoteTaken};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest as _, Sha256};

/// `TPM_ST_NO_SESSIONS`, `TPM_ST_SESSIONS` (Part 2, 6.9).
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// `TPM_CC_PCR_Extend` (Part 2, 6.5.2).
const PCR_EXTEND: u32 = 0x182;

pub(crate) struct Tpm {
    pcrs: Vec<Digest>,
    updates: u32,
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn frame(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let size = (10 + body.len()) as u32;
    [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn exchange(origin: Origin, command: Vec<u8>) -> Exchange {
    let answer = frame(NO_SESSIONS, 0, &[]);
    Exchange { origin, locality: 0, command, answer, begin_ns: 0, end_ns: 0 }
}

impl Tpm {
    pub(crate) fn new(banks: &[Bank]) -> Tpm {
        Tpm { pcrs: banks.iter().map(|bank| Digest::zero(*bank)).collect(), updates: 0 }
    }

    /// `TPM2_PCR_Extend` with the digest of each bank (Part 3, 22.2).
    pub(crate) fn extend(&mut self, pcr: u32, digests: &[Digest]) -> Exchange {
        let mut body = pcr.to_be_bytes().to_vec();
        // An authorization area with an empty password: TPM_RS_PW, no nonce, no attributes, no HMAC.
        body.extend_from_slice(&[0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&(digests.len() as u32).to_be_bytes());
        for (value, digest) in self.pcrs.iter_mut().zip(digests) {
            value.extend(digest);
            self.updates += 1;
            body.extend_from_slice(&digest.bank().tpm_alg().to_be_bytes());
            body.extend_from_slice(digest.as_bytes());
        }
        exchange(Origin::Guest, frame(SESSIONS, PCR_EXTEND, &body))
    }

    /// The vendor command of a mark.
    pub(crate) fn mark(number: u64) -> Exchange {
        exchange(Origin::Mark, frame(NO_SESSIONS, imalab_wire::MARK_COMMAND, &number.to_be_bytes()))
    }

    fn values(&self) -> Vec<PcrValue> {
        let value = |digest: &Digest| PcrValue { bank: digest.bank(), digest: digest.as_bytes().to_vec() };
        self.pcrs.iter().map(value).collect()
    }

    /// PCR 10 as the harness reads it at a mark.
    pub(crate) fn read(&self, mark: u64) -> PcrReading {
        PcrReading { mark, update_counter: self.updates, values: self.values() }
    }

    /// A quote over PCR 10 of every bank.
    pub(crate) fn quote(&self, mark: u64) -> QuoteTaken {
        let (nonce, values) = (mark.to_be_bytes(), self.values());
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        // TPMT_PUBLIC: ECC, SHA-256, restricted | sign | fixedTPM, no policy, ECDSA with SHA-256 on P-256.
        let public = [
            &[0, 0x23, 0, 0x0b][..],
            &(1_u32 << 16 | 1 << 18 | 1 << 1).to_be_bytes(),
            &[0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10],
            &sized(point.x().unwrap()),
            &sized(point.y().unwrap()),
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
            &sized(&nonce),
            &9_u64.to_be_bytes(),
            &[0; 8],
            &[1],
            &[0; 8],
            &(values.len() as u32).to_be_bytes(),
            &selections,
            &sized(&digest),
        ]
        .concat();
        let signature: Signature = key.sign_prehash(&Sha256::digest(&attest)).unwrap();
        let (r, s) = signature.split_bytes();
        let signature = [&[0, 0x18, 0, 0x0b][..], &sized(&r), &sized(&s)].concat();
        QuoteTaken { mark, nonce: nonce.to_vec(), key: public, attest, signature, values }
    }
}
