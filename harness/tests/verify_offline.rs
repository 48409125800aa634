//! `imalab verify` on files: verdicts, their text and JSON, and what it says of bad input.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;

use clap::Parser;
use imalab_formats::ima::{Bank, Digest, Generator, Mix, Record, replay};
use imalab_verify::{Comparison, Conclusion, Explanation, Outcome, Quoted};
use proptest::prelude::*;
use rstest::rstest;

#[path = "verify/bench.rs"]
mod bench;

use bench::{Bench, CommandLine, QUOTE};

fn records(count: usize) -> Vec<Record> {
    Generator::new(9, Mix::Templates).take(count).collect()
}

#[test]
fn chunks_are_one_list() {
    let bench = Bench::new();
    let records = records(30);
    bench.log("1", &records[..10]);
    bench.log("2", &[]);
    bench.log("3", &records[10..]);
    bench.pcrs(&records, Bank::Sha384);
    let verdict = bench.verdict("verify --log @1 @2 --log @3 --pcrs sha384,@sha384");
    assert!(verdict.holds);
    assert_eq!((verdict.records, verdict.banks[0].outcome), (30, Outcome::Matches));
    let swapped = bench.verdict("verify --log @3 @1 --pcrs sha384,@sha384");
    assert!(!swapped.holds);
}

/// Records 0 to 29, saved in chunks in three kernels.
#[rstest]
#[case::deleted(&[0..10, 10..20, 20..30], 0)]
#[case::not_deleted_before_a_kexec(&[0..10, 0..20, 20..30], 10)]
#[case::carried_twice(&[0..10, 0..20, 0..30], 30)]
#[case::some_deleted(&[0..10, 5..20, 15..30], 10)]
#[case::read_and_not_removed(&[0..10, 10..15, 0..20, 20..30], 15)]
fn chunks_and_carried_lists_are_one_list(#[case] chunks: &[std::ops::Range<usize>], #[case] carried: u64) {
    let bench = Bench::new();
    let records = records(30);
    let mut line = "verify --whole --pcrs sha256,@sha256".to_owned();
    for (number, chunk) in chunks.iter().enumerate() {
        bench.log(&number.to_string(), &records[chunk.clone()]);
        line += &format!(" --log @{number}");
    }
    bench.pcrs(&records, Bank::Sha256);
    let verdict = bench.verdict(&line);
    assert!(verdict.holds, "{verdict:#?}");
    assert_eq!((verdict.records, verdict.carried), (30, carried));
    assert_eq!(verdict.banks[0].outcome, Outcome::Matches);
}

#[test]
fn a_hole_that_a_trim_left_in_what_is_carried_is_filled() {
    let bench = Bench::new();
    let records = records(20);
    // Staged and saved 0 to 4, trimmed 5 and 6 meanwhile; the next kernel begins with 0 to 4 and 7.
    bench.log("saved", &records[..5]);
    bench.log("trimmed", &records[5..7]);
    bench.log("second", &[&records[..5], &records[7..12]].concat());
    bench.log("third", &[&records[..5], &records[7..]].concat());
    bench.pcrs(&records, Bank::Sha1);
    let (verdict, text) = bench.run("verify --whole --log @saved @trimmed @second @third --pcrs @sha1", None);
    assert_eq!(verdict.unwrap().carried, 15);
    assert!(text.contains("records that a file has again after a kexec, counted once: 15\n"), "{text}");
}

#[test]
fn a_file_that_begins_as_another_ends_by_chance_is_taken_whole() {
    let bench = Bench::new();
    let mut records = records(10);
    // A kernel that measured just one file, and the next that measured the same one.
    records[5] = records[3].clone();
    records[6] = records[4].clone();
    bench.log("1", &records[..5]);
    bench.log("2", &records[5..]);
    bench.pcrs(&records, Bank::Sha1);
    let verdict = bench.verdict("verify --whole --log @1 @2 --pcrs @sha1");
    assert!(verdict.holds);
    assert_eq!((verdict.records, verdict.carried), (10, 0));
    // When nothing holds either way, what looks carried counts once.
    bench.pcrs(&records[1..], Bank::Sha1);
    let verdict = bench.verdict("verify --log @1 @2 --pcrs @sha1");
    assert!(!verdict.holds);
    assert_eq!((verdict.records, verdict.carried), (8, 2));
}

#[test]
fn a_carried_list_that_lost_a_record_does_not_hold() {
    let bench = Bench::new();
    let records = records(20);
    bench.log("1", &records[..10]);
    bench.log("2", &[&records[..9], &records[10..]].concat());
    bench.pcrs(&records, Bank::Sha1);
    assert!(!bench.verdict("verify --log @1 @2 --pcrs @sha1").holds);
}

#[rstest]
#[case(Bank::Sha1)]
#[case(Bank::Sha256)]
#[case(Bank::Sha384)]
#[case(Bank::Sha512)]
fn the_view_is_told_from_the_first_record(#[case] view: Bank) {
    let bench = Bench::new();
    let records: Vec<Record> = records(20).iter().map(|record| record.in_view(view)).collect();
    bench.log("log", &records);
    bench.pcrs(&records, Bank::Sha1);
    bench.pcrs(&records, Bank::Sha512);
    let verdict = bench.verdict("verify --log @log --pcrs @sha1 --pcrs sha512,@sha512");
    assert_eq!(verdict.view, view);
    assert!(verdict.holds, "{verdict:#?}");
}

#[test]
fn one_bank_that_does_not_match_is_enough() {
    let bench = Bench::new();
    bench.log("log", &records(20));
    bench.pcrs(&records(20), Bank::Sha1);
    bench.pcrs(&records(20)[1..], Bank::Sha256);
    let (verdict, text) = bench.run("verify --log @log --pcrs @sha1 --pcrs sha256,@sha256", None);
    assert!(!verdict.unwrap().holds);
    insta::assert_snapshot!(text);
}

#[test]
fn a_changed_record_is_named() {
    let bench = Bench::new();
    let mut records = records(20);
    bench.pcrs(&records, Bank::Sha256);
    *records[16].data.last_mut().unwrap() ^= 1;
    records[18].digest[3] ^= 1;
    bench.log("log", &records);
    let (verdict, text) = bench.run("verify --log @log --pcrs sha256,@sha256", None);
    assert!(!verdict.unwrap().holds);
    insta::assert_snapshot!(text);
    let (_, json) = bench.run("verify --json --log @log --pcrs sha256,@sha256", None);
    insta::assert_snapshot!(json);
}

#[test]
fn a_prefix_says_how_far_it_goes() {
    let bench = Bench::new();
    bench.log("log", &records(20));
    bench.pcrs(&records(15), Bank::Sha1);
    let (verdict, text) = bench.run("verify --log @log --pcrs @sha1", None);
    assert_eq!(verdict.unwrap().conclusion, Conclusion::PartlyCompared);
    insta::assert_snapshot!(text, @r"
    20 records of the sha1 view, violations: 1
    sha1    matches after 15 of 20 records, the last 5 are not in it
    compared with nothing: 5 records after record 15, nothing is said of them (--uncovered-tail allows it)
    the list was compared in part, and that part holds
    ");
    let (verdict, text) = bench.run("verify --uncovered-tail --log @log --pcrs @sha1", None);
    assert!(verdict.unwrap().holds);
    insta::assert_snapshot!(text, @r"
    20 records of the sha1 view, violations: 1
    sha1    matches after 15 of 20 records, the last 5 are not in it
    compared with nothing: 5 records after record 15, which is allowed
    the list holds up to record 15
    ");
    let whole = bench.verdict("verify --whole --log @log --pcrs @sha1");
    assert!(!whole.holds, "the whole list was asked for");
}

#[rstest]
#[case::not_extended(&[4], Some(Explanation::NotExtended { record: 5 }))]
#[case::last_not_extended(&[19], None)]
#[case::two_not_extended(&[4, 9], None)]
fn a_record_that_was_not_extended_is_named(#[case] left_out: &[usize], #[case] found: Option<Explanation>) {
    let bench = Bench::new();
    let records = records(20);
    bench.log("log", &records);
    let mut extended = records.clone();
    left_out.iter().rev().for_each(|place| drop(extended.remove(*place)));
    bench.pcrs(&extended, Bank::Sha256);
    let verdict = bench.verdict("verify --log @log --pcrs sha256,@sha256");
    assert_eq!(verdict.banks[0].explanation, found);
}

#[test]
fn neighbours_in_the_other_order_are_named() {
    let bench = Bench::new();
    let mut records = two_pcrs();
    bench.log("log", &records);
    // The neighbour of record 10 in PCR 11 is record 6.
    records.swap(5, 9);
    bench.pcrs(&records, Bank::Sha1);
    let (verdict, text) = bench.run("verify --log @log --pcrs @sha1", None);
    let swapped = Explanation::Swapped { first: 6, second: 10 };
    assert_eq!(verdict.unwrap().banks[0].explanation, Some(swapped));
    assert!(text.contains("it would match if records 6 and 10 changed places"), "{text}");
}

/// Records of which some go to PCR 11, as a policy rule with `pcr=11` makes them.
fn two_pcrs() -> Vec<Record> {
    let mut records = records(12);
    records[5].pcr = 11;
    records[9].pcr = 11;
    records
}

#[test]
fn every_pcr_of_the_list_has_to_match() {
    let bench = Bench::new();
    let records = two_pcrs();
    bench.log("log", &records);
    for (taken, matched) in [(12, Some(12)), (5, Some(5)), (6, Some(6)), (11, Some(11))] {
        bench.pcrs(&records[..taken], Bank::Sha1);
        let verdict = bench.verdict("verify --log @log --pcrs @sha1");
        let outcome = match matched {
            Some(12) => Outcome::Matches,
            Some(records) => Outcome::MatchesPrefix { records },
            None => Outcome::Mismatch,
        };
        assert_eq!(verdict.banks[0].outcome, outcome, "values after {taken} records");
    }
    // PCR 10 as after five records, PCR 11 as after all: at no time were both so.
    let value = |count: usize, pcr| replay(&records[..count], Bank::Sha1, pcr).unwrap();
    fs::write(bench.path("sha1"), format!("PCR-10: {}\nPCR-11: {}\n", value(5, 10), value(12, 11))).unwrap();
    let verdict = bench.verdict("verify --log @log --pcrs @sha1");
    assert_eq!(verdict.banks[0].outcome, Outcome::Mismatch);
    // A PCR that the list extends and the file does not have cannot be compared.
    fs::write(bench.path("sha1"), format!("PCR-10: {}\n", value(12, 10))).unwrap();
    let (verdict, text) = bench.run("verify --log @log --pcrs @sha1", None);
    let verdict = verdict.unwrap();
    assert_eq!(verdict.conclusion, Conclusion::PartlyCompared);
    assert_eq!(verdict.banks[0].pcrs[1].comparison, Comparison::NoValue);
    assert!(text.contains("PCR 11 has no value to compare with"), "{text}");
}

fn quoted(records: &[Record], others: &[Digest]) -> Quoted {
    let mut parts = others.to_vec();
    parts.push(replay(records, Bank::Sha1, 10).unwrap());
    parts.push(replay(records, Bank::Sha256, 10).unwrap());
    let parts: Vec<&[u8]> = parts.iter().map(Digest::as_bytes).collect();
    let mut first: Vec<u32> = (0..others.len() as u32).collect();
    first.push(10);
    Quoted {
        selection: vec![(Bank::Sha1, first), (Bank::Sha256, vec![10])],
        hash: Bank::Sha256,
        digest: Digest::of(Bank::Sha256, &parts).as_bytes().to_vec(),
        restricted: true,
        empty_nonce: false,
    }
}

#[rstest]
#[case::all(20, Outcome::Matches)]
#[case::prefix(13, Outcome::MatchesPrefix { records: 13 })]
fn a_quote_over_two_banks_is_found(#[case] count: usize, #[case] outcome: Outcome) {
    let bench = Bench::new();
    fs::write(bench.path("message"), "message").unwrap();
    bench.log("log", &records(20));
    let judged = |line: &str| {
        let (verdict, text) = bench.run(line, Some(quoted(&records(count), &[])));
        (verdict.unwrap(), text)
    };
    let (verdict, text) = judged(&format!("verify --log @log {QUOTE}"));
    assert_eq!(verdict.quote.as_ref().unwrap().outcome, outcome);
    assert_eq!(verdict.holds, count == 20);
    assert!(judged(&format!("verify --uncovered-tail --log @log {QUOTE}")).0.holds);
    assert!(text.contains(" over sha1:10+sha256:10\n"), "{text}");
}

#[test]
fn a_quote_over_more_pcrs_takes_them_from_the_values() {
    let bench = Bench::new();
    fs::write(bench.path("message"), "message").unwrap();
    let records = records(20);
    bench.log("log", &records);
    let boot = Digest::ones(Bank::Sha1);
    let quoted = quoted(&records, &[boot]);
    let (verdict, _) = bench.run(&format!("verify --log @log {QUOTE}"), Some(quoted.clone()));
    let verdict = verdict.unwrap();
    assert_eq!(verdict.conclusion, Conclusion::NotCompared, "PCR 0 is not known");
    assert_eq!(verdict.quote.unwrap().unknown, [(Bank::Sha1, 0)]);
    let last = replay(&records, Bank::Sha1, 10).unwrap();
    fs::write(bench.path("sha1"), format!("PCR-00: {boot}\nPCR-10: {last}\n")).unwrap();
    let (verdict, _) = bench.run(&format!("verify --log @log --pcrs @sha1 {QUOTE}"), Some(quoted));
    assert!(verdict.unwrap().holds);
}

#[test]
fn bad_input_is_an_error_that_says_where() {
    let bench = Bench::new();
    fs::write(bench.path("message"), "message").unwrap();
    fs::write(bench.path("empty"), "").unwrap();
    fs::write(bench.path("text"), "hello\n").unwrap();
    bench.log("log", &records(20));
    bench.pcrs(&records(20), Bank::Sha1);
    let mut cut = fs::read(bench.path("log")).unwrap();
    cut.truncate(cut.len() - 1);
    fs::write(bench.path("cut"), cut).unwrap();
    let lines = [
        "verify --log @missing".to_owned(),
        "verify --log @empty".to_owned(),
        "verify --log @text".to_owned(),
        "verify --log @log @cut".to_owned(),
        "verify --log @log --view sha256".to_owned(),
        "verify --log @log --big-endian --view sha1".to_owned(),
        "verify --log @log --pcrs @text".to_owned(),
        "verify --log @log --pcrs sha256,@sha1".to_owned(),
        "verify --log @log --pcrs @sha1 --pcrs sha1,@sha1".to_owned(),
        format!("verify --log @log {QUOTE}"),
        format!("verify --log @log {QUOTE}").replace("cafe", "coffee"),
    ];
    let said: Vec<String> = lines.iter().map(|line| format!("{line}\n  {}\n", bench.error(line))).collect();
    insta::assert_snapshot!(said.concat());
}

#[rstest]
#[case("verify")]
#[case("verify --log a --pcrs md5,b")]
#[case("verify --log a --view sha3")]
#[case("verify --log a --quote-message b")]
#[case("verify --log a --nonce 00")]
#[case("verify --log a --uncovered-pcr 64")]
#[case("verify --log a --whole --uncovered-tail")]
#[case("verify --log a --start 10,sha256,00")]
#[case("verify --log a --pcrs sha256:64,b")]
fn command_lines_that_are_refused(#[case] line: &str) {
    CommandLine::try_parse_from(line.split(' ')).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No digest covers the name of a template; everything else of a record is covered, or in front of something that is.
    #[test]
    fn no_changed_byte_of_a_list_holds(at in any::<prop::sample::Index>(), flip in 1u8.., by_quote in any::<bool>()) {
        let bench = Bench::new();
        let records: Vec<Record> = records(25).into_iter().filter(|record| !record.is_violation()).collect();
        bench.log("log", &records);
        bench.pcrs(&records, Bank::Sha1);
        fs::write(bench.path("message"), "message").unwrap();
        let mut list = fs::read(bench.path("log")).unwrap();
        let at = at.index(list.len());
        list[at] ^= flip;
        fs::write(bench.path("log"), list).unwrap();
        let (verdict, text) = match by_quote {
            true => bench.run(&format!("verify --log @log {QUOTE}"), Some(quoted(&records, &[]))),
            false => bench.run("verify --log @log --pcrs @sha1", None),
        };
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        match verdict {
            Ok(verdict) => prop_assert!(!verdict.holds || !verdict.unknown_templates.is_empty(), "{}", text),
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
        }
    }
}
