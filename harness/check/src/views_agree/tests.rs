use imalab_wire::{Message, Outcome};
use rstest::rstest;

use crate::world::{World, could_not_run, failed, passed, result};
use imalab_formats::ima::{Bank, Record};
use imalab_language::plan::{Form, Observed};
use imalab_trace::What;

fn story(sabotage: impl Fn(&mut World)) -> World {
    let mut world = World::new();
    world.measure(5);
    sabotage(&mut world);
    world.measure(2);
    world
}

/// A record with a template that says little, and a name that has blanks in it.
fn odd() -> Record {
    let data =
        imalab_formats::ima::template_data(&[b"", b"/m/two words\0"], imalab_formats::ima::ByteOrder::Little);
    Record::new(Bank::Sha256, 10, "ima-ng", data)
}

#[rstest]
#[case::nothing(&|_: &mut World| {})]
#[case::staged(&|world: &mut World| { world.stage(); world.checkpoint(); })]
#[case::staged_and_new(&|world: &mut World| { world.stage(); world.measure(3); world.checkpoint(); })]
#[case::violation(&World::violate)]
#[case::blanks(&|world: &mut World| world.log(odd()))]
fn sound_runs_pass(#[case] story_of: &dyn Fn(&mut World)) {
    passed(&story(story_of).verdict("views-agree"));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let result = story(|_| {}).verdict("views-agree");
    assert_eq!(
        result.findings,
        ["8 views in 1 full checkpoint, of up to 8 records, binary and ascii of sha1 sha256"]
    );
}

/// Byte of the binary list at which the data of the first record end: they end in the file's name and NUL.
const FIRST_NAME: usize = 4 + 20 + 4 + 6 + 4 + 4 + 40 + 4;

#[rstest]
#[case::name_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha1, false) { bytes[FIRST_NAME] = b'X'; }
        bytes
    },
    &["record 1", "the binary sha1 list shows Xoot_aggregate", "the binary sha256 list shows boot_aggregate"]
)]
#[case::digest_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha256, false) { bytes[5] ^= 1; }
        bytes
    },
    &["binary sha256 list: record 1 (boot_aggregate): the digest of its data is"]
)]
#[case::violation_in_one_bank_alone(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha256, false) { bytes[4..36].fill(0); }
        bytes
    },
    &["record 1", "violation"]
)]
#[case::pcr_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha1, false) { bytes[0] = 11; }
        bytes
    },
    &["record 1: the binary sha1 list shows"]
)]
#[case::ascii_digest(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Ascii, Bank::Sha1, false) { bytes[4] = b'z'; }
        bytes
    },
    &["record 1: the ascii sha1 list should show `10 "]
)]
#[case::ascii_name(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Ascii, Bank::Sha256, false) {
            let end = bytes.len() - 2;
            bytes[end] = b'!';
        }
        bytes
    },
    &["record 8: the ascii sha256 list should show", "/m/f-!"]
)]
#[case::ascii_short(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Ascii, Bank::Sha256, false) {
            let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
            bytes.truncate(last + 1);
        }
        bytes
    },
    &["record 8: the ascii sha256 list should show", "found ``"]
)]
#[case::ascii_long(
    |form: Form, _: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, staged) == (Form::Ascii, false) { bytes.extend_from_slice(b"10 00 ima-ng x y\n"); }
        bytes
    },
    &["goes on for 1 record after those of the binary sha1 list"]
)]
#[case::ascii_unfinished(
    |form: Form, _: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, staged) == (Form::Ascii, false) { bytes.pop(); }
        bytes
    },
    &["ascii sha1 list: the last line has no end"]
)]
#[case::shorter_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha256, false) { bytes.clear(); }
        bytes
    },
    &["record 1", "the binary sha256 list shows nothing (8 and 0 in all)"]
)]
#[case::truncated(
    |form: Form, _: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, staged) == (Form::Binary, false) { bytes.pop(); }
        bytes
    },
    &["binary sha1 list: record 8, byte"]
)]
fn every_difference_between_views_is_found(
    #[case] view: fn(Form, Bank, bool, Vec<u8>) -> Vec<u8>,
    #[case] words: &[&str],
) {
    failed(&story(|world| world.view = view).verdict("views-agree"), words);
}

#[test]
fn staged_views_are_compared_too() {
    let result = story(|world| {
        world.view = |form, bank, staged, mut bytes| {
            if (form, bank, staged) == (Form::Ascii, Bank::Sha1, true) {
                bytes[4] = b'z';
            }
            bytes
        };
        world.stage();
        world.checkpoint();
    })
    .verdict("views-agree");
    failed(&result, &["step 2 `checkpoint` (line 12)", "the ascii sha1 staged list should show"]);
}

#[test]
fn the_counter_is_that_of_the_current_list() {
    failed(
        &story(|world| world.count_off = 1).verdict("views-agree"),
        &["runtime_measurements_count is 9, the binary sha1 list holds 8 records"],
    );
}

#[test]
fn a_record_whose_fields_make_no_text_is_found() {
    let data = imalab_formats::ima::template_data(
        &[b"no colon", b"/m/torn\0"],
        imalab_formats::ima::ByteOrder::Little,
    );
    let torn = Record::new(Bank::Sha256, 10, "ima-ng", data);
    let result = story(|world| world.log(torn.clone())).verdict("views-agree");
    failed(&result, &["record 7", "field `d-ng`: expected"]);
}

#[rstest]
#[case::ascii(&|of| matches!(of, Observed::List { form: Form::Ascii, .. }))]
#[case::binary(&|of| matches!(of, Observed::List { form: Form::Binary, .. }))]
#[case::counter(&|of| of == Observed::Count)]
fn a_view_that_is_never_read_cannot_agree(#[case] left_out: &dyn Fn(Observed) -> bool) {
    let (mut plan, trace) = story(|_| {}).finish();
    for step in &mut plan.steps {
        step.reads.retain(|reading| !left_out(reading.of));
    }
    could_not_run(&result(&plan, &trace, "views-agree"), &["no quiescent checkpoint read"]);
}

#[test]
fn a_view_that_could_not_be_read_cannot_agree() {
    let (plan, mut trace) = story(|_| {}).finish();
    let last = plan.steps.len() as u32 - 1;
    for event in &mut trace.events {
        if let What::Guest(Message::OpDone { step, op, outcome, .. }) = &mut event.what
            && (*step, *op) == (last, 13)
        {
            *outcome = Outcome::Errno(5);
        }
    }
    could_not_run(&result(&plan, &trace, "views-agree"), &["no quiescent checkpoint read"]);
}
