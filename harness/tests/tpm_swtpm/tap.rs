//! What the guest and the stream get to see of the tap.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use imalab_formats::ima::Bank;
use imalab_formats::tpm::command::{Command, parse};
use imalab_machine::tpm::banks::BanksError;
use imalab_machine::tpm::client::Client;
use imalab_machine::tpm::link::Link;
use imalab_machine::tpm::tap::AfterMark;
use imalab_trace::{Origin, What};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::rig::*;

const FAILURE: u32 = 0x101;
const COMMAND_SIZE: u32 = 0x142;

#[rstest]
#[case(&[Bank::Sha1])]
#[case(&[Bank::Sha256])]
#[case(&[Bank::Sha384, Bank::Sha512])]
#[case(&Bank::ALL)]
fn exactly_the_wanted_banks_are_active(#[case] banks: &[Bank]) {
    let rig = Rig::started(banks);
    let reading = Client::new(rig.port()).read(1).unwrap();
    assert_eq!(reading.values.iter().map(|value| value.bank).collect::<Vec<_>>(), banks);
    for value in reading.values {
        assert_eq!(value.digest, vec![0; value.bank.digest_size()]);
    }
}

#[test]
fn no_bank_is_refused() {
    let link = Link::open(Swtpm::start().control, PATIENCE).unwrap();
    assert!(matches!(link.set_banks(&[]), Err(BanksError::None)));
}

#[test]
fn a_swtpm_that_ends_at_once_is_an_error() {
    let swtpm = Swtpm::start();
    let mut child = swtpm.child;
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    Link::open(swtpm.control, PATIENCE).unwrap_err();
}

#[test]
fn a_swtpm_that_says_nothing_is_an_error() {
    let swtpm = Swtpm::start();
    kill(Pid::from_raw(swtpm.child.0.id() as i32), Signal::SIGSTOP).unwrap();
    let error = Link::open(swtpm.control, Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.to_string(), "swtpm does not answer control request 0x10");
}

#[test]
fn an_exchange_is_in_the_stream_before_its_answer_is_out() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    assert_eq!(parse(&rig.exchange().command).unwrap(), Command::Startup { kind: 0 });
    for byte in 0..20 {
        let sent = extend(&[Bank::Sha256], byte);
        let answer = rig.qemu.command(&sent);
        let What::Tpm(seen) = rig.events.try_recv().unwrap() else { panic!("an exchange was expected") };
        assert_eq!((seen.origin, seen.locality), (Origin::Guest, 0));
        assert_eq!((seen.command, seen.answer), (sent, answer));
        assert!(seen.begin_ns < seen.end_ns);
    }
    assert_eq!(rig.thread(), "tpm-guest\n");
}

#[test]
fn qemus_probe_of_a_stopped_tpm_is_no_event() {
    let mut rig = Rig::attached(&[Bank::Sha256], |_| Box::new(|_| Ok(AfterMark::Answer)));
    assert_eq!(code(&rig.qemu.command(&random(8))), FAILURE);
    rig.qemu.init();
    rig.qemu.command(&startup());
    assert_eq!(rig.exchange().command, startup());
}

#[test]
fn the_locality_of_the_guest_is_noted_and_kept_apart_from_ours() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    // QEMU sends the whole union: the locality and three bytes of padding.
    assert_eq!(rig.qemu.control(5, &[2, 0, 0, 0], 4), [0; 4]);
    rig.forget();
    // TPM2_PCR_Reset of PCR 20 is for localities 2 and 4 (PC Client Platform TPM Profile, 4.6.2).
    let mut reset = command(0x13d, &[0, 0, 0, 20, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
    reset[1] = 2;
    assert_eq!(code(&rig.qemu.command(&reset)), 0);
    assert_eq!(rig.exchange().locality, 2);
    Client::new(rig.port()).read(1).unwrap();
    assert!(rig.exchanges(Origin::Harness).iter().all(|exchange| exchange.locality == 0));
    assert_eq!(code(&rig.qemu.command(&reset)), 0);
    assert_eq!(rig.exchange().locality, 2);
    // A locality that swtpm refuses is not in force.
    assert_ne!(rig.qemu.control(5, &[9, 0, 0, 0], 4), [0; 4]);
    assert_eq!(code(&rig.qemu.command(&reset)), 0);
}

#[test]
fn a_reset_of_the_machine_starts_the_tpm_anew() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.qemu.command(&extend(&[Bank::Sha256], 1));
    rig.qemu.init();
    let mut client = Client::new(rig.port());
    let error = client.read(1).unwrap_err();
    assert!(matches!(error, imalab_machine::tpm::client::ClientError::NotStarted { .. }), "{error}");
    assert_eq!(code(&rig.qemu.command(&startup())), 0);
    assert_eq!(client.read(1).unwrap().values[0].digest, [0; 32]);
}

#[test]
fn state_blobs_pass_through() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.qemu.command(&extend(&[Bank::Sha256], 1));
    let before = Client::new(rig.port()).read(1).unwrap();
    let mut blobs = Vec::new();
    for kind in 1..=3u32 {
        let request = [1, kind, 0].map(u32::to_be_bytes).concat();
        let head = rig.qemu.control(0x0c, &request, 16);
        let mut blob = vec![0; u32::from_be_bytes(head[12..].try_into().unwrap()) as usize];
        std::io::Read::read_exact(&mut rig.qemu.control, &mut blob).unwrap();
        blobs.push((kind, blob));
    }
    // As a fork does: a new swtpm, another tap, QEMU writes head and body apart.
    let mut fork = Rig::attached(&[Bank::Sha1], |_| Box::new(|_| Ok(AfterMark::Answer)));
    assert_eq!(fork.qemu.control(0x0e, &[], 4), [0; 4]);
    for (kind, blob) in blobs.iter().filter(|(_, blob)| !blob.is_empty()) {
        let head = [0x0d, 0, *kind, blob.len() as u32].map(u32::to_be_bytes).concat();
        std::io::Write::write_all(&mut fork.qemu.control, &head).unwrap();
        std::io::Write::write_all(&mut fork.qemu.control, blob).unwrap();
        let mut result = [1; 4];
        std::io::Read::read_exact(&mut fork.qemu.control, &mut result).unwrap();
        assert_eq!(result, [0; 4], "blob {kind}");
    }
    // PTM_INIT_FLAG_DELETE_VOLATILE
    assert_eq!(fork.qemu.control(0x02, &1u32.to_be_bytes(), 4), [0; 4]);
    assert_eq!(Client::new(fork.port()).read(1).unwrap(), before);
}

#[rstest]
#[case::too_short(vec![0x80, 1, 0, 0, 0, 10, 0])]
#[case::no_header(vec![0x80, 1])]
#[case::empty_length(vec![0x80, 1, 0, 0, 0, 0, 0, 0, 1, 0x7b])]
#[case::length_too_small(vec![0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x7b, 0, 8])]
#[case::length_too_big(vec![0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x7b, 0, 8])]
#[case::length_absurd(vec![0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0x7b, 0, 8])]
#[case::oversize({ let mut big = random(8); big[4..6].copy_from_slice(&[0x10, 1]); big.resize(4097, 0); big })]
#[case::far_oversize({ let mut big = random(8); big[4..6].copy_from_slice(&[0x20, 0]); big.resize(8192, 0); big })]
#[case::prefix_of_swtpm([&[0, 0, 0, 8, 4, 0, 0, 0, 12][..], &random(8)].concat())]
fn a_malformed_command_is_answered_and_not_forwarded(#[case] sent: Vec<u8>) {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    assert_eq!(code(&rig.qemu.command(&sent)), COMMAND_SIZE);
    assert!(rig.trouble().starts_with("malformed TPM command of the guest: "));
    let seen = rig.exchange();
    assert_eq!(seen.command[..], sent[..seen.command.len()]);
    assert_eq!(code(&seen.answer), COMMAND_SIZE);
    assert_eq!(rig.qemu.command(&random(8)).len(), 20, "the next command is served");
}

#[test]
fn garbage_of_the_right_length_reaches_the_tpm_and_does_no_harm() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    let garbage = [&[0xff, 0xff, 0, 0, 0, 64][..], &[0xa5; 58]].concat();
    assert_ne!(code(&rig.qemu.command(&garbage)), 0);
    assert_eq!(rig.exchange().command, garbage);
    assert_eq!(code(&rig.qemu.command(&random(8))), 0);
}

#[test]
fn a_mark_runs_the_handler_while_the_guest_waits() {
    let (sender, marks) = channel();
    let mut rig = Rig::with_marks(&Bank::ALL, |port| {
        Box::new(move |number| {
            sender.send((number, Client::new(port.get()).read(number)?))?;
            Ok(AfterMark::Answer)
        })
    });
    rig.qemu.command(&extend(&Bank::ALL, 7));
    rig.forget();
    assert_eq!(rig.qemu.command(&mark(42)), [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0]);
    let (number, reading) = marks.try_recv().unwrap();
    assert_eq!((number, reading.mark, reading.values.len()), (42, 42, 4));
    assert_ne!(reading.values[0].digest, [0; 20]);
    let mut origins = Vec::new();
    while let Ok(What::Tpm(seen)) = rig.events.try_recv() {
        assert!(seen.origin == Origin::Mark || parse(&seen.command).unwrap() != Command::Mark { number });
        origins.push(seen.origin);
    }
    assert_eq!(origins.pop(), Some(Origin::Mark), "the mark ends after all that happened under it");
    assert!(origins.len() >= 2 && origins.iter().all(|&origin| origin == Origin::Harness));
}

#[rstest]
#[case::fails(Box::new(|_| Err("no luck".into())), "mark 3: no luck")]
#[case::panics(Box::new(|_| panic!("no luck")), "mark 3: the handler panicked")]
fn a_failing_handler_fails_the_mark(#[case] on_mark: imalab_machine::tpm::tap::OnMark, #[case] text: &str) {
    let mut rig = Rig::with_marks(&[Bank::Sha256], |_| on_mark);
    rig.forget();
    assert_eq!(code(&rig.qemu.command(&mark(3))), FAILURE);
    assert_eq!(rig.trouble(), text);
    assert_eq!(rig.exchange().origin, Origin::Mark);
    assert_eq!(code(&rig.qemu.command(&random(8))), 0);
}

#[test]
fn a_mark_without_a_number_is_refused() {
    let mut rig = Rig::with_marks(&[Bank::Sha256], |_| Box::new(|_| panic!("no mark was made")));
    rig.forget();
    assert_eq!(code(&rig.qemu.command(&command(imalab_wire::MARK_COMMAND, &[1, 2]))), COMMAND_SIZE);
    assert!(rig.trouble().starts_with("malformed mark of the guest: mark: "));
}

#[test]
fn a_killed_swtpm_is_an_outcome_for_everybody() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    let swtpm = Pid::from_raw(rig.child.0.id() as i32);
    kill(swtpm, Signal::SIGSTOP).unwrap();
    rig.qemu.send(&random(8));
    rig.child.0.kill().unwrap();
    rig.child.0.wait().unwrap();
    assert_eq!(code(&rig.qemu.answer()), FAILURE);
    assert!(rig.trouble().starts_with("no answer of the TPM to TPM2_GetRandom: "));
    assert_eq!(code(&rig.exchange().answer), FAILURE);
    assert_eq!(code(&rig.qemu.command(&random(8))), FAILURE, "and stays one");
    assert_eq!(code(&rig.exchange().answer), FAILURE);
    Client::new(rig.port()).read(1).unwrap_err();
    // QEMU's control channel is closed rather than left to wait.
    std::io::Write::write_all(&mut rig.qemu.control, &4u32.to_be_bytes()).unwrap();
    assert_eq!(std::io::Read::read(&mut rig.qemu.control, &mut [0; 8]).unwrap(), 0);
}

#[test]
fn shutdown_returns_while_swtpm_is_stopped() {
    let (entered, inside) = channel();
    let mut rig = Rig::with_marks(&[Bank::Sha256], |port| {
        Box::new(move |number| {
            entered.send(())?;
            Client::new(port.get()).read(number)?;
            Ok(AfterMark::Answer)
        })
    });
    kill(Pid::from_raw(rig.child.0.id() as i32), Signal::SIGSTOP).unwrap();
    rig.qemu.send(&mark(1));
    inside.recv_timeout(PATIENCE).unwrap();
    let before = Instant::now();
    rig.shutdown();
    assert!(before.elapsed() < PATIENCE / 2);
    assert!(
        !rig.events.try_iter().any(|what| matches!(what, What::Host(_))),
        "nothing was wrong with the machine"
    );
    assert_eq!(std::io::Read::read(&mut rig.qemu.control, &mut [0; 8]).unwrap(), 0);
}

#[test]
fn swtpm_ends_with_its_tap() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.shutdown();
    assert!(rig.child.ended(), "swtpm is still there");
}

#[test]
fn a_second_data_channel_is_refused() {
    let rig = Rig::started(&[Bank::Sha256]);
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_ne!(set_data_fd(&rig.qemu.control, &one), [0; 4]);
}

#[rstest]
#[case::cut_in_the_command(&[0, 0])]
#[case::cut_in_the_payload(&[0, 0, 0, 2, 0])]
#[case::absurd_blob(&[0, 0, 0, 0x0d, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff])]
#[case::blob_without_body(&[0, 0, 0, 0x0d, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0])]
fn a_malformed_control_request_closes_the_channel(#[case] bytes: &[u8]) {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    std::io::Write::write_all(&mut rig.qemu.control, bytes).unwrap();
    assert_eq!(std::io::Read::read(&mut rig.qemu.control, &mut [0; 8]).unwrap(), 0);
    assert!(rig.trouble().starts_with("control channel of the TPM: "));
    assert_eq!(code(&rig.qemu.command(&random(8))), 0, "the TPM itself goes on");
}

#[test]
fn an_unknown_control_request_gets_swtpms_answer() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    assert_eq!(rig.qemu.control(0x77, &[], 4), 0x0au32.to_be_bytes());
    assert_eq!(rig.qemu.control(0x04, &[], 8)[..4], [0; 4]);
}
