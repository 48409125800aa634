use imalab_wire::{Message, Outcome};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_run::{FakeRun, could_not_run, failed, passed, result};
use crate::outcome::Check;
use imalab_formats::ima::{Bank, Record};
use imalab_language::finding::{Finding, ViewsAgree};
use imalab_language::plan::{Form, Observed};
use imalab_trace::What;

fn story(sabotage: impl Fn(&mut FakeRun)) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.measure(5);
    sabotage(&mut fake);
    fake.measure(2);
    fake
}

/// A record with a template that says little, and a name that has blanks in it.
fn odd() -> Record {
    let data =
        imalab_formats::ima::template_data(&[b"", b"/m/two words\0"], imalab_formats::ima::ByteOrder::Little);
    Record::new(Bank::Sha256, 10, "ima-ng", data)
}

#[rstest]
#[case::nothing(&|_: &mut FakeRun| {})]
#[case::staged(&|fake: &mut FakeRun| { fake.stage(); fake.checkpoint(); })]
#[case::staged_and_new(&|fake: &mut FakeRun| { fake.stage(); fake.measure(3); fake.checkpoint(); })]
#[case::violation(&FakeRun::violate)]
#[case::blanks(&|fake: &mut FakeRun| fake.log(odd()))]
fn sound_runs_pass(#[case] story_of: &dyn Fn(&mut FakeRun)) {
    passed(&story(story_of).verdict(Check::ViewsAgree));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let result = story(|_| {}).verdict(Check::ViewsAgree);
    let numbers = ["views", "full checkpoints", "records", "banks"].map(|of| result.compared[of]);
    assert_eq!(numbers, [8, 1, 8, 2]);
}

/// Byte of the binary list at which the data of the first record end: they end in the file's name and NUL.
const FIRST_NAME: usize = 4 + 20 + 4 + 6 + 4 + 4 + 40 + 4;

#[rstest]
#[case::name_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha1, false) { bytes[FIRST_NAME] = b'X'; }
        bytes
    },
    json!({
        "code": "views-agree/differ", "number": 1,
        "list": {"form": "binary", "bank": "sha1"}, "record": {"name": "Xoot_aggregate"},
        "other_list": {"form": "binary", "bank": "sha256"}, "other_record": {"name": "boot_aggregate"},
    })
)]
#[case::digest_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha256, false) { bytes[5] ^= 1; }
        bytes
    },
    json!({
        "code": "views-agree/wrong-digest", "list": {"form": "binary", "bank": "sha256"},
        "record": {"number": 1, "name": "boot_aggregate"}, "more": 0,
    })
)]
#[case::violation_in_one_bank_alone(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha256, false) { bytes[4..36].fill(0); }
        bytes
    },
    json!({"code": "views-agree/differ", "number": 1, "other_record": {"violation": true}})
)]
#[case::pcr_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha1, false) { bytes[0] = 11; }
        bytes
    },
    json!({"code": "views-agree/differ", "number": 1, "list": {"form": "binary", "bank": "sha1"}})
)]
#[case::ascii_digest(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Ascii, Bank::Sha1, false) { bytes[4] = b'z'; }
        bytes
    },
    json!({"code": "views-agree/text", "number": 1, "list": {"form": "ascii", "bank": "sha1"}})
)]
#[case::ascii_name(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Ascii, Bank::Sha256, false) {
            let end = bytes.len() - 2;
            bytes[end] = b'!';
        }
        bytes
    },
    json!({"code": "views-agree/text", "number": 8, "list": {"form": "ascii", "bank": "sha256"}})
)]
#[case::ascii_short(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Ascii, Bank::Sha256, false) {
            let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
            bytes.truncate(last + 1);
        }
        bytes
    },
    json!({"code": "views-agree/text", "number": 8, "found": ""})
)]
#[case::ascii_long(
    |form: Form, _: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, staged) == (Form::Ascii, false) { bytes.extend_from_slice(b"10 00 ima-ng x y\n"); }
        bytes
    },
    json!({
        "code": "views-agree/longer", "list": {"form": "ascii"}, "other_list": {"form": "binary", "bank": "sha1"}, "records": 1,
    })
)]
#[case::ascii_unfinished(
    |form: Form, _: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, staged) == (Form::Ascii, false) { bytes.pop(); }
        bytes
    },
    json!({
        "code": "views-agree/malformed", "list": {"form": "ascii", "bank": "sha1"}, "error": "the last line has no end",
    })
)]
#[case::shorter_in_one_bank(
    |form: Form, bank: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, bank, staged) == (Form::Binary, Bank::Sha256, false) { bytes.clear(); }
        bytes
    },
    json!({"code": "views-agree/differ", "number": 1, "other_record": null, "records": 8, "other_records": 0})
)]
#[case::truncated(
    |form: Form, _: Bank, staged: bool, mut bytes: Vec<u8>| {
        if (form, staged) == (Form::Binary, false) { bytes.pop(); }
        bytes
    },
    json!({"code": "views-agree/malformed", "list": {"form": "binary", "bank": "sha1"}})
)]
fn every_difference_between_views_is_found(
    #[case] view: fn(Form, Bank, bool, Vec<u8>) -> Vec<u8>,
    #[case] finding: Value,
) {
    failed(&story(|fake| fake.view = view).verdict(Check::ViewsAgree), &finding);
}

#[test]
fn staged_views_are_compared_too() {
    let result = story(|fake| {
        fake.view = |form, bank, staged, mut bytes| {
            if (form, bank, staged) == (Form::Ascii, Bank::Sha1, true) {
                bytes[4] = b'z';
            }
            bytes
        };
        fake.stage();
        fake.checkpoint();
    })
    .verdict(Check::ViewsAgree);
    let list = json!({"form": "ascii", "bank": "sha1", "staged": true});
    failed(
        &result,
        &json!({"code": "views-agree/text", "step": {"id": 2, "text": "checkpoint"}, "list": list}),
    );
}

#[test]
fn the_counter_is_that_of_the_current_list() {
    failed(
        &story(|fake| fake.count_off = 1).verdict(Check::ViewsAgree),
        &json!({"code": "views-agree/counter", "expected": 8, "found": 9}),
    );
}

#[test]
fn a_record_whose_fields_make_no_text_is_found() {
    let data = imalab_formats::ima::template_data(
        &[b"no colon", b"/m/torn\0"],
        imalab_formats::ima::ByteOrder::Little,
    );
    let torn = Record::new(Bank::Sha256, 10, "ima-ng", data);
    let result = story(|fake| fake.log(torn.clone())).verdict(Check::ViewsAgree);
    failed(&result, &json!({"code": "views-agree/no-text", "number": 7}));
    let says = |finding: &Finding| matches!(finding, Finding::ViewsAgree(ViewsAgree::NoText { error, .. }) if error.starts_with("field `d-ng`: expected"));
    assert!(result.findings.iter().any(says), "{result:#?}");
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
    could_not_run(
        &result(&plan, &trace, Check::ViewsAgree),
        &json!({"code": "views-agree/no-full-checkpoint"}),
    );
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
    could_not_run(
        &result(&plan, &trace, Check::ViewsAgree),
        &json!({"code": "views-agree/no-full-checkpoint"}),
    );
}
