//! A machine's state is written once and goes on in others.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use imalab_machine::command::{MachineSpec, QEMU};
use imalab_machine::qmp::QmpError;
use imalab_machine::{Console, Machine, Start, StartError, State};
use imalab_trace::{Sender, What, channel};
use rstest::rstest;

use crate::faults::start;
use crate::guest::{Then, spec};

const LONG: Duration = Duration::from_secs(60);

/// Has the guest print for a while, and gives the machine's state and what its console's log has.
fn saved(spec: &MachineSpec, dir: &Path) -> (Vec<u8>, Vec<u8>) {
    let (events, seen) = channel();
    let (mut machine, _agent) = start(spec, dir, &events).unwrap();
    drop(events);
    seen.iter().find(|what| matches!(what, What::Console(line) if line.is_empty())).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let reader = thread::spawn(move || {
        let mut state = Vec::new();
        ours.read_to_end(&mut state).map(|_| state)
    });
    machine.save(theirs.into(), LONG).unwrap();
    machine.stop();
    (reader.join().unwrap().unwrap(), std::fs::read(dir.join("console.log")).unwrap())
}

fn restore(
    spec: &MachineSpec,
    dir: &Path,
    state: Vec<u8>,
    console: Vec<u8>,
    events: &Sender,
) -> Result<Machine, StartError> {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // One that is refused is not read to its end.
    thread::spawn(move || drop(ours.write_all(&state)));
    let log = Console::Log(dir.join("restored.log"));
    let state = State::Restored { from: theirs.into(), console };
    let start = Start { spec, qemu: QEMU.into(), tpm: None, console: log, state, patience: LONG };
    Machine::start(start, events, || ()).map(|(machine, _)| machine)
}

#[test]
fn a_saved_machine_goes_on_more_than_once() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "hello\n", Then::Flood);
    let (state, console) = saved(&spec, dir.path());
    assert!(console.starts_with(b"hello\n"));
    for _ in 0..2 {
        let (events, seen) = channel();
        let mut machine = restore(&spec, dir.path(), state.clone(), console.clone(), &events).unwrap();
        drop(events);
        assert_eq!(machine.qmp().status(LONG).unwrap(), "paused", "until it is told to go on");
        machine.qmp().cont(LONG).unwrap();
        let mut lines = seen.iter().filter_map(|what| match what {
            What::Console(line) => Some(line),
            _ => None,
        });
        assert_eq!(lines.next().unwrap(), "", "it does not begin anew");
        machine.stop();
        drop(lines);
        let log = std::fs::read(dir.path().join("restored.log")).unwrap();
        assert!(log.starts_with(&console) && log.len() > console.len());
    }
}

#[rstest]
#[case::nothing(|_: &[u8]| Vec::new())]
#[case::cut(|state: &[u8]| state[..state.len() / 2].to_vec())]
#[case::of_something_else(|_: &[u8]| vec![b'x'; 4096])]
#[case::of_another_machine_type(|state: &[u8]| {
    let at = state.windows(6).position(|bytes| bytes == b"pc-q35").unwrap();
    [&state[..at], b"pc-q36", &state[at + 6..]].concat()
})]
fn a_state_that_does_not_fit_is_an_error_with_qemus_words(#[case] damaged: fn(&[u8]) -> Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "hello\n", Then::Flood);
    let (state, console) = saved(&spec, dir.path());
    let (events, _seen) = channel();
    let error = restore(&spec, dir.path(), damaged(&state), console, &events).err().unwrap();
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("load of migration failed"), "{error}");
}

#[test]
fn a_state_that_nobody_takes_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "hello\n", Then::Halt);
    let (events, _seen) = channel();
    let (mut machine, _agent) = start(&spec, dir.path(), &events).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let error = machine.save(theirs.into(), LONG).unwrap_err();
    assert_eq!(error, QmpError::NotMoved("failed".into()));
}
