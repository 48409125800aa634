//! What is left when somebody kills a part of a build, or changes what is in the cache.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Child;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::lab::{Lab, mail, wait_at};

/// The processes that `parent` has started (proc(5), `/proc/PID/task/TID/children`).
fn children(parent: u32) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let lists = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    let numbers = lists.collect::<String>();
    numbers.split_whitespace().map(|number| Pid::from_raw(number.parse().unwrap())).collect()
}

/// Starts a build that waits at a gate. What comes back ends with the last process of the build.
fn at_the_gate(lab: &Lab, arguments: &[&str]) -> (Child, fs::File, std::io::PipeReader) {
    let gate = lab.gate();
    let (reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut command = lab.command(arguments);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(writer);
    let open = wait_at(&gate);
    fs::remove_file(&gate).unwrap();
    (child, open, reader)
}

fn shared(lab: &Lab) -> PathBuf {
    let mut folders = fs::read_dir(lab.cache("builds")).unwrap().flatten().map(|entry| entry.path());
    folders.find(|path| path.is_dir()).unwrap()
}

fn series(lab: &Lab) -> PathBuf {
    let path = lab.home("mine.patch");
    fs::write(&path, mail(1, "kernel/fork.c", "kernel", "mine")).unwrap();
    path
}

#[rstest]
#[case::outer(1)]
#[case::inner(2)]
fn a_killed_guard_takes_the_build_along(#[case] depth: usize) {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = series(&lab);
    let arguments = ["build", "--series", path.to_str().unwrap()];
    let (child, _open, mut reader) = at_the_gate(&lab, &arguments);
    let mut guard = child.id();
    for _ in 0..depth {
        let guards = children(guard);
        let [one] = guards.as_slice() else { panic!("{guards:?}") };
        guard = one.as_raw().cast_unsigned();
    }
    kill(Pid::from_raw(guard.cast_signed()), Signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    reader.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(output.status.code(), Some(96));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("make was killed"), "{stderr}");
    // Nobody knows what it was writing.
    assert!(!shared(&lab).join("whole").exists());
    assert!(lab.run(&arguments).status.success());
}

#[test]
fn a_front_door_and_a_guard_killed_at_once_leave_no_process() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let (mut child, _open, mut reader) = at_the_gate(&lab, &["path"]);
    let guards = children(child.id());
    // Neither can do anything for the other.
    let all = [guards[0], Pid::from_raw(child.id().cast_signed())];
    all.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());
    all.iter().for_each(|pid| kill(*pid, Signal::SIGKILL).unwrap());
    child.wait().unwrap();
    reader.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn make_ends_even_when_all_of_ours_are_killed_at_once() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let (mut child, open, mut reader) = at_the_gate(&lab, &["path"]);
    let mut ours = vec![Pid::from_raw(child.id().cast_signed())];
    for _ in 0..3 {
        ours.push(children(ours[ours.len() - 1].as_raw().cast_unsigned())[0]);
    }
    let make = ours.pop().unwrap();
    // None can do anything for another.
    ours.iter().for_each(|pid| kill(*pid, Signal::SIGSTOP).unwrap());
    ours.iter().for_each(|pid| kill(*pid, Signal::SIGKILL).unwrap());
    child.wait().unwrap();
    while fs::read_to_string(format!("/proc/{make}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
    drop(open);
    reader.read_to_end(&mut Vec::new()).unwrap();
    let unfinished = lab.cached();
    let [folder] = unfinished.as_slice() else { panic!("{unfinished:?}") };
    assert!(!lab.cache("kernels").join(folder).join("tree/arch/x86/boot/bzImage").exists());
}

#[test]
fn an_interrupted_build_keeps_the_shared_tree() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = series(&lab);
    let arguments = ["build", "--series", path.to_str().unwrap()];
    let (child, _open, mut reader) = at_the_gate(&lab, &arguments);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    reader.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(lab.cached(), Vec::<String>::new());
    // An object of the build that was interrupted is there for the next one.
    fs::write(shared(&lab).join("tree/object.o"), "object").unwrap();
    assert!(lab.run(&arguments).status.success());
    assert!(shared(&lab).join("tree/object.o").exists());
}

#[test]
fn objects_of_a_tree_whose_build_was_killed_are_not_trusted() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let tree = lab.tree();
    let arguments = ["build", "--tree", tree.to_str().unwrap()];
    assert!(lab.run(&arguments).status.success());
    let place = fs::read_dir(lab.cache("trees")).unwrap().flatten().map(|entry| entry.path());
    let objects = place.into_iter().find(|path| path.is_dir()).unwrap().join("objects");
    fs::write(objects.join("half.o"), "half").unwrap();
    let (mut child, _open, mut reader) = at_the_gate(&lab, &arguments);
    assert!(objects.join("half.o").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    reader.read_to_end(&mut Vec::new()).unwrap();
    let output = lab.run(&arguments);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("the last build of this tree was killed"));
    assert!(!objects.join("half.o").exists());
}

#[test]
fn a_damaged_record_of_what_was_patched_is_no_end() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let tree = lab.tree();
    for arguments in [["init", "--quiet"], ["add", "."]] {
        let git = std::process::Command::new("git").arg("-C").arg(&tree).args(arguments).status();
        assert!(git.unwrap().success());
    }
    let path = series(&lab);
    let (tree, path) = (tree.to_str().unwrap(), path.to_str().unwrap());
    for arguments in [&["build", "--series", path][..], &["build", "--tree", tree, "--series", path]] {
        assert!(lab.run(arguments).status.success());
        for room in ["builds", "trees"] {
            let Ok(entries) = fs::read_dir(lab.cache(room)) else { continue };
            for place in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
                fs::write(place.join("patched.json"), "{").unwrap();
            }
        }
        fs::write(path, mail(1, "kernel/fork.c", "kernel", "next")).unwrap();
        let output = lab.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[rstest]
#[case("bzImage", "other")]
#[case("bzImage", "")]
#[case("config", "CONFIG_IMA=n\n")]
#[case("System.map", "other")]
fn a_damaged_kernel_is_built_again(#[case] name: &str, #[case] content: &str) {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let first = lab.run(&["path"]);
    let image = String::from_utf8(first.stdout.clone()).unwrap();
    let file = Path::new(image.trim_end()).with_file_name(name);
    let sound = fs::read(&file).unwrap();
    fs::write(&file, content).unwrap();
    let second = lab.run(&["path"]);
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert!(stderr.contains("is not what was built"), "{stderr}");
    assert!(stderr.contains("building kernel tiny again"), "{stderr}");
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(fs::read(&file).unwrap(), sound);
    assert_eq!(lab.builds(), 2);
    assert!(lab.run(&["path"]).stderr.is_empty());
}

#[test]
fn a_damaged_source_is_not_unpacked() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let source = fs::read_dir(lab.cache("sources")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&source).unwrap();
    let at = bytes.windows(7).position(|bytes| bytes == b"kernel\n").unwrap();
    bytes[at] = b'K';
    fs::write(&source, bytes).unwrap();
    let output = lab.run(&["path"]);
    // The lab has no network from which it could come again.
    assert_eq!(output.status.code(), Some(96));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("is not what was fetched; fetching it again"), "{stderr}");
    assert_eq!(lab.builds(), 0);
}
