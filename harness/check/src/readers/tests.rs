use imalab_wire::{Op, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

use crate::outcome::{Check, CheckResult};
use crate::world::{World, critical, failed, has, list, passed, path, record, show, value};
use imalab_formats::ima::Bank;
use imalab_language::plan::{Action, Form, Interface};

const BINARY: (Form, Bank, bool) = (Form::Binary, Bank::Sha256, false);
const ASCII: (Form, Bank, bool) = (Form::Ascii, Bank::Sha1, false);
const STAGED: (Form, Bank, bool) = (Form::Binary, Bank::Sha1, true);

/// What a file shows now.
fn shown(world: &World, (form, bank, staged): (Form, Bank, bool)) -> Vec<u8> {
    let empty = Vec::new();
    show(if staged { world.staged.as_ref().unwrap_or(&empty) } else { &world.current }, form, bank)
}

fn does(world: &mut World, op: Op, outcome: Outcome, data: Vec<u8>) {
    world.step("call", Action::SystemCall, vec![(op, outcome, data)], vec![]);
}

fn open(world: &mut World, slot: u16, (form, bank, staged): (Form, Bank, bool), flags: i32) {
    let path = path(&list(form, bank, staged));
    does(world, Op::Open { slot, path, flags, mode: 0 }, value(0), vec![]);
}

fn read(world: &mut World, slot: u16, limit: Option<u64>, data: Vec<u8>) {
    let op = Op::Read { slot, chunk: 100, limit, send: true, nothing: None };
    does(world, op, value(data.len()), data);
}

fn read_at(world: &mut World, slot: u16, offset: usize, data: Vec<u8>) {
    let op = Op::ReadAt { slot, offset: offset as i64, bytes: 999, send: true };
    does(world, op, value(data.len()), data);
}

fn close(world: &mut World, slot: u16) {
    does(world, Op::Close { slot }, value(0), vec![]);
}

fn write(world: &mut World, slot: u16, text: &str) {
    does(world, Op::Write { slot, bytes: text.as_bytes().to_vec() }, value(text.len()), vec![]);
}

#[rstest]
#[case::in_portions(&|world: &mut World| {
    open(world, 1, BINARY, 0);
    let bytes = shown(world, BINARY);
    read(world, 1, Some(7), bytes[..7].to_vec());
    read(world, 1, Some(100), bytes[7..107].to_vec());
    read(world, 1, None, bytes[107..].to_vec());
    read(world, 1, None, vec![]);
})]
#[case::by_offset(&|world: &mut World| {
    open(world, 1, ASCII, 0);
    let bytes = shown(world, ASCII);
    read_at(world, 1, 200, bytes[200..230].to_vec());
    read_at(world, 1, 0, bytes[..10].to_vec());
    read_at(world, 1, 99_999, vec![]);
    does(world, Op::Seek { slot: 1, offset: 50, whence: 0 }, value(50), vec![]);
    read(world, 1, None, bytes[50..].to_vec());
})]
#[case::that_grows_meanwhile(&|world: &mut World| {
    open(world, 1, BINARY, 0);
    let before = shown(world, BINARY);
    read(world, 1, None, before.clone());
    world.measure(3);
    let after = shown(world, BINARY);
    read(world, 1, None, after[before.len()..].to_vec());
})]
#[case::by_several(&|world: &mut World| {
    open(world, 1, BINARY, 0);
    let bytes = shown(world, BINARY);
    read(world, 1, Some(10), bytes[..10].to_vec());
    does(world, Op::Duplicate { slot: 1, to: 2 }, value(0), vec![]);
    close(world, 1);
    read(world, 2, Some(10), bytes[10..20].to_vec());
    does(world, Op::SendDescriptor { slot: 2, to: 1 }, value(0), vec![]);
    world.task = 1;
    does(world, Op::ReceiveDescriptor { slot: 5 }, value(0), vec![]);
    read(world, 5, Some(10), bytes[20..30].to_vec());
    world.task = 0;
    does(world, Op::Fork { task: 1 }, value(77), vec![]);
    world.task = 1;
    read(world, 2, Some(10), bytes[30..40].to_vec());
    world.task = 0;
    read(world, 2, None, bytes[40..].to_vec());
})]
#[case::of_a_writer_that_changes_it(&|world: &mut World| {
    open(world, 1, BINARY, 2);
    open(world, 2, STAGED, 2);
    let bytes = shown(world, BINARY);
    read(world, 1, Some(30), bytes[..30].to_vec());
    world.staged = Some(std::mem::take(&mut world.current));
    world.step("stage", Action::Stage, vec![(Op::Write { slot: 2, bytes: b"A\n".to_vec() }, value(2), vec![])], vec![]);
    // On in the middle of what is no longer there: anything.
    read(world, 1, None, vec![1, 2, 3]);
    let staged = shown(world, STAGED);
    read(world, 2, None, staged);
    world.measure(1);
    does(world, Op::Seek { slot: 1, offset: 0, whence: 0 }, value(0), vec![]);
    let bytes = shown(world, BINARY);
    read(world, 1, None, bytes);
})]
#[case::after_a_trim(&|world: &mut World| {
    world.trim(2);
    open(world, 1, ASCII, 0);
    let bytes = shown(world, ASCII);
    read(world, 1, None, bytes);
})]
fn a_reader_within_the_rules_passes(#[case] story: &dyn Fn(&mut World)) {
    let mut world = World::new();
    world.measure(5);
    story(&mut world);
    let result = world.verdict(Check::Readers);
    passed(&result);
    assert!(result.compared["open files"] > 0 && result.compared["bytes"] > 0, "{result:#?}");
}

#[test]
fn what_is_read_after_ones_own_change_is_told_of() {
    let mut world = World::new();
    world.measure(5);
    open(&mut world, 1, BINARY, 2);
    let bytes = shown(&world, BINARY);
    read(&mut world, 1, Some(30), bytes[..30].to_vec());
    world.trim(2);
    read(&mut world, 1, None, vec![9; 9]);
    write(&mut world, 1, "no\n");
    let result = world.verdict(Check::Readers);
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
    let mut world = World::new();
    world.measure(5);
    open(&mut world, 1, BINARY, 0);
    let first = show(&[record("boot_aggregate")], Form::Binary, Bank::Sha256).len();
    let bytes = spoil(shown(&world, BINARY), first);
    read(&mut world, 1, None, bytes);
    close(&mut world, 1);
    failed(&world.verdict(Check::Readers), &finding);
}

#[test]
fn a_record_missed_between_two_reads_fails() {
    let mut world = World::new();
    world.measure(5);
    open(&mut world, 1, BINARY, 0);
    let bytes = shown(&world, BINARY);
    let size = show(&[record("/m/f-1")], Form::Binary, Bank::Sha256).len();
    let first = show(&[record("boot_aggregate")], Form::Binary, Bank::Sha256).len();
    read(&mut world, 1, Some(first as u64), bytes[..first].to_vec());
    read(&mut world, 1, None, bytes[first + size..].to_vec());
    let result = world.verdict(Check::Readers);
    let finding = json!({
        "code": "readers/wrong-record", "opened": {"id": 1, "text": "call"}, "expected_record": {"name": "/m/f-1"},
        "found_record": {"name": "/m/f-2"},
    });
    failed(&result, &finding);
}

#[test]
fn a_staged_list_ends_where_it_ends() {
    let mut world = World::new();
    world.measure(5);
    world.stage();
    world.save();
    open(&mut world, 1, STAGED, 0);
    let mut bytes = shown(&world, STAGED);
    let last = show(&[record("/m/f-5")], Form::Binary, Bank::Sha1).len();
    bytes.truncate(bytes.len() - last);
    read(&mut world, 1, None, bytes);
    close(&mut world, 1);
    failed(
        &world.verdict(Check::Readers),
        &json!({"code": "readers/ended-early", "expected": 6, "found": 5}),
    );
}

#[test]
fn what_is_beyond_the_end_is_nothing() {
    let mut world = World::new();
    open(&mut world, 1, BINARY, 0);
    read_at(&mut world, 1, 9_999, vec![7]);
    failed(
        &world.verdict(Check::Readers),
        &json!({"code": "readers/beyond-the-end", "bytes": 1, "byte": 9999}),
    );
}

/// A reader that has begun, one that has not, and a commit.
#[rstest]
#[case::keeps_its_place(false)]
#[case::loses_it(true)]
fn a_transaction_leaves_readers_their_place(#[case] loses: bool) {
    let mut world = World::new();
    world.plan.interface = Interface::TRANSACTION;
    world.measure(5);
    open(&mut world, 1, BINARY, 0);
    open(&mut world, 2, BINARY, 0);
    let before = shown(&world, BINARY);
    let ahead = before.len() - 10;
    read(&mut world, 1, Some(ahead as u64), before[..ahead].to_vec());
    world.trim(2);
    let after = shown(&world, BINARY);
    read(&mut world, 1, None, if loses { after.clone() } else { before[ahead..].to_vec() });
    read(&mut world, 2, None, after);
    match loses {
        true => failed(&world.verdict(Check::Readers), &json!({"code": "readers/wrong-record"})),
        false => passed(&world.verdict(Check::Readers)),
    }
}

#[test]
fn two_reads_at_once_of_one_file_are_nobodys_promise() {
    let mut world = World::new();
    world.measure(5);
    open(&mut world, 1, BINARY, 0);
    does(&mut world, Op::Thread { task: 1 }, value(3), vec![]);
    let begin = world.now;
    read(&mut world, 1, Some(5), vec![1; 5]);
    (world.task, world.now) = (1, begin + 1);
    read(&mut world, 1, Some(5), vec![2; 5]);
    world.task = 0;
    let result = world.verdict(Check::Readers);
    assert!(has(&result, &json!({"code": "readers/wrong-record"})), "{result:#?}");
}

#[test]
fn without_a_checkpoint_nothing_can_be_said() {
    let (plan, trace) = World::new().power_off();
    let result = crate::world::result(&plan, &trace, Check::Readers);
    crate::world::could_not_run(&result, &json!({"code": "evidence/no-list-read"}));
}

/// A snapshot that is read in pieces, by offset, and again once it was written to; `change` is what is wrong with what it shows.
fn in_pieces(change: fn(&mut Vec<u8>), later: usize) -> CheckResult {
    let mut world = World::new();
    world.plan.interface = Interface::SNAPSHOT;
    world.measure(3);
    world.checkpoint();
    let mut shard = show(&world.current, Form::Binary, Bank::Sha1);
    world.log(critical("snapshot_aggregate", "Snapshot_Attempt_Count=1;"));
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
    world.current.drain(..4);
    world.step("call", Action::SystemCall, ops, vec![]);
    world.measure(1);
    world.verdict(Check::Readers)
}

#[test]
fn a_snapshot_in_pieces_is_what_came_before_its_aggregate() {
    let result = in_pieces(|_| {}, 0);
    passed(&result);
    // Of the snapshot three reads before it was written to, and the one after.
    let without = World::new().verdict(Check::Readers);
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
