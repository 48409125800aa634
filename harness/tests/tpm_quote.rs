//! Judging quotes without a TPM: of a key that signs whatever it is asked to.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use imalab_formats::ima::Bank;
use imalab_formats::tpm::quote::{QuoteError, verify};
use imalab_trace::{PcrValue, QuoteTaken};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use rstest::rstest;
use sha2::{Digest, Sha256};

const NONCE: &[u8] = b"nonce";

/// The parts of a quote before it is signed.
#[derive(Clone)]
struct Draft {
    magic: u32,
    kind: u16,
    nonce: Vec<u8>,
    selections: Vec<(u16, Vec<u8>)>,
    digest: Vec<u8>,
    more: Vec<u8>,
    values: Vec<PcrValue>,
}

impl Draft {
    fn good() -> Draft {
        let value = |bank: Bank| PcrValue { bank, digest: vec![7; bank.digest_size()] };
        Draft {
            magic: 0xff54_4347,
            kind: 0x8018,
            nonce: NONCE.to_vec(),
            selections: vec![(4, vec![0, 4, 0]), (0xb, vec![0, 4, 0])],
            digest: Sha256::digest([7; 52]).to_vec(),
            more: Vec::new(),
            values: vec![value(Bank::Sha1), value(Bank::Sha256)],
        }
    }

    fn signed(self) -> QuoteTaken {
        let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let mut attest = self.magic.to_be_bytes().to_vec();
        attest.extend(self.kind.to_be_bytes());
        attest.extend(sized(b"signer"));
        attest.extend(sized(&self.nonce));
        attest.extend([0; 25]);
        attest.extend((self.selections.len() as u32).to_be_bytes());
        for (alg, map) in &self.selections {
            attest.extend(alg.to_be_bytes());
            attest.push(map.len() as u8);
            attest.extend(map);
        }
        attest.extend(sized(&self.digest));
        attest.extend(&self.more);

        let key = SigningKey::from_slice(&[1; 32]).unwrap();
        let made: Signature = key.sign(&attest);
        let signature = [&[0, 0x18, 0, 0xb][..], &sized(&made.r().to_bytes()), &sized(&made.s().to_bytes())];
        let point = key.verifying_key().to_sec1_point(false);
        let mut public = vec![0, 0x23, 0, 0xb, 0, 5, 0, 0x72, 0, 0];
        public.extend([0, 0x10, 0, 0x18, 0, 0xb, 0, 3, 0, 0x10]);
        public.extend(sized(point.x().unwrap()));
        public.extend(sized(point.y().unwrap()));
        QuoteTaken {
            mark: 0,
            nonce: NONCE.to_vec(),
            key: public,
            attest,
            signature: signature.concat(),
            values: self.values,
        }
    }
}

#[test]
fn a_good_quote_is_good() {
    let verified = verify(&Draft::good().signed(), NONCE).unwrap();
    assert_eq!(verified.values, Draft::good().values);
    assert!(verified.restricted);
}

#[rstest]
#[case::magic(|draft: &mut Draft| draft.magic = 1, "quote message: expected magic 0xff544347, found 0x1")]
#[case::kind(|draft: &mut Draft| draft.kind = 0x8017, "quote message: expected type 0x8018 (quote), found 0x8017")]
#[case::nonce(|draft: &mut Draft| draft.nonce = vec![1], "nonce: expected 6e6f6e6365, found 01")]
#[case::no_nonce(|draft: &mut Draft| draft.nonce = vec![], "nonce: expected 6e6f6e6365, found ")]
#[case::more_pcrs(
    |draft: &mut Draft| draft.selections[0].1[0] = 1,
    "quoted PCRs: expected sha1:10+sha256:10, found sha1:0,10+sha256:10"
)]
#[case::bank_missing(
    |draft: &mut Draft| drop(draft.selections.remove(0)),
    "quoted PCRs: expected sha1:10+sha256:10, found sha256:10"
)]
#[case::bank_too_many(
    |draft: &mut Draft| draft.selections.push((0x12, vec![0, 4, 0])),
    "quoted PCRs: expected sha1:10+sha256:10, found sha1:10+sha256:10+0x0012:10"
)]
#[case::bank_twice(
    |draft: &mut Draft| {
        draft.selections[1].0 = 4;
        draft.values[1] = draft.values[0].clone();
    },
    "two values of PCR 10 of bank sha1"
)]
#[case::digest(
    |draft: &mut Draft| draft.digest = vec![1, 2],
    "digest of the PCR values: expected ece61dffe174a9ca613ded7f5115064c7b82a58c749578b1c7e3f11e3cd1430f, found 0102"
)]
#[case::longer(|draft: &mut Draft| draft.more = vec![0], "quote message: 1 bytes too many from byte 96 on")]
fn what_is_wrong_is_said(#[case] change: fn(&mut Draft), #[case] expected: &str) {
    let mut draft = Draft::good();
    change(&mut draft);
    let quote = draft.signed();
    assert_eq!(verify(&quote, NONCE).unwrap_err().to_string(), expected);
}

#[test]
fn a_key_that_is_not_restricted_is_refused() {
    let mut quote = Draft::good().signed();
    quote.key[5] = 4;
    let found = verify(&quote, NONCE).unwrap_err().to_string();
    let expected = "attestation key: attributes: expected restricted, sign and fixedTPM, found 0x00040072, which lacks restricted";
    assert_eq!(found, expected);
}

#[test]
fn a_signature_of_zeros_is_none() {
    let mut quote = Draft::good().signed();
    quote.signature[6..38].fill(0);
    assert_eq!(verify(&quote, NONCE), Err(QuoteError::Signature));
}
