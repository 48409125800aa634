use super::*;
use proptest::prelude::*;
use rstest::rstest;

const HEX: &str = "0102030405060708090a0b0c0d0e0f1011121314";
const HEX32: &str = "f6e877e388f757ac5d84e3504e8f71358438d361bf5bf0569e6545c7a89e572e";

fn hint(selection: &str, index: Option<u32>) -> PcrHint {
    let selection = (!selection.is_empty()).then(|| selection.parse().unwrap());
    PcrHint { selection, index }
}

#[rstest]
#[case::evmctl("PCR-10: 0102030405060708090a0b0c0d0e0f1011121314\n")]
#[case::sysfs_of_tpm_1_2("PCR-10: 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10 11 12 13 14 \n")]
#[case::comment("# taken at mark 3\n\nPCR-10: 0102030405060708090a0b0c0d0e0f1011121314\n")]
#[case::tpm2_pcrread("  10: 0x0102030405060708090A0B0C0D0E0F1011121314")]
#[case::tpm2_pcrread_wide(
    "  sha256:\n    10: 0xAB\n  sha1:\n    10 : 0x0102030405060708090A0B0C0D0E0F1011121314\n"
)]
#[case::tpm2_pcrlist("sha1 :\n  10 : 0102030405060708090a0b0c0d0e0f1011121314\n")]
fn lines(#[case] text: &str) {
    let values = PcrValues::read(text.as_bytes(), &hint("sha1", None)).unwrap();
    assert_eq!(values.len(), 1);
    assert_eq!(values[0].get(10).unwrap().to_string(), HEX);
    assert_eq!(values[0].get(11), None);
}

#[rstest]
#[case::sysfs("F6E877E388F757AC5D84E3504E8F71358438D361BF5BF0569E6545C7A89E572E\n", "", Some(10))]
#[case::sysfs_with_bank(
    "F6E877E388F757AC5D84E3504E8F71358438D361BF5BF0569E6545C7A89E572E\n",
    "sha256",
    Some(10)
)]
#[case::tsspcrread_ns(
    "f6e877e388f757ac5d84e3504e8f71358438d361bf5bf0569e6545c7a89e572e\n",
    "sha256:10",
    None
)]
#[case::tsspcrread(
    "count 1 pcrUpdateCounter 21 \n digest length 32\n f6 e8 77 e3 88 f7 57 ac 5d 84 e3 50 4e 8f 71 35 \n \
     84 38 d3 61 bf 5b f0 56 9e 65 45 c7 a8 9e 57 2e \n",
    "sha256:10",
    None
)]
#[case::tsspcrread_two_banks(
    "count 2\n digest length 20\n 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \n 00 00 00 00 \n digest length 32\n \
     f6 e8 77 e3 88 f7 57 ac 5d 84 e3 50 4e 8f 71 35 \n 84 38 d3 61 bf 5b f0 56 9e 65 45 c7 a8 9e 57 2e \n",
    "sha1:10+sha256:10",
    None
)]
#[case::bank_from_size(
    "PCR-10: f6e877e388f757ac5d84e3504e8f71358438d361bf5bf0569e6545c7a89e572e\n",
    "",
    None
)]
#[case::lines_of_which_one(
    "10: 0xf6e877e388f757ac5d84e3504e8f71358438d361bf5bf0569e6545c7a89e572e\n11: 0x0000000000000000000000000000000000000000000000000000000000000000\n",
    "sha256:10",
    None
)]
fn forms_of_one_value(#[case] text: &str, #[case] selection: &str, #[case] index: Option<u32>) {
    let values = PcrValues::read(text.as_bytes(), &hint(selection, index)).unwrap();
    let values = values.iter().find(|values| values.bank() == Bank::Sha256).unwrap();
    assert_eq!(values.get(10).unwrap().to_string(), HEX32);
    assert_eq!(values.iter().count(), 1);
}

/// Files that tpm2-tools 5.4 wrote of one TPM.
#[rstest]
#[case(include_bytes!("../../../../tests/fixtures/pcrs/pcrread.txt"), "")]
#[case(include_bytes!("../../../../tests/fixtures/pcrs/pcrread-all.txt"), "sha256")]
#[case(include_bytes!("../../../../tests/fixtures/pcrs/pcrread-all.bin"), "")]
#[case(include_bytes!("../../../../tests/fixtures/pcrs/pcrread-all.bin"), "sha1+sha256+sha384+sha512")]
#[case(include_bytes!("../../../../tests/fixtures/pcrs/pcrread-sha256-10.bin"), "sha256:10")]
#[case(include_bytes!("../../../../tests/fixtures/pcrs/pcrread-sha1-10-sha256-10.bin"), "sha1:10+sha256:10")]
#[case(include_bytes!("../../../../tests/fixtures/quotes/p256-sha256/pcrs"), "")]
#[case(include_bytes!("../../../../tests/fixtures/quotes/p256-sha256/pcrs"), "sha256")]
fn files_of_tpm2_tools(#[case] content: &[u8], #[case] selection: &str) {
    let values = PcrValues::read(content, &hint(selection, None)).unwrap();
    let values = values.iter().find(|values| values.bank() == Bank::Sha256).unwrap();
    assert_eq!(values.get(10).unwrap().to_string(), HEX32);
}

#[rstest]
#[case::no_value("", "sha1", "expected the value of a sha1 PCR, found none")]
#[case::no_value_at_all("", "", "expected the value of a PCR of sha1, sha256, sha384, sha512, found none")]
#[case::only_other_bank("sha256:\n10: 0xAB\n", "sha1", "expected the value of a sha1 PCR, found none")]
#[case::only_other_pcr(
    "10: 0x0102030405060708090a0b0c0d0e0f1011121314",
    "sha1:11",
    "expected the value of sha1 PCR 11"
)]
#[case::text("hello\n", "sha1", "line 1: expected `PCR-<index>")]
#[case::raw(
    "he\u{202e}llo \u{200f}\n",
    "sha1",
    "line 1: expected `PCR-<index>: <hex>` or `<index>: 0x<hex>`, found \"he\\u{202e}llo \\u{200f}\""
)]
#[case::index("\nPCR-ten: 00\n", "sha1", "line 2: expected `PCR-<index>")]
#[case::index_of_none("64: 0x00\n", "sha1", "line 1: expected `PCR-<index>")]
#[case::short("PCR-10: 0102\n", "sha1", "line 1: expected a sha1 digest of 20 bytes")]
#[case::of_no_bank("PCR-10: 0102\n", "", "line 1: expected a digest of 20, 32, 48 or 64 bytes")]
#[case::not_hex("PCR-10: xyz\n", "sha1", "line 1: expected a sha1 digest of 20 bytes")]
#[case::bare_of_no_pcr("0102030405060708090a0b0c0d0e0f1011121314\n", "sha1", "expected to be told which PCR")]
#[case::two_for_one("0102\n0304\n", "sha1:10", "expected 1 values, found 2 without an index")]
#[case::bare_short("0102\n", "sha1:10", "expected a digest of 20 bytes for PCR 10, found one of 2")]
#[case::bytes_of_no_pcr("\u{1}\u{2}\u{3}", "", "expected text, or the bytes of 24 PCRs a bank")]
#[case::bytes_of_others(
    "\u{1}\u{2}\u{3}",
    "sha1:10",
    "expected 20 bytes for the 1 PCRs that were selected, found 3"
)]
fn errors(#[case] text: &str, #[case] selection: &str, #[case] expected: &str) {
    let error = PcrValues::read(text.as_bytes(), &hint(selection, None)).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_pcr_has_one_value() {
    let text = format!("PCR-10: {HEX}\n10: 0x{HEX}");
    let error = PcrValues::read(text.as_bytes(), &hint("", None)).unwrap_err().to_string();
    assert!(error.starts_with("line 2: expected each PCR once"), "{error}");
    let error = PcrValues::read(format!("{HEX}\n{HEX}\n").as_bytes(), &hint("", Some(10))).unwrap_err();
    assert_eq!(error.to_string(), "expected PCR 10 of bank sha1 once, found two values");
}

#[test]
fn written_values_are_read_again() {
    let mut values = PcrValues::new(Bank::Sha256);
    assert!(values.set(10, Digest::ones(Bank::Sha256)));
    assert!(!values.set(11, Digest::ones(Bank::Sha1)));
    let mut text = Vec::new();
    values.write(&mut text).unwrap();
    let again = PcrValues::read(&text, &PcrHint::default()).unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].get(10), values.get(10));
    assert_eq!(again[0].get(0), Some(Digest::zero(Bank::Sha256)));
    assert_eq!(again[0].iter().count(), 24);
}

proptest! {
    #[test]
    fn any_bytes_are_values_or_an_error(content in any::<Vec<u8>>(), index in proptest::option::of(0u32..64)) {
        for selection in ["", "sha1", "sha256:10", "sha1:10+sha512:0,1"] {
            match PcrValues::read(&content, &hint(selection, index)) {
                Ok(values) => prop_assert!(!values.is_empty()),
                Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
            }
        }
    }

    #[test]
    fn any_lines_are_values_or_an_error(text in "((PCR-)?[0-9]{1,3}: ?(0x)?[0-9a-f ]{0,44}\n|sha(1|256):\n|digest length [0-9]{1,3}\n|[0-9a-f]{2}\n){0,6}") {
        for selection in ["", "sha1", "sha1:10"] {
            if let Err(error) = PcrValues::read(text.as_bytes(), &hint(selection, None)) {
                prop_assert!(!error.to_string().chars().any(char::is_control));
            }
        }
    }
}
