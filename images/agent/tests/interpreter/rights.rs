//! What tasks give up: capabilities, the user, limits. These need to be run by root.

use super::*;

const O_TMPFILE: i32 = nix::libc::O_TMPFILE;
const CAP_DAC_OVERRIDE: u8 = 1;

/// A file that only root with its capability to override may open.
fn locked(dir: &TempDir) -> Op {
    use std::os::unix::fs::PermissionsExt;
    let file = dir.path().join("locked");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).unwrap();
    open(0, &file, O_RDWR)
}

#[rstest]
#[case::capability(Op::DropCapability { capability: CAP_DAC_OVERRIDE })]
#[case::user(Op::SetUser { uid: 65_534 })]
fn what_is_given_up_is_missed(#[case] op: Op) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(65_534), None).unwrap();
    let locked = locked(&dir);
    let steps = vec![
        step(1, vec![locked.clone(), Op::Close { slot: 0 }]),
        step(2, vec![op]),
        step(3, vec![locked.clone()]),
    ];
    let other = vec![step(4, vec![locked])];
    let messages = run(&dir, &program(vec![steps, other], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [Outcome::Value(0), Outcome::Value(0)]);
    assert_eq!(outcomes(&messages, 0, 2), [Outcome::Value(0)]);
    assert_eq!(outcomes(&messages, 0, 3), [errno(Errno::EACCES)]);
    assert_eq!(outcomes(&messages, 1, 4), [Outcome::Value(0)], "another process keeps it");
}

#[rstest]
#[case::no_capability(Op::DropCapability { capability: 200 }, Errno::EINVAL)]
#[case::no_resource(Op::SetLimit { resource: 16, limit: 0 }, Errno::EINVAL)]
fn what_there_is_not_cannot_be_given_up(#[case] op: Op, #[case] expected: Errno) {
    let dir = tempfile::tempdir().unwrap();
    let messages = run(&dir, &program(vec![vec![step(1, vec![op])]], vec![]));
    assert_eq!(outcomes(&messages, 0, 1), [errno(expected)]);
}

#[test]
fn a_user_namespace_takes_the_rights_outside_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Op::Mount { fstype: "proc".into(), target: dir.path().to_str().unwrap().into() };
    let steps = vec![step(1, vec![Op::NewUserNamespace]), step(2, vec![mount])];
    let messages = run(&dir, &program(vec![steps], vec![]));
    // Some machines do not let a process have one.
    if outcomes(&messages, 0, 1) == [Outcome::Value(0)] {
        assert_eq!(outcomes(&messages, 0, 2), [errno(Errno::EPERM)]);
    }
}

#[test]
fn limits_are_errnos_and_not_the_end() {
    const RLIMIT_FSIZE: u8 = 1;
    const RLIMIT_NOFILE: u8 = 7;
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        step(1, vec![open(0, dir.path(), O_RDWR | O_TMPFILE)]),
        step(2, vec![Op::SetLimit { resource: RLIMIT_FSIZE, limit: 3 }]),
        step(3, vec![Op::Write { slot: 0, bytes: b"12345".to_vec() }]),
        step(4, vec![Op::Write { slot: 0, bytes: b"6".to_vec() }]),
        step(5, vec![Op::SetLimit { resource: RLIMIT_NOFILE, limit: 0 }]),
        step(6, vec![open(1, Path::new("/dev/null"), O_RDONLY)]),
        step(7, vec![Op::Fork { task: 1 }]),
        step(8, vec![Op::Barrier { id: 0, parties: 1 }]),
    ];
    let mut program = program(vec![steps], vec![]);
    program.tasks.push(processes::spawned(vec![]));
    let messages = run(&dir, &program);
    let done = |id| outcomes(&messages, 0, id);
    assert_eq!(done(3), [Outcome::Value(3)]);
    assert_eq!(done(4), [errno(Errno::EFBIG)]);
    assert_eq!(done(6), [errno(Errno::EMFILE)]);
    assert_eq!(done(7), [errno(Errno::EMFILE)]);
    assert_eq!(done(8), [Outcome::Value(0)]);
    assert!(messages.contains(&Message::TaskEnded { task: 0, status: 0 }));
}

#[test]
fn the_next_kernel_is_not_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        step(1, vec![Op::SetUser { uid: 65_534 }]),
        step(2, vec![Op::KexecUnload]),
        step(3, vec![Op::KexecExecute]),
        step(4, vec![Op::KexecLoad { kernel: "none".into(), args: String::new(), flags: 0 }]),
    ];
    assert!(agent(&dir, &program(vec![steps], vec![])).status().unwrap().success());
    let messages = decode_with(Decoder::across_kexecs(), &fs::read(dir.path().join("port")).unwrap());
    // A kernel that was built without it does not ask who wants it.
    let unloaded = outcomes(&messages, 0, 2);
    assert!(unloaded == [errno(Errno::EPERM)] || unloaded == [errno(Errno::ENOSYS)], "{unloaded:?}");
    assert_eq!(outcomes(&messages, 0, 3), [errno(Errno::EPERM)]);
    assert_eq!(outcomes(&messages, 0, 4), [errno(Errno::ENOENT)]);
}
