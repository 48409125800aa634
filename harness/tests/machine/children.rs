use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use imalab_machine::child::{Child, ChildError, Exit, spawn};
use rstest::rstest;

const LONG: Duration = Duration::from_secs(60);

/// bash, since dash knows descriptors of one digit alone.
fn command(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script]);
    command
}

fn shell(script: &str) -> Child {
    spawn(command(script), Vec::new()).unwrap()
}

/// Whether `pid` is there and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[rstest]
#[case::code("exit 7", Exit::Code(7), 7)]
#[case::signal("kill -SEGV $$", Exit::Signal(11), 139)]
fn tells_how_it_ended(#[case] script: &str, #[case] exit: Exit, #[case] status: i32) {
    let child = shell(script);
    assert_eq!(child.wait(LONG), Some(exit));
    assert_eq!(child.ended(), Some(exit));
    assert_eq!(child.kill(), exit, "killing the dead changes nothing");
    assert_eq!(exit.status(), status);
}

#[test]
fn output_is_kept() {
    let child = shell("echo out; echo err >&2; exit 1");
    child.wait(LONG).unwrap();
    let output = child.output();
    assert!(output.contains("out\n") && output.contains("err\n"), "{output:?}");
}

#[test]
fn the_last_words_of_a_child_that_ends_at_once_are_whole() {
    for _ in 0..20 {
        let child = shell(
            "for i in {1..3000}; do echo a line that fills the pipe $i; done; echo the reason >&2; exit 3",
        );
        assert_eq!(child.wait(LONG), Some(Exit::Code(3)));
        let output = child.output();
        assert!(output.ends_with("fills the pipe 3000\nthe reason\n"), "{output:?}");
    }
}

#[test]
fn a_missing_program_is_named() {
    let error = spawn(Command::new("no-such-program"), Vec::new()).err().unwrap();
    assert!(matches!(error, ChildError::Missing { ref program } if program == "no-such-program"));
}

#[test]
fn a_file_that_is_no_program_is_an_error() {
    assert!(matches!(spawn(Command::new("/dev/null"), Vec::new()), Err(ChildError::Spawn { .. })));
}

#[test]
fn waiting_ends_in_time_and_a_stopped_child_can_be_killed() {
    let child = shell("kill -STOP $$; sleep 1000");
    assert_eq!(child.wait(Duration::from_millis(50)), None);
    assert_eq!(child.kill(), Exit::Signal(9));
}

#[test]
fn dropping_kills_the_whole_group() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let number = theirs.as_raw_fd();
    let child =
        spawn(command(&format!("sleep 1000 & echo $! >&{number}; wait")), vec![theirs.into()]).unwrap();
    let mut grandchild = String::new();
    BufReader::new(&ours).read_line(&mut grandchild).unwrap();
    let grandchild: u32 = grandchild.trim().parse().unwrap();
    assert!(lives(grandchild));
    let pid = child.pid();
    drop(child);
    assert!(!lives(pid));
    // Both held the other end: it ends with the last of them, in the middle of its exit.
    assert_eq!(ours.read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_the_child_leaves_in_its_group_goes_with_it() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = spawn(command("sleep 1000 & exit 0"), vec![theirs.into()]).unwrap();
    assert_eq!(child.wait(LONG), Some(Exit::Code(0)));
    assert_eq!(ours.read(&mut [0]).unwrap(), 0);
}

#[test]
fn only_the_listed_descriptors_are_inherited() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // One that a careless parent leaks to everybody, and one that is not listed.
    let leaked = std::fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let number = theirs.as_raw_fd();
    // The shell's own descriptor of the folder is in the list, but gone when it is looked at.
    let script = format!(
        "cd /proc/self/fd; seen=(); for fd in *; do test -e $fd && seen+=($fd); done; echo ${{seen[*]}} >&{number}"
    );
    let child = spawn(command(&script), vec![theirs.into()]).unwrap();
    child.wait(LONG).unwrap();
    let mut seen = String::new();
    ours.read_to_string(&mut seen).unwrap();
    let mut seen: Vec<i32> = seen.split_whitespace().map(|fd| fd.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, number]);
    drop(leaked);
}

#[test]
fn the_end_is_told_even_when_the_handle_is_dropped() {
    let (told, hear) = channel();
    let child = shell("sleep 1000");
    child.on_exit(move |exit| told.send(exit).unwrap()).unwrap();
    drop(child);
    assert_eq!(hear.recv_timeout(LONG), Ok(Exit::Signal(9)));
}

/// The signal of `PR_SET_PDEATHSIG` comes when the thread that forked dies.
#[test]
fn the_death_of_the_starting_thread_does_not_matter() {
    let child = thread::spawn(|| shell("sleep 1000")).join().unwrap();
    assert_eq!(child.wait(Duration::from_millis(100)), None);
}

#[test]
fn many_threads_may_start_children() {
    let starters: Vec<_> = (0..8).map(|code| thread::spawn(move || shell(&format!("exit {code}")))).collect();
    for (code, starter) in (0..).zip(starters) {
        assert_eq!(starter.join().unwrap().wait(LONG), Some(Exit::Code(code)));
    }
}
