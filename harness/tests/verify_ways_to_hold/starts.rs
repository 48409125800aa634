//! PCRs that were something else before the first record of the list.

use std::fs;

use rstest::rstest;

use super::bench::QUOTE;
use super::{bench, quoted, records, run, value, with_pcr_11};
use imalab_formats::ima::{Bank, Digest, Record, Replay};
use imalab_verify::{Comparison, Conclusion, Explanation, Outcome};

#[test]
fn a_start_value_that_is_the_value_itself() {
    let log = records(9);
    let bench = bench(&log[5..]);
    bench.pcrs(&log[..5], Bank::Sha256);
    let (verdict, _) = run(&bench, "--pcrs @sha256 --start sha256:10,@sha256", None);
    assert_eq!(verdict.banks[0].outcome, Outcome::NotBegun);
    assert_eq!(verdict.conclusion, Conclusion::NotCompared);
}

#[test]
fn records_since_an_earlier_quote() {
    let log = records(9);
    let bench = bench(&log[5..]);
    bench.pcrs(&log[..5], Bank::Sha256);
    fs::rename(bench.path("sha256"), bench.path("before")).unwrap();
    bench.pcrs(&log, Bank::Sha256);
    // Nothing is known of the start: nothing is said of the records.
    let (verdict, text) = run(&bench, "--pcrs @sha256", None);
    assert_eq!(verdict.conclusion, Conclusion::NotCompared);
    assert_eq!(verdict.banks[0].pcrs[0].comparison, Comparison::StartUnknown);
    assert!(text.contains("the list does not begin with boot_aggregate (see --start)"), "{text}");
    assert!(!text.contains("lost"), "{text}");
    let (verdict, _) = run(&bench, QUOTE, Some(quoted(&[(Bank::Sha256, &[10])], &log)));
    assert_eq!(verdict.conclusion, Conclusion::NotCompared);
    assert_eq!(verdict.quote.unwrap().unknown, [(Bank::Sha256, 10)]);
    // It is.
    let value = value(&log[..5], Bank::Sha256, 10);
    for start in ["--start @before".to_owned(), format!("--start 10,sha256,{value}")] {
        let (verdict, text) = run(&bench, &format!("--pcrs @sha256 {start}"), None);
        assert_eq!(
            (verdict.conclusion, verdict.banks[0].outcome),
            (Conclusion::Holds, Outcome::Matches),
            "{text}"
        );
        let (verdict, _) =
            run(&bench, &format!("{start} {QUOTE}"), Some(quoted(&[(Bank::Sha256, &[10])], &log)));
        assert_eq!(verdict.conclusion, Conclusion::Holds);
    }
    // And is another.
    let other = Digest::ones(Bank::Sha256);
    let (verdict, _) = run(&bench, &format!("--pcrs @sha256 --start 10,sha256,{other}"), None);
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
    let start = format!("--start 10,sha256,{other} {QUOTE}");
    let (verdict, _) = run(&bench, &start, Some(quoted(&[(Bank::Sha256, &[10])], &log)));
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
}

/// PCR 11 as something else has extended it before IMA did.
fn others_before(log: &[Record]) -> (Replay, Replay) {
    let mut before = Replay::new(Bank::Sha256);
    before.extend(11, &Digest::of(Bank::Sha256, &[b"systemd-stub"]));
    let mut after = before.clone();
    log.iter().for_each(|record| after.record(record));
    (before, after)
}

#[test]
fn a_pcr_that_others_extend() {
    let log = with_pcr_11(5, 2);
    let bench = bench(&log);
    let (before, after) = others_before(&log);
    let values = |replay: &Replay| {
        format!("PCR-10: {}\nPCR-11: {}\n", replay.value(10).unwrap(), replay.value(11).unwrap())
    };
    fs::write(bench.path("values"), values(&after)).unwrap();
    let (verdict, text) = run(&bench, "--pcrs @values", None);
    assert_eq!(verdict.conclusion, Conclusion::PartlyCompared);
    assert_eq!(verdict.banks[0].outcome, Outcome::Matches);
    assert_eq!(verdict.banks[0].pcrs[1].comparison, Comparison::StartUnknown);
    assert!(text.contains("PCR 11 was not compared: what it was before record 2 is not known"), "{text}");
    assert!(!text.contains("lost") && !text.contains("does not"), "{text}");
    assert_eq!(run(&bench, "--pcrs @values --uncovered-pcr 11", None).0.conclusion, Conclusion::Holds);
    let start = format!("--start 11,sha256,{}", before.value(11).unwrap());
    assert_eq!(run(&bench, &format!("--pcrs @values {start}"), None).0.conclusion, Conclusion::Holds);

    // A quote over both says nothing without it.
    let mut both = quoted(&[(Bank::Sha256, &[10, 11])], &log);
    both.digest = both.digest_of(|_, pcr| after.value(pcr).unwrap()).as_bytes().to_vec();
    let (verdict, text) = run(&bench, QUOTE, Some(both.clone()));
    assert_eq!(verdict.conclusion, Conclusion::NotCompared);
    assert!(
        text.contains("it covers sha256 PCR 11, and what it was before its first record is not known"),
        "{text}"
    );
    assert_eq!(run(&bench, &format!("{start} {QUOTE}"), Some(both)).0.conclusion, Conclusion::Holds);
}

#[test]
fn a_pcr_whose_start_the_values_themselves_tell() {
    let log = with_pcr_11(5, 2);
    let bench = bench(&log);
    // At its value from the reset on, but not when PCR 10 was: that is known to be wrong.
    let lines =
        format!("PCR-10: {}\nPCR-11: {}\n", value(&log, Bank::Sha1, 10), value(&log[..2], Bank::Sha1, 11));
    fs::write(bench.path("values"), lines).unwrap();
    let (verdict, _) = run(&bench, "--pcrs @values", None);
    assert_eq!((verdict.conclusion, verdict.banks[0].outcome), (Conclusion::DoesNotHold, Outcome::Mismatch));
    // Without the first record of it, too.
    let lines =
        format!("PCR-10: {}\nPCR-11: {}\n", value(&log, Bank::Sha1, 10), value(&log[2..], Bank::Sha1, 11));
    fs::write(bench.path("values"), lines).unwrap();
    let (verdict, text) = run(&bench, "--pcrs @values", None);
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold, "{text}");
    assert_eq!(verdict.banks[0].explanation, Some(Explanation::SinceReset { first: 3, last: 3 }));
    // And a value that contradicts what a quote proved.
    let lines =
        format!("PCR-10: {}\nPCR-11: {}\n", value(&log, Bank::Sha256, 10), Digest::ones(Bank::Sha256));
    fs::write(bench.path("values"), lines).unwrap();
    let both = quoted(&[(Bank::Sha256, &[10, 11])], &log);
    let (verdict, _) = run(&bench, &format!("--pcrs @values {QUOTE}"), Some(both));
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
}

#[rstest]
#[case::short(60, 40, 60)]
#[case::the_list_leads(60, 40, 55)]
#[case::long(5000, 4000, 5000)]
fn a_reset_within_the_list(#[case] count: usize, #[case] reset: usize, #[case] taken: usize) {
    let log = records(count);
    let bench = bench(&log);
    bench.pcrs(&log[reset..taken], Bank::Sha256);
    let since = Explanation::SinceReset { first: reset as u64 + 1, last: taken as u64 };
    let (verdict, text) = run(&bench, "--pcrs @sha256", None);
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
    assert_eq!(verdict.banks[0].explanation, Some(since));
    assert!(text.contains(&format!("the value is that of records {} on, to {taken}", reset + 1)), "{text}");
    assert!(!text.contains("lost"), "{text}");
    if count < 100 {
        let (verdict, _) = run(&bench, QUOTE, Some(quoted(&[(Bank::Sha256, &[10])], &log[reset..taken])));
        assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
        assert_eq!(verdict.quote.unwrap().explanation, Some(since));
    }
}

/// A record in front changes nothing about where IMA's own PCR began.
#[test]
fn a_record_before_the_boot_aggregate() {
    let taken = records(9);
    let mut log = taken.clone();
    log[5].data[50] ^= 1;
    log[5] = Record::new(Bank::Sha1, 10, &log[5].template, log[5].data.clone());
    log.insert(0, Record { pcr: 11, ..taken[0].clone() });
    let bench = bench(&log);
    bench.pcrs(&taken, Bank::Sha256);
    let (verdict, _) = run(&bench, "--pcrs sha256:10,@sha256 --uncovered-pcr 11", None);
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
}
