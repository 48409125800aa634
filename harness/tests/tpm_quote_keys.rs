//! Quotes by keys of every kind: those of `fixtures/quotes` were made by swtpm and tpm2-tools 5.4, over SHA-256 PCR 10 with
//! the nonce 00112233445566778899aabb.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::PathBuf;

use imalab_formats::ima::{Bank, Digest};
use imalab_formats::tpm::quote::{FileError, QuoteError, Quoted, key_from_file, key_to_pem, signed};
use proptest::prelude::*;
use rstest::rstest;

const NONCE: &str = "00112233445566778899aabb";
const PCR: &str = "f6e877e388f757ac5d84e3504e8f71358438d361bf5bf0569e6545c7a89e572e";

fn fixture(path: &str) -> Vec<u8> {
    fs::read(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/quotes")).join(path)).unwrap()
}

fn check(key: &[u8], message: &[u8], signature: &[u8]) -> Result<Quoted, QuoteError> {
    signed(&key_from_file(key).unwrap(), message, signature, &hex::decode(NONCE).unwrap())
}

#[rstest]
fn keys_of_every_kind_verify(
    #[values("rsassa", "rsapss", "p256", "p384")] kind: &str,
    #[values(Bank::Sha256, Bank::Sha384, Bank::Sha512)] hash: Bank,
) {
    let name = format!("{kind}-{hash}");
    let [message, signature] = ["message", "signature"].map(|part| fixture(&format!("{name}/{part}")));
    for form in ["key.pem", "key.tss"] {
        let key = fixture(&format!("{name}/{form}"));
        let quoted = check(&key, &message, &signature).unwrap();
        assert_eq!(quoted.hash, hash);
        assert_eq!(quoted.digest, Digest::of(hash, &[&hex::decode(PCR).unwrap()]).as_bytes());
        assert_eq!(key_from_file(&key).unwrap().restricted(), form == "key.tss");
    }
    // Another key of the same kind, a changed message and a changed signature.
    let other = if hash == Bank::Sha256 { "sha384" } else { "sha256" };
    let others = fixture(&format!("{kind}-{other}/key.tss"));
    let key = fixture(&format!("{name}/key.tss"));
    assert_eq!(check(&others, &message, &signature), Err(QuoteError::Signature));
    let mut changed = message.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(check(&key, &changed, &signature), Err(QuoteError::Signature));
    let mut changed = signature.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(check(&key, &message, &changed), Err(QuoteError::Signature));
    // Of another hash than it says.
    let mut changed = signature.clone();
    changed[3] = if hash == Bank::Sha256 { 0x0c } else { 0x0b };
    assert_eq!(check(&key, &message, &changed), Err(QuoteError::Signature));
}

#[rstest]
#[case("p256-sha256", "p384-sha384")]
#[case("rsassa-sha256", "p256-sha256")]
#[case("p256-sha256", "rsapss-sha256")]
fn a_key_of_another_kind_did_not_sign_it(#[case] key: &str, #[case] quote: &str) {
    let [message, signature] = ["message", "signature"].map(|part| fixture(&format!("{quote}/{part}")));
    assert_eq!(check(&fixture(&format!("{key}/key.pem")), &message, &signature), Err(QuoteError::Signature));
}

#[rstest]
#[case("rsassa-sha256")]
#[case("p384-sha384")]
fn a_key_may_be_der(#[case] name: &str) {
    let key = key_from_file(&fixture(&format!("{name}/key.der"))).unwrap();
    let pem = fixture(&format!("{name}/key.pem"));
    assert_eq!(key, key_from_file(&pem).unwrap());
    assert_eq!(key_to_pem(&key).unwrap().as_bytes(), pem);
}

#[rstest]
#[case::curve(
    fixture("p521-sha512/key.tss"),
    "this ECC key is not supported: expected curve P-256 or P-384, found P-521 (0x0005)"
)]
#[case::curve_in_pem(
    fixture("p521-sha512/key.pem"),
    "this key is not supported: expected an RSA key, or an ECC key on P-256 or P-384, found an ECC key on curve 1.3.132.0.35"
)]
#[case::ed25519(
    b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n".to_vec(),
    "this key is not supported: expected an RSA key, or an ECC key on P-256 or P-384, found a key of algorithm 1.3.101.112"
)]
#[case::scheme(
    [&[0, 0x23, 0, 0xb, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x1a][..], &[0; 8]].concat(),
    "this key's scheme is not supported: expected RSASSA (PKCS#1 v1.5), RSAPSS or ECDSA, found TPM_ALG_ECDAA (0x001a)"
)]
#[case::short_rsa(
    [&[0, 1, 0, 0xb, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x10, 4, 0, 0, 0, 0, 0, 0, 0x80][..], &[0xff; 128]].concat(),
    "this RSA key is not supported: expected 2048 to 4096 bits, found 1024 bits"
)]
#[case::long_rsa(
    [&[0, 1, 0, 0xb, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x10, 4, 0, 0, 0, 0, 0, 4, 0][..], &[0xff; 1024]].concat(),
    "this RSA key is not supported: expected 2048 to 4096 bits, found a longer one"
)]
fn what_is_not_supported_is_told_as_that(#[case] key: Vec<u8>, #[case] expected: &str) {
    let error = key_from_file(&key).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, FileError::Unsupported(_)), "{error:?}");
}

#[rstest]
#[case::certificate(
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "this is a certificate"
)]
#[case::private(
    b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
    "this is a private key"
)]
#[case::context(b"\xba\xdc\xc0\xde\0\0\0\x01", "this is a context of tpm2-tools")]
fn what_is_no_public_key_is_told(#[case] key: &[u8], #[case] expected: &str) {
    let error = key_from_file(key).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[rstest]
#[case::sha1(&[0, 0x14, 0, 4], "SHA-256, SHA-384 or SHA-512 as its hash, found TPM_ALG_SHA1 (0x0004)")]
#[case::sha3(&[0, 0x14, 0, 0x27], "SHA-256, SHA-384 or SHA-512 as its hash, found TPM_ALG_SHA3_256 (0x0027)")]
#[case::ecdaa(&[0, 0x1a, 0, 0xb], "RSASSA (PKCS#1 v1.5), RSAPSS or ECDSA, found TPM_ALG_ECDAA (0x001a)")]
#[case::hmac(&[0, 5, 0, 0xb], "RSASSA (PKCS#1 v1.5), RSAPSS or ECDSA, found TPM_ALG_HMAC (0x0005)")]
#[case::unheard_of(&[0x30, 0x45, 2, 0x20], "RSASSA (PKCS#1 v1.5), RSAPSS or ECDSA, found algorithm 0x3045")]
fn a_signature_that_is_not_supported(#[case] signature: &[u8], #[case] expected: &str) {
    let error =
        check(&fixture("p256-sha256/key.tss"), &fixture("p256-sha256/message"), signature).unwrap_err();
    assert!(matches!(error, QuoteError::Unsupported(_)), "{error:?}");
    assert_eq!(error.to_string(), format!("this quote's signature is not supported: expected {expected}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_a_key_or_an_error(
        bytes in any::<Vec<u8>>(),
        name in prop::sample::select(vec!["rsassa-sha256/key.der", "p384-sha384/key.der", "rsapss-sha256/key.tss", "p256-sha256/key.tss", "p256-sha256/key.pem"]),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let _ = key_from_file(&bytes);
        let mut key = fixture(name);
        let at = at.index(key.len());
        key[at] ^= flip;
        match key_from_file(&key) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
        }
    }

    #[test]
    fn no_changed_quote_verifies(
        name in prop::sample::select(vec!["rsassa-sha256", "rsapss-sha384", "p256-sha512", "p384-sha256"]),
        in_message in any::<bool>(),
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let [mut message, mut signature] = ["message", "signature"].map(|part| fixture(&format!("{name}/{part}")));
        let part = if in_message { &mut message } else { &mut signature };
        let at = at.index(part.len());
        part[at] ^= flip;
        let key = fixture(&format!("{name}/key.tss"));
        prop_assert!(check(&key, &message, &signature).is_err());
    }
}
