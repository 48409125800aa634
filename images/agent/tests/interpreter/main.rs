//! The interpreter as an ordinary process on this machine: what programs do, and what they leave in the stream.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails with its place")]

mod files;
mod measured;
mod processes;
mod programs;
mod rights;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use imalab_wire::frame::{self, Decoder};
use imalab_wire::{End, Message, Op, Outcome, Program, Setup, Slot, Start, Step, StepId, Task, TaskId};
use nix::errno::Errno;
use nix::libc::{O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use rstest::rstest;
use tempfile::TempDir;

fn program(tasks: Vec<Vec<Step>>, finally: Vec<Step>) -> Program {
    let tasks = tasks
        .into_iter()
        .map(|steps| Task { name: "t".into(), boot: 0, start: Start::Boot, steps })
        .collect();
    Program { token: 99, setup: Setup::default(), tasks, finally, end: End::PowerOff }
}

fn step(id: StepId, ops: Vec<Op>) -> Step {
    Step { id, clock: None, ops }
}

fn open(slot: Slot, path: &Path, flags: i32) -> Op {
    Op::Open { slot, path: path.to_str().unwrap().into(), flags, mode: 0o600 }
}

fn read(slot: Slot, chunk: u32) -> Op {
    Op::Read { slot, chunk, limit: None, send: true, nothing: None }
}

fn decode(bytes: &[u8]) -> Vec<Message> {
    decode_with(Decoder::new(), bytes)
}

fn decode_with(mut decoder: Decoder, bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[decoder.push(rest)..];
        while let Some(frame) = decoder.next() {
            messages.push(frame.unwrap().1);
        }
    }
    decoder.finish().unwrap();
    assert!(decoder.is_done());
    messages
}

fn agent(dir: &TempDir, program: &Program) -> Command {
    let file = dir.path().join("program");
    fs::write(&file, frame::encode_program(program).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imalab-agent"));
    command.arg("--program").arg(file).arg("--port").arg(dir.path().join("port"));
    command
}

fn run(dir: &TempDir, program: &Program) -> Vec<Message> {
    assert!(agent(dir, program).status().unwrap().success());
    decode(&fs::read(dir.path().join("port")).unwrap())
}

/// Outcome of each operation of a step, in order.
fn outcomes(messages: &[Message], of_task: TaskId, of_step: StepId) -> Vec<Outcome> {
    let outcome = |message: &Message| match message {
        Message::OpDone { task, step, outcome, .. } if (*task, *step) == (of_task, of_step) => Some(*outcome),
        _ => None,
    };
    messages.iter().filter_map(outcome).collect()
}

fn data(messages: &[Message], of_step: StepId) -> Vec<u8> {
    let piece = |message: &Message| match message {
        Message::Data(piece) if piece.step == of_step => Some(piece.bytes.clone()),
        _ => None,
    };
    messages.iter().filter_map(piece).flatten().collect()
}

fn errno(errno: Errno) -> Outcome {
    Outcome::Errno(errno as i32)
}

#[test]
fn a_file_is_written_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let steps = vec![
        step(
            1,
            vec![
                open(3, &file, O_RDWR | O_CREAT),
                Op::Write { slot: 3, bytes: bytes.clone() },
                Op::Close { slot: 3 },
            ],
        ),
        step(2, vec![open(3, &file, O_RDONLY), read(3, 1000), Op::Seek { slot: 3, offset: -5, whence: 2 }]),
        step(
            3,
            vec![
                Op::Read { slot: 3, chunk: 4096, limit: Some(3), send: true, nothing: None },
                Op::Close { slot: 3 },
            ],
        ),
        step(4, vec![Op::List { path: dir.path().to_str().unwrap().into() }]),
        step(5, vec![Op::Release]),
        step(6, vec![Op::ListModes { path: dir.path().to_str().unwrap().into() }]),
    ];
    let messages = run(&dir, &program(vec![steps], vec![]));
    let values = |id| outcomes(&messages, 0, id);
    assert_eq!(values(1), [Outcome::Value(0), Outcome::Value(100_000), Outcome::Value(0)]);
    assert_eq!(values(2), [Outcome::Value(0), Outcome::Value(100_000), Outcome::Value(99_995)]);
    assert_eq!(data(&messages, 2), bytes);
    assert_eq!(values(3), [Outcome::Value(3), Outcome::Value(0)]);
    assert_eq!(data(&messages, 3), bytes[99_995..99_998]);
    assert_eq!(data(&messages, 4), b"f\nport\nprogram\n");
    assert_eq!(values(4), [Outcome::Value(3)]);
    assert_eq!(values(6), [Outcome::Value(3)]);
    let modes = String::from_utf8(data(&messages, 6)).unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(modes.lines().next(), Some(format!("{mode:o} f").as_str()));
    assert_eq!(data(&messages, 5), fs::read("/proc/sys/kernel/osrelease").unwrap().trim_ascii_end());
}

#[test]
fn the_stream_tells_the_whole_story_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let messages =
        run(&dir, &program(vec![vec![step(7, vec![Op::Release])]], vec![step(8, vec![Op::Release])]));
    let told: Vec<&str> = messages
        .iter()
        .map(|message| match message {
            Message::Hello { token: 99, version: imalab_wire::VERSION, .. } => "hello",
            Message::TaskStarted { task: 0, .. } => "task started",
            Message::OpStarted { task: 0, step: 7, op: 0, .. } => "started",
            Message::Data(_) => "data",
            Message::OpDone { task: 0, step: 7, begin_ns, end_ns, .. } if begin_ns <= end_ns => "done",
            Message::TaskEnded { task: 0, status: 0 } => "task ended",
            Message::OpStarted { task: 1, step: 8, .. } => "finally started",
            Message::OpDone { task: 1, step: 8, .. } => "finally done",
            Message::Done { ops: 2, frames: 9 } => "end",
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "hello",
        "task started",
        "started",
        "data",
        "done",
        "task ended",
        "finally started",
        "data",
        "finally done",
        "end",
    ];
    assert_eq!(told, expected);
}

#[test]
fn after_a_failure_nothing_but_closing_is_attempted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("program");
    let ops = vec![
        open(0, &file, O_RDONLY),
        Op::Write { slot: 0, bytes: b"x".to_vec() },
        read(0, 10),
        Op::Close { slot: 1 },
        Op::Close { slot: 0 },
        Op::Close { slot: 0 },
    ];
    let messages = run(&dir, &program(vec![vec![step(1, ops), step(2, vec![read(0, 10)])]], vec![]));
    let expected = [
        Outcome::Value(0),
        errno(Errno::EBADF),
        Outcome::NotAttempted,
        Outcome::NotAttempted,
        Outcome::Value(0),
        Outcome::NotAttempted,
    ];
    assert_eq!(outcomes(&messages, 0, 1), expected);
    assert_eq!(outcomes(&messages, 0, 2), [errno(Errno::EBADF)], "the next step is");
    assert!(matches!(messages.last(), Some(Message::Done { ops: 4, .. })));
}

#[rstest]
#[case::missing(Op::Open { slot: 0, path: "/nonexistent".into(), flags: O_RDONLY, mode: 0 }, Errno::ENOENT)]
#[case::zero_in_path(Op::Open { slot: 0, path: "a\0b".into(), flags: O_RDONLY, mode: 0 }, Errno::EINVAL)]
#[case::no_device(Op::Mark { path: "/dev/nonexistent".into(), number: 1 }, Errno::ENOENT)]
#[case::not_a_tpm(Op::Mark { path: "/dev/null".into(), number: 1 }, Errno::EPROTO)]
#[case::no_directory(Op::List { path: "/nonexistent".into() }, Errno::ENOENT)]
#[case::no_directory_either(Op::ListModes { path: "/nonexistent".into() }, Errno::ENOENT)]
#[case::nowhere(Op::Measure { dir: "/nonexistent".into(), name: "a".into(), salt: String::new(), first: 0, count: 1 }, Errno::ENOENT)]
#[case::whence(Op::Seek { slot: 9, offset: 0, whence: 7 }, Errno::EINVAL)]
#[case::no_parties(Op::Barrier { id: 0, parties: 0 }, Errno::EINVAL)]
#[case::file_system(Op::Mount { fstype: "nonexistent".into(), target: "/nonexistent".into() }, Errno::ENOENT)]
fn an_errno_is_told_exactly(#[case] op: Op, #[case] expected: Errno) {
    // Without the right to mount, the kernel says EPERM before it looks for the file system.
    let expected = if matches!(op, Op::Mount { .. }) && !nix::unistd::geteuid().is_root() {
        Errno::EPERM
    } else {
        expected
    };
    let dir = tempfile::tempdir().unwrap();
    let messages = run(&dir, &program(vec![vec![step(1, vec![op])]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [errno(expected)]);
}

#[test]
fn a_slot_that_is_open_is_a_fault_of_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("program");
    let ops = vec![open(0, &file, O_RDONLY), open(0, &file, O_RDONLY)];
    let messages = run(&dir, &program(vec![vec![step(1, ops)]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0), errno(Errno::EBADFD)]);
    let fault = Message::Fault { text: "task 0, step 1, operation 1: slot 0 is open already".into() };
    assert!(messages.contains(&fault), "{messages:?}");
}

#[test]
fn files_are_measured_and_gone() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    let measure = Op::Measure {
        dir: files.to_str().unwrap().into(),
        name: "a".into(),
        salt: "s".into(),
        first: 5,
        count: 250,
    };
    let messages = run(&dir, &program(vec![vec![step(1, vec![measure.clone()])]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(250)]);
    let told = |messages: &[Message]| -> Vec<u64> {
        let done = |message: &Message| match message {
            Message::Progress { done, .. } => Some(*done),
            _ => None,
        };
        messages.iter().filter_map(done).collect()
    };
    assert_eq!(told(&messages), [100, 200]);
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0);

    fs::write(files.join("a-8"), "in the way").unwrap();
    let messages = run(&dir, &program(vec![vec![step(1, vec![measure])]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [errno(Errno::EEXIST)]);
    assert_eq!(told(&messages), [3], "how many were measured before it");
}

#[test]
fn a_barrier_orders_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let write = |bytes: &[u8]| {
        vec![
            open(0, &file, O_WRONLY | O_CREAT | nix::libc::O_APPEND),
            Op::Write { slot: 0, bytes: bytes.to_vec() },
            Op::Close { slot: 0 },
        ]
    };
    let barrier = |id, parties| step(100 + u32::from(id), vec![Op::Barrier { id, parties }]);
    let tasks = vec![
        vec![barrier(0, 3), barrier(1, 3), step(1, write(b"third"))],
        vec![step(1, write(b"first ")), barrier(0, 3), barrier(1, 3)],
        vec![barrier(0, 3), step(1, write(b"second ")), barrier(1, 3)],
    ];
    let messages = run(&dir, &program(tasks, vec![]));
    assert_eq!(fs::read_to_string(&file).unwrap(), "first second third");
    for task in 0..3 {
        assert_eq!(outcomes(&messages, task, 100), [Outcome::Value(0)]);
    }
}

#[test]
fn a_barrier_that_nobody_can_complete_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let wait = step(1, vec![Op::Barrier { id: 0, parties: 3 }]);
    let messages = run(&dir, &program(vec![vec![wait.clone()], vec![wait.clone()], vec![]], vec![wait]));
    for task in [0, 1, 3] {
        assert_eq!(outcomes(&messages, task, 1), [errno(Errno::EDEADLK)]);
    }
}

/// A fast task is held back, not cut: the port is a pipe that is read late and in small portions.
#[test]
fn a_slow_host_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let bytes: Vec<u8> = (0..4_000_000u32).map(|n| (n % 253) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    mkfifo(&dir.path().join("port"), Mode::S_IRWXU).unwrap();
    let task = vec![step(1, vec![open(0, &file, O_RDONLY), read(0, 70_000)])];
    let mut child = agent(&dir, &program(vec![task.clone(), task], vec![])).spawn().unwrap();
    let mut stream = Vec::new();
    let mut port = File::open(dir.path().join("port")).unwrap();
    let mut portion = [0; 777];
    loop {
        let len = port.read(&mut portion).unwrap();
        if len == 0 {
            break;
        }
        stream.extend_from_slice(&portion[..len]);
    }
    assert!(child.wait().unwrap().success());
    let messages = decode(&stream);
    for of_task in 0..2 {
        let piece = |message: &Message| match message {
            Message::Data(piece) if piece.task == of_task => Some(piece.bytes.clone()),
            _ => None,
        };
        assert!(messages.iter().filter_map(piece).flatten().eq(bytes.iter().copied()));
    }
}

#[test]
fn a_killed_task_leaves_whole_frames_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (fifo, port) = (dir.path().join("fifo"), dir.path().join("port"));
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    mkfifo(&port, Mode::S_IRWXU).unwrap();
    let stuck = vec![step(1, vec![open(0, &fifo, O_RDWR), read(0, 10)])];
    let other = vec![step(2, vec![Op::Release])];
    let mut child = agent(&dir, &program(vec![stuck, other], vec![])).spawn().unwrap();
    let mut port = File::open(&port).unwrap();
    let mut decoder = Decoder::new();
    let mut messages = Vec::new();
    let mut byte = [0];
    while port.read(&mut byte).unwrap() == 1 {
        assert_eq!(decoder.push(&byte), 1);
        while let Some(frame) = decoder.next() {
            let (_, message) = frame.unwrap();
            // The stuck operation has been announced, so the announcement was not held back either.
            if let Message::OpStarted { task: 0, op: 1, .. } = message {
                let pid = messages.iter().find_map(|message| match message {
                    Message::TaskStarted { task: 0, pid } => Some(*pid),
                    _ => None,
                });
                kill(Pid::from_raw(pid.unwrap()), Signal::SIGKILL).unwrap();
            }
            messages.push(message);
        }
    }
    assert!(child.wait().unwrap().success());
    assert!(decoder.is_done());
    assert!(messages.contains(&Message::TaskEnded { task: 0, status: 137 }));
    assert!(messages.contains(&Message::TaskEnded { task: 1, status: 0 }));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0)], "the operation it was in has no result");
}

#[test]
fn what_is_not_there_to_be_read_blocks_or_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let steps = vec![step(1, vec![open(0, &fifo, O_RDWR | O_NONBLOCK), read(0, 10)])];
    let messages = run(&dir, &program(vec![steps], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0), errno(Errno::EAGAIN)]);
}

#[rstest]
#[case::flipped(|bytes: &mut Vec<u8>| bytes[30] ^= 1, "at byte 0: checksum")]
#[case::cut(|bytes: &mut Vec<u8>| bytes.truncate(10), "at byte 0: ended within a frame")]
fn a_bad_program_is_refused_before_anything_is_done(#[case] damage: fn(&mut Vec<u8>), #[case] text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = frame::encode_program(&program(vec![vec![]], vec![])).unwrap();
    damage(&mut bytes);
    let file = dir.path().join("bad");
    fs::write(&file, bytes).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_imalab-agent"))
        .arg("--program")
        .arg(file)
        .arg("--port")
        .arg(dir.path().join("port"))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("imalab-agent: fault: ") && said.contains(text), "{said}");
    assert!(!dir.path().join("port").exists());
}

#[test]
fn no_policy_is_loaded_outside_of_a_guest() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = program(vec![], vec![]);
    program.setup.policy = b"measure func=FILE_CHECK\n".to_vec();
    let output = agent(&dir, &program).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("which only PID 1 of a guest does"));
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_imalab-agent")).arg("--frob").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--program FILE --port FILE"));
}

/// The port failing is not silent either.
#[test]
fn a_port_that_is_gone_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("port");
    mkfifo(&port, Mode::S_IRWXU).unwrap();
    let read = Op::Read { slot: 0, chunk: 65536, limit: Some(10_000_000), send: true, nothing: None };
    let steps = vec![step(1, vec![open(0, Path::new("/dev/zero"), O_RDONLY), read])];
    let mut child = agent(&dir, &program(vec![steps], vec![])).stderr(Stdio::piped()).spawn().unwrap();
    drop(File::open(&port).unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.contains("fault: writing to the port failed: EPIPE"), "{said}");
}
