use rstest::rstest;

use super::*;

/// All PCRs of a bank with values of so many bytes.
fn bank(algorithm: &str, bytes: usize) -> String {
    let item = |pcr| format!("{algorithm}:PCR{pcr}:{}", hex::encode(vec![pcr; bytes]));
    (0..24_u8).map(item).collect::<Vec<_>>().join(",") + ";"
}

#[test]
fn an_aggregate_has_each_pcr_of_each_bank() {
    let text = format!("Snapshot_Attempt_Count=7;{}{}", bank("sha1", 20), bank("sha256", 32));
    let aggregate = Aggregate::parse(text.as_bytes()).unwrap();
    assert_eq!((aggregate.count, aggregate.banks.len()), (7, 2));
    assert_eq!(aggregate.value("sha1", 9), Some(&[9; 20][..]));
    assert_eq!(aggregate.value("sha256", 23), Some(&[23; 32][..]));
    assert_eq!(aggregate.value("sha256", 24), None);
    let alone = Aggregate::parse(b"Snapshot_Attempt_Count=1;").unwrap();
    assert_eq!(alone.banks, Vec::<Vec<Item>>::new());
    // As the design's example has it.
    let shouted = text
        .replace("PCR3:", "PCR3:0x")
        .to_uppercase()
        .replace("SNAPSHOT_ATTEMPT_COUNT", "Snapshot_Attempt_Count");
    let shouted = shouted.replace("SHA", "sha").replace("0X", "0x");
    assert_eq!(Aggregate::parse(shouted.as_bytes()).unwrap().value("sha1", 3), Some(&[3; 20][..]));
}

#[rstest]
#[case::no_name("Snapshot_Counter=1;", 0, "Snapshot_Attempt_Count=")]
#[case::no_count("Snapshot_Attempt_Count=;", 23, "a decimal number")]
#[case::leading_zero("Snapshot_Attempt_Count=01;", 23, "a decimal number")]
#[case::no_end("Snapshot_Attempt_Count=1", 24, ";")]
#[case::two_ends("Snapshot_Attempt_Count=1;;", 25, "the name of a hash algorithm")]
#[case::no_pcr("Snapshot_Attempt_Count=1;sha1:0:00", 29, ":PCR")]
#[case::not_the_first("Snapshot_Attempt_Count=1;sha1:PCR1:00;", 33, "the next PCR of the bank")]
#[case::odd_digits("Snapshot_Attempt_Count=1;sha1:PCR0:000;", 35, "hexadecimal digits, two a byte")]
#[case::other_bank("Snapshot_Attempt_Count=1;sha1:PCR0:00,sha256:PCR1:00;", 38, "the bank's own algorithm")]
#[case::other_length(
    "Snapshot_Attempt_Count=1;sha1:PCR0:00,sha1:PCR1:0000;",
    48,
    "a value as long as the others of the bank"
)]
#[case::cut_off("Snapshot_Attempt_Count=1;sha1:PCR0:00", 37, ";")]
fn an_aggregate_that_is_none_says_where(
    #[case] text: &str,
    #[case] at: usize,
    #[case] expected: &'static str,
) {
    assert_eq!(Aggregate::parse(text.as_bytes()), Err(MarkError { at, expected }));
}

#[test]
fn a_digest_says_what_it_covers() {
    let digest = LogDigest::parse(b"digest=sha256:00ff;covered=3;total=12;trims=1;trimmed=9;").unwrap();
    let hash = Some(("sha256".to_owned(), vec![0, 255]));
    assert_eq!(digest, LogDigest { digest: hash, covered: 3, total: 12, trims: 1, trimmed: 9 });
    let none = LogDigest::parse(b"digest=none:;covered=3;total=12;trims=0;trimmed=0;").unwrap();
    assert_eq!(none.digest, None);
}

#[rstest]
#[case::no_digest("digest=sha256:;covered=1;", 14, "hexadecimal digits, two a byte")]
#[case::no_covered("digest=sha256:00;total=1;", 16, ";covered=")]
#[case::negative("digest=sha256:00;covered=-1;", 25, "a decimal number")]
#[case::more("digest=none:;covered=1;total=1;trims=0;trimmed=0;x", 49, "the end of the text")]
fn a_digest_that_is_none_says_where(#[case] text: &str, #[case] at: usize, #[case] expected: &'static str) {
    assert_eq!(LogDigest::parse(text.as_bytes()), Err(MarkError { at, expected }));
}

#[test]
fn a_trim_says_how_many() {
    let text = b"time= 1790000000000000000; number= 12;";
    assert_eq!(Trimmed::parse(text), Ok(Trimmed { time: 1_790_000_000_000_000_000, number: 12 }));
    let error = MarkError { at: 0, expected: "time= " };
    assert_eq!(Trimmed::parse(b"time=1"), Err(error));
}
