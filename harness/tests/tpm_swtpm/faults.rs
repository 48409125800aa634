//! What the tap does to commands when the plan says so.

use std::thread;
use std::time::Duration;

use imalab_formats::ima::Bank;
use imalab_formats::tpm::fault::{Fault, How};
use imalab_machine::tpm::client::Client;
use imalab_machine::tpm::tap::AfterMark;
use imalab_trace::{Host, Origin, What};
use rstest::rstest;

use crate::rig::*;

const EXTEND: u32 = 0x182;
const CANCEL: u32 = 9;
const RETRY: u32 = 0x922;
const CANCELED: u32 = 0x909;

/// A machine whose mark arms this.
fn armed(how: How, skip: u32, times: u32) -> Rig {
    let fault = Fault { command: EXTEND, skip, times, how };
    let mut rig = Rig::with_marks(&[Bank::Sha256], |_| Box::new(move |_| Ok(AfterMark::Arm(fault))));
    assert_eq!(code(&rig.qemu.command(&mark(1))), 0);
    rig.forget();
    rig
}

fn pcr(rig: &Rig) -> Vec<u8> {
    Client::new(rig.port()).read(1).unwrap().values[0].digest.clone()
}

#[test]
fn an_answer_in_the_tpms_place_changes_no_pcr() {
    let mut rig = armed(How::Answer { code: RETRY }, 1, 2);
    let sent = extend(&[Bank::Sha256], 7);
    let codes: Vec<u32> = (0..4).map(|_| code(&rig.qemu.command(&sent))).collect();
    assert_eq!(codes, [0, RETRY, RETRY, 0]);
    assert_eq!(code(&rig.qemu.command(&random(8))), 0, "other commands pass");
    let events: Vec<What> = rig.events.try_iter().collect();
    let faults = events.iter().filter(|what| matches!(what, What::Host(Host::Fault { command: EXTEND, .. })));
    assert_eq!(faults.count(), 2);
    let kept = events.iter().filter(|what| matches!(what, What::Tpm(seen) if seen.origin == Origin::Kept));
    assert_eq!(kept.count(), 2);
    // Two extends of the same digest, computed by the TPM itself.
    let twice = armed(How::Answer { code: RETRY }, 9, 1);
    let mut plain = twice;
    plain.qemu.command(&sent);
    plain.qemu.command(&sent);
    assert_eq!(pcr(&rig), pcr(&plain));
}

#[rstest]
#[case::carried_out(true, 0)]
#[case::not_carried_out(false, CANCELED)]
fn a_lost_answer_waits_for_the_cancellation(#[case] carried_out: bool, #[case] answered: u32) {
    let mut rig = armed(How::Lost { carried_out }, 0, 1);
    rig.qemu.send(&extend(&[Bank::Sha256], 7));
    assert!(matches!(rig.event(), What::Host(Host::Fault { .. })));
    if carried_out {
        // The fault is told before the TPM gets the command: a reading could come first.
        assert_eq!(rig.exchange().origin, Origin::Guest);
    }
    let before = pcr(&rig);
    assert_eq!(before != [0; 32], carried_out, "the harness reaches the TPM meanwhile");
    assert_eq!(rig.qemu.control(CANCEL, &[], 4), [0; 4]);
    assert_eq!(code(&rig.qemu.answer()), answered);
    assert_eq!(pcr(&rig), before);
}

#[rstest]
#[case(true)]
#[case(false)]
fn a_late_answer_is_the_tpms_own(#[case] carried_out: bool) {
    let mut rig = armed(How::Late { ms: 1, carried_out }, 0, 1);
    assert_eq!(code(&rig.qemu.command(&extend(&[Bank::Sha256], 7))), 0);
    assert_ne!(pcr(&rig), [0; 32]);
}

#[test]
fn what_was_cancelled_before_the_tpm_saw_it_is_not_carried_out() {
    let mut rig = armed(How::Late { ms: 3_600_000, carried_out: false }, 0, 1);
    rig.qemu.send(&extend(&[Bank::Sha256], 7));
    assert!(matches!(rig.event(), What::Host(Host::Fault { .. })));
    rig.qemu.control(CANCEL, &[], 4);
    assert_eq!(code(&rig.qemu.answer()), CANCELED);
    assert_eq!(pcr(&rig), [0; 32]);
    assert_eq!(rig.exchange().origin, Origin::Kept);
}

#[test]
fn a_held_mark_is_answered_when_it_is_released() {
    let mut rig = Rig::with_marks(&[Bank::Sha256], |_| Box::new(|_| Ok(AfterMark::Hold)));
    rig.forget();
    rig.qemu.send(&mark(5));
    let before = pcr(&rig);
    let tap = rig.tap.as_ref().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            tap.release(4);
            thread::sleep(Duration::from_millis(20));
            tap.release(5);
        });
        assert_eq!(code(&answer(&mut rig.qemu.data)), 0);
    });
    assert_eq!(pcr(&rig), before);
}

#[test]
fn a_shutdown_ends_a_hold() {
    let mut rig = Rig::with_marks(&[Bank::Sha256], |_| Box::new(|_| Ok(AfterMark::Hold)));
    rig.qemu.send(&mark(5));
    rig.shutdown();
}
