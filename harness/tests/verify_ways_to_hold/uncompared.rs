//! What was compared with nothing, or with too little.

use std::fs;

use rstest::rstest;

use super::bench::QUOTE;
use super::{bench, quoted, records, run, value, with_pcr_11};
use imalab_formats::ima::{Bank, Digest};
use imalab_verify::{Conclusion, Outcome, Tail};

#[test]
fn nothing_to_compare_with() {
    let (verdict, text) = run(&bench(&records(3)), "--view sha1", None);
    assert_eq!(verdict.conclusion, Conclusion::NotCompared);
    assert!(!verdict.holds);
    let value = value(&records(3), Bank::Sha1, 10);
    assert_eq!(
        text,
        format!(
            "3 records of the sha1 view, violations: 0\nsha1    not compared\n        PCR 10 replayed {value}\n        \
             PCR 10 has no value to compare with\ncompared with nothing: 3 records of PCR 10\nnothing was compared: whether the list holds is not known\n"
        )
    );
}

#[test]
fn no_record() {
    let bench = bench(&[]);
    bench.pcrs(&[], Bank::Sha1);
    let error = bench.error("verify --log @log @log --pcrs @sha1");
    assert_eq!(error, "the measurement list has no record, so nothing was compared");
}

#[rstest]
#[case::another_pcr("PCR-11: 0000000000000000000000000000000000000000", Conclusion::NotCompared)]
#[case::another_pcr_as_well("PCR-00: 0000000000000000000000000000000000000000", Conclusion::NotCompared)]
fn a_bank_without_the_value_of_the_pcr(#[case] line: &str, #[case] conclusion: Conclusion) {
    let bench = bench(&records(3));
    fs::write(bench.path("other"), line).unwrap();
    let (verdict, text) = run(&bench, "--pcrs @other", None);
    assert_eq!(verdict.conclusion, conclusion);
    assert_eq!(verdict.banks[0].outcome, Outcome::Unchecked);
    assert!(text.contains("compared with nothing: 3 records of PCR 10"), "{text}");
}

#[test]
fn a_second_bank_without_the_value_of_the_pcr() {
    let bench = bench(&records(3));
    bench.pcrs(&records(3), Bank::Sha256);
    fs::write(bench.path("other"), format!("PCR-11: {}", Digest::zero(Bank::Sha384))).unwrap();
    let (verdict, text) = run(&bench, "--pcrs @sha256 --pcrs @other", None);
    assert_eq!(verdict.conclusion, Conclusion::PartlyCompared);
    assert!(text.contains("nothing was compared in bank sha384, although values were given"), "{text}");
}

#[rstest]
#[case::without(" ", Conclusion::PartlyCompared)]
#[case::allowed(" --uncovered-pcr 11", Conclusion::Holds)]
#[case::another_allowed(" --uncovered-pcr 12", Conclusion::PartlyCompared)]
fn records_of_a_pcr_without_a_value(#[case] option: &str, #[case] conclusion: Conclusion) {
    let log = with_pcr_11(3, 2);
    let bench = bench(&log);
    fs::write(bench.path("values"), format!("PCR-10: {}", value(&log, Bank::Sha1, 10))).unwrap();
    let (verdict, text) = run(&bench, format!("--pcrs @values{option}").trim(), None);
    assert_eq!(verdict.conclusion, conclusion, "{text}");
    assert_eq!((verdict.uncovered[0].pcr, verdict.uncovered[0].records), (11, 2));
    assert!(text.contains("matches after all 5 records in PCR 10\n"), "{text}");
    assert!(text.contains("compared with nothing: 2 records of PCR 11"), "{text}");
}

#[rstest]
#[case::without("", Conclusion::PartlyCompared)]
#[case::allowed("--uncovered-pcr 11", Conclusion::Holds)]
fn forged_records_of_a_pcr_that_the_quote_does_not_cover(
    #[case] option: &str,
    #[case] conclusion: Conclusion,
) {
    let log = with_pcr_11(5, 1000);
    let (verdict, text) =
        run(&bench(&log), &format!("{QUOTE} {option}"), Some(quoted(&[(Bank::Sha256, &[10])], &log)));
    assert_eq!(verdict.quote.as_ref().unwrap().outcome, Outcome::Matches);
    assert_eq!(verdict.conclusion, conclusion, "{text}");
    assert!(text.contains("compared with nothing: 1000 records of PCR 11"), "{text}");
}

#[test]
fn every_pcr_is_allowed_and_none_was_compared() {
    let bench = bench(&records(3));
    fs::write(bench.path("other"), format!("PCR-11: {}", Digest::zero(Bank::Sha1))).unwrap();
    for option in ["--uncovered-pcr 10", "--uncovered-pcr 10,11 --pcrs @other"] {
        assert_eq!(run(&bench, option, None).0.conclusion, Conclusion::NotCompared);
    }
}

#[rstest]
#[case::no_bank(&[])]
#[case::a_bank_without_pcrs(&[(Bank::Sha256, &[] as &[u32])])]
#[case::other_pcrs(&[(Bank::Sha256, &[0u32, 16] as &[u32])])]
#[case::a_pcr_that_no_tpm_has(&[(Bank::Sha256, &[74u32] as &[u32])])]
fn a_quote_that_covers_no_pcr_of_the_list(#[case] selection: &[(Bank, &[u32])]) {
    let mut quoted = quoted(&[], &[]);
    quoted.selection = selection.iter().map(|(bank, pcrs)| (*bank, pcrs.to_vec())).collect();
    quoted.digest = quoted.digest_of(|bank, pcr| value(&[], bank, pcr % 64)).as_bytes().to_vec();
    let bench = bench(&records(3));
    let (verdict, text) = run(&bench, QUOTE, Some(quoted.clone()));
    assert_eq!(verdict.conclusion, Conclusion::NotCompared);
    assert!(text.contains("it covers no PCR that a record extends"), "{text}");
    // Values that match make no quote of it.
    bench.pcrs(&records(3), Bank::Sha256);
    let (verdict, _) = run(&bench, &format!("--pcrs @sha256 {QUOTE}"), Some(quoted));
    assert_eq!(verdict.conclusion, Conclusion::PartlyCompared);
}

#[rstest]
#[case::reset(0, Outcome::NotBegun, Conclusion::NotCompared)]
#[case::one(1, Outcome::MatchesPrefix { records: 1 }, Conclusion::PartlyCompared)]
fn a_prefix_of_no_record(#[case] taken: usize, #[case] outcome: Outcome, #[case] conclusion: Conclusion) {
    let log = records(3);
    let bench = bench(&log);
    bench.pcrs(&log[..taken], Bank::Sha256);
    let (verdict, text) = run(&bench, "--pcrs @sha256", None);
    assert_eq!((verdict.banks[0].outcome, verdict.conclusion), (outcome, conclusion), "{text}");
    let (verdict, _) = run(&bench, "--pcrs @sha256 --whole", None);
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
    let (verdict, _) = run(&bench, QUOTE, Some(quoted(&[(Bank::Sha256, &[10])], &log[..taken])));
    assert_eq!((verdict.quote.unwrap().outcome, verdict.conclusion), (outcome, conclusion));
}

/// Records behind the last that the TPM took are not proved, whoever made them, until the user allows it.
#[rstest]
#[case::without("", Conclusion::PartlyCompared)]
#[case::allowed("--uncovered-tail", Conclusion::Holds)]
#[case::refused("--whole", Conclusion::DoesNotHold)]
fn forged_records_after_the_last(#[case] option: &str, #[case] conclusion: Conclusion) {
    let log = records(1005);
    let bench = bench(&log);
    bench.pcrs(&log[..5], Bank::Sha256);
    let lines = [(format!("--pcrs @sha256 {option}"), None), (format!("{QUOTE} {option}"), Some(&log[..5]))];
    for (line, taken) in lines {
        let quote = taken.map(|taken| quoted(&[(Bank::Sha256, &[10])], taken));
        let (verdict, text) = run(&bench, line.trim(), quote);
        assert_eq!(verdict.conclusion, conclusion, "{text}");
        let tail = Tail { after: 5, records: 1000, allowed: option == "--uncovered-tail" };
        assert_eq!(verdict.tail, Some(tail));
        assert!(text.contains("compared with nothing: 1000 records after record 5"), "{text}");
    }
    // What a file of values covers beyond the quote does not make it good.
    bench.pcrs(&log, Bank::Sha256);
    let line = format!("--pcrs @sha256 {QUOTE} {option}");
    let (verdict, _) = run(&bench, line.trim(), Some(quoted(&[(Bank::Sha256, &[10])], &log[..5])));
    assert_eq!((verdict.conclusion, verdict.tail.unwrap().after), (conclusion, 5));
}
