//! Readings and quotes through tss-esapi, and what judges them.

use std::path::Path;

use imalab_formats::ima::Bank;
use imalab_formats::tpm::quote::{self, AttestationKey, KeyError, QuoteError, verify};
use imalab_machine::tpm::client::Client;
use imalab_trace::QuoteTaken;
use rstest::rstest;

use crate::rig::*;

#[test]
fn a_reading_counts_updates() {
    let mut rig = Rig::started(&Bank::ALL);
    let mut client = Client::new(rig.port());
    let before = client.read(1).unwrap();
    rig.qemu.command(&extend(&Bank::ALL, 1));
    let after = client.read(2).unwrap();
    assert_eq!(after.update_counter - before.update_counter, 4);
    assert_eq!(after.mark, 2);
}

/// A machine after one extend, and a quote of it.
fn quoted(banks: &[Bank]) -> (Rig, QuoteTaken) {
    let mut rig = Rig::started(banks);
    assert_eq!(code(&rig.qemu.command(&extend(banks, 1))), 0);
    let quote = Client::new(rig.port()).quote(9).unwrap();
    (rig, quote)
}

#[rstest]
#[case(&[Bank::Sha1])]
#[case(&[Bank::Sha256])]
#[case(&Bank::ALL)]
fn a_quote_verifies(#[case] banks: &[Bank]) {
    let (rig, quote) = quoted(banks);
    let verified = verify(&quote, &quote.nonce).unwrap();
    assert_eq!(verified.values, Client::new(rig.port()).read(1).unwrap().values);
    assert!(verified.restricted);
    assert_eq!((quote.mark, quote.nonce.len()), (9, 32));
}

#[test]
fn quotes_leave_no_key_behind_and_use_the_same_one() {
    let (rig, first) = quoted(&[Bank::Sha256]);
    let mut client = Client::new(rig.port());
    for _ in 0..10 {
        let next = client.quote(1).unwrap();
        assert_eq!(next.key, first.key);
        assert_ne!(next.nonce, first.nonce);
    }
    let handles = tool(rig.port(), "tpm2_getcap", &["handles-transient"]);
    assert!(handles.status.success() && handles.stdout.is_empty(), "{handles:?}");
}

#[test]
fn every_change_of_a_quote_is_found() {
    let (_rig, good) = quoted(&[Bank::Sha1, Bank::Sha256]);
    let nonce = good.nonce.clone();
    let flip = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    for bit in 0..good.attest.len() * 8 {
        verify(&QuoteTaken { attest: flip(&good.attest, bit), ..good.clone() }, &nonce).unwrap_err();
    }
    for bit in 0..good.signature.len() * 8 {
        verify(&QuoteTaken { signature: flip(&good.signature, bit), ..good.clone() }, &nonce).unwrap_err();
    }
    for length in 0..good.attest.len() {
        verify(&QuoteTaken { attest: good.attest[..length].to_vec(), ..good.clone() }, &nonce).unwrap_err();
    }
    for length in 0..good.key.len() {
        let error = verify(&QuoteTaken { key: good.key[..length].to_vec(), ..good.clone() }, &nonce);
        assert!(matches!(error, Err(QuoteError::Key(KeyError::Form(_)))));
    }
    for (place, value) in good.values.iter().enumerate() {
        let mut values = good.values.clone();
        values[place].digest = flip(&value.digest, 3);
        let error = verify(&QuoteTaken { values, ..good.clone() }, &nonce);
        assert!(matches!(error, Err(QuoteError::Digest { .. })));
    }
}

#[test]
fn each_failure_has_a_name() {
    let (rig, good) = quoted(&[Bank::Sha1, Bank::Sha256]);
    let nonce = good.nonce.clone();
    let of = |quote: QuoteTaken| verify(&quote, &nonce).unwrap_err();

    let other = Client::new(rig.port()).quote(9).unwrap();
    assert!(matches!(of(other.clone()), QuoteError::Nonce { .. }));
    assert_eq!(of(QuoteTaken { attest: other.attest, ..good.clone() }), QuoteError::Signature);

    let mut swapped = good.clone();
    swapped.values.reverse();
    let error = of(swapped);
    assert_eq!(error.to_string(), "quoted PCRs: expected sha256:10+sha1:10, found sha1:10+sha256:10");

    let fewer = QuoteTaken { values: good.values[..1].to_vec(), ..good.clone() };
    assert!(matches!(of(fewer), QuoteError::Selection { .. }));
    assert_eq!(of(QuoteTaken { values: vec![], ..good.clone() }), QuoteError::NoValues);

    let mut short = good.clone();
    short.values[0].digest.pop();
    assert_eq!(of(short), QuoteError::Value { bank: Bank::Sha1, expected: 20, found: 19 });

    // The attributes follow type and name algorithm; 16 is `restricted`.
    let mut free = good.clone();
    free.key[5] &= !1;
    let error = of(free);
    assert!(matches!(error, QuoteError::Key(KeyError::Attributes { .. })), "{error}");
    assert!(error.to_string().ends_with("which lacks restricted"), "{error}");

    let mut elsewhere = good.clone();
    *elsewhere.key.last_mut().unwrap() ^= 1;
    assert_eq!(of(elsewhere), QuoteError::Key(KeyError::Point("P-256")));

    let (_rig, stranger) = quoted(&[Bank::Sha1, Bank::Sha256]);
    assert_eq!(of(QuoteTaken { key: stranger.key, ..good.clone() }), QuoteError::Signature);

    assert!(matches!(of(QuoteTaken { signature: vec![0, 0x14], ..good }), QuoteError::SignatureForm(_)));
}

/// Writes a quote as tpm2-tools want it and asks `tpm2_checkquote`.
fn checkquote(folder: &Path, quote: &QuoteTaken, pem: bool) -> bool {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = if pem {
        write(
            "key.pem",
            quote::key_to_pem(&AttestationKey::from_public(&quote.key).unwrap()).unwrap().as_bytes(),
        )
    } else {
        write("key.pub", &quote::key_to_tpm2b(&quote.key).unwrap())
    };
    let banks: Vec<_> = quote.values.iter().map(|value| format!("{}:10", value.bank)).collect();
    let mut command = std::process::Command::new("tpm2_checkquote");
    command.args(["-u", &key, "-g", "sha256", "-l", &banks.join("+"), "-q", &hex::encode(&quote.nonce)]);
    command.args(["-m", &write("message", &quote.attest), "-s", &write("signature", &quote.signature)]);
    command.args(["-f", &write("pcrs", &quote::values_to_file(&quote.values))]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    spawn(command, Vec::new()).wait().unwrap().success()
}

#[test]
fn tpm2_checkquote_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let (_rig, good) = quoted(&Bank::ALL);
    for pem in [true, false] {
        assert!(checkquote(folder.path(), &good, pem));
        let mut signature = good.clone();
        *signature.signature.last_mut().unwrap() ^= 1;
        assert!(!checkquote(folder.path(), &signature, pem));
        let mut value = good.clone();
        value.values[1].digest[0] ^= 1;
        assert!(!checkquote(folder.path(), &value, pem));
        let mut nonce = good.clone();
        nonce.nonce[0] ^= 1;
        assert!(!checkquote(folder.path(), &nonce, pem));
    }
}

#[test]
fn a_quote_of_tpm2_tools_verifies() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.qemu.command(&extend(&[Bank::Sha256], 1));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |name: &str, arguments: &[&str]| {
        let output = tool(rig.port(), name, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Without a resource manager each of these tools leaves an object behind, and there is room for three.
        assert!(tool(rig.port(), "tpm2_flushcontext", &["-t"]).status.success());
    };
    let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign";
    let (context, public, pem) = (path("ctx"), path("pub"), path("pem"));
    run(
        "tpm2_createprimary",
        &["-C", "e", "-G", "ecc256:ecdsa-sha256:null", "-a", attributes, "-c", &context],
    );
    run("tpm2_readpublic", &["-c", &context, "-o", &public]);
    run("tpm2_readpublic", &["-c", &context, "-f", "pem", "-o", &pem]);
    let (message, signature) = (path("message"), path("signature"));
    run(
        "tpm2_quote",
        &[
            "-c",
            &context,
            "-l",
            "sha256:10",
            "-q",
            "c0ffee",
            "-m",
            &message,
            "-s",
            &signature,
            "-g",
            "sha256",
        ],
    );
    let values = Client::new(rig.port()).read(1).unwrap().values;
    for (file, restricted) in [(public, true), (pem, false)] {
        let key = quote::key_from_file(&std::fs::read(file).unwrap()).unwrap();
        let [message, signature] = [&message, &signature].map(|path| std::fs::read(path).unwrap());
        let verified = quote::verify_parts(&key, &message, &signature, b"\xc0\xff\xee", &values).unwrap();
        assert_eq!((verified.restricted, &verified.values), (restricted, &values));
    }
}

#[rstest]
#[case::empty(b"", "public area: type at byte 0 needs 2 bytes, 0 are left")]
#[case::cut(&[0, 1, 0, 0xb], "public area: objectAttributes at byte 4 needs 4 bytes, 0 are left")]
#[case::keyed_hash(
    &[0, 8, 0, 0xb],
    "this key is not supported: expected an RSA key, or an ECC key on P-256 or P-384, found TPM_ALG_KEYEDHASH (0x0008)"
)]
#[case::pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "PEM public key: ")]
#[case::not_text(b"-----BEGIN \xff", "PEM public key: invalid utf-8 sequence of 1 bytes from index 11")]
fn a_file_that_is_no_key_is_refused(#[case] bytes: &[u8], #[case] expected: &str) {
    let error = quote::key_from_file(bytes).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}
