//! Tasks that start, wait for, talk to and end each other.

use super::*;

/// A task that starts when another one names it.
pub(crate) fn spawned(steps: Vec<Step>) -> Task {
    Task { name: "s".into(), boot: 0, start: Start::Spawned, steps }
}

/// A program whose first task starts with the boot, and the others when they are named.
pub(crate) fn family(first: Vec<Step>, others: Vec<Vec<Step>>) -> Program {
    let mut program = program(vec![first], vec![]);
    program.tasks.extend(others.into_iter().map(spawned));
    program
}

fn status(messages: &[Message], of_task: TaskId) -> Vec<i32> {
    let status = |message: &Message| match message {
        Message::TaskEnded { task, status } if *task == of_task => Some(*status),
        _ => None,
    };
    messages.iter().filter_map(status).collect()
}

fn pid(messages: &[Message], of_task: TaskId) -> Option<i32> {
    messages.iter().find_map(|message| match message {
        Message::TaskStarted { task, pid } if *task == of_task => Some(*pid),
        _ => None,
    })
}

fn write(slot: Slot, bytes: &[u8]) -> Op {
    Op::Write { slot, bytes: bytes.to_vec() }
}

fn fifo(dir: &TempDir, name: &str) -> std::path::PathBuf {
    let path = dir.path().join(name);
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    path
}

#[test]
fn a_forked_task_has_the_descriptors_and_shares_their_offset() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let first = vec![
        step(1, vec![open(3, &file, O_RDWR | O_CREAT), write(3, b"one "), Op::Fork { task: 1 }]),
        step(2, vec![Op::Barrier { id: 0, parties: 2 }]),
        step(3, vec![write(3, b"three")]),
    ];
    let second = vec![
        step(4, vec![write(3, b"two "), Op::Close { slot: 3 }, write(3, b"?")]),
        step(5, vec![Op::Barrier { id: 0, parties: 2 }]),
    ];
    let messages = run(&dir, &family(first, vec![second]));
    assert_eq!(fs::read_to_string(&file).unwrap(), "one two three");
    let forked = pid(&messages, 1).unwrap();
    assert_ne!(Some(forked), pid(&messages, 0));
    assert_eq!(outcomes(&messages, 0, 1)[2], Outcome::Value(forked.into()));
    assert_eq!(outcomes(&messages, 1, 4), [Outcome::Value(4), Outcome::Value(0), errno(Errno::EBADF)]);
    assert_eq!(outcomes(&messages, 0, 3), [Outcome::Value(5)], "its own is still open");
    assert_eq!((status(&messages, 0), status(&messages, 1)), (vec![0], vec![0]));
}

#[test]
fn a_forked_task_outlives_its_parent_and_has_children_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, file) = (fifo(&dir, "gate"), dir.path().join("f"));
    let first = vec![step(1, vec![open(1, &gate, O_RDWR), Op::Fork { task: 1 }])];
    let second = vec![step(2, vec![Op::Fork { task: 2 }, read_one(1), Op::Release])];
    let third =
        vec![step(3, vec![Op::AwaitBlocked { task: 1 }, open(2, &file, O_WRONLY | O_CREAT), write(1, b"x")])];
    let messages = run(&dir, &family(first, vec![second, third]));
    assert_eq!(outcomes(&messages, 2, 3)[2], Outcome::Value(1));
    assert_eq!(outcomes(&messages, 1, 2)[1..], [Outcome::Value(1), Outcome::Value(0)]);
    for task in 0..3 {
        assert_eq!(status(&messages, task), [0]);
    }
}

fn read_one(slot: Slot) -> Op {
    Op::Read { slot, chunk: 1, limit: Some(1), send: false, nothing: None }
}

#[test]
fn threads_share_descriptors_and_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let first = vec![
        step(1, vec![open(0, &file, O_RDWR | O_CREAT), Op::Thread { task: 1 }]),
        step(2, vec![Op::Barrier { id: 0, parties: 2 }, write(1, b"later"), Op::Close { slot: 0 }]),
    ];
    let thread = vec![
        step(3, vec![write(0, b"thread "), Op::Duplicate { slot: 0, to: 1 }]),
        step(4, vec![Op::Barrier { id: 0, parties: 2 }]),
    ];
    let messages = run(&dir, &family(first, vec![thread]));
    assert_eq!(fs::read_to_string(&file).unwrap(), "thread later");
    assert_eq!(pid(&messages, 0), pid(&messages, 1), "one process");
    assert!(
        matches!(outcomes(&messages, 0, 1)[1], Outcome::Value(tid) if Some(tid) != pid(&messages, 0).map(i64::from))
    );
    assert_eq!((status(&messages, 0), status(&messages, 1)), (vec![0], vec![0]));
}

#[test]
fn a_process_ends_when_all_its_threads_have() {
    let dir = tempfile::tempdir().unwrap();
    let gate = fifo(&dir, "gate");
    let first = vec![step(1, vec![open(0, &gate, O_RDWR), Op::Thread { task: 1 }])];
    let second = vec![step(2, vec![Op::Thread { task: 2 }, read_one(0)])];
    let third = vec![step(3, vec![Op::AwaitBlocked { task: 1 }, write(0, b"x")])];
    let messages = run(&dir, &family(first, vec![second, third]));
    assert_eq!(outcomes(&messages, 1, 2)[1], Outcome::Value(1));
    assert_eq!(outcomes(&messages, 2, 3), [Outcome::Value(0), Outcome::Value(1)]);
    let ended: Vec<TaskId> = messages
        .iter()
        .filter_map(|message| match message {
            Message::TaskEnded { task, status: 0 } => Some(*task),
            _ => None,
        })
        .collect();
    assert_eq!(ended.len(), 3);
    assert_eq!(ended[2], 0, "the process of the others");
}

#[test]
fn a_process_takes_its_threads_along() {
    let dir = tempfile::tempdir().unwrap();
    let gate = fifo(&dir, "gate");
    let first =
        vec![step(1, vec![open(0, &gate, O_RDWR), Op::Thread { task: 1 }]), step(2, vec![read_one(0)])];
    let thread = vec![step(3, vec![Op::AwaitBlocked { task: 0 }, Op::Exit { status: 7 }, Op::Release])];
    let messages = run(&dir, &family(first, vec![thread]));
    assert_eq!(outcomes(&messages, 0, 2), [], "it never came back");
    assert_eq!(outcomes(&messages, 1, 3), [Outcome::Value(0)]);
    assert_eq!((status(&messages, 0), status(&messages, 1)), (vec![7], vec![7]));
}

#[test]
fn a_fork_of_a_thread_is_a_process_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let gate = fifo(&dir, "gate");
    let first =
        vec![step(1, vec![open(0, &gate, O_RDWR), Op::Thread { task: 1 }]), step(2, vec![read_one(0)])];
    let thread = vec![step(3, vec![Op::AwaitBlocked { task: 0 }, Op::Fork { task: 2 }])];
    // The first thread is within a read of the descriptor that the child closes for itself.
    let child = vec![step(4, vec![write(0, b"x"), Op::Close { slot: 0 }, Op::Exit { status: 3 }])];
    let messages = run(&dir, &family(first, vec![thread, child]));
    assert_eq!(outcomes(&messages, 0, 2), [Outcome::Value(1)]);
    assert_eq!(outcomes(&messages, 2, 4), [Outcome::Value(1), Outcome::Value(0)]);
    assert_eq!(status(&messages, 2), [3]);
    assert_eq!(status(&messages, 0), [0]);
}

/// The kernel ends what a descriptor of a file stands for when the last copy is closed: here, the reading end's
/// end of file. Nobody of the agent's own may have a copy left.
#[test]
fn no_copy_of_a_descriptor_is_left_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let gate = fifo(&dir, "gate");
    let first = vec![
        step(1, vec![open(0, &gate, O_RDWR), open(1, &gate, O_RDONLY), Op::Thread { task: 1 }]),
        step(2, vec![Op::SendDescriptor { slot: 0, to: 2 }, Op::Fork { task: 2 }]),
        step(3, vec![Op::Close { slot: 0 }, Op::Kill { task: 2, signal: 9 }, read_one(1)]),
    ];
    let thread = vec![];
    let child = vec![step(
        4,
        vec![
            Op::ReceiveDescriptor { slot: 5 },
            Op::Duplicate { slot: 5, to: 6 },
            Op::Barrier { id: 0, parties: 2 },
        ],
    )];
    let messages = run(&dir, &family(first, vec![thread, child]));
    assert_eq!(outcomes(&messages, 0, 3), [Outcome::Value(0), Outcome::Value(0), Outcome::Value(0)]);
    assert_eq!(status(&messages, 2), [137]);
}

#[test]
fn a_passed_descriptor_is_the_same_open_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    let first = vec![
        step(1, vec![open(0, &file, O_RDWR | O_CREAT), write(0, b"one ")]),
        step(2, vec![Op::SendDescriptor { slot: 0, to: 1 }, Op::Close { slot: 0 }]),
    ];
    let second =
        vec![step(3, vec![Op::ReceiveDescriptor { slot: 9 }, write(9, b"two"), Op::Close { slot: 9 }])];
    let messages = run(&dir, &program(vec![first, second], vec![]));
    assert_eq!(fs::read_to_string(&file).unwrap(), "one two");
    assert_eq!(outcomes(&messages, 0, 2), [Outcome::Value(0), Outcome::Value(0)]);
    assert_eq!(outcomes(&messages, 1, 3), [Outcome::Value(0), Outcome::Value(3), Outcome::Value(0)]);
}

#[test]
fn a_descriptor_waits_for_a_task_that_has_yet_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("program");
    let first = vec![
        step(1, vec![open(0, &file, O_RDONLY), Op::SendDescriptor { slot: 0, to: 1 }, Op::Close { slot: 0 }]),
        step(2, vec![Op::Fork { task: 1 }]),
    ];
    let second = vec![step(3, vec![Op::ReceiveDescriptor { slot: 0 }, read(0, 1000)])];
    let messages = run(&dir, &family(first, vec![second]));
    assert_eq!(data(&messages, 3), fs::read(&file).unwrap());
}

#[test]
fn a_descriptor_is_taken_of_the_file_that_another_task_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let gate = fifo(&dir, "gate");
    let owner = vec![step(1, vec![open(0, &gate, O_RDWR), read_one(0), Op::Close { slot: 0 }])];
    let taker = vec![step(
        2,
        vec![
            Op::AwaitBlocked { task: 0 },
            Op::TakeDescriptor { slot: 3, from: 0 },
            write(3, b"xy"),
            read_one(3),
            Op::Close { slot: 3 },
        ],
    )];
    let messages = run(&dir, &program(vec![owner, taker], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0), Outcome::Value(1), Outcome::Value(0)]);
    let taken = outcomes(&messages, 1, 2);
    assert_eq!(taken[1..], [0, 2, 1, 0].map(Outcome::Value));
}

#[test]
fn nothing_is_taken_of_a_task_that_waits_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let owner = vec![step(1, vec![Op::Barrier { id: 0, parties: 2 }])];
    let taker = vec![
        step(2, vec![Op::AwaitBlocked { task: 0 }, Op::TakeDescriptor { slot: 3, from: 0 }]),
        step(3, vec![Op::Barrier { id: 0, parties: 2 }]),
    ];
    let messages = run(&dir, &program(vec![owner, taker], vec![]));
    assert_eq!(outcomes(&messages, 1, 2)[1..], [errno(Errno::ESRCH)]);
}

#[test]
fn a_kill_returns_when_the_target_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let gate = fifo(&dir, "gate");
    let victim = vec![step(1, vec![open(0, &gate, O_RDWR), read_one(0)])];
    let killer = vec![step(
        2,
        vec![
            Op::AwaitBlocked { task: 0 },
            Op::Kill { task: 0, signal: 15 },
            Op::Kill { task: 0, signal: 15 },
        ],
    )];
    let messages = run(&dir, &program(vec![victim, killer], vec![]));
    assert_eq!(outcomes(&messages, 1, 2), [Outcome::Value(0), Outcome::Value(0), errno(Errno::ESRCH)]);
    let place = |wanted: &dyn Fn(&Message) -> bool| messages.iter().position(wanted).unwrap();
    let ended = place(&|message| matches!(message, Message::TaskEnded { task: 0, status: 143 }));
    let killed = place(&|message| matches!(message, Message::OpDone { task: 1, op: 1, .. }));
    assert!(ended < killed);
}

#[test]
fn a_bad_signal_is_the_kernels_errno() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![step(1, vec![Op::Kill { task: 0, signal: 900 }])];
    let messages = run(&dir, &program(vec![steps], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [errno(Errno::EINVAL)]);
}

#[test]
fn a_task_may_kill_itself() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![step(1, vec![Op::Kill { task: 0, signal: 9 }])];
    let messages = run(&dir, &program(vec![steps], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), []);
    assert_eq!(status(&messages, 0), [137]);
}

/// A task that computes is never taken for one that sleeps, and one that sleeps between operations neither.
#[test]
fn only_sleep_within_an_operation_counts() {
    let dir = tempfile::tempdir().unwrap();
    let gate = fifo(&dir, "gate");
    // Many calls that do not sleep, each with an announcement that may; then one that does.
    let busy: Vec<Step> = (10..400)
        .map(|id| {
            step(
                id,
                vec![
                    open(3, Path::new("/dev/zero"), O_RDONLY),
                    Op::ReadAt { slot: 3, offset: 0, bytes: 70_000, send: true },
                    Op::Close { slot: 3 },
                ],
            )
        })
        .collect();
    let mut watched = vec![step(1, vec![open(0, &gate, O_RDWR)])];
    watched.extend(busy);
    watched.push(step(2, vec![read_one(0)]));
    let watcher = vec![
        step(3, vec![open(0, &gate, O_RDWR), Op::AwaitBlocked { task: 0 }, write(0, b"x")]),
        step(4, vec![Op::AwaitBlocked { task: 0 }]),
    ];
    let messages = run(&dir, &program(vec![watched, watcher], vec![]));
    // A read, and it was the one at the end: nothing was written before it had begun.
    assert_eq!(outcomes(&messages, 1, 3), [Outcome::Value(0), Outcome::Value(0), Outcome::Value(1)]);
    assert_eq!(outcomes(&messages, 1, 4), [errno(Errno::ESRCH)]);
    let place = |wanted: &dyn Fn(&Message) -> bool| messages.iter().position(wanted).unwrap();
    let begun = place(&|message| matches!(message, Message::OpStarted { task: 0, step: 2, .. }));
    let seen = place(&|message| matches!(message, Message::OpDone { task: 1, step: 3, op: 1, .. }));
    let found =
        place(&|message| matches!(message, Message::FoundAsleep { task: 0, step: 2, op: 0, call: 0, .. }));
    assert!(begun < found && found < seen);
    assert_eq!(messages.iter().filter(|message| matches!(message, Message::FoundAsleep { .. })).count(), 1);
    // At a moment within the operation, by the same clock.
    let Message::FoundAsleep { at_ns, .. } = messages[found] else { unreachable!() };
    let within = |message: &Message| matches!(message, Message::OpDone { task: 0, step: 2, op: 0, begin_ns, end_ns, .. } if *begin_ns < at_ns && at_ns < *end_ns);
    assert!(messages.iter().any(within));
}

#[test]
fn waiting_for_the_agent_is_waiting_too() {
    let dir = tempfile::tempdir().unwrap();
    let at_barrier = vec![step(1, vec![Op::Barrier { id: 0, parties: 2 }])];
    let watcher =
        vec![step(2, vec![Op::AwaitBlocked { task: 0 }]), step(3, vec![Op::Barrier { id: 0, parties: 2 }])];
    let messages = run(&dir, &program(vec![at_barrier, watcher], vec![]));
    assert_eq!(outcomes(&messages, 1, 2), [Outcome::Value(nix::libc::SYS_recvmsg)]);
    let at_barrier =
        |message: &Message| matches!(message, Message::FoundAsleep { task: 0, step: 1, op: 0, .. });
    assert!(messages.iter().any(at_barrier), "its operation is told, too");
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0)]);
}

#[test]
fn who_can_never_be_answered_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = vec![step(1, vec![Op::ReceiveDescriptor { slot: 0 }])];
    let watcher = vec![step(1, vec![Op::AwaitBlocked { task: 2 }])];
    let mut program = program(vec![receiver, watcher], vec![step(1, vec![Op::Fork { task: 2 }])]);
    program.tasks.push(spawned(vec![]));
    let messages = run(&dir, &program);
    for task in 0..2 {
        assert_eq!(outcomes(&messages, task, 1), [errno(Errno::EDEADLK)]);
    }
    assert_eq!(outcomes(&messages, 3, 1), [errno(Errno::EINVAL)], "nothing starts in the last steps");
    assert_eq!(pid(&messages, 2), None);
}

#[rstest]
#[case::no_such(Op::Fork { task: 7 }, Errno::EINVAL)]
#[case::not_for_it(Op::Thread { task: 0 }, Errno::EINVAL)]
#[case::to_nobody(Op::SendDescriptor { slot: 0, to: 7 }, Errno::ESRCH)]
#[case::nothing(Op::SendDescriptor { slot: 9, to: 0 }, Errno::EBADF)]
#[case::take_from_nobody(Op::TakeDescriptor { slot: 5, from: 7 }, Errno::ESRCH)]
#[case::kill_nobody(Op::Kill { task: 1, signal: 9 }, Errno::ESRCH)]
#[case::await_nobody(Op::AwaitBlocked { task: 7 }, Errno::ESRCH)]
#[case::of_another_boot(Op::Fork { task: 2 }, Errno::EINVAL)]
fn what_cannot_be_asked_for_is_refused(#[case] op: Op, #[case] expected: Errno) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("program");
    let mut program = family(vec![step(1, vec![open(0, &file, O_RDONLY)]), step(2, vec![op])], vec![vec![]]);
    program.tasks.push(Task { boot: 1, ..spawned(vec![]) });
    let messages = run(&dir, &program);
    assert_eq!(outcomes(&messages, 0, 2), [errno(expected)]);
}

#[test]
fn a_task_starts_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = vec![step(1, vec![Op::Fork { task: 1 }]), step(2, vec![Op::Fork { task: 1 }])];
    let messages = run(&dir, &family(first, vec![vec![]]));
    assert_eq!(outcomes(&messages, 0, 2), [errno(Errno::EINVAL)]);
    assert_eq!(status(&messages, 1), [0]);
}

#[test]
fn a_boot_runs_its_own_tasks_and_the_last_the_last_steps() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = program(vec![vec![step(1, vec![Op::Release])]; 2], vec![step(2, vec![Op::Release])]);
    program.tasks[1].boot = 1;
    for boot in 0..2 {
        assert!(agent(&dir, &program).args(["--boot", &boot.to_string()]).status().unwrap().success());
        let messages = decode(&fs::read(dir.path().join("port")).unwrap());
        assert!(matches!(messages[0], Message::Hello { boot: told, .. } if told == boot));
        for task in 0..2 {
            let ran = usize::from(task == boot);
            assert_eq!(outcomes(&messages, task, 1).len(), ran, "boot {boot}, task {task}");
        }
        assert_eq!(outcomes(&messages, 2, 2).len(), usize::from(boot == 1), "boot {boot}");
    }
}
