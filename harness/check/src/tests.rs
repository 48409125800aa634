mod million;
mod nothing_compared;
mod violations;

use imalab_wire::Message;

use super::evidence::Evidence;
use super::fake_run::{FakeRun, passed};
use super::reconstruction::Reconstructions;
use super::{all, digest, unknown};
use crate::outcome::{Check, Verdict};
use imalab_formats::ima::{Bank, parse_log, replay};
use imalab_language::finding;
use imalab_language::plan::Plan;
use imalab_trace::{Origin, Trace, What};

#[test]
fn every_check_is_there_once() {
    let (plan, trace) = FakeRun::new().finish();
    let checks: Vec<Check> = all(&plan, &trace).into_iter().map(|result| result.check).collect();
    assert_eq!(checks, Check::INVARIANTS);
}

#[test]
fn ten_thousand_records_pass_every_check() {
    let mut fake = FakeRun::new();
    fake.measure(5_000);
    fake.stage_save_delete();
    fake.checkpoint();
    fake.measure(3_000);
    fake.trim(1_000);
    fake.measure(2_000);
    fake.stage();
    let (plan, trace) = fake.finish();
    let results = all(&plan, &trace);
    results.iter().for_each(passed);
    let compared = &results[2].compared;
    assert_eq!(
        (results[2].check, compared["extends"], compared["records"]),
        (Check::ExactlyOnce, 10_001, 10_001)
    );
}

#[test]
fn what_is_kept_of_a_list_does_not_grow_with_it() {
    let mut fake = FakeRun::new();
    fake.measure(700);
    fake.checkpoint();
    fake.stage_save_delete();
    fake.measure(300);
    let (plan, trace) = fake.finish();
    let evidence = Evidence::of(&plan, &trace);
    let lists = evidence.lists.iter().filter_map(|list| list.records.as_ref());
    let sizes: Vec<(usize, usize)> = lists.map(|list| (list.len(), list.runs())).collect();
    assert!(sizes.contains(&(701, 1)) && sizes.contains(&(300, 1)), "{sizes:?}");
    assert!(sizes.iter().all(|(_, runs)| *runs <= 1), "{sizes:?}");
    let timeline = crate::timeline::of(&evidence, &crate::list_files::ListFiles::of(&evidence));
    let reconstructions = Reconstructions::of(&evidence, &timeline);
    let whole = reconstructions.last().expect("a checkpoint");
    assert_eq!((whole.records.len(), whole.records.runs()), (1_001, 1));
    let extended = whole.order_of_extends(&evidence);
    assert_eq!((extended.len(), extended.runs()), (1_001, 1));
}

#[test]
fn evidence_that_cannot_be_read_back_proves_nothing() {
    let (plan, trace) = FakeRun::new().finish();
    let results = all(&plan, &trace).into_iter().map(|result| unknown(result, "gone"));
    for result in results {
        let gone = finding::Evidence::Unreadable { error: "gone".to_owned() }.into();
        assert_eq!((result.verdict, result.findings), (Verdict::CouldNotRun, vec![gone]));
    }
}

fn log_of(plan: &Plan, trace: &Trace) -> Vec<u8> {
    digest(plan, trace).records().collect::<Vec<_>>().concat()
}

#[test]
fn the_whole_log_is_what_was_taken_out_and_what_is_left() {
    let mut fake = FakeRun::new();
    fake.measure(2);
    fake.violate();
    fake.stage_save_delete();
    fake.measure(3);
    fake.trim(1);
    fake.stage();
    fake.measure(1);
    let expected = fake.records_of();
    let (plan, trace) = fake.finish();
    let log = parse_log(&log_of(&plan, &trace), Bank::Sha1).expect("a well-formed list");
    assert_eq!(log.len(), 9);
    assert!(log.iter().all(|record| record.is_consistent()));
    assert_eq!(log[9 - expected.len()..], expected);
    let last = trace.events.iter().rev().find_map(|event| match &event.what {
        What::Pcrs(reading) => Some(reading.values[0].digest.as_slice()),
        _ => None,
    });
    assert_eq!(replay(&log, Bank::Sha1, 10).as_ref().map(AsRef::as_ref), last);
}

#[test]
fn without_a_checkpoint_the_whole_log_is_empty() {
    let (plan, trace) = FakeRun::new().power_off();
    assert!(log_of(&plan, &trace).is_empty());
}

/// A run with everything in it.
fn rich() -> (Plan, Trace) {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.violate();
    fake.stage();
    fake.measure(3);
    fake.checkpoint();
    fake.trim(1);
    fake.save();
    fake.delete();
    fake.quote();
    fake.measure(2);
    fake.stage();
    fake.finish()
}

/// The bytes of an event that say what was measured, extended, read or quoted.
fn evidence(what: &mut What) -> Vec<&mut Vec<u8>> {
    match what {
        What::Guest(Message::Data(piece)) => vec![&mut piece.bytes],
        What::Tpm(exchange) if exchange.origin == Origin::Guest => {
            vec![&mut exchange.command]
        }
        What::Pcrs(reading) => reading.values.iter_mut().map(|value| &mut value.digest).collect(),
        What::Quote(quote) => vec![&mut quote.nonce, &mut quote.attest, &mut quote.signature],
        _ => Vec::new(),
    }
}

#[test]
fn no_bit_of_the_evidence_can_change_unseen() {
    let (plan, trace) = rich();
    all(&plan, &trace).iter().for_each(passed);
    for at in 0..trace.events.len() {
        let lengths: Vec<usize> =
            evidence(&mut trace.events[at].what.clone()).iter().map(|bytes| bytes.len()).collect();
        for (part, length) in lengths.into_iter().enumerate() {
            for place in [0, length / 3, length / 2, length - 1] {
                let mut changed = trace.clone();
                evidence(&mut changed.events[at].what)[part][place] ^= 4;
                let results = all(&plan, &changed);
                assert!(
                    results
                        .iter()
                        .any(|result| result.verdict != Verdict::Passed && result.check != Check::Mutex),
                    "byte {place} of part {part} of {:?}",
                    trace.events[at]
                );
            }
        }
    }
}

#[test]
fn no_piece_of_the_evidence_can_go_unseen() {
    let (plan, trace) = rich();
    for at in 0..trace.events.len() {
        if evidence(&mut trace.events[at].what.clone()).is_empty() {
            continue;
        }
        for double in [false, true] {
            let mut changed = trace.clone();
            if double {
                changed.events.insert(at, trace.events[at].clone());
            } else {
                changed.events.remove(at);
            }
            let results = all(&plan, &changed);
            assert!(
                results
                    .iter()
                    .any(|result| result.verdict != Verdict::Passed && result.check != Check::Mutex),
                "double {double}: {:?}",
                trace.events[at]
            );
        }
    }
}
