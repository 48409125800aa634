//! The tap under a real QEMU.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use imalab_formats::ima::Bank;
use imalab_formats::tpm::command::{Command as Tpm, parse, response_code};
use imalab_formats::tpm::quote::verify;
use imalab_machine::tpm::client::{Client, ClientError};
use imalab_machine::tpm::link::Link;
use imalab_machine::tpm::tap::{Admit, AfterMark, Tap};
use imalab_trace::{Host, Origin, What};

use crate::rig::{Owned, PATIENCE, Swtpm, spawn};

/// A tap with a QEMU on it that gets `more` arguments.
pub(crate) fn boot(
    banks: &[Bank],
    more: &[&str],
) -> (Tap, Owned, UnixStream, std::sync::mpsc::Receiver<What>, Swtpm) {
    let swtpm = Swtpm::start();
    let link = Link::open(swtpm.control.try_clone().unwrap(), PATIENCE).unwrap();
    link.set_banks(banks).unwrap();
    let (sender, events) = channel();
    let sink = Arc::new(move |what| drop(sender.send(what)));
    let (tap, qemus) =
        Tap::start(link, Instant::now(), sink, Box::new(|_| Ok(AfterMark::Answer)), Admit::ThisUser).unwrap();
    let (qmp, theirs) = UnixStream::pair().unwrap();
    qmp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-machine", "q35", "-accel", "tcg", "-m", "256", "-nodefaults", "-no-user-config"]);
    command.args(["-display", "none", "-chardev", &format!("socket,id=chrtpm,fd={}", qemus.as_raw_fd())]);
    command.args(["-tpmdev", "emulator,id=tpm0,chardev=chrtpm", "-device", "tpm-tis,tpmdev=tpm0"]);
    command.args([
        "-chardev",
        &format!("socket,id=qmp,fd={}", theirs.as_raw_fd()),
        "-mon",
        "qmp,mode=control",
    ]);
    command.args(more).stdin(Stdio::null()).stdout(Stdio::null());
    let qemu = Owned(spawn(command, vec![qemus, theirs.into()]));
    (tap, qemu, qmp, events, swtpm)
}

/// Says one thing on the monitor and waits for the answer, which QEMU gives once its machine is made.
fn say(qmp: &UnixStream, command: &str) {
    (&*qmp).write_all(format!("{{\"execute\":\"{command}\"}}\n").as_bytes()).unwrap();
    let lines = BufReader::new(qmp).lines().map_while(Result::ok);
    assert!(lines.into_iter().any(|line| line.contains("\"return\"")), "no answer to {command}");
}

fn quit(qmp: UnixStream, qemu: &Owned) {
    say(&qmp, "quit");
    assert!(qemu.ended());
}

#[test]
fn qemu_takes_an_inherited_descriptor() {
    let (tap, qemu, qmp, events, swtpm) = boot(&[Bank::Sha256], &["-S"]);
    say(&qmp, "qmp_capabilities");
    // QEMU has probed and started the TPM; no firmware has run.
    let error = Client::new(tap.port()).read(1).unwrap_err();
    assert!(matches!(error, ClientError::NotStarted { .. }), "{error}");
    quit(qmp, &qemu);
    // QEMU's SHUTDOWN ends swtpm, with no trouble in the stream.
    assert!(swtpm.child.ended());
    drop(tap);
    let (ours, others): (Vec<What>, Vec<What>) =
        events.iter().partition(|what| matches!(what, What::Tpm(seen) if seen.origin == Origin::Harness));
    assert!(!ours.is_empty());
    assert_eq!(others, [What::Host(Host::EndAsked)], "QEMU's own request is all that there is");
}

#[test]
fn the_firmware_is_seen_to_start_the_tpm() {
    let (tap, qemu, qmp, events, _swtpm) = boot(&[Bank::Sha1, Bank::Sha256], &[]);
    say(&qmp, "qmp_capabilities");
    let mut seen = std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok());
    let first = seen.find_map(|what| match what {
        What::Tpm(exchange) => Some(exchange),
        _ => None,
    });
    let first = first.unwrap();
    assert_eq!(parse(&first.command).unwrap(), Tpm::Startup { kind: 0 });
    assert_eq!((first.origin, response_code(&first.answer)), (Origin::Guest, Ok(0)));
    let quote = Client::new(tap.port()).quote(1).unwrap();
    verify(&quote, &quote.nonce).unwrap();
    quit(qmp, &qemu);
}

/// Linux, which needs no root file system for its `boot_aggregate`.
#[test]
fn a_kernel_extends_pcr_10_of_every_bank() {
    let kernel = std::env::var("IMALAB_KERNEL").expect(
        "IMALAB_KERNEL must name a bzImage with IMA: run `cargo xtask check`, which builds one and sets it",
    );
    let append = "console=ttyS0 ima_policy=tcb panic=-1";
    let (tap, qemu, qmp, events, _swtpm) =
        boot(&Bank::ALL, &["-kernel", &kernel, "-append", append, "-no-reboot"]);
    let seen = std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok()).find_map(|what| match what {
        What::Tpm(exchange) => match parse(&exchange.command) {
            Ok(Tpm::PcrExtend { pcr: 10, digests }) => Some((digests, response_code(&exchange.answer))),
            _ => None,
        },
        _ => None,
    });
    let (digests, code) = seen.unwrap();
    assert_eq!(code, Ok(0));
    let mut algs: Vec<_> = digests.iter().map(|&(alg, _)| alg).collect();
    algs.sort();
    assert_eq!(algs, Bank::ALL.map(Bank::tpm_alg));
    drop((tap, qmp));
    drop(qemu);
}
