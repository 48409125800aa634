use imalab_wire::{Op, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_run::{FakeRun, critical, failed, has, list, passed, path, record, show, value};
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::Bank;
use imalab_language::plan::{Action, Form, Interface};

const BINARY: (Form, Bank, bool) = (Form::Binary, Bank::Sha256, false);
const ASCII: (Form, Bank, bool) = (Form::Ascii, Bank::Sha1, false);
const STAGED: (Form, Bank, bool) = (Form::Binary, Bank::Sha1, true);

/// What a file shows now.
fn shown(fake: &FakeRun, (form, bank, staged): (Form, Bank, bool)) -> Vec<u8> {
    let empty = Vec::new();
    show(if staged { fake.staged.as_ref().unwrap_or(&empty) } else { &fake.current }, form, bank)
}

fn does(fake: &mut FakeRun, op: Op, outcome: Outcome, data: Vec<u8>) {
    fake.step("call", Action::SystemCall, vec![(op, outcome, data)], vec![]);
}

fn open(fake: &mut FakeRun, slot: u16, (form, bank, staged): (Form, Bank, bool), flags: i32) {
    let path = path(&list(form, bank, staged));
    does(fake, Op::Open { slot, path, flags, mode: 0 }, value(0), vec![]);
}

fn read(fake: &mut FakeRun, slot: u16, limit: Option<u64>, data: Vec<u8>) {
    let op = Op::Read { slot, chunk: 100, limit, send: true, nothing: None };
    does(fake, op, value(data.len()), data);
}

fn read_at(fake: &mut FakeRun, slot: u16, offset: usize, data: Vec<u8>) {
    let op = Op::ReadAt { slot, offset: offset as i64, bytes: 999, send: true };
    does(fake, op, value(data.len()), data);
}

fn close(fake: &mut FakeRun, slot: u16) {
    does(fake, Op::Close { slot }, value(0), vec![]);
}

fn write(fake: &mut FakeRun, slot: u16, text: &str) {
    does(fake, Op::Write { slot, bytes: text.as_bytes().to_vec() }, value(text.len()), vec![]);
}

#[rstest]
#[case::in_portions(&|fake: &mut FakeRun| {
    open(fake, 1, BINARY, 0);
    let bytes = shown(fake, BINARY);
    read(fake, 1, Some(7), bytes[..7].to_vec());
    read(fake, 1, Some(100), bytes[7..107].to_vec());
    read(fake, 1, None, bytes[107..].to_vec());
    read(fake, 1, None, vec![]);
})]
#[case::by_offset(&|fake: &mut FakeRun| {
    open(fake, 1, ASCII, 0);
    let bytes = shown(fake, ASCII);
    read_at(fake, 1, 200, bytes[200..230].to_vec());
    read_at(fake, 1, 0, bytes[..10].to_vec());
    read_at(fake, 1, 99_999, vec![]);
    does(fake, Op::Seek { slot: 1, offset: 50, whence: 0 }, value(50), vec![]);
    read(fake, 1, None, bytes[50..].to_vec());
})]
#[case::that_grows_meanwhile(&|fake: &mut FakeRun| {
    open(fake, 1, BINARY, 0);
    let before = shown(fake, BINARY);
    read(fake, 1, None, before.clone());
    fake.measure(3);
    let after = shown(fake, BINARY);
    read(fake, 1, None, after[before.len()..].to_vec());
})]
#[case::by_several(&|fake: &mut FakeRun| {
    open(fake, 1, BINARY, 0);
    let bytes = shown(fake, BINARY);
    read(fake, 1, Some(10), bytes[..10].to_vec());
    does(fake, Op::Duplicate { slot: 1, to: 2 }, value(0), vec![]);
    close(fake, 1);
    read(fake, 2, Some(10), bytes[10..20].to_vec());
    does(fake, Op::SendDescriptor { slot: 2, to: 1 }, value(0), vec![]);
    fake.task = 1;
    does(fake, Op::ReceiveDescriptor { slot: 5 }, value(0), vec![]);
    read(fake, 5, Some(10), bytes[20..30].to_vec());
    fake.task = 0;
    does(fake, Op::Fork { task: 1 }, value(77), vec![]);
    fake.task = 1;
    read(fake, 2, Some(10), bytes[30..40].to_vec());
    fake.task = 0;
    read(fake, 2, None, bytes[40..].to_vec());
})]
#[case::of_a_writer_that_changes_it(&|fake: &mut FakeRun| {
    open(fake, 1, BINARY, 2);
    open(fake, 2, STAGED, 2);
    let bytes = shown(fake, BINARY);
    read(fake, 1, Some(30), bytes[..30].to_vec());
    fake.staged = Some(std::mem::take(&mut fake.current));
    fake.step("stage", Action::Stage, vec![(Op::Write { slot: 2, bytes: b"A\n".to_vec() }, value(2), vec![])], vec![]);
    // On in the middle of what is no longer there: anything.
    read(fake, 1, None, vec![1, 2, 3]);
    let staged = shown(fake, STAGED);
    read(fake, 2, None, staged);
    fake.measure(1);
    does(fake, Op::Seek { slot: 1, offset: 0, whence: 0 }, value(0), vec![]);
    let bytes = shown(fake, BINARY);
    read(fake, 1, None, bytes);
})]
#[case::after_a_trim(&|fake: &mut FakeRun| {
    fake.trim(2);
    open(fake, 1, ASCII, 0);
    let bytes = shown(fake, ASCII);
    read(fake, 1, None, bytes);
})]
fn a_reader_within_the_rules_passes(#[case] story: &dyn Fn(&mut FakeRun)) {
    let mut fake = FakeRun::new();
    fake.measure(5);
    story(&mut fake);
    let result = fake.verdict(Check::Readers);
    passed(&result);
    assert!(result.compared["open files"] > 0 && result.compared["bytes"] > 0, "{result:#?}");
}

#[rstest]
#[case::its_next(0, true)]
#[case::another(1, false)]
fn what_is_read_by_a_taken_descriptor_goes_on_where_the_other_was(#[case] off: usize, #[case] passes: bool) {
    let mut fake = FakeRun::new();
    fake.measure(5);
    open(&mut fake, 1, BINARY, 0);
    let bytes = shown(&fake, BINARY);
    let begin = fake.now;
    fake.takes = 1_000;
    read(&mut fake, 1, Some(10), bytes[..10].to_vec());
    let end = fake.now;
    (fake.task, fake.takes, fake.now) = (1, 10, begin + 200);
    does(&mut fake, Op::TakeDescriptor { slot: 5, from: 0 }, value(0), vec![]);
    fake.now = end + 1_000;
    read(&mut fake, 5, Some(20), bytes[10 + off..30 + off].to_vec());
    fake.task = 0;
    let result = fake.verdict(Check::Readers);
    if passes { passed(&result) } else { failed(&result, &json!({"code": "readers/wrong-record"})) }
}

#[test]
fn what_is_read_after_ones_own_change_is_told_of() {
    let mut fake = FakeRun::new();
    fake.measure(5);
    open(&mut fake, 1, BINARY, 2);
    let bytes = shown(&fake, BINARY);
    read(&mut fake, 1, Some(30), bytes[..30].to_vec());
    fake.trim(2);
    read(&mut fake, 1, None, vec![9; 9]);
    write(&mut fake, 1, "no\n");
    let result = fake.verdict(Check::Readers);
    assert_eq!(result.left_out["reads outside of the rules"], 1, "{result:#?}");
}

#[rstest]
#[case::doubled(
    &|bytes: Vec<u8>, first: usize| [&bytes[..first], &bytes[..]].concat(),
    json!({
        "code": "readers/wrong-record", "list": {"form": "binary", "bank": "sha256", "staged": false}, "number": 2,
        "expected_record": {"name": "/m/f-1"}, "found_record": {"name": "boot_aggregate"},
    })
)]
#[case::left_out(
    &|bytes: Vec<u8>, first: usize| bytes[first..].to_vec(),
    json!({
        "code": "readers/wrong-record", "number": 1, "expected_record": {"name": "boot_aggregate"},
        "found_record": {"name": "/m/f-1"},
    })
)]
#[case::damaged(
    &|mut bytes: Vec<u8>, first: usize| { bytes[first + 7] ^= 1; bytes },
    json!({
        "code": "readers/wrong-record", "number": 2, "expected_record": {"name": "/m/f-1"}, "found_record": null,
    })
)]
#[case::half_a_record(
    &|mut bytes: Vec<u8>, first: usize| { bytes.truncate(first + 7); bytes },
    json!({"code": "readers/cut-record", "number": 2})
)]
#[case::too_much(
    &|bytes: Vec<u8>, first: usize| [&bytes[..], &bytes[..first]].concat(),
    json!({
        "code": "readers/wrong-record", "number": 7, "expected_record": null, "found_record": {"name": "boot_aggregate"},
    })
)]
fn what_a_reader_must_not_see_fails(
    #[case] spoil: &dyn Fn(Vec<u8>, usize) -> Vec<u8>,
    #[case] finding: Value,
) {
    let mut fake = FakeRun::new();
    fake.measure(5);
    open(&mut fake, 1, BINARY, 0);
    let first = show(&[record("boot_aggregate")], Form::Binary, Bank::Sha256).len();
    let bytes = spoil(shown(&fake, BINARY), first);
    read(&mut fake, 1, None, bytes);
    close(&mut fake, 1);
    failed(&fake.verdict(Check::Readers), &finding);
}

#[test]
fn a_record_missed_between_two_reads_fails() {
    let mut fake = FakeRun::new();
    fake.measure(5);
    open(&mut fake, 1, BINARY, 0);
    let bytes = shown(&fake, BINARY);
    let size = show(&[record("/m/f-1")], Form::Binary, Bank::Sha256).len();
    let first = show(&[record("boot_aggregate")], Form::Binary, Bank::Sha256).len();
    read(&mut fake, 1, Some(first as u64), bytes[..first].to_vec());
    read(&mut fake, 1, None, bytes[first + size..].to_vec());
    let result = fake.verdict(Check::Readers);
    let finding = json!({
        "code": "readers/wrong-record", "opened": {"id": 1, "text": "call"}, "expected_record": {"name": "/m/f-1"},
        "found_record": {"name": "/m/f-2"},
    });
    failed(&result, &finding);
}

#[test]
fn a_staged_list_ends_where_it_ends() {
    let mut fake = FakeRun::new();
    fake.measure(5);
    fake.stage();
    fake.save();
    open(&mut fake, 1, STAGED, 0);
    let mut bytes = shown(&fake, STAGED);
    let last = show(&[record("/m/f-5")], Form::Binary, Bank::Sha1).len();
    bytes.truncate(bytes.len() - last);
    read(&mut fake, 1, None, bytes);
    close(&mut fake, 1);
    failed(&fake.verdict(Check::Readers), &json!({"code": "readers/ended-early", "expected": 6, "found": 5}));
}

#[test]
fn what_is_beyond_the_end_is_nothing() {
    let mut fake = FakeRun::new();
    open(&mut fake, 1, BINARY, 0);
    read_at(&mut fake, 1, 9_999, vec![7]);
    failed(
        &fake.verdict(Check::Readers),
        &json!({"code": "readers/beyond-the-end", "bytes": 1, "byte": 9999}),
    );
}

/// A reader that has begun, one that has not, and a commit.
#[rstest]
#[case::keeps_its_place(false)]
#[case::loses_it(true)]
fn a_transaction_leaves_readers_their_place(#[case] loses: bool) {
    let mut fake = FakeRun::new();
    fake.plan.interface = Interface::TRANSACTION;
    fake.measure(5);
    open(&mut fake, 1, BINARY, 0);
    open(&mut fake, 2, BINARY, 0);
    let before = shown(&fake, BINARY);
    let ahead = before.len() - 10;
    read(&mut fake, 1, Some(ahead as u64), before[..ahead].to_vec());
    fake.trim(2);
    let after = shown(&fake, BINARY);
    read(&mut fake, 1, None, if loses { after.clone() } else { before[ahead..].to_vec() });
    read(&mut fake, 2, None, after);
    match loses {
        true => failed(&fake.verdict(Check::Readers), &json!({"code": "readers/wrong-record"})),
        false => passed(&fake.verdict(Check::Readers)),
    }
}

#[test]
fn two_reads_at_once_of_one_file_are_nobodys_promise() {
    let mut fake = FakeRun::new();
    fake.measure(5);
    open(&mut fake, 1, BINARY, 0);
    does(&mut fake, Op::Thread { task: 1 }, value(3), vec![]);
    let begin = fake.now;
    read(&mut fake, 1, Some(5), vec![1; 5]);
    (fake.task, fake.now) = (1, begin + 1);
    read(&mut fake, 1, Some(5), vec![2; 5]);
    fake.task = 0;
    let result = fake.verdict(Check::Readers);
    assert!(has(&result, &json!({"code": "readers/wrong-record"})), "{result:#?}");
}

#[test]
fn without_a_checkpoint_nothing_can_be_said() {
    let (plan, trace) = FakeRun::new().power_off();
    let result = crate::fake_run::result(&plan, &trace, Check::Readers);
    crate::fake_run::could_not_run(&result, &json!({"code": "evidence/no-list-read"}));
}

/// A snapshot that is read in pieces, by offset, and again once it was written to; `change` is what is wrong with what it shows.
fn in_pieces(change: fn(&mut Vec<u8>), later: usize) -> CheckResult {
    let mut fake = FakeRun::new();
    fake.plan.interface = Interface::SNAPSHOT;
    fake.measure(3);
    fake.checkpoint();
    let mut shard = show(&fake.current, Form::Binary, Bank::Sha1);
    fake.log(critical("snapshot_aggregate", "Snapshot_Attempt_Count=1;"));
    change(&mut shard);
    let open = Op::Open { slot: 1, path: path("snapshot"), flags: 2, mode: 0 };
    let read = |limit| Op::Read { slot: 1, chunk: 64, limit, send: true, nothing: None };
    let (first, rest) = shard.split_at(100);
    let at = Op::ReadAt { slot: 1, offset: 20, bytes: 50, send: true };
    let purge = Op::Write { slot: 1, bytes: b"1".to_vec() };
    let seek = Op::Seek { slot: 1, offset: 0, whence: 0 };
    let ops = vec![
        (open, value(1), Vec::new()),
        (read(Some(100)), value(100), first.to_vec()),
        (at, value(50), shard[20..70].to_vec()),
        (read(None), value(rest.len()), rest.to_vec()),
        (purge, value(1), Vec::new()),
        (seek, value(0), Vec::new()),
        (read(None), value(later), shard[..later].to_vec()),
        (Op::Close { slot: 1 }, value(0), Vec::new()),
    ];
    fake.current.drain(..4);
    fake.step("call", Action::SystemCall, ops, vec![]);
    fake.measure(1);
    fake.verdict(Check::Readers)
}

#[test]
fn a_snapshot_in_pieces_is_what_came_before_its_aggregate() {
    let result = in_pieces(|_| {}, 0);
    passed(&result);
    // Of the snapshot three reads before it was written to, and the one after.
    let without = FakeRun::new().verdict(Check::Readers);
    assert!(result.compared["reads"] > without.compared["reads"] + 3, "{result:#?}");
}

#[rstest]
#[case::another_byte(|shard: &mut Vec<u8>| shard[30] ^= 1, 0, "readers/wrong-record")]
#[case::in_the_part_that_is_read_on(|shard: &mut Vec<u8>| shard[130] ^= 1, 0, "readers/wrong-record")]
#[case::a_record_less(
    |shard: &mut Vec<u8>| {
        let length = shard.len() / 4;
        shard.truncate(shard.len() - length);
    },
    0,
    "readers/"
)]
#[case::still_there_when_removed(|_: &mut Vec<u8>| {}, 60, "readers/wrong-record")]
fn a_snapshot_that_shows_something_else_is_found(
    #[case] change: fn(&mut Vec<u8>),
    #[case] later: usize,
    #[case] code: &str,
) {
    let result = in_pieces(change, later);
    assert!(result.findings.iter().any(|finding| finding.code().starts_with(code)), "{result:#?}");
}
