//! Old readers, while the keeper takes records out of the kernel: without the view, with it, and while its processes are killed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// What is read of FUSE is measured, but for the view: as `logkeeper policy` says.
const RULES: &str = "dont_measure fsmagic=0x65735546 fs_subtype=imalog\nmeasure func=FILE_CHECK mask=MAY_READ fsmagic=0x65735546\n";

pub(crate) fn story() -> Result<()> {
    let bare = fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("trial.rule=none"));
    guest::set_up(if bare { RULES.split_once('\n').map_or("", |(_, rest)| rest) } else { RULES })?;
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
    idle(&mut port)?;
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
            keeper.keep()?;
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

/// Nothing happens, but that everything is read again and again.
fn idle(port: &mut Port) -> Result<()> {
    let count = || fs::read_to_string(format!("{LISTS}/runtime_measurements_count"));
    // What a file is measured for the first time is a record of its own.
    let before = count()?;
    for _ in 0..5 {
        for name in names()? {
            fs::read(format!("{LISTS}/{name}"))?;
        }
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
