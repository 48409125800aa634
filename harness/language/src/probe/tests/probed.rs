//! What the probe says of made-up kernels.

use std::collections::BTreeSet;

use imalab_wire::Message;
use rstest::rstest;

use super::played::{Defect, FILES, Kernel, console, play, upstream};
use crate::capabilities::{Capabilities, ProbeFinding};
use crate::capability::Capability;
use crate::probe::{
    ProbeError, capabilities, first, fourth, requests, second, third, with_fourth, with_requests,
    with_second, with_third, without_requests, without_second, without_third,
};
use crate::verdict::Outcome;
use imalab_formats::Interface;

pub(super) fn probed(kernel: &Kernel) -> Capabilities {
    held_to(kernel, None)
}

pub(super) fn held_to(kernel: &Kernel, promises: Option<Interface>) -> Capabilities {
    let boot = first();
    assert!(boot.kernel_args.is_empty());
    let found = capabilities(&play(kernel, &boot)).unwrap();
    let asked = requests(&found, promises).map(|boot| play(kernel, &boot));
    let mut found = with_requests(found, asked.as_deref(), promises).unwrap();
    if let Some(boot) = second(&found) {
        assert_eq!(boot.kernel_args, ["ima_flush_htable"]);
        found = with_second(found, &play(kernel, &boot), &console(kernel, &boot)).unwrap();
    }
    if let Some(boot) = third(&found) {
        found = with_third(found, &play(kernel, &boot)).unwrap();
    }
    match fourth(&found) {
        None => found,
        Some(boot) => with_fourth(found, &play(kernel, &boot)).unwrap(),
    }
}

/// What a kernel lacks, other interfaces than its own apart.
fn lacking(found: &Capabilities, kernel: &Kernel) -> Vec<&'static str> {
    assert_eq!(found.interface, kernel.interface);
    let ima = !kernel.files.is_empty();
    let own = kernel.interface.dialect().words.filter(|_| ima).map(Capability::Words);
    for words in Capability::all().filter(|capability| capability.is_words()) {
        assert_eq!(found.has(words), Some(words) == own, "{words}");
    }
    assert!(!found.has(Capability::HashTable) || !found.has(Capability::NoHashTable));
    // What a kernel carries is asked in a boot of its own.
    let apart =
        [Capability::NoHashTable, Capability::KexecCarry, Capability::KexecLate, Capability::KexecRecords];
    assert_eq!(found.has(Capability::LogMarks), kernel.interface == Interface::LOG_DIGEST);
    assert_eq!(found.has(Capability::Snapshots), kernel.interface == Interface::SNAPSHOT);
    let own =
        |one: &Capability| one.is_words() || [Capability::LogMarks, Capability::Snapshots].contains(one);
    let lacks = |one: &Capability| !found.has(*one) && !own(one) && !apart.contains(one);
    Capability::all().filter(lacks).map(Capability::name).collect()
}

const NOTHING_REMOVES: [&str; 5] = ["staging", "trim", "flush-htable", "trim-while-staged", "exact-trim"];

#[rstest]
#[case::everything(upstream(), &[])]
#[case::rfc_v2(Kernel { interface: Interface::RFC_V2, ..upstream() }, &["trim-while-staged"])]
#[case::two_command(
    Kernel { interface: Interface::TWO_COMMAND, ..upstream() },
    &["trim-while-staged", "exact-trim"]
)]
#[case::transaction(
    Kernel { interface: Interface::TRANSACTION, ..upstream() },
    &["staging", "trim-while-staged"]
)]
#[case::trim_log(Kernel { interface: Interface::TRIM_LOG, ..upstream() }, &["staging", "trim-while-staged"])]
#[case::trim_log_v3(
    Kernel { interface: Interface::TRIM_LOG_V3_POSTED, ..upstream() },
    &["staging", "trim-while-staged"]
)]
#[case::log_digest(
    Kernel { interface: Interface::LOG_DIGEST, ..upstream() },
    &["staging", "trim-while-staged"]
)]
#[case::snapshot(
    Kernel { interface: Interface::SNAPSHOT, ..upstream() },
    &["staging", "trim", "trim-while-staged", "exact-trim"]
)]
#[case::before_staging(Kernel { interface: Interface::READ_ONLY, ..upstream() }, &NOTHING_REMOVES)]
#[case::without_the_option(Kernel { interface: Interface::NO_STAGING, ..upstream() }, &NOTHING_REMOVES)]
#[case::v1(
    Kernel { interface: Interface::STAGING_V1_POSTED, ..upstream() },
    &["trim-while-staged"]
)]
#[case::rfc_v2_as_posted(Kernel { interface: Interface::RFC_V2_POSTED, ..upstream() }, &["trim-while-staged"])]
#[case::v3(Kernel { interface: Interface::V3_POSTED, ..upstream() }, &["trim-while-staged"])]
#[case::v4(Kernel { interface: Interface::V4_POSTED, ..upstream() }, &["trim-while-staged"])]
#[case::v5(Kernel { interface: Interface::V5_POSTED, ..upstream() }, &["trim-while-staged"])]
#[case::old(
    Kernel { files: vec![FILES[0]], interface: Interface::READ_ONLY, ..upstream() },
    &["bank-files", "staging", "trim", "flush-htable", "trim-while-staged", "exact-trim"]
)]
#[case::no_hash_table(Kernel { htable: false, ..upstream() }, &["hash-table", "flush-htable"])]
#[case::no_policy(
    Kernel { policy: false, ..upstream() },
    &["policy", "policy-records", "hash-table", "flush-htable"]
)]
#[case::no_policy_records(Kernel { records_policies: false, ..upstream() }, &["policy-records"])]
#[case::no_tpm(Kernel { tpm: false, ..upstream() }, &["tpm"])]
#[case::no_failslab(Kernel { failslab: false, ..upstream() }, &["allocation-faults"])]
#[case::no_ima(
    Kernel { files: vec![], interface: Interface::READ_ONLY, policy: false, ..upstream() },
    &["ima", "policy", "policy-records", "bank-files", "hash-table", "staging", "trim", "flush-htable", "trim-while-staged", "exact-trim"]
)]
fn capabilities_are_what_is_there(#[case] kernel: Kernel, #[case] lacks: &[&str]) {
    let found = probed(&kernel);
    assert_eq!(lacking(&found, &kernel), lacks);
    assert_eq!(found.findings, []);
}

/// Whatever a kernel does wrong, it lacks nothing for it: each is a finding.
#[rstest]
#[case(Defect::TrimsOneMore, &["trim-count", "trim-count"])]
#[case(Defect::TrimsOneLess, &["trim-count", "trim-count"])]
#[case(Defect::TrimsAllWhenTooMany, &["trim-too-many-taken"])]
#[case(Defect::RefusesTrimWhileStaged, &["trim-while-staged-refused"])]
#[case(Defect::TrimsOneMoreWhileStaged, &["trim-count"])]
#[case(Defect::RefusesStage, &["stage-refused", "stage-refused", "stage-refused"])]
#[case(Defect::SaveIsEmpty, &["save-differs"])]
#[case(Defect::SaveFails, &["save-refused", "save-refused"])]
#[case(Defect::RefusesDelete, &["delete-refused", "stage-refused", "delete-refused"])]
#[case(Defect::DeleteCounts, &["delete-count"])]
#[case(Defect::IgnoresFlush, &["flush-ignored"])]
#[case(Defect::KnowsNoFlush, &["flush-unknown"])]
#[case(Defect::RefusesDeleteWithFlush, &["delete-refused"])]
#[case(Defect::DoublesSome, &["doubles-recorded"])]
#[case(Defect::DoublesAll, &["doubles-recorded"])]
#[case(Defect::RecordsNothing, &["policy-not-followed"])]
#[case(Defect::RecordsTwice, &["policy-not-followed"])]
#[case(Defect::CounterFails, &["counter-unreadable", "stage-count"])]
#[case(Defect::TpmIsBusy, &["tpm-unusable"])]
#[case(Defect::PolicyRecordedTwice, &["policy-recorded-often"])]
#[case(Defect::RefusesEveryRequest, &["stage-refused", "trim-refused", "stage-refused", "stage-refused"])]
fn what_is_done_wrong_is_a_finding_and_no_lack(#[case] defect: Defect, #[case] codes: &[&str]) {
    let kernel = Kernel { defect: Some(defect), ..upstream() };
    let found = probed(&kernel);
    let told: Vec<String> = found.findings.iter().map(|finding| finding.code.name()).collect();
    assert_eq!(told, codes, "{:#?}", found.findings);
    // What cannot be told without a counter or records: whether doubles are.
    let untold = [Defect::RecordsNothing, Defect::RecordsTwice, Defect::CounterFails].contains(&defect);
    let lacks: Vec<_> = lacking(&found, &kernel)
        .into_iter()
        .filter(|lacks| !untold || !["hash-table", "flush-htable", "policy-records"].contains(lacks))
        .collect();
    assert_eq!(lacks, [""; 0], "{:#?}", found.findings);
    for finding in &found.findings {
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(!finding.promise.is_empty() && finding.expected != finding.found, "{finding}");
    }
}

#[rstest]
#[case::rfc_v2(Interface::RFC_V2, Defect::TrimsOneMore, &["trim-count"])]
#[case::two_command(Interface::TWO_COMMAND, Defect::RefusesDelete, &["delete-refused", "trim-refused", "stage-refused", "delete-refused"])]
#[case::transaction(Interface::TRANSACTION, Defect::TrimsOneLess, &["trim-count"])]
#[case::refusing(Interface::TRANSACTION, Defect::RefusesEveryRequest, &["trim-refused", "trim-refused"])]
fn proposals_are_held_to_what_they_promise(
    #[case] interface: Interface,
    #[case] defect: Defect,
    #[case] codes: &[&str],
) {
    let kernel = Kernel { interface, defect: Some(defect), ..upstream() };
    let found = probed(&kernel);
    let told: Vec<String> = found.findings.iter().map(|finding| finding.code.name()).collect();
    assert_eq!(found.interface, interface);
    assert_eq!(told, codes, "{:#?}", found.findings);
}

#[test]
fn half_a_staging_is_told_by_the_first_thing_that_is_wrong() {
    let kernel = Kernel { defect: Some(Defect::StagesHalf), ..upstream() };
    let found = probed(&kernel);
    // The one record that there is stays where it was.
    assert_eq!(found.findings[0].code.name(), "stage-count", "{:#?}", found.findings);
    assert!(found.has(Capability::Staging));
}

#[test]
fn an_interface_that_nobody_knows_is_told_with_its_files() {
    let kernel =
        Kernel { interface: Interface::RFC_V2, defect: Some(Defect::RefusesEveryRequest), ..upstream() };
    let found = probed(&kernel);
    let [finding] = &found.findings[..] else { panic!("{:#?}", found.findings) };
    assert_eq!(
        (found.interface, finding.code.name()),
        (Interface::READ_ONLY, "unknown-interface".to_owned())
    );
    for part in ["binary_runtime_measurements_sha1 100440", "binary_runtime_measurements_staged_sha1 100660"]
    {
        assert!(finding.found.contains(part), "{finding}");
    }
}

#[test]
fn a_file_that_nobody_knows_is_told() {
    let kernel = Kernel { interface: Interface::READ_ONLY, stranger: Some("ima_unheard_of"), ..upstream() };
    let found = probed(&kernel);
    let [finding] = &found.findings[..] else { panic!("{:#?}", found.findings) };
    assert_eq!(finding.code.name(), "unknown-interface");
    assert!(finding.found.contains("ima_unheard_of 100600"), "{finding}");
}

/// Of half an interface, or of two, nobody's promises are known: to take it for a kernel that removes nothing would skip it all.
#[rstest]
#[case::half(
    Kernel { interface: Interface::LOG_DIGEST, lacks: Some("trim"), ..upstream() },
    "of log-digest trim is missing, log_digest is there"
)]
#[case::the_other_half(
    Kernel { interface: Interface::LOG_DIGEST, lacks: Some("log_digest"), ..upstream() },
    "of log-digest trim is there, log_digest is missing"
)]
#[case::two(
    Kernel { interface: Interface::SNAPSHOT, stranger: Some("ima_trim_log"), ..upstream() },
    "of trim-log ima_trim_log is there; of snapshot snapshot is there"
)]
#[case::beside_staging(
    Kernel { interface: Interface::UPSTREAM, stranger: Some("snapshot"), ..upstream() },
    "of snapshot snapshot is there; staged records are named"
)]
fn half_an_interface_and_two_at_once_are_told(#[case] kernel: Kernel, #[case] what: &str) {
    let found = probed(&kernel);
    let [finding] = &found.findings[..] else { panic!("{:#?}", found.findings) };
    assert_eq!(
        (found.interface, finding.code.name()),
        (Interface::READ_ONLY, "unknown-interface".to_owned())
    );
    assert_eq!(finding.outcome, Outcome::Failed);
    assert!(finding.found.contains(what), "{finding}");
}

#[test]
fn behaviours_are_told_one_by_one() {
    let told = |interface, what: &str| {
        let found = probed(&Kernel { interface, ..upstream() });
        found.behaviours.get(what).cloned().unwrap_or_default()
    };
    let nothing = "the staged list is read while nothing is staged";
    assert_eq!(told(Interface::RFC_V2, nothing), "success");
    assert!(told(Interface::RFC_V2_POSTED, nothing).starts_with("ENOENT"));
    let second = "a second staged file is opened by the writer";
    assert_eq!(told(Interface::UPSTREAM, second), "success");
    assert!(told(Interface::V4_POSTED, second).starts_with("EBUSY"));
    let writing = "an original file is opened for writing";
    assert_eq!(told(Interface::RFC_V2_POSTED, writing), "success");
    assert_ne!(told(Interface::RFC_V2, writing), "success");
}

/// A kernel can be held to the promises of another than it is seen to follow.
#[test]
fn promises_can_be_chosen() {
    let kernel = Kernel { interface: Interface::RFC_V2_POSTED, ..upstream() };
    let codes = |found: &Capabilities| {
        found.findings.iter().map(|finding| finding.code.name()).collect::<BTreeSet<_>>()
    };
    // Our own series has another form of numbers, and drops digests at a delete.
    let others = BTreeSet::from(["number-form".to_owned(), "flushed-otherwise".to_owned()]);
    for (promises, expected) in [(Interface::RFC_V2, others), (Interface::RFC_V2_POSTED, BTreeSet::new())] {
        let found = held_to(&kernel, Some(promises));
        assert_eq!((found.interface, codes(&found)), (promises, expected), "{:#?}", found.findings);
        assert_eq!(found.has("rfc-v2".parse().unwrap()), promises == Interface::RFC_V2);
    }
    let found = held_to(&kernel, Some(Interface::UPSTREAM));
    assert!(found.has(Capability::MAINLINE.unwrap()) && found.has(Capability::Staging));
    assert_eq!(found.findings[0].code.name(), "stage-refused");
}

#[rstest]
#[case::with_one(true, true, false)]
#[case::without(false, true, true)]
#[case::nobody_knows(false, false, false)]
fn no_hash_table_is_one_that_was_seen_to_suppress_nothing(
    #[case] htable: bool,
    #[case] policy: bool,
    #[case] expected: bool,
) {
    let kernel = Kernel { htable, policy, ..upstream() };
    assert_eq!(probed(&kernel).has(Capability::NoHashTable), expected);
}

#[test]
fn a_boot_that_is_not_survived_condemns_what_needs_it_alone() {
    let found = capabilities(&play(&upstream(), &first())).unwrap();
    let found = without_second(without_requests(found, None));
    assert!(found.has(Capability::FlushHtable) && found.has(Capability::Staging));
    let died =
        |boot| ProbeFinding::not_survived(boot, Outcome::KernelDied, "Oops: 0002", vec!["x".to_owned()]);
    let finding = died("ima_flush_htable");
    assert_eq!((finding.outcome, finding.console_tail.len()), (Outcome::KernelDied, 1));
    assert!(finding.to_string().contains("Oops: 0002"), "{finding}");
}

#[test]
fn findings_are_remembered() {
    let found = probed(&Kernel { defect: Some(Defect::TrimsOneMore), ..upstream() });
    let text = serde_json::to_vec(&found).unwrap();
    assert_eq!(serde_json::from_slice::<Capabilities>(&text).unwrap(), found);
    // And an answer without them is none.
    let mut text: serde_json::Value = serde_json::from_slice(&text).unwrap();
    text.as_object_mut().unwrap().remove("findings");
    assert!(serde_json::from_value::<Capabilities>(text).is_err());
}

#[test]
fn a_probe_that_did_not_end_says_nothing() {
    let mut messages = play(&upstream(), &first());
    messages.pop();
    assert!(matches!(capabilities(&messages), Err(ProbeError::Unfinished(_))));
    let found = capabilities(&play(&upstream(), &first())).unwrap();
    assert!(matches!(with_second(found.clone(), &messages, &[]), Err(ProbeError::Unfinished(_))));
    let asked = with_requests(found.clone(), Some(&messages), None);
    assert!(matches!(asked, Err(ProbeError::Unfinished(_))));
    assert!(third(&found).is_none() || with_third(found.clone(), &messages).is_err());
    assert!(without_third(found).has(Capability::KexecCarry));
    messages.push(Message::Fault { text: "no console".to_owned() });
    messages.push(Message::Done { ops: 0, frames: 0 });
    assert_eq!(capabilities(&messages), Err(ProbeError::Unfinished("no console".to_owned())));
}
