use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imalab_check::processors;
use imalab_formats::splat;
use imalab_machine::child::{ChildError, Exit};
use imalab_machine::command::{MachineSpec, QEMU};
use imalab_machine::qmp::QmpError;
use imalab_machine::{Console, Machine, Start, StartError, State};
use imalab_trace::{Host, Receiver, Sender, What, channel};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::children::lives;
use crate::guest::{TIMER_VECTOR, Then, spec};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

fn start_with<'a>(spec: &'a MachineSpec, dir: &Path, qemu: &Path, patience: Duration) -> Start<'a> {
    let console = Console::Log(dir.join("console.log"));
    Start { spec, qemu: qemu.into(), tpm: None, console, state: State::New, patience }
}

/// Real QEMU without a TPM.
pub(crate) fn start(
    spec: &MachineSpec,
    dir: &Path,
    events: &Sender,
) -> Result<(Machine, UnixStream), StartError> {
    Machine::start(start_with(spec, dir, Path::new(QEMU), LONG), events, || ())
}

/// A script in QEMU's place; bash's, since dash knows descriptors of one digit alone.
pub(crate) fn fake_qemu(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("qemu");
    std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn next_line(seen: &Receiver) -> String {
    loop {
        if let What::Console(line) = seen.recv_timeout(LONG).unwrap() {
            return line;
        }
    }
}

fn signal(machine: &Machine, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(machine.pid()).unwrap()), signal).unwrap();
}

fn is_exit(what: &What) -> bool {
    matches!(what, What::Host(Host::Exited { .. }))
}

#[test]
fn a_machine_runs_prints_and_stops_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "hello\r\n\x1b[1mworld\r\n", Then::Halt);
    let (events, seen) = channel();
    let (mut machine, mut agent) = start(&spec, dir.path(), &events).unwrap();
    drop(events);
    let pid = machine.pid();
    assert_eq!(seen.recv().unwrap(), What::Host(Host::Spawned { child: "qemu".into(), pid }));
    assert_eq!(next_line(&seen), "hello");
    assert_eq!(next_line(&seen), "world");
    assert_eq!(machine.qmp().status(LONG).unwrap(), "running");
    let told = machine.processors();
    assert!(processors::count(&told).1 == 1 && told.contains("IP=") && told.contains("LVTT"), "{told}");
    machine.qmp().stop(LONG).unwrap();
    assert_eq!(machine.qmp().status(LONG).unwrap(), "paused");
    machine.qmp().cont(LONG).unwrap();

    let stopped = machine.stop();
    assert_eq!((stopped.exit, stopped.forced), (Exit::Code(0), false), "{}", stopped.output);
    assert_eq!(stopped.console_log, None);
    assert_eq!(machine.stop(), stopped, "stopping twice tells the same");
    assert!(!lives(pid));
    assert_eq!(agent.read(&mut [0]).unwrap(), 0, "the agent's channel ends with QEMU");
    let rest: Vec<What> = seen.iter().collect();
    let stops = |what: &What| matches!(what, What::Qmp(event) if event["event"] == "STOP");
    assert!(rest.iter().any(stops), "{rest:?}");
    assert_eq!(rest.last(), Some(&What::Host(Host::Exited { child: "qemu".into(), status: 0 })));
    let log = std::fs::read(dir.path().join("console.log")).unwrap();
    assert!(log.ends_with(b"hello\r\n\x1b[1mworld\r\n"), "{}", log.escape_ascii());
}

#[rstest]
#[case::for_good(Then::Halt, None)]
#[case::with_an_interrupt_in_service(Then::HaltInService, Some((0, TIMER_VECTOR)))]
fn a_halted_guest_shows_whether_it_ended_its_interrupt(
    #[case] then: Then,
    #[case] unended: Option<(usize, u8)>,
) {
    let dir = tempfile::tempdir().unwrap();
    let (events, seen) = channel();
    let (mut machine, _agent) = start(&spec(dir.path(), "hello\r\n", then), dir.path(), &events).unwrap();
    assert_eq!(next_line(&seen), "hello");
    let until = Instant::now() + LONG;
    loop {
        let told = machine.processors();
        if processors::count(&told) == (1, 1) && processors::unended(&told) == unended {
            break;
        }
        assert!(Instant::now() < until, "{told}");
    }
    machine.stop();
}

#[test]
fn a_guest_that_panics_and_resets_ends_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let panic = "[    1.5] Kernel panic - not syncing: Attempted to kill init!\r\n";
    let (events, seen) = channel();
    let (mut machine, _agent) = start(&spec(dir.path(), panic, Then::Reset), dir.path(), &events).unwrap();
    let line = next_line(&seen);
    assert_eq!(splat::recognise(&line), Some(splat::Kind::Panic), "{line}");
    drop(events);
    let rest: Vec<What> = seen.iter().collect();
    assert_eq!(rest.iter().filter(|&what| is_exit(what)).count(), 1);
    assert!(is_exit(rest.last().unwrap()), "{rest:?}");
    let stopped = machine.stop();
    assert_eq!((stopped.exit, stopped.forced), (Exit::Code(0), false));
}

#[test]
fn dropping_a_machine_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (events, seen) = channel();
    let (machine, _agent) = start(&spec(dir.path(), "", Then::Halt), dir.path(), &events).unwrap();
    drop(events);
    let pid = machine.pid();
    drop(machine);
    assert!(!lives(pid));
    assert!(seen.iter().any(|what| is_exit(&what)));
}

#[test]
fn a_killed_qemu_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (events, seen) = channel();
    let (mut machine, _agent) = start(&spec(dir.path(), "", Then::Halt), dir.path(), &events).unwrap();
    drop(events);
    signal(&machine, Signal::SIGKILL);
    let last = seen.iter().last().unwrap();
    assert_eq!(last, What::Host(Host::Exited { child: "qemu".into(), status: 137 }));
    assert_eq!(machine.qmp().status(LONG), Err(QmpError::Closed));
    let stopped = machine.stop();
    assert_eq!((stopped.exit, stopped.forced), (Exit::Signal(9), false), "it was not us");
}

#[test]
fn a_stopped_qemu_is_given_up_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "", Then::Halt);
    let (events, _seen) = channel();
    let (mut machine, _agent) = start(&spec, dir.path(), &events).unwrap();
    let pid = machine.pid();
    signal(&machine, Signal::SIGSTOP);
    let begin = Instant::now();
    assert!(matches!(machine.qmp().status(SHORT), Err(QmpError::Silent { .. })));
    let stopped = machine.stop();
    assert_eq!((stopped.exit, stopped.forced), (Exit::Signal(9), true));
    assert!(begin.elapsed() < LONG);
    assert!(!lives(pid));
}

#[test]
fn a_missing_qemu_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "", Then::Halt);
    let start = start_with(&spec, dir.path(), Path::new("no-such-qemu"), LONG);
    let error = Machine::start(start, &channel().0, || ()).err().unwrap();
    assert!(matches!(error, StartError::Child(ChildError::Missing { .. })), "{error}");
    assert!(error.to_string().contains("`no-such-qemu` was not found"), "{error}");
    assert!(error.hint().unwrap().contains("doctor"));
}

#[test]
fn a_qemu_that_refuses_its_command_line_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let spec = MachineSpec { kernel: "/nonexistent/bzImage".into(), ..spec(dir.path(), "", Then::Halt) };
    let (events, seen) = channel();
    let error = start(&spec, dir.path(), &events).err().unwrap();
    drop(events);
    assert!(matches!(error, StartError::Ended { exit: Exit::Code(1), .. }), "{error}");
    assert!(error.to_string().contains("could not open kernel file '/nonexistent/bzImage'"), "{error}");
    assert!(is_exit(&seen.iter().last().unwrap()), "its end is told all the same");
}

#[rstest]
#[case::says_nothing("exec sleep 1000", "did not answer `greeting` within 300ms, without any output")]
#[case::closes_its_monitor(
    "for a; do case $a in socket,id=qmp,fd=*) fd=${a##*=};; esac; done; echo odd; exec {fd}>&-; exec sleep 1000",
    "QEMU's monitor closed the connection:\nodd"
)]
#[case::dies_silently("exit 3", "QEMU ended at its start (exit code 3), without any output")]
#[case::says_a_lot("seq 100000; exit 1", "99999\n100000")]
#[case::is_killed("kill -9 $$", "QEMU ended at its start (killed by SIGKILL), without any output")]
fn what_is_no_qemu_is_an_error(#[case] script: &str, #[case] expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let qemu = fake_qemu(dir.path(), script);
    let spec = spec(dir.path(), "", Then::Halt);
    let patience = if expected.starts_with("QEMU ended") || expected.ends_with('0') { LONG } else { SHORT };
    let error =
        Machine::start(start_with(&spec, dir.path(), &qemu, patience), &channel().0, || ()).err().unwrap();
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_full_disk_is_told_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "hello\r\n", Then::Halt);
    let (events, seen) = channel();
    let mut full = start_with(&spec, dir.path(), Path::new(QEMU), LONG);
    full.console = Console::Log("/dev/full".into());
    let (mut machine, _agent) = Machine::start(full, &events, || ()).unwrap();
    assert_eq!(next_line(&seen), "hello");
    let stopped = machine.stop();
    assert_eq!(stopped.exit, Exit::Code(0));
    assert!(stopped.console_log.unwrap().contains("No space left"));
}

#[test]
fn a_console_log_that_cannot_be_made_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(dir.path(), "", Then::Halt);
    let error = start(&spec, Path::new("/nonexistent"), &channel().0).err().unwrap();
    assert_eq!(error.to_string(), "could not make the machine's console log");
}
