//! Programs under observation: what they do to the observed files becomes steps, and how they end is told.

use std::sync::LazyLock;

use imalab_wire::{KillAt, MAX_OBSERVED, Observed, Run};

use super::*;

/// First number of observed calls.
const FIRST: StepId = 1000;

/// The interpreter itself: what stands in `PATH` may be a script that starts it.
static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable, end='')"]).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
});

struct Lab {
    dir: TempDir,
    /// Folder of the observed files.
    lists: std::path::PathBuf,
}

impl Lab {
    fn new() -> Lab {
        let dir = TempDir::new().unwrap();
        let lists = dir.path().join("lists");
        fs::create_dir(&lists).unwrap();
        fs::write(lists.join("list"), "one\ntwo\n").unwrap();
        fs::write(dir.path().join("other"), "other\n").unwrap();
        std::os::unix::fs::symlink("list", lists.join("link")).unwrap();
        Lab { dir, lists }
    }

    fn python(&self, script: &str) -> Run {
        let script = format!("import os, sys\nL = {:?}\nD = {:?}\n{script}", self.lists, self.dir.path());
        let arguments = ["-S", "-E", "-c", &script].map(str::to_owned).to_vec();
        self.run(PYTHON.as_str(), arguments)
    }

    fn shell(&self, script: &str) -> Run {
        self.run(
            "/bin/sh",
            vec!["-c".to_owned(), script.replace("LIST", self.lists.join("list").to_str().unwrap())],
        )
    }

    fn run(&self, path: &str, arguments: Vec<String>) -> Run {
        Run {
            path: path.to_owned(),
            arguments,
            environment: vec![format!("PATH={}", std::env::var("PATH").unwrap())],
            watch: self.lists.to_str().unwrap().to_owned(),
            processes: 4,
            first_step: FIRST,
            ..Run::default()
        }
    }

    /// Task 0 starts the program, which is task 1, and does these.
    fn messages(&self, run: Run, ops: Vec<Op>) -> Vec<Message> {
        let ops = [vec![Op::Start { task: 1 }], ops].concat();
        let steps = ops.into_iter().zip(1..).map(|(op, id)| step(id, vec![op])).collect();
        let mut program = program(vec![steps], vec![]);
        let ops = vec![Op::Run { run: Box::new(run) }];
        let task = |name: &str, start, steps| Task { name: name.to_owned(), boot: 0, start, steps };
        program.tasks.push(task("p", Start::Program, vec![step(500, ops)]));
        program.tasks.extend((0..4).map(|_| task("p", Start::Observed, vec![])));
        super::run(&self.dir, &program)
    }
}

/// What each observed call turned out to be, with its task and what it gave.
fn observed(messages: &[Message]) -> Vec<(TaskId, Op, Option<Outcome>, bool)> {
    let mut calls: Vec<Observed> = Vec::new();
    for message in messages {
        let Message::Observed(call) = message else { continue };
        match calls.iter_mut().find(|known| known.step == call.step) {
            Some(known) => *known = (**call).clone(),
            None => calls.push((**call).clone()),
        }
    }
    let outcome = |call: &Observed| outcomes(messages, call.task, call.step).first().copied();
    calls.iter().map(|call| (call.task, call.op.clone(), outcome(call), call.whole)).collect()
}

fn ops(messages: &[Message]) -> Vec<Op> {
    observed(messages).into_iter().map(|(_, op, ..)| op).collect()
}

fn data_of(messages: &[Message], of: StepId) -> Vec<u8> {
    let data = |message: &Message| match message {
        Message::Data(piece) if piece.step == of => Some(piece.bytes.clone()),
        _ => None,
    };
    messages.iter().filter_map(data).flatten().collect()
}

fn unobserved(messages: &[Message]) -> Vec<&str> {
    let mut texts = Vec::new();
    for message in messages {
        if let Message::Unobserved { text, .. } = message {
            texts.push(text.as_str());
        }
    }
    texts
}

fn value(value: i64) -> Vec<Outcome> {
    vec![Outcome::Value(value)]
}

#[test]
fn output_status_and_lines_are_told() {
    let lab = Lab::new();
    let end = vec![
        Op::AwaitLine { task: 1, text: "ready".into() },
        Op::AwaitLine { task: 1, text: "ready".into() },
        Op::AwaitEnd { task: 1 },
        Op::AwaitEnd { task: 1 },
    ];
    let messages = lab.messages(lab.shell("echo out; echo ready >&2; sleep 0.1; exit 7"), end);
    assert_eq!(outcomes(&messages, 0, 2), value(0));
    // It says so but once, and ends.
    assert_eq!(outcomes(&messages, 0, 3), [Outcome::Errno(Errno::ESRCH as i32)]);
    assert_eq!(outcomes(&messages, 0, 4), value(7));
    assert_eq!(outcomes(&messages, 0, 5), value(7));
    assert_eq!(outcomes(&messages, 1, 500), value(7));
    assert_eq!(data_of(&messages, 500), b"out\n");
    assert!(messages.contains(&Message::Said { task: 1, text: "ready".into() }));
    assert!(observed(&messages).is_empty() && unobserved(&messages).is_empty());
}

#[test]
fn what_cannot_be_executed_is_an_error() {
    let lab = Lab::new();
    let messages = lab.messages(lab.run("/no/such/program", vec![]), vec![Op::AwaitEnd { task: 1 }]);
    assert_eq!(outcomes(&messages, 1, 500), [Outcome::Errno(Errno::ENOENT as i32)]);
    assert_eq!(outcomes(&messages, 0, 2), [Outcome::Errno(Errno::ENOENT as i32)]);
}

#[test]
fn calls_on_observed_files_are_steps_and_others_are_not() {
    let lab = Lab::new();
    let script = "
o = os.open(D + '/other', os.O_RDONLY); os.read(o, 9); os.close(o)
os.chdir(L)
l = os.open('link', os.O_RDWR)
os.read(l, 4); os.read(l, 100); os.read(l, 100)
os.pread(l, 3, 0); os.pread(l, 100, 3); os.pread(l, 100, 8)
os.lseek(l, 0, 0)
os.write(l, b'ONE')
os.dup2(l, 50); os.close(l)
os.write(50, b'four')
try: os.open(L + '/none/list', os.O_RDONLY)
except OSError: pass
try: os.open('list', os.O_RDONLY | os.O_DIRECTORY)
except OSError: pass
";
    let messages = lab.messages(lab.python(script), vec![Op::AwaitEnd { task: 1 }]);
    assert_eq!(outcomes(&messages, 0, 2), value(0));
    let path = lab.lists.join("list").to_str().unwrap().to_owned();
    let found = observed(&messages);
    let Some(Op::Open { slot, .. }) = found.first().map(|call| &call.1) else { panic!("{found:?}") };
    let slot = *slot;
    let flags = nix::libc::O_RDWR | nix::libc::O_CLOEXEC;
    let expected = [
        (Op::Open { slot, path: path.clone(), flags, mode: 0 }, Outcome::Value(0), false),
        (Op::Read { slot, chunk: 8, limit: None, send: true, nothing: None }, Outcome::Value(8), true),
        (Op::ReadThrough { slot }, Outcome::Value(8), true),
        (Op::Seek { slot, offset: 0, whence: 0 }, Outcome::Value(0), false),
        (Op::Write { slot, bytes: b"ONE".to_vec() }, Outcome::Value(3), false),
        (Op::Duplicate { slot, to: 50 }, Outcome::Value(0), false),
        (Op::Close { slot }, Outcome::Value(0), false),
        (Op::Write { slot: 50, bytes: b"four".to_vec() }, Outcome::Value(4), false),
    ];
    let (last, first) = (&found[expected.len()..], &found[..expected.len()]);
    let first: Vec<_> =
        first.iter().map(|(_, op, outcome, whole)| (op.clone(), outcome.unwrap(), *whole)).collect();
    assert_eq!(first, expected);
    let [(_, Op::Open { .. }, Some(Outcome::Errno(errno)), _), (2, Op::Close { slot: 50 }, ..)] = last else {
        panic!("{last:?}")
    };
    assert_eq!(*errno, Errno::ENOTDIR as i32);
    assert_eq!(data_of(&messages, FIRST + 1), b"one\ntwo\n");
    assert_eq!(data_of(&messages, FIRST + 2), b"one\ntwo\n");
    assert!(unobserved(&messages).is_empty());
}

#[test]
fn a_read_that_stops_short_is_not_the_whole_file() {
    let lab = Lab::new();
    let script = "
l = os.open(L + '/list', os.O_RDONLY)
os.read(l, 3); os.lseek(l, 1, 0); os.read(l, 100); os.read(l, 100); os.pread(l, 4, 2)
";
    let messages = lab.messages(lab.python(script), vec![Op::AwaitEnd { task: 1 }]);
    let found: Vec<_> = observed(&messages).into_iter().map(|(_, op, _, whole)| (op, whole)).collect();
    let [(Op::Open { .. }, _), reads @ .., (Op::Close { .. }, _)] = found.as_slice() else {
        panic!("{found:?}")
    };
    let is = |at: usize| &reads[at];
    assert!(matches!(is(0), (Op::Read { limit: Some(3), .. }, false)), "{reads:?}");
    assert!(matches!(is(2), (Op::Read { limit: None, .. }, false)), "{reads:?}");
    assert!(matches!(is(3), (Op::ReadAt { offset: 2, bytes: 4, .. }, false)), "{reads:?}");
}

#[test]
fn children_and_threads_are_followed() {
    let lab = Lab::new();
    let script = "
import threading
l = os.open(L + '/list', os.O_RDWR)
if os.fork() == 0:
    os.write(l, b'child'); os._exit(3)
os.wait()
def body():
    os.write(l, b'thread')
t = threading.Thread(target=body); t.start(); t.join()
";
    let messages = lab.messages(lab.python(script), vec![Op::AwaitEnd { task: 1 }]);
    let found = observed(&messages);
    let at = |what: &dyn Fn(&Op) -> bool| {
        let call = found.iter().find(|(_, op, ..)| what(op));
        call.map(|(task, ..)| *task).unwrap_or_else(|| panic!("{found:?}"))
    };
    assert_eq!(at(&|op| matches!(op, Op::Open { .. })), 2);
    assert_eq!(at(&|op| matches!(op, Op::Fork { task: 3 })), 2);
    assert_eq!(at(&|op| matches!(op, Op::Write { bytes, .. } if bytes == b"child")), 3);
    assert_eq!(at(&|op| matches!(op, Op::Thread { task: 4 })), 2);
    assert_eq!(at(&|op| matches!(op, Op::Write { bytes, .. } if bytes == b"thread")), 4);
    assert!(messages.contains(&Message::TaskEnded { task: 3, status: 3 }));
    assert!(unobserved(&messages).is_empty(), "{:?}", unobserved(&messages));
}

/// Each execution closes what is to be closed then, without a call.
#[test]
fn an_execution_closes_descriptors() {
    let lab = Lab::new();
    let script = "
l = os.open(L + '/list', os.O_RDONLY)
os.execv('/bin/true', ['true'])
";
    let found = ops(&lab.messages(lab.python(script), vec![Op::AwaitEnd { task: 1 }]));
    assert!(matches!(found.as_slice(), [Op::Open { .. }, Op::Close { .. }]), "{found:?}");
}

#[test]
fn a_program_is_killed_at_the_end_of_the_call_that_is_named() {
    let lab = Lab::new();
    let script = "
l = os.open(L + '/list', os.O_RDWR)
for n in b'abcdef': os.write(l, bytes([n]))
os.write(1, b'whole')
";
    let at = |call, every| Run { kill_at: Some(KillAt { call, every }), ..lab.python(script) };
    let messages = lab.messages(at(3, false), vec![Op::AwaitEnd { task: 1 }]);
    assert_eq!(outcomes(&messages, 0, 2), value(128 + 9));
    let found = ops(&messages);
    let [Op::Open { .. }, Op::Write { .. }, Op::Write { .. }, Op::Write { bytes, .. }, Op::Close { .. }] =
        found.as_slice()
    else {
        panic!("{found:?}")
    };
    assert_eq!(bytes, b"c");
    // Long before it gets to the file.
    let messages = lab.messages(at(20, true), vec![Op::AwaitEnd { task: 1 }]);
    assert_eq!(outcomes(&messages, 0, 2), value(128 + 9));
    assert!(observed(&messages).is_empty());
}

#[test]
fn a_program_is_ended_from_outside() {
    let lab = Lab::new();
    let script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    for (signal, status) in [(15, 5), (9, 128 + 9)] {
        let wait = Op::AwaitLine { task: 1, text: "ready".into() };
        let messages = lab.messages(lab.shell(script), vec![wait, Op::EndProgram { task: 1, signal }]);
        assert_eq!(outcomes(&messages, 0, 3), value(status));
    }
    // What is left when all tasks have ended is killed.
    let wait = Op::AwaitLine { task: 1, text: "ready".into() };
    let messages = lab.messages(lab.shell(script), vec![wait]);
    assert_eq!(outcomes(&messages, 1, 500), value(128 + 9));
    // And nobody can end it then.
    let messages = lab
        .messages(lab.shell("exit 0"), vec![Op::AwaitEnd { task: 1 }, Op::EndProgram { task: 1, signal: 9 }]);
    assert!(matches!(outcomes(&messages, 0, 3)[..], [Outcome::Errno(_)]));
}

#[test]
fn what_is_not_followed_is_told_and_ends_the_program() {
    let lab = Lab::new();
    for (script, why) in [
        ("os.sendfile(1, os.open(L + '/list', os.O_RDONLY), 0, 4)", "moved bytes"),
        // `io_uring_setup`, whether or not this kernel has it.
        ("import ctypes; ctypes.CDLL(None).syscall(425, 8, 0)", "sets up io_uring"),
        ("l = os.open(L + '/list', os.O_RDWR)\nos.write(l, b'a' * 20000)", "a request of more than"),
        (
            "import socket\na, b = socket.socketpair()\nl = os.open(L + '/list', os.O_RDONLY)\n\
             socket.send_fds(a, [b'x'], [l])\nsocket.recv_fds(b, 1, 1)",
            "received a descriptor",
        ),
        (
            "for n in range(9):\n  if os.fork() == 0:\n    os.open(L + '/list', os.O_RDONLY); os._exit(0)\n  os.wait()",
            "more than 4 of its processes",
        ),
    ] {
        let script = format!("{script}\nimport time\ntime.sleep(60)\n");
        let messages = lab.messages(lab.python(&script), vec![Op::AwaitEnd { task: 1 }]);
        let told = unobserved(&messages);
        assert!(told.len() == 1 && told[0].contains(why), "{script}: {told:?}");
        assert_eq!(outcomes(&messages, 0, 2), value(128 + 9));
    }
}

#[test]
fn floods_have_an_end() {
    let lab = Lab::new();
    let flood = lab.python("while True: os.write(2, b'flood\\n' * 10000)");
    let messages = lab.messages(flood, vec![Op::AwaitEnd { task: 1 }]);
    assert!(unobserved(&messages)[0].contains("MiB of errors"));
    let calls = "l = os.open(L + '/list', os.O_RDONLY)\nwhile True: os.lseek(l, 0, 0)";
    let messages = lab.messages(lab.python(calls), vec![Op::AwaitEnd { task: 1 }]);
    assert!(unobserved(&messages)[0].contains("calls on the lists"), "{:?}", unobserved(&messages));
    assert!(observed(&messages).len() <= MAX_OBSERVED as usize + 1);
}
