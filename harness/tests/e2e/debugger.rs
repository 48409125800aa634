//! Machines that wait for a debugger.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Stdio};

use imalab_check::outcome::Outcome;
use nix::sys::signal::Signal;

use crate::lab::{Lab, PATIENCE, SHORT};
use crate::machinery::{send, within};

/// A port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A call with a machine that waits, and the debugger's connection to it.
fn waiting(lab: &Lab) -> (Child, TcpStream) {
    let port = port();
    let mut command = lab.test();
    // A run without a debugger would be over long before anybody has connected.
    command.args([SHORT, "--timeout-scale", "0.1", &format!("--gdb={port}")]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let connected = within(PATIENCE, move || {
        loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(stream) => return stream,
                Err(_) => std::thread::yield_now(),
            }
        }
    });
    (child, connected.unwrap_or_else(|| panic!("no machine waits on port {port}")))
}

/// Sends a packet of gdb's remote protocol.
fn say(stream: &mut TcpStream, packet: &str) {
    let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
    write!(stream, "${packet}#{sum:02x}").unwrap();
}

#[test]
fn a_machine_waits_for_its_debugger_and_then_runs_to_its_end() {
    let lab = Lab::new();
    let (child, mut debugger) = waiting(&lab);
    // Where a processor begins: nothing has run yet.
    say(&mut debugger, "p10");
    let mut answer = [0; 64];
    let read = debugger.read(&mut answer).unwrap();
    assert!(read > 0, "an answer");
    say(&mut debugger, "D");
    let ended = lab.ended(child);
    ended.exits(0).says(&["waits for a debugger", "target remote 127.0.0.1:", "vmlinux"]);
    assert_eq!(lab.result().outcome, Outcome::Passed);
}

#[test]
fn a_signal_ends_the_wait() {
    let lab = Lab::new();
    let (child, _debugger) = waiting(&lab);
    send(child.id(), Signal::SIGINT);
    lab.ended(child).exits(130);
}

#[test]
fn a_port_that_is_taken_is_told_before_the_first_machine() {
    let lab = Lab::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = lab.test();
    command.args([SHORT, "--accel", "tcg", "--qemu", "no-such-qemu", &format!("--gdb={port}")]);
    let ended = lab.run(&mut command);
    ended.exits(2).says(&[&format!("port {port}"), "--gdb=PORT"]);
    assert!(!ended.text.contains("no-such-qemu"), "{}", ended.text);
}
