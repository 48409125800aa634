use imalab_wire::{Op, Outcome};
use rstest::rstest;
use serde_json::json;

use crate::evidence::IMA_PCR;
use crate::fake_run::{FakeRun, critical, failed, passed, path, show, value};
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::{Bank, ByteOrder, Digest, Record, template_data};
use imalab_language::interface::adapter;
use imalab_language::plan::{Action, Form, Interface};
use imalab_language::vocabulary::DEFAULT_POLICY;

/// What a pass says that it compared.
const COMPARED: &str = "records of the log itself";

fn speaking(interface: Interface) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.plan.interface = interface;
    fake
}

/// The one finding that a story leads to, as far as these fields go.
#[track_caller]
fn finds(fake: FakeRun, of: &str, expected: &serde_json::Value, found: &serde_json::Value) {
    let result = fake.verdict(Check::Model);
    failed(&result, &json!({"code": "model/mark", "of": of, "expected": expected, "found": found}));
}

#[track_caller]
fn compares(fake: FakeRun, marks: u64) -> CheckResult {
    let result = fake.verdict(Check::Model);
    passed(&result);
    assert_eq!(result.compared.get(COMPARED).copied().unwrap_or_default(), marks, "{result:#?}");
    result
}

/// PCRs that a test has extended beside IMA's, by bank.
type Others = Vec<(u32, Vec<Digest>)>;

/// Extends a PCR as user space does.
fn extends(fake: &mut FakeRun, pcr: u32, with: &str, others: &mut Others) {
    let banks = fake.plan.machine.banks.clone();
    let digests: Vec<Digest> = banks.iter().map(|bank| Digest::of(*bank, &[with.as_bytes()])).collect();
    fake.extend_with(pcr, digests.clone(), 0);
    if !others.iter().any(|(other, _)| *other == pcr) {
        others.push((pcr, banks.iter().map(|bank| Digest::zero(*bank)).collect()));
    }
    let (_, values) = others.iter_mut().find(|(other, _)| *other == pcr).unwrap();
    values.iter_mut().zip(&digests).for_each(|(value, digest)| value.extend(digest));
}

/// The text of an aggregate as the PCRs are now.
fn text(fake: &FakeRun, count: u64, others: &Others) -> String {
    let banks = &fake.plan.machine.banks;
    let bank = |(at, bank): (usize, &Bank)| {
        let value = |pcr: u32| match pcr {
            IMA_PCR => hex::encode(&fake.values()[at].digest),
            17..=22 => Digest::ones(*bank).to_string(),
            pcr => {
                let other = others.iter().find(|(other, _)| *other == pcr);
                other.map_or(Digest::zero(*bank), |(_, values)| values[at]).to_string()
            }
        };
        let items: Vec<String> = (0..24).map(|pcr| format!("{bank}:PCR{pcr}:{}", value(pcr))).collect();
        items.join(",") + ";"
    };
    let banks: String = banks.iter().enumerate().map(bank).collect();
    format!("Snapshot_Attempt_Count={count};{banks}")
}

/// Takes a snapshot with an aggregate of this text.
fn snapshot(fake: &mut FakeRun, text: &str) {
    let shard = show(&fake.current, Form::Binary, Bank::Sha1);
    fake.log(critical("snapshot_aggregate", text));
    let operations = adapter(Interface::SNAPSHOT).snapshot(0).unwrap();
    let done = |op: Op| match op {
        Op::Read { .. } => (op, value(shard.len()), shard.clone()),
        op => (op, value(0), Vec::new()),
    };
    let ops = operations.ops.into_iter().map(done).collect();
    fake.step("snapshot", Action::SystemCall, ops, operations.reads);
}

/// Takes a snapshot that is as it should be.
fn sound(fake: &mut FakeRun, count: u64, others: &Others) {
    let text = text(fake, count, others);
    snapshot(fake, &text);
}

#[test]
fn an_aggregate_holds_what_the_tap_saw_extended() {
    let mut fake = speaking(Interface::SNAPSHOT);
    let mut others = Others::new();
    extends(&mut fake, 4, "firmware", &mut others);
    fake.measure(3);
    sound(&mut fake, 1, &others);
    extends(&mut fake, 16, "user", &mut others);
    fake.violate();
    sound(&mut fake, 2, &others);
    compares(fake, 2);
}

/// The record is in the list, and its PCR never had it: what counts is what the TPM got.
#[test]
fn what_never_reached_the_tpm_is_in_no_value() {
    let mut fake = speaking(Interface::SNAPSHOT);
    fake.measure(1);
    fake.log_kept(crate::fake_run::record("/m/kept"), 0x101);
    let found = text(&fake, 1, &Others::new());
    snapshot(&mut fake, &found);
    let (plan, trace) = fake.finish();
    let result = crate::fake_run::result(&plan, &trace, Check::Model);
    assert!(!result.findings.iter().any(|finding| finding.code() == "model/mark"), "{result:#?}");
    assert_eq!(result.compared.get(COMPARED), Some(&1), "{result:#?}");
}

/// A PCR is read after another: user space may have extended one in between, but no record.
#[rstest]
#[case::between_two_reads(false, true)]
#[case::before_a_record(true, false)]
fn a_value_may_be_from_before_what_user_space_extended_last(#[case] record: bool, #[case] right: bool) {
    let mut fake = speaking(Interface::SNAPSHOT);
    fake.measure(1);
    let before = Others::new();
    let mut after = Others::new();
    extends(&mut fake, 16, "user", &mut after);
    if record {
        fake.measure(1);
    }
    let text = text(&fake, 1, &before);
    snapshot(&mut fake, &text);
    if right {
        compares(fake, 1);
        return;
    }
    let value = after[0].1[0].to_string();
    finds(fake, "sha1:PCR16", &json!(value), &json!("0".repeat(40)));
}

#[rstest]
#[case::another_pcr(&|text: String| text.replace("sha1:PCR9:0000", "sha1:PCR9:0001"), "sha1:PCR9", json!("0".repeat(40)))]
#[case::a_bank_less(&|text: String| text[..text.find("sha256").unwrap()].to_owned(), "banks", json!("sha1,sha256"))]
#[case::a_bank_more(&|text: String| text + "sha384:PCR0:00;", "banks", json!("sha1,sha256"))]
#[case::another_number(&|text: String| text.replace("Count=1;", "Count=2;"), "number", json!(1))]
fn an_aggregate_that_says_something_else_is_found(
    #[case] change: &dyn Fn(String) -> String,
    #[case] of: &str,
    #[case] expected: serde_json::Value,
) {
    let mut fake = speaking(Interface::SNAPSHOT);
    fake.measure(1);
    let text = change(text(&fake, 1, &Others::new()));
    snapshot(&mut fake, &text);
    let result = fake.verdict(Check::Model);
    failed(&result, &json!({"code": "model/mark", "of": of, "expected": expected}));
}

/// PCR 10 read before the mutex was taken: a record came in between.
#[test]
fn a_value_from_before_the_last_record_is_found() {
    let mut fake = speaking(Interface::SNAPSHOT);
    fake.measure(1);
    let early = text(&fake, 1, &Others::new());
    let had = hex::encode(&fake.values()[1].digest);
    fake.measure(1);
    let now = hex::encode(&fake.values()[1].digest);
    snapshot(&mut fake, &early);
    finds(fake, "sha256:PCR10", &json!(now), &json!(had));
}

#[test]
fn a_text_without_its_form_is_found() {
    let mut fake = speaking(Interface::SNAPSHOT);
    let text = text(&fake, 1, &Others::new()).replace("PCR3:", "PCR4:");
    let byte = text.find("PCR4:").unwrap() as u64 + 3;
    snapshot(&mut fake, &text);
    let result = fake.verdict(Check::Model);
    failed(
        &result,
        &json!({"code": "model/mark-text", "byte": byte, "expected": "the next PCR of the bank"}),
    );
    assert_eq!(result.compared.get(COMPARED), None);
}

/// Has a digest recorded that says so.
fn mark(fake: &mut FakeRun, digest: &str, (covered, total): (u64, u64), (trims, trimmed): (u64, u64)) {
    let text = format!("digest={digest};covered={covered};total={total};trims={trims};trimmed={trimmed};");
    fake.log(critical("log_digest", &text));
    let operations = adapter(Interface::LOG_DIGEST).mark(0).unwrap();
    let done = |op: Op| match op {
        Op::Write { ref bytes, .. } => (op.clone(), value(bytes.len()), Vec::new()),
        op => (op, value(0), Vec::new()),
    };
    let ops = operations.ops.into_iter().map(done).collect();
    fake.step("mark-log", Action::SystemCall, ops, operations.reads);
}

/// The digest of the last records in the list.
fn of_last(fake: &FakeRun, records: usize) -> String {
    let from = fake.current.len() - records;
    let bytes = show(&fake.current[from..], Form::Binary, Bank::Sha1);
    format!("sha256:{}", Digest::of(Bank::Sha256, &[&bytes]))
}

fn marked(story: &dyn Fn(&mut FakeRun)) -> FakeRun {
    let mut fake = speaking(Interface::LOG_DIGEST);
    fake.measure(3);
    story(&mut fake);
    fake.measure(1);
    fake
}

#[test]
fn a_digest_is_of_the_records_since_the_last_one() {
    let fake = marked(&|fake| {
        let digest = of_last(fake, 4);
        mark(fake, &digest, (4, 4), (0, 0));
        fake.violate();
        let digest = of_last(fake, 3);
        mark(fake, &digest, (3, 7), (0, 0));
        fake.trim(5);
        let digest = of_last(fake, 1);
        mark(fake, &digest, (1, 8), (1, 5));
        fake.trim(2);
        fake.measure(1);
        let digest = of_last(fake, 2);
        mark(fake, &digest, (2, 10), (2, 7));
    });
    compares(fake, 4);
}

#[rstest]
#[case::not_kept(&|fake: &mut FakeRun| mark(fake, "none:", (4, 4), (0, 0)), "algorithm", json!("sha256"), json!("none"))]
#[case::another_algorithm(
    &|fake: &mut FakeRun| mark(fake, "wp512:00", (4, 4), (0, 0)), "algorithm", json!("sha256"), json!("wp512")
)]
#[case::another_digest(
    &|fake: &mut FakeRun| mark(fake, "sha256:00", (4, 4), (0, 0)),
    "digest", json!(null), json!("00")
)]
#[case::covers_too_few(
    &|fake: &mut FakeRun| { let of = of_last(fake, 3); mark(fake, &of, (3, 4), (0, 0)) },
    "covered", json!(4), json!(3)
)]
#[case::counts_too_few(
    &|fake: &mut FakeRun| { let of = of_last(fake, 3); mark(fake, &of, (3, 3), (0, 0)) },
    "total", json!(4), json!(3)
)]
#[case::leaves_out_the_one_before(
    &|fake: &mut FakeRun| {
        let of = of_last(fake, 4);
        mark(fake, &of, (4, 4), (0, 0));
        fake.measure(2);
        let of = of_last(fake, 2);
        mark(fake, &of, (2, 7), (0, 0));
    },
    "covered", json!(3), json!(2)
)]
#[case::counts_no_trim(
    &|fake: &mut FakeRun| { fake.trim(2); mark(fake, "none:", (4, 4), (0, 2)) },
    "trims", json!(1), json!(0)
)]
#[case::counts_no_trimmed_record(
    &|fake: &mut FakeRun| { fake.trim(2); mark(fake, "none:", (4, 4), (1, 0)) },
    "trimmed", json!(2), json!(0)
)]
#[case::counts_what_comes_later(
    &|fake: &mut FakeRun| { mark(fake, "none:", (4, 4), (1, 2)); fake.trim(2); },
    "trims", json!(0), json!(1)
)]
fn a_digest_that_says_something_else_is_found(
    #[case] story: &dyn Fn(&mut FakeRun),
    #[case] of: &str,
    #[case] expected: serde_json::Value,
    #[case] found: serde_json::Value,
) {
    let result = marked(story).verdict(Check::Model);
    let mut wanted = json!({"code": "model/mark", "of": of, "found": found});
    if !expected.is_null() {
        wanted["expected"] = expected;
    }
    failed(&result, &wanted);
}

/// By an algorithm that the harness does not know, as `ima_hash=` may ask for, nothing is compared, and that is said.
#[test]
fn a_digest_that_cannot_be_compared_is_left_out() {
    let fake = marked(&|fake| {
        let text = b"digest=wp512:00;covered=4;total=4;trims=0;trimmed=0;";
        let data = template_data(&[b"wp512:\0\0", b"log_digest\0", text], ByteOrder::Little);
        fake.log(Record::new(Bank::Sha256, IMA_PCR, "ima-buf", data));
        fake.checkpoint();
    });
    let result = fake.verdict(Check::Model);
    assert_eq!(result.left_out.values().copied().collect::<Vec<_>>(), [1], "{result:#?}");
    assert_eq!(result.compared.get(COMPARED), None, "{result:#?}");
}

/// A policy that asks for records of trims, or not.
fn trimming(asked: bool) -> FakeRun {
    let mut fake = speaking(Interface::TRIM_LOG);
    if asked {
        let policy = format!("{DEFAULT_POLICY}measure func=CRITICAL_DATA label=ima_log_trim\n");
        fake.plan.program.setup.policy = policy.into_bytes();
    }
    fake.measure(5);
    fake.checkpoint();
    fake
}

/// Trims so many records of the list after so many, with a record that says `number`.
fn trims(fake: &mut FakeRun, (before, records): (usize, usize), number: Option<u64>) {
    fake.current.drain(..records);
    if let Some(number) = number {
        let text = format!("time= 1790000000000000000; number= {number};");
        fake.log(critical("trim ima event logs", &text));
    }
    let request = format!("{before}:{records}");
    let open = Op::Open { slot: 0, path: path("ima_trim_log"), flags: 1, mode: 0 };
    let write = Op::Write { slot: 0, bytes: request.clone().into_bytes() };
    let ops = vec![
        (open, value(0), Vec::new()),
        (write, value(request.len()), Vec::new()),
        (Op::Close { slot: 0 }, Outcome::Value(0), Vec::new()),
    ];
    fake.step("write", Action::SystemCall, ops, vec![]);
    fake.checkpoint();
}

#[test]
fn each_trim_has_a_record_that_counts_it() {
    let mut fake = trimming(true);
    trims(&mut fake, (0, 2), Some(2));
    trims(&mut fake, (2, 3), Some(5));
    compares(fake, 2);
    let mut fake = trimming(false);
    trims(&mut fake, (0, 2), None);
    compares(fake, 0);
}

#[test]
fn the_number_from_before_the_trim_is_found() {
    let mut fake = trimming(true);
    trims(&mut fake, (0, 2), Some(0));
    trims(&mut fake, (2, 3), Some(5));
    finds(fake, "number", &json!(2), &json!(0));
}

#[test]
fn a_record_of_no_trim_is_found() {
    let mut fake = trimming(true);
    trims(&mut fake, (0, 2), Some(2));
    fake.log(critical("trim ima event logs", "time= 1; number= 2;"));
    fake.checkpoint();
    let result = fake.verdict(Check::Model);
    failed(&result, &json!({"code": "model/mark", "of": "number", "expected": "no-record", "found": 2}));
}

#[rstest]
#[case::the_first(None, Some(5), 2)]
#[case::the_last(Some(2), None, 5)]
fn a_trim_without_its_record_is_found(
    #[case] first: Option<u64>,
    #[case] second: Option<u64>,
    #[case] expected: u64,
) {
    let mut fake = trimming(true);
    trims(&mut fake, (0, 2), first);
    trims(&mut fake, (2, 3), second);
    let result = fake.verdict(Check::Model);
    failed(&result, &json!({"code": "model/no-mark", "event": "trim ima event logs", "expected": expected}));
}
