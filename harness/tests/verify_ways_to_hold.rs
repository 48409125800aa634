//! Every way in which `imalab verify` could say that a list holds without having compared it. `docs/verify.md` has the
//! table; a row there is a test here, or in the file that it names.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;

use imalab_formats::ima::{Bank, Digest, Generator, Mix, Record, Replay, replay};
use imalab_verify::{Comparison, Conclusion, Explanation, Outcome, Quoted, Tail, Verdict};
use proptest::prelude::*;
use rstest::rstest;

#[path = "verify/bench.rs"]
#[expect(dead_code, reason = "another test needs more of it")]
mod bench;

use bench::{Bench, QUOTE};

fn records(count: usize) -> Vec<Record> {
    Generator::new(9, Mix::Common).take(count).collect()
}

/// Records of PCR 10 with `more` of PCR 11 behind the first.
fn with_pcr_11(count: usize, more: usize) -> Vec<Record> {
    let mut records = records(count + more);
    records[1..=more].iter_mut().for_each(|record| record.pcr = 11);
    records
}

fn value(records: &[Record], bank: Bank, pcr: u32) -> Digest {
    replay(records, bank, pcr).unwrap()
}

/// A quote over these PCRs as the records leave them.
fn quoted(selection: &[(Bank, &[u32])], records: &[Record]) -> Quoted {
    let mut quoted = Quoted {
        selection: selection.iter().map(|(bank, pcrs)| (*bank, pcrs.to_vec())).collect(),
        hash: Bank::Sha256,
        digest: Vec::new(),
        restricted: true,
        empty_nonce: false,
    };
    quoted.digest = quoted.digest_of(|bank, pcr| value(records, bank, pcr)).as_bytes().to_vec();
    quoted
}

fn bench(log: &[Record]) -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("message"), "message").unwrap();
    bench.log("log", log);
    bench
}

fn run(bench: &Bench, more: &str, quoted: Option<Quoted>) -> (Verdict, String) {
    let (verdict, text) = bench.run(format!("verify --log @log {more}").trim(), quoted);
    (verdict.unwrap(), text)
}

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
    assert!(text.contains("nothing was compared in bank sha384, of which values were given"), "{text}");
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

#[test]
fn padded_sha1_is_said_so() {
    let log = records(600);
    let bench = bench(&log);
    for bank in [Bank::Sha256, Bank::Sha512] {
        let mut padded = Replay::new(bank);
        for record in &log {
            padded.extend(10, &record.extend_digest(Bank::Sha1).padded_to(bank));
        }
        let line = format!("PCR-10: {}\n", padded.value(10).unwrap());
        fs::write(bench.path("values"), line).unwrap();
        let (verdict, text) = run(&bench, "--pcrs @values", None);
        assert!(verdict.violations > 0, "a violation is padded as well");
        assert_eq!(verdict.conclusion, Conclusion::Holds, "{text}");
        assert!(verdict.banks[0].padded_sha1);
        assert!(text.contains("SHA-1 padded"), "{text}");
        let mut quoted = quoted(&[(bank, &[10])], &log);
        quoted.digest = quoted.digest_of(|_, _| padded.value(10).unwrap()).as_bytes().to_vec();
        let (verdict, text) = run(&bench, QUOTE, Some(quoted));
        assert_eq!(verdict.conclusion, Conclusion::Holds, "{text}");
        assert!(text.contains("SHA-1 padded"), "{text}");
        // SHA-1 itself is never padded, and a changed record is not saved by it.
        let mut changed = log.clone();
        *changed[3].data.last_mut().unwrap() ^= 1;
        bench.log("log", &changed);
        assert_eq!(run(&bench, "--pcrs @values", None).0.conclusion, Conclusion::DoesNotHold);
        bench.log("log", &log);
    }
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

#[test]
fn what_is_likeliest_comes_first() {
    let log = records(9);
    let bench = bench(&log[..8]);
    bench.pcrs(&log, Bank::Sha256);
    let (verdict, text) = run(&bench, "--pcrs @sha256", None);
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
    let causes: Vec<&str> = text.lines().filter(|line| line.starts_with("  - ")).collect();
    assert_eq!(
        causes[0],
        "  - the PCRs were read after the list was read, and a record came in between: read the list last"
    );
    assert!(causes.last().unwrap().contains("lost, added, moved or replaced"), "{text}");
}

#[test]
fn unknown_templates_are_reported() {
    let mut log = records(30);
    for (place, record) in log.iter_mut().enumerate().skip(1) {
        record.template = if place < 5 { "ima-ng-2".to_owned() } else { format!("made-up-{place}") };
    }
    let bench = bench(&log);
    bench.pcrs(&log, Bank::Sha256);
    let (verdict, text) = run(&bench, "--pcrs @sha256", None);
    assert_eq!(verdict.conclusion, Conclusion::Holds);
    assert_eq!(verdict.unknown_templates.len(), 8);
    assert_eq!((verdict.unknown_templates[0].first, verdict.unknown_templates[0].records), (2, 4));
    assert_eq!(verdict.more_unknown_templates, 18);
    assert!(text.contains("unknown template `ima-ng-2` in 4 records, the first is 2"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done to a list, and whatever is compared: it holds only when each PCR's records are those that the TPM
    /// took; and, where more of them at the end are allowed, no others before those.
    #[test]
    fn a_list_that_holds_is_what_the_tpm_took(
        edits in proptest::collection::vec((0usize..12, 0usize..4), 0..3),
        banks in proptest::sample::subsequence(vec![Bank::Sha1, Bank::Sha256], 1..=2),
        pcrs in proptest::sample::subsequence(vec![10u32, 11], 0..=2),
        by_quote in any::<bool>(),
        tail in any::<bool>(),
    ) {
        let option = if tail { " --uncovered-tail" } else { "" };
        let taken = with_pcr_11(8, 3);
        let mut log = taken.clone();
        for (at, edit) in edits {
            let at = at % log.len();
            match edit {
                0 => drop(log.remove(at)),
                1 => {
                    let next = (at + 1) % log.len();
                    log.swap(at, next);
                }
                2 => log.insert(at, log[at].clone()),
                _ => log.push(log[at].clone()),
            }
        }
        let bench = bench(&log);
        let (verdict, text) = if by_quote {
            let selection: Vec<(Bank, &[u32])> = banks.iter().map(|bank| (*bank, &*pcrs)).collect();
            run(&bench, &format!("{QUOTE}{option}"), Some(quoted(&selection, &taken)))
        } else {
            let mut line = String::new();
            for bank in &banks {
                let lines: String =
                    pcrs.iter().map(|pcr| format!("PCR-{pcr}: {}\n", value(&taken, *bank, *pcr))).collect();
                if !pcrs.is_empty() {
                    fs::write(bench.path(bank.name()), lines).unwrap();
                    line += &format!(" --pcrs @{bank}");
                }
            }
            line += option;
            run(&bench, line.trim(), None)
        };
        if verdict.holds {
            for pcr in [10, 11] {
                let of = |records: &[Record]| -> Vec<Record> {
                    records.iter().filter(|record| record.pcr == pcr).cloned().collect()
                };
                let (log, taken) = (of(&log), of(&taken));
                prop_assert!(log.is_empty() || log == taken || tail && log.starts_with(&taken), "{}", text);
            }
        }
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

#[test]
fn a_quote_without_a_nonce_may_be_an_old_one() {
    let log = records(9);
    let quoted = Quoted { empty_nonce: true, ..quoted(&[(Bank::Sha256, &[10])], &log) };
    let (verdict, text) = run(&bench(&log), QUOTE, Some(quoted));
    assert!(verdict.quote.unwrap().empty_nonce);
    assert!(text.contains("it carries no nonce: it may be an old one"), "{text}");
}
