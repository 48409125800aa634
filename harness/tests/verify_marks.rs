//! `imalab verify` on lists that a kernel divided or hashed itself: `snapshot_aggregate` and `log_digest`; beside it evmctl (Debian:
//! ima-evm-utils) and Keylime, which are not ours. Without them the tests fail: a check that could not run is none.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use imalab_formats::ima::{
    AsciiLine, Bank, ByteOrder, Digest, Generator, Mix, Record, Replay, template_data, write_record,
};
use imalab_verify::{Conclusion, Verdict};
use rstest::rstest;

#[path = "verify/bench.rs"]
#[expect(dead_code, reason = "other tests use all of it")]
mod bench;

use bench::Bench;

fn records(count: usize) -> Vec<Record> {
    Generator::new(9, Mix::Templates).take(count).collect()
}

/// Of the template that every judge knows.
fn plain_records(count: usize) -> Vec<Record> {
    Generator::new(9, Mix::Templates).filter(|record| record.template == "ima-ng").take(count).collect()
}

/// Critical data.
fn mark(name: &str, text: &str) -> Record {
    let digest = [b"sha256:\0".as_slice(), Digest::of(Bank::Sha256, &[text.as_bytes()]).as_bytes()].concat();
    let name = [name.as_bytes(), b"\0"].concat();
    let data = template_data(&[&digest, &name, text.as_bytes()], ByteOrder::Little);
    Record::new(Bank::Sha1, 10, "ima-buf", data)
}

/// The text of an aggregate behind these records.
fn aggregate(records: &[Record], number: u64) -> String {
    let banks = [Bank::Sha1, Bank::Sha256].map(|bank| {
        let mut replay = Replay::new(bank);
        records.iter().for_each(|record| replay.record(record));
        let items: Vec<String> =
            (0..24).map(|pcr| format!("{bank}:PCR{pcr}:{}", replay.value(pcr).unwrap())).collect();
        items.join(",") + ";"
    });
    format!("Snapshot_Attempt_Count={number};{}", banks.concat())
}

/// The text of a digest of the last of these records.
fn digest(records: &[Record], covered: usize) -> String {
    let mut bytes = Vec::new();
    for record in &records[records.len() - covered..] {
        write_record(&mut bytes, &record.in_view(Bank::Sha1), ByteOrder::Little).unwrap();
    }
    let (digest, total) = (Digest::of(Bank::Sha256, &[&bytes]), records.len());
    format!("digest=sha256:{digest};covered={covered};total={total};trims=0;trimmed=0;")
}

/// A log of 30 records and an aggregate after each ten, and its three shards and the list as files; `change` is what is wrong
/// with the text of the second aggregate.
fn shards(change: impl Fn(String) -> String) -> (Bench, Vec<Record>) {
    shards_of(&records(30), change)
}

fn shards_of(records: &[Record], change: impl Fn(String) -> String) -> (Bench, Vec<Record>) {
    let bench = Bench::new();
    let mut log: Vec<Record> = Vec::new();
    let mut begins = vec![0];
    for (number, some) in (1..).zip(records.chunks(10)) {
        log.extend_from_slice(some);
        let text = aggregate(&log, number);
        let text = if number == 2 { change(text) } else { text };
        begins.push(log.len());
        log.push(mark("snapshot_aggregate", &text));
    }
    begins.push(log.len());
    for (number, range) in begins.windows(2).enumerate() {
        bench.log(&number.to_string(), &log[range[0]..range[1]]);
    }
    bench.pcrs(&log, Bank::Sha256);
    (bench, log)
}

#[track_caller]
fn wrong(verdict: &Verdict, of: &str) -> (u64, u64, String, String) {
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold, "{verdict:#?}");
    let wrong = verdict.marks.wrong.iter().find(|wrong| wrong.of == of);
    let wrong = wrong.unwrap_or_else(|| panic!("nothing of {of}: {verdict:#?}"));
    (wrong.record, wrong.offset, wrong.expected.clone(), wrong.found.clone())
}

#[test]
fn shards_are_one_log_and_their_aggregates_say_where_they_end() {
    let (bench, log) = shards(|text| text);
    let (verdict, text) = bench.run("verify --whole --log @0 @1 @2 @3 --pcrs @sha256", None);
    let verdict = verdict.unwrap();
    assert!(verdict.holds, "{text}");
    assert_eq!((verdict.records, verdict.marks.records, verdict.marks.compared), (log.len() as u64, 3, 3));
    assert!(text.contains("records of the log itself: 3, compared with what is before them: 3\n"), "{text}");
    // Without the first shards the first aggregate is where it begins.
    let verdict = bench.verdict("verify --log @2 @3");
    assert_eq!((verdict.marks.records, verdict.marks.compared, verdict.marks.wrong.len()), (2, 1, 0));
}

#[rstest]
#[case::missing("@0 @2 @3", ": expected 1, found 2: a shard is missing before it")]
#[case::swapped("@0 @2 @1 @3", ": expected 3, found 1: a shard is given twice, or in another order")]
fn a_shard_in_a_wrong_place_is_told(#[case] files: &str, #[case] says: &str) {
    let (bench, _) = shards(|text| text);
    let (verdict, text) = bench.run(&format!("verify --log {files} --pcrs @sha256"), None);
    wrong(&verdict.unwrap(), "number");
    assert!(text.contains(says), "{text}");
}

#[test]
fn a_shard_in_a_wrong_place_has_another_value_too() {
    let (bench, _) = shards(|text| text);
    let verdict = bench.verdict("verify --log @0 @2 @3 --pcrs @sha256");
    let (record, ..) = wrong(&verdict, "sha256:PCR10");
    // Shard 2 begins with the aggregate of the second snapshot.
    assert_eq!(record, 11);
}

#[test]
fn an_aggregate_of_other_values_is_told_with_its_place() {
    let (bench, log) = shards(|text| {
        let at = text.find("sha1:PCR10:").unwrap() + "sha1:PCR10:".len();
        text[..at].to_owned() + &"0".repeat(40) + &text[at + 40..]
    });
    let verdict = bench.verdict("verify --log @0 @1 @2 @3 --pcrs @sha256");
    let (record, offset, expected, found) = wrong(&verdict, "sha1:PCR10");
    let mut replay = Replay::new(Bank::Sha1);
    log[..21].iter().for_each(|record| replay.record(record));
    assert_eq!((record, offset), (22, 0));
    assert_eq!((expected, found), (replay.value(10).unwrap().to_string(), "0".repeat(40)));
}

#[test]
fn a_text_without_its_form_is_told_with_its_byte() {
    let (bench, log) = shards(|text| text.replace("Count=2;", "Count=two;"));
    let verdict = bench.verdict("verify --log @0 @1 @2 @3 --pcrs @sha256");
    let (record, offset, expected, _) = wrong(&verdict, "text");
    let mut bytes = Vec::new();
    write_record(&mut bytes, &log[21], ByteOrder::Little).unwrap();
    let at = bytes.windows(3).position(|bytes| bytes == b"two").unwrap() as u64;
    assert_eq!((record, offset, &*expected), (22, at, "a decimal number"));
}

/// A log of 20 records with digests, as one file; `change` is what is wrong with the text of the second.
fn hashed(change: impl Fn(String) -> String) -> (Bench, Vec<Record>) {
    hashed_of(&records(20), change)
}

fn hashed_of(some: &[Record], change: impl Fn(String) -> String) -> (Bench, Vec<Record>) {
    let bench = Bench::new();
    let mut log = some[..8].to_vec();
    log.push(mark("log_digest", &digest(&log, 8)));
    log.extend_from_slice(&some[8..15]);
    log.push(mark("log_digest", &change(digest(&log, 8))));
    log.push(mark("log_digest", &digest(&log, 1)));
    log.extend_from_slice(&some[15..]);
    bench.log("list", &log);
    bench.log("end", &log[8..]);
    bench.log("first", &log[..10]);
    bench.log("last", &log[12..]);
    bench.pcrs(&log, Bank::Sha256);
    (bench, log)
}

#[test]
fn digests_are_those_of_the_records_since_the_last_one() {
    let (bench, _) = hashed(|text| text);
    let verdict = bench.verdict("verify --log @list --pcrs @sha256");
    assert!(verdict.holds, "{verdict:#?}");
    assert_eq!((verdict.marks.records, verdict.marks.compared), (3, 3));
    // From one of them on, the first is of what is not there.
    let verdict = bench.verdict("verify --log @end");
    assert_eq!((verdict.marks.records, verdict.marks.compared, verdict.marks.wrong.len()), (3, 2, 0));
    // In another view the same bytes are hashed.
    let verdict = bench.verdict("verify --log @list");
    assert_eq!(verdict.marks.compared, 3);
}

#[rstest]
#[case::of_other_bytes(&|text: String| text.replace("digest=sha256:", "digest=sha256:00"), "digest")]
#[case::of_other_records(&|text: String| text.replace("covered=8", "covered=7"), "covered")]
#[case::of_another_log(&|text: String| text.replace("total=16", "total=17"), "total")]
fn a_digest_that_says_something_else_is_told(#[case] change: &dyn Fn(String) -> String, #[case] of: &str) {
    let (bench, _) = hashed(change);
    wrong(&bench.verdict("verify --log @list --pcrs @sha256"), of);
}

#[test]
fn a_part_that_is_missing_is_told() {
    let (bench, _) = hashed(|text| text);
    let verdict = bench.verdict("verify --log @first @last --pcrs @sha256");
    let (.., expected, found) = wrong(&verdict, "covered");
    assert_eq!((&*expected, &*found), ("6", "8"));
}

/// Whether evmctl accepts these shards, put together, by the PCR values of one bank; and what it said.
fn evmctl(bench: &Bench, shards: &[&str]) -> (bool, String) {
    let all: Vec<u8> = shards.iter().flat_map(|shard| fs::read(bench.path(shard)).unwrap()).collect();
    fs::write(bench.path("together"), all).unwrap();
    said(
        Command::new("evmctl")
            .args(["ima_measurement", "--ignore-violations", "--pcrs"])
            .arg(format!("sha256,{}", bench.path("sha256").display()))
            .arg(bench.path("together")),
    )
}

/// The same of Keylime's verifier, which reads text.
fn keylime(bench: &Bench, records: &[Record]) -> (bool, String) {
    let python = std::env::var_os("IMALAB_KEYLIME").unwrap_or_else(|| {
        panic!("IMALAB_KEYLIME is not set: run `cargo xtask check`, which installs Keylime and sets it")
    });
    let lines = records
        .iter()
        .flat_map(|record| AsciiLine::of(&record.in_view(Bank::Sha1), ByteOrder::Little).unwrap().to_bytes());
    fs::write(bench.path("text"), lines.collect::<Vec<u8>>()).unwrap();
    let pcrs = fs::read_to_string(bench.path("sha256")).unwrap();
    let value = pcrs.lines().find_map(|line| line.strip_prefix("PCR-10:")).unwrap();
    let value: String = value.split_whitespace().collect::<String>().to_ascii_lowercase();
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/keylime_ima.py");
    said(Command::new(python).arg(judge).arg(bench.path("text")).args(["sha256", &value]))
}

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), said)
}

#[test]
fn evmctl_and_keylime_accept_all_shards_put_together_and_nothing_else() {
    let (bench, log) = shards_of(&plain_records(30), |text| text);
    let (accepted, said) = evmctl(&bench, &["0", "1", "2", "3"]);
    assert!(accepted && said.contains("Matched per TPM bank calculated digest(s)."), "{said}");
    let (accepted, said) = keylime(&bench, &log);
    assert!(accepted, "{said}");
    // A shard less, one twice, two in another order.
    let ends = [0, 10, 21, 32, log.len()];
    for wrong in [["0", "2", "3"].as_slice(), &["0", "1", "1", "2", "3"], &["0", "2", "1", "3"]] {
        let (accepted, said) = evmctl(&bench, wrong);
        assert!(!accepted, "{wrong:?}: {said}");
        let shard = |name: &&str| {
            let number: usize = name.parse().unwrap();
            log[ends[number]..ends[number + 1]].to_vec()
        };
        let records: Vec<Record> = wrong.iter().flat_map(shard).collect();
        let (accepted, said) = keylime(&bench, &records);
        assert!(!accepted && said.contains("does not match"), "{wrong:?}: {said}");
    }
}

#[test]
fn evmctl_and_keylime_accept_a_log_with_digests_in_it() {
    let (bench, log) = hashed_of(&plain_records(20), |text| text);
    let (accepted, said) = evmctl(&bench, &["list"]);
    assert!(accepted && said.contains("Matched per TPM bank calculated digest(s)."), "{said}");
    let (accepted, said) = keylime(&bench, &log);
    assert!(accepted, "{said}");
    let (accepted, said) = evmctl(&bench, &["first", "last"]);
    assert!(!accepted, "{said}");
}
