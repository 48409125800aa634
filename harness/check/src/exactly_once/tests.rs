use rstest::rstest;

use crate::world::{World, could_not_run, failed, passed, record, result, violation};
use imalab_formats::ima::{Bank, Digest};

/// Six records, a checkpoint that reads them, whatever a test does, and two more.
fn story(sabotage: impl Fn(&mut World)) -> World {
    let mut world = World::new();
    world.measure(5);
    world.checkpoint();
    sabotage(&mut world);
    world.measure(2);
    world
}

#[rstest]
#[case::nothing(&|_: &mut World| {})]
#[case::staged(&|world: &mut World| { world.stage(); })]
#[case::staged_and_saved(&|world: &mut World| { world.stage(); world.save(); })]
#[case::taken_out(&World::stage_save_delete)]
#[case::taken_out_twice(&|world: &mut World| {
    world.stage_save_delete();
    world.measure(3);
    world.stage_save_delete();
})]
#[case::trimmed(&|world: &mut World| { world.trim(2); })]
#[case::trimmed_all(&|world: &mut World| { world.trim(6); })]
#[case::trimmed_while_staged(&|world: &mut World| {
    world.stage();
    world.measure(3);
    world.trim(2);
    world.save();
    world.delete();
})]
#[case::violations(&|world: &mut World| { world.violate(); world.violate(); })]
#[case::measured_again(&|world: &mut World| { world.log(record("/m/f-1")); })]
fn sound_runs_pass(#[case] story_of: &dyn Fn(&mut World)) {
    passed(&story(story_of).verdict("exactly-once"));
}

#[test]
fn a_pass_says_what_it_rests_on() {
    let result = story(World::stage_save_delete).verdict("exactly-once");
    assert_eq!(result.findings, ["8 extends = 8 records, banks sha1 sha256"]);
}

#[rstest]
#[case::lost(
    &|world: &mut World| { world.current.remove(3); },
    &["record 4 is missing", "extend #4", "/m/f-3", "found in no chunk", "after record 3 /m/f-2", "before record 4 /m/f-4"]
)]
#[case::lost_range(
    &|world: &mut World| { world.current.drain(2..5); },
    &["records 3 to 5 are missing", "/m/f-2", "3 extended and not recorded"]
)]
#[case::lost_at_the_end(
    &|world: &mut World| { world.extend(&record("/m/gone")); },
    &["record 7 is missing", "in no list that was ever read"]
)]
#[case::lost_violation(&|world: &mut World| { world.extend(&violation("/m/v")); }, &["record 7 is missing", "a violation"])]
#[case::lost_while_staged(
    &|world: &mut World| {
        world.stage();
        world.staged.as_mut().unwrap().remove(5);
        world.save();
        world.delete();
    },
    &["record 6 is missing", "saved: number 5 in what step 3 `save` (line 13) read"]
)]
#[case::doubled(
    &|world: &mut World| { let twin = world.current[3].clone(); world.current.insert(3, twin); },
    &["record 5 /m/f-3", "is doubled", "extended 1 times, first as #4", "also record 4"]
)]
#[case::doubled_across_staging(
    &|world: &mut World| {
        world.stage();
        world.save();
        let twin = world.staged.as_ref().unwrap()[5].clone();
        world.delete();
        world.current.push(twin);
    },
    &["record 7 /m/f-5", "is doubled", "also record 6 /m/f-5", "saved"]
)]
#[case::swapped(
    &|world: &mut World| { world.current.swap(2, 3); },
    &["record 3 /m/f-3", "is swapped with record 4 /m/f-2", "extended as #4, the other as #3"]
)]
#[case::moved(
    &|world: &mut World| { let moved = world.current.remove(1); world.current.push(moved); },
    &["record 2 /m/f-2", "is out of order", "record 6 /m/f-1"]
)]
#[case::never_extended(
    &|world: &mut World| { world.current.push(record("/m/extra")); },
    &["record 7 /m/extra", "was never extended", "no extend that the tap saw"]
)]
#[case::extend_failed(
    &|world: &mut World| {
        let late = record("/m/late");
        world.extend_with(10, vec![late.extend_digest(Bank::Sha1), late.extend_digest(Bank::Sha256)], 0x922);
        world.current.push(late);
    },
    &["record 7 /m/late", "never extended", "failed with TPM_RC_RETRY (0x922)"]
)]
#[case::wrong_pcr(
    &|world: &mut World| {
        let astray = record("/m/astray");
        world.extend_with(11, vec![astray.extend_digest(Bank::Sha1), astray.extend_digest(Bank::Sha256)], 0);
        world.current.push(astray);
    },
    &["record 7 /m/astray", "extended into PCR 11 instead"]
)]
#[case::wrong_digest_in_one_bank(
    &|world: &mut World| {
        let torn = record("/m/torn");
        world.extend_with(10, vec![torn.extend_digest(Bank::Sha1), Digest::zero(Bank::Sha256)], 0);
        world.current.push(torn);
    },
    &["record 7 /m/torn", "extended sha256 with another digest"]
)]
#[case::padded_sha1(
    &|world: &mut World| {
        let padded = record("/m/padded");
        let sha1 = padded.extend_digest(Bank::Sha1);
        let digest = [sha1.as_bytes(), &[0; 12]].concat();
        world.extend_with(10, vec![sha1, Digest::from_bytes(Bank::Sha256, &digest).unwrap()], 0);
        world.current.push(padded);
    },
    &["the kernel lacks the bank's hash"]
)]
#[case::bank_left_out(
    &|world: &mut World| {
        let half = record("/m/half");
        world.extend_with(10, vec![half.extend_digest(Bank::Sha1)], 0);
        world.current.push(half);
    },
    &["extend #7", "missing [sha256], too many []", "1 of 9"]
)]
#[case::bank_too_many(
    &|world: &mut World| {
        let more = record("/m/more");
        let digests = [Bank::Sha1, Bank::Sha256, Bank::Sha384].map(|bank| more.extend_digest(bank));
        world.extend_with(10, digests.to_vec(), 0);
        world.current.push(more);
    },
    &["missing [], too many [0x000c]"]
)]
#[case::violation_extended_as_a_record(
    &|world: &mut World| { world.extend(&record("/m/v")); world.current.push(violation("/m/v")); },
    &["was never extended"]
)]
#[case::deleted_unsaved(
    &|world: &mut World| { world.stage(); world.delete(); },
    &["step 3 `delete` (line 13)", "took out records that nobody had saved", "before record 1"]
)]
#[case::staged_twice(
    &|world: &mut World| { world.stage(); world.save(); world.measure(1); world.stage(); world.save(); world.delete(); },
    &["staging succeeded although records were staged"]
)]
#[case::deleted_nothing(
    &|world: &mut World| { world.delete(); },
    &["deleting succeeded although nothing was staged"]
)]
#[case::staged_list_lives_on(
    &|world: &mut World| {
        world.stage_save_delete();
        world.staged = Some(vec![record("/m/f-1")]);
        world.checkpoint();
    },
    &["the staged list holds 1 record although nothing is staged"]
)]
#[case::staged_list_changes(
    &|world: &mut World| {
        world.stage();
        world.save();
        world.staged.as_mut().unwrap().pop();
        world.save();
        world.delete();
    },
    &["the staged list differs from what step 3 `save` (line 13) read of it, from record 6 on"]
)]
#[case::a_reader_sees_another_record(
    &|world: &mut World| {
        let true_one = std::mem::replace(&mut world.current[4], record("/m/false"));
        world.trim(2);
        world.current[2] = true_one;
    },
    &["step 2 `trim` (line 12): it read /m/false", "as record 5, which is /m/f-4"]
)]
#[case::a_reader_sees_one_too_many(
    &|world: &mut World| {
        world.measure(2);
        world.current.push(record("/m/false"));
        world.trim(2);
        world.current.pop();
    },
    &["step 3 `trim` (line 13): it read /m/false", "as record 9, which is /m/f-8"]
)]
#[case::a_checkpoint_sees_another_order(
    &|world: &mut World| {
        world.current.swap(1, 2);
        world.checkpoint();
        world.current.swap(1, 2);
    },
    &["step 2 `checkpoint` (line 12): it read /m/f-2", "as record 2, which is /m/f-1"]
)]
fn every_difference_is_found(#[case] sabotage: &dyn Fn(&mut World), #[case] words: &[&str]) {
    failed(&story(sabotage).verdict("exactly-once"), words);
}

#[test]
fn every_finding_of_a_loss_tells_of_that_loss() {
    let result = story(|world| {
        world.current.remove(3);
    })
    .verdict("exactly-once");
    assert_eq!(result.findings.len(), 1, "{result:#?}");
}

#[test]
fn without_a_checkpoint_it_could_not_run() {
    let mut world = World::new();
    world.measure(3);
    let (plan, trace) = world.power_off();
    could_not_run(&result(&plan, &trace, "exactly-once"), &["no checkpoint read the list"]);
}

#[test]
fn without_extends_it_could_not_run() {
    let mut world = World::new();
    world.current.clear();
    world.trace.events.retain(|event| !matches!(event.what, imalab_trace::What::Tpm(_)));
    could_not_run(&world.verdict("exactly-once"), &["the tap saw no extend of PCR 10"]);
}

#[test]
fn extends_after_the_last_checkpoint_cannot_be_judged() {
    let mut world = World::new();
    world.checkpoint();
    world.measure(2);
    let (plan, trace) = world.power_off();
    could_not_run(&result(&plan, &trace, "exactly-once"), &["2 extends after the last checkpoint"]);
}

#[test]
fn without_the_reading_at_its_mark_it_could_not_run() {
    let (plan, mut trace) = story(|_| {}).finish();
    trace.events.retain(|event| !matches!(event.what, imalab_trace::What::Pcrs(_)));
    could_not_run(&result(&plan, &trace, "exactly-once"), &["no PCR reading at its mark"]);
}

/// Two records of a PCR whose extends the TPM refuses, and what a run shows of them.
fn refused(pcr: u32, code: u32, sent_again: bool) -> World {
    let mut world = story(|_| {});
    for name in ["/m/first", "/m/second"] {
        let mut one = record(name);
        one.pcr = pcr;
        let digests = vec![one.extend_digest(Bank::Sha1), one.extend_digest(Bank::Sha256)];
        world.extend_with(pcr, digests.clone(), code);
        if sent_again {
            world.extend_with(pcr, digests, 0);
        }
        world.current.push(one);
    }
    world
}

#[rstest]
#[case::of_another_locality(
    17,
    0x907,
    "the TPM refused 2 extends of PCR 17 with TPM_RC_LOCALITY (0x907), the first in event "
)]
#[case::that_is_none(
    24,
    0x184,
    "the TPM refused 2 extends of PCR 24 with TPM_RC_VALUE for handle 1 (0x184), the first in event "
)]
fn the_tpms_refusal_is_the_first_finding_and_the_reason(
    #[case] pcr: u32,
    #[case] code: u32,
    #[case] finding: &str,
) {
    let mut world = refused(pcr, code, false);
    // The counter that the scenario is about is wrong for the same reason.
    let step = world.measure(1);
    world.plan.steps[step].expect = imalab_language::plan::Expect::NewRecords(3);
    let (plan, trace) = world.finish();
    let results = crate::all(&plan, &trace);
    let first = &results.iter().find(|result| result.check == "exactly-once").unwrap().findings[0];
    assert!(first.starts_with(finding), "{first}");
    let reason = crate::judge::of(&plan, &trace, &results, crate::world::TODAY).reason;
    assert!(reason.starts_with(&format!("exactly-once: {finding}")), "{reason}");
}

#[test]
fn an_extend_that_was_sent_again_and_carried_out_was_not_refused() {
    passed(&refused(11, 0x90a, true).verdict("exactly-once"));
}
