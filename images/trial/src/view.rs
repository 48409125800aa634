//! Old readers, while the keeper takes records out of the kernel: without the view, with it, and while its processes are killed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::KEEPER;
use crate::guest::{self, Files, Result, say};
use crate::old_reader::read_on;
use crate::port::Port;
use crate::program::{Program, as_nobody, errno};

const LISTS: &str = "/sys/kernel/security/integrity/ima";
const LIST: &str = "/sys/kernel/security/integrity/ima/binary_runtime_measurements";

/// What root reads is measured, as `ima_policy=tcb` does, but on tmpfs too, where the shards are here.
const MEASURES: &str = "\
dont_measure fsmagic=0x9fa0
dont_measure fsmagic=0x64626720
dont_measure fsmagic=0x1cd1
measure func=FILE_CHECK mask=MAY_READ uid=0
";

/// The rules that `logkeeper policy` prints, without that of the view if `bare`, and one that has all else measured.
fn rules(bare: bool) -> Result<String> {
    let output = Command::new(KEEPER).arg("policy").output()?;
    let uuid = guest::uuid_of("/var")?;
    let printed = String::from_utf8(output.stdout)?.replace("fsuuid=UUID", &format!("fsuuid={uuid}"));
    let rules =
        printed.lines().filter(|line| !(line.starts_with('#') || bare && line.contains("fs_subtype")));
    Ok(rules.map(|line| format!("{line}\n")).collect::<String>() + MEASURES)
}

pub(crate) fn story() -> Result<()> {
    let bare = fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("trial.rule=none"));
    guest::mount_all()?;
    guest::load_policy(&rules(bare)?)?;
    let mut port = Port::open()?;
    let mut files = Files::default();
    files.measure(20)?;
    let owners = owners()?;
    let mut keeper = Program::start("run")?;
    keeper.keep()?;
    files.measure(5)?;
    // Without a view an old reader sees what the keeper has left.
    port.send("trimmed", &fs::read(LIST)?)?;
    let view = Program::start("view")?;
    say(&format!("owners: {}", if self::owners()? == owners { "the same" } else { "others" }));
    rounds(&mut port, &mut files, &mut keeper, &view)?;
    for path in [LIST.to_owned(), format!("{LISTS}/runtime_measurements_count")] {
        say(&format!("nobody: {}", as_nobody(&path)?));
    }
    let written = File::options().write(true).open(LIST).err();
    say(&format!("writing: {}", written.map_or("let in".into(), |error| errno(&error))));
    clients(&mut port)?;
    locked()?;
    idle(&mut port, &mut keeper)?;
    killed(&mut port, &mut files, &mut keeper, view)?;
    say("done");
    Ok(())
}

/// Modes, owners and sizes of what is shown.
fn owners() -> Result<Vec<String>> {
    let mut owners = Vec::new();
    for entry in fs::read_dir(LISTS)? {
        let path = entry?.path();
        let about = fs::metadata(&path)?;
        let (mode, size) = (about.mode(), about.size());
        owners.push(format!("{} {mode:o} {}:{} {size}", path.display(), about.uid(), about.gid()));
    }
    owners.sort();
    Ok(owners)
}

/// Old readers read on, over so many rotations, and while those that answer for the view are killed.
fn rounds(port: &mut Port, files: &mut Files, keeper: &mut Program, view: &Program) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for name in
        ["binary_runtime_measurements", "ascii_runtime_measurements", "ascii_runtime_measurements_sha512"]
    {
        readers.push(read_on(Path::new(LISTS), name, &stop)?);
    }
    for round in 0..8 {
        files.measure(6)?;
        files.violate()?;
        if round == 2 {
            kill(view.child()?, Signal::SIGKILL)?;
        }
        if round == 5 {
            // It dies with a request that it has not answered.
            let worker = view.child()?;
            kill(worker, Signal::SIGSTOP)?;
            let reader = std::thread::spawn(|| fs::read(LIST).map(|list| list.len()));
            // Long enough to ask; it may have the lock, so nothing is kept meanwhile.
            keeper.looks()?;
            kill(worker, Signal::SIGKILL)?;
            let read = reader.join().map_err(|_| "a reader has panicked")?;
            say(&format!(
                "in flight: {}",
                read.map_or_else(|error| error.to_string(), |_| "answered".into())
            ));
            continue;
        }
        keeper.keep()?;
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        let read = reader.join().map_err(|_| "a reader has panicked")?;
        say(&format!("reader: {} again, {}", read.again, read.trouble.as_deref().unwrap_or("no trouble")));
        port.send(&format!("old/{}", read.name), &read.bytes)?;
    }
    Ok(())
}

fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(LISTS)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.contains("runtime_measurements") && !name.contains("staged") || name == "violations" {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Programs that know of the keeper read past the view.
fn clients(port: &mut Port) -> Result<()> {
    let status = Command::new(KEEPER).arg("verify").status()?;
    say(&format!("verify: {status}"));
    port.send("whole/cat", &Command::new(KEEPER).arg("cat").output()?.stdout)
}

/// A keeper that stands still in the middle of a step: what is known is read, and what is not is an error after a while.
fn locked() -> Result<()> {
    let known = fs::read(LIST)?.len();
    let lock = File::open("/var/lib/ima-log/lock")?;
    let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let mut list = File::open(LIST)?;
    let mut read = vec![0; known];
    list.read_exact(&mut read)?;
    let errors = [(); 2]
        .map(|()| list.read(&mut [0; 10]).map_or_else(|error| errno(&error), |count| count.to_string()));
    drop(lock);
    let after = list.read(&mut [0; 10]).map_or_else(|error| errno(&error), |count| count.to_string());
    say(&format!("locked: {}, {}, then {after}", errors[0], errors[1]));
    Ok(())
}

/// Nothing happens, but that the keeper looks now and then, and that everything is read again and again.
fn idle(port: &mut Port, keeper: &mut Program) -> Result<()> {
    let count = || fs::read_to_string(format!("{LISTS}/runtime_measurements_count"));
    // What a file is measured for the first time is a record of its own.
    let before = count()?;
    for _ in 0..5 {
        for name in names()? {
            fs::read(format!("{LISTS}/{name}"))?;
        }
        keeper.looks()?;
    }
    say(&format!("idle: {} then {}", before.trim(), count()?.trim()));
    for name in names()? {
        port.send(&format!("whole/{name}"), &fs::read(format!("{LISTS}/{name}"))?)?;
    }
    Ok(())
}

/// Whoever holds the view is killed, alone and together with whoever answers for it.
fn killed(port: &mut Port, files: &mut Files, keeper: &mut Program, mut view: Program) -> Result<()> {
    // The kernel has some that no shard has.
    files.measure(2)?;
    let mut open = File::open(LIST)?;
    let worker = view.child()?;
    view.signal(Signal::SIGKILL)?;
    view.end()?;
    // It is ours now, and ends when it has brought the kernel's files back.
    waitpid(worker, None)?;
    port.send("trimmed/holder-killed", &fs::read(LIST)?)?;
    let read = open.read(&mut [0; 10]).map_or_else(|error| errno(&error), |count| format!("{count} bytes"));
    say(&format!("open while killed: {read}"));
    let mut view = Program::start("view")?;
    files.measure(3)?;
    keeper.keep()?;
    port.send("whole/again", &fs::read(LIST)?)?;
    files.measure(2)?;
    both_killed(&mut view)?;
    let left = File::open(LIST).map_or_else(|error| errno(&error), |_| "opened".into());
    say(&format!("both killed: {left}"));
    let mut view = Program::start("view")?;
    port.send("whole/after-both", &fs::read(LIST)?)?;
    both_killed(&mut view)?;
    let status = Command::new(KEEPER).args(["view", "--unbind"]).status()?;
    say(&format!("unbind: {status}"));
    port.send("trimmed/unbound", &fs::read(LIST)?)?;
    let mut view = Program::start("view")?;
    port.send("whole/at-last", &fs::read(LIST)?)?;
    view.signal(Signal::SIGTERM)?;
    say(&format!("view: {}", view.end()?));
    port.send("trimmed/ended", &fs::read(LIST)?)?;
    // Whoever answers is killed as soon as there is somebody.
    let mut view = Program::start("view")?;
    let status = loop {
        if let Some(status) = view.ended()? {
            break status;
        }
        // There is none between two of them.
        let _ = view.child().map(|worker| kill(worker, Signal::SIGKILL));
        std::thread::yield_now();
    };
    say(&format!("killed again and again: {status}"));
    port.send("trimmed/given-up", &fs::read(LIST)?)?;
    keeper.signal(Signal::SIGTERM)?;
    say(&format!("keeper: {}", keeper.end()?));
    Ok(())
}

fn both_killed(view: &mut Program) -> Result<()> {
    let worker: Pid = view.child()?;
    kill(worker, Signal::SIGSTOP)?;
    view.signal(Signal::SIGKILL)?;
    view.end()?;
    kill(worker, Signal::SIGKILL)?;
    waitpid(worker, None)?;
    Ok(())
}
