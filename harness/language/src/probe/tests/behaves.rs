//! Behaviours that the probe asks for one by one: the form of numbers, when digests are dropped, what is refused late.

use imalab_wire::{Op, Start};
use nix::errno::Errno;
use rstest::rstest;

use super::played::{Defect, Kernel, play, upstream};
use super::probed::{held_to, probed};
use crate::capabilities::Capabilities;
use crate::capability::Capability;
use crate::probe::{ProbeError, fourth, with_fourth};
use crate::vocabulary::MarkAction;
use imalab_formats::Interface;
use imalab_formats::ima::dialect::NumberForm;

fn with(interface: Interface, defect: Defect) -> Capabilities {
    probed(&Kernel { interface, defect: Some(defect), ..upstream() })
}

fn codes(found: &Capabilities) -> String {
    let codes: Vec<String> = found.findings.iter().map(|finding| finding.code.name()).collect();
    codes.join(" ")
}

/// What is promised and done otherwise is a finding; where nothing is promised, none.
#[rstest]
#[case::newline_needed(Interface::UPSTREAM, Defect::NewlineOtherwise, "number-form")]
#[case::newline_not_needed(Interface::RFC_V2, Defect::NewlineOtherwise, "number-form")]
#[case::newline_of_the_posting(Interface::RFC_V2_POSTED, Defect::NewlineOtherwise, "number-form")]
#[case::newline_that_nobody_promised(Interface::V5_POSTED, Defect::NewlineOtherwise, "")]
#[case::newline_of_v1(Interface::STAGING_V1_POSTED, Defect::NewlineOtherwise, "")]
#[case::decimal(Interface::UPSTREAM, Defect::BaseOtherwise, "number-form number-form")]
#[case::decimal_in_a_transaction(Interface::TRANSACTION, Defect::BaseOtherwise, "number-form number-form")]
#[case::any_base(Interface::RFC_V2_POSTED, Defect::BaseOtherwise, "number-form number-form")]
#[case::base_that_nobody_promised(Interface::V3_POSTED, Defect::BaseOtherwise, "")]
#[case::beyond(Interface::UPSTREAM, Defect::BeyondOtherwise, "number-form")]
#[case::beyond_a_signed_number(Interface::RFC_V2, Defect::BeyondOtherwise, "number-form number-form")]
#[case::beyond_in_the_posting(Interface::RFC_V2_POSTED, Defect::BeyondOtherwise, "number-form number-form")]
#[case::beyond_that_nobody_promised(Interface::V4_POSTED, Defect::BeyondOtherwise, "")]
#[case::flushed_at_the_staging(Interface::UPSTREAM, Defect::FlushesOtherwise, "flushed-otherwise")]
#[case::flushed_at_the_delete(Interface::RFC_V2_POSTED, Defect::FlushesOtherwise, "flushed-otherwise")]
#[case::never_flushed(Interface::TWO_COMMAND, Defect::IgnoresFlush, "flush-ignored")]
#[case::stages_late(Interface::UPSTREAM, Defect::StagesLate, "suspended-taken")]
#[case::deletes_late(Interface::UPSTREAM, Defect::DeletesLate, "suspended-taken")]
#[case::trims_late(Interface::TRANSACTION, Defect::TrimsLate, "suspended-taken")]
#[case::purges_late(Interface::SNAPSHOT, Defect::TrimsLate, "suspended-taken")]
#[case::another_error_of_a_purge(Interface::SNAPSHOT, Defect::SuspendedWithAnotherError, "suspended-error")]
#[case::trims_late_where_it_compares(Interface::TRIM_LOG, Defect::TrimsLate, "suspended-taken")]
#[case::deletes_late_as_postings_do(Interface::RFC_V2_POSTED, Defect::DeletesLate, "suspended-taken")]
#[case::stages_late_as_v4_does(Interface::V4_POSTED, Defect::StagesLate, "suspended-taken")]
#[case::staging_late_is_not_spoken_of(Interface::V3_POSTED, Defect::StagesLate, "")]
#[case::nothing_late_is_spoken_of(Interface::V5_POSTED, Defect::DeletesLate, "")]
#[case::another_error(
    Interface::UPSTREAM,
    Defect::SuspendedWithAnotherError,
    "suspended-error suspended-error suspended-error"
)]
// Of a delete that is refused, the error stands in one posting alone.
#[case::another_error_of_v4(Interface::V4_POSTED, Defect::SuspendedWithAnotherError, "suspended-error")]
#[case::any_error(Interface::RFC_V2_POSTED, Defect::SuspendedWithAnotherError, "")]
#[case::staged_are_lost(Interface::UPSTREAM, Defect::LosesStagedAtKexec, "kexec-carries-other")]
fn what_is_otherwise_than_promised_is_a_finding(
    #[case] interface: Interface,
    #[case] defect: Defect,
    #[case] expected: &str,
) {
    let found = with(interface, defect);
    assert_eq!(codes(&found), expected, "{:#?}", found.findings);
    assert_eq!(found.interface, interface);
    // And of each what is asked, promised and found is told apart.
    for finding in &found.findings {
        assert!(finding.expected != finding.found && !finding.promise.is_empty(), "{finding}");
    }
}

#[rstest]
#[case::mainline(Interface::UPSTREAM, true, false, u64::MAX, Errno::ERANGE)]
#[case::rfc_v2(Interface::RFC_V2, false, false, i64::MAX as u64, Errno::ERANGE)]
#[case::rfc_v2_as_posted(Interface::RFC_V2_POSTED, true, true, i64::MAX as u64, Errno::EINVAL)]
#[case::v1(Interface::STAGING_V1_POSTED, true, true, i64::MAX as u64, Errno::EINVAL)]
#[case::two_command(Interface::TWO_COMMAND, false, false, u64::MAX, Errno::ERANGE)]
#[case::v3(Interface::V3_POSTED, true, false, u64::MAX, Errno::ERANGE)]
fn the_form_of_numbers_is_seen(
    #[case] interface: Interface,
    #[case] newline_needed: bool,
    #[case] any_base: bool,
    #[case] most: u64,
    #[case] beyond: Errno,
) {
    let found = probed(&Kernel { interface, ..upstream() });
    let expected = NumberForm { newline_needed, any_base, most, beyond: beyond as i32 };
    assert_eq!(found.seen.numbers, Some(expected), "{:#?}", found.behaviours);
    assert_eq!(codes(&found), "");
}

/// A kernel that takes no plain number, or another number of records, is told so by itself; and of forms nothing is concluded.
#[rstest]
#[case(Interface::UPSTREAM, Defect::TrimsOneMore)]
#[case(Interface::UPSTREAM, Defect::RefusesEveryRequest)]
#[case(Interface::TWO_COMMAND, Defect::RefusesStage)]
fn without_plain_numbers_no_form_is_seen(#[case] interface: Interface, #[case] defect: Defect) {
    let found = held_to(&Kernel { interface, defect: Some(defect), ..upstream() }, Some(interface));
    assert_eq!(found.seen.numbers, None);
    assert!(!found.findings.is_empty());
}

#[test]
fn behaviours_are_told_in_words() {
    let told = |interface, what: &str| {
        let found = probed(&Kernel { interface, ..upstream() });
        found.behaviours.get(what).cloned().unwrap_or_default()
    };
    let hexadecimal = "\"0x2\\n\" is written for a number";
    assert_eq!(told(Interface::UPSTREAM, hexadecimal), "EINVAL: Invalid argument");
    assert_eq!(
        told(Interface::RFC_V2_POSTED, hexadecimal),
        "success, and 2 records fewer in the current list"
    );
    let flushed = "with ima_flush_htable, digests are dropped";
    assert_eq!(told(Interface::UPSTREAM, flushed), "as their records are deleted");
    assert_eq!(told(Interface::RFC_V2_POSTED, flushed), "as their records are staged");
    assert!(told(Interface::UPSTREAM, "stage, when measuring is suspended").starts_with("EACCES"));
    assert!(told(Interface::UPSTREAM, "delete, when measuring is suspended").starts_with("ESTALE"));
    assert!(told(Interface::TRANSACTION, "trim 1, when measuring is suspended").starts_with("ESTALE"));
}

#[test]
fn what_is_late_is_asked_where_it_can_be() {
    let found = probed(&upstream());
    let boot = fourth(&found).unwrap();
    assert!(boot.marks.iter().all(|mark| mark.does == MarkAction::Hold));
    assert_eq!(boot.marks.len(), 2);
    // Each task that waits to be started is, by one.
    let tasks = &boot.program.tasks;
    let waiting: Vec<u16> =
        (0..).zip(tasks).filter(|(_, task)| task.start == Start::Spawned).map(|(task, _)| task).collect();
    let ops = tasks.iter().flat_map(|task| &task.steps).flat_map(|step| &step.ops);
    let started = ops.filter_map(|op| match op {
        Op::Fork { task } => Some(*task),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), waiting);
    for lacking in [Capability::Tpm, Capability::Policy, Capability::KexecLate] {
        let mut found = found.clone();
        found.have.remove(&lacking);
        assert_eq!(fourth(&found), None, "{lacking}");
    }
    assert_eq!(fourth(&probed(&Kernel { interface: Interface::READ_ONLY, ..upstream() })), None);
    let mut messages = play(&upstream(), &boot);
    messages.pop();
    assert!(matches!(with_fourth(found, &messages), Err(ProbeError::Unfinished(_))));
}
