//! Folders and locks of a real file system, and the command that reads them.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use imalab_formats::ima::{Bank, ByteOrder, Generator, Mix, Record, write_record};
use imalab_logkeeper::{Config, Folder, Machine, MachineError, OpenError, SystemCalls, Untrusted};
use imalab_logview::{Header, Position, seal};
use nix::errno::Errno;
use tempfile::TempDir;

/// A machine without a TPM, whose kernel has these records and no way to give them away.
fn machine(records: &[Record]) -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let lists = folder.path().join("ima");
    fs::create_dir(&lists).unwrap();
    fs::write(lists.join("binary_runtime_measurements_sha1"), list(records)).unwrap();
    mode(&lists.join("binary_runtime_measurements_sha1"), 0o440);
    fs::write(lists.join("runtime_measurements_count"), format!("{}\n", records.len())).unwrap();
    let config = Config {
        shards: folder.path().join("shards"),
        lists,
        tpm: folder.path().join("no-tpm"),
        ..Config::default()
    };
    (folder, config)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn list(records: &[Record]) -> Vec<u8> {
    let mut list = Vec::new();
    for record in records {
        write_record(&mut list, record, ByteOrder::Little).unwrap();
    }
    list
}

fn records() -> Vec<Record> {
    Generator::new(1, Mix::Common).take(20).collect()
}

/// `logkeeper` with the configuration written to a file.
fn logkeeper(folder: &Path, config: &Config, arguments: &[&str]) -> Output {
    let path = folder.join("config.toml");
    let text = format!(
        "shards = {:?}\nlists = {:?}\ntpm = {:?}\n",
        config.shards.display().to_string(),
        config.lists.display().to_string(),
        config.tpm.display().to_string()
    );
    fs::write(&path, text).unwrap();
    mode(&path, 0o600);
    Command::new(env!("CARGO_BIN_EXE_logkeeper")).arg("--config").arg(path).args(arguments).output().unwrap()
}

#[test]
fn one_keeper_at_a_time() {
    let (_folder, config) = machine(&records());
    let first = Machine::keep(&config).unwrap();
    assert!(matches!(Machine::keep(&config), Err(MachineError::Another(_))));
    drop(first);
    Machine::keep(&config).unwrap();
    assert_eq!(fs::metadata(&config.shards).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn folders_that_others_can_write_to_are_refused() {
    let (folder, config) = machine(&records());
    fs::create_dir(&config.shards).unwrap();
    for bits in [0o770, 0o707] {
        mode(&config.shards, bits);
        let error = Machine::keep(&config).unwrap_err().to_string();
        assert!(error.ends_with("others than its owner may write to it"), "{error}");
    }
    let link = folder.path().join("link");
    mode(&config.shards, 0o700);
    symlink(&config.shards, &link).unwrap();
    let error = Machine::keep(&Config { shards: link, ..config }).unwrap_err();
    assert!(matches!(error, MachineError::Folder { .. }), "{error}");
}

#[test]
fn files_are_made_once_and_links_and_foreign_files_are_not_read() {
    let (_folder, config) = machine(&records());
    let mut machine = Machine::keep(&config).unwrap();
    let mut file = machine.create(Folder::Shards, "a").unwrap();
    assert_eq!(machine.write(&mut file, b"content").unwrap(), 7);
    machine.sync(&mut file).unwrap();
    assert_eq!(machine.create(Folder::Shards, "a").unwrap_err(), Errno::EEXIST);
    machine.rename((Folder::Shards, "a"), (Folder::Old, "b")).unwrap();
    machine.sync_names(Folder::Old).unwrap();
    assert_eq!(fs::read(config.shards.join("old/b")).unwrap(), b"content");
    symlink("old/b", config.shards.join("c")).unwrap();
    assert_eq!(machine.open(Folder::Shards, "c").unwrap_err(), OpenError::Errno(Errno::ELOOP));
    fs::write(config.shards.join("d"), "").unwrap();
    mode(&config.shards.join("d"), 0o666);
    assert_eq!(machine.open(Folder::Shards, "d").unwrap_err(), OpenError::Untrusted(Untrusted::Writable));
    nix::unistd::mkfifo(&config.shards.join("e"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(machine.open(Folder::Shards, "e").unwrap_err(), OpenError::Untrusted(Untrusted::NotAFile));
    machine.unlink(Folder::Old, "b").unwrap();
    assert!(!machine.names(Folder::Old).unwrap().contains(&"b".to_owned()));
}

#[test]
fn a_reader_keeps_the_keeper_waiting_and_a_keeper_the_reader() {
    let (_folder, config) = machine(&records());
    let mut keeper = Machine::keep(&config).unwrap();
    let reader = Machine::open(&config).unwrap();
    let lock = reader.share().unwrap();
    assert!(!keeper.lock().unwrap());
    drop(lock);
    assert!(keeper.lock().unwrap());
    keeper.unlock();
    drop(reader.share().unwrap());
}

#[test]
fn the_command_reads_shards_and_list_as_one_log() {
    let all = records();
    let (folder, config) = machine(&all[12..]);
    store(&config, &all[..12], 12);
    let shard = config.shards.join("00000000-000000000000.rec");
    let run = |arguments: &[&str]| logkeeper(folder.path(), &config, arguments);
    assert_eq!(run(&["cat"]).stdout, list(&all));
    assert_eq!(run(&["cat", "--from", "15"]).stdout, list(&all[15..]));
    let sha256: Vec<Record> = all.iter().map(|record| record.in_view(Bank::Sha256)).collect();
    assert_eq!(run(&["cat", "--bank", "sha256", "--from", "3"]).stdout, list(&sha256[3..]));
    assert_eq!(run(&["cat", "--ascii"]).stdout.split(|byte| *byte == b'\n').count(), 21);
    let status = String::from_utf8(run(&["status"]).stdout).unwrap();
    assert!(
        status.contains("generation=1\nshards=1\nrecords-in-shards=12\nrecords-in-kernel=8\n"),
        "{status}"
    );
    // A flipped bit is told, and nothing is written.
    let mut content = fs::read(&shard).unwrap();
    content[600] ^= 1;
    mode(&shard, 0o600);
    fs::write(&shard, content).unwrap();
    let output = run(&["verify"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("logkeeper: shard 00000000-000000000000.rec: ")
    );
}

/// Shards of so many records each, and the generation that counts them.
fn store(config: &Config, records: &[Record], each: usize) {
    drop(Machine::keep(config).unwrap());
    let (mut before, mut former, mut number) = (Position::start(), None, 0);
    for part in records.chunks(each) {
        let header = Header { number, tpm_resets: None, former, before };
        let name = format!("{number:08}-{:012}.rec", header.before.place.records);
        let sealed = seal(&header, &list(part)).unwrap();
        fs::write(config.shards.join(&name), &sealed.bytes).unwrap();
        mode(&config.shards.join(&name), 0o400);
        (before, former, number) = (sealed.after, Some(sealed.sha256), number + 1);
    }
    fs::write(config.shards.join("generation"), format!("{number}\n")).unwrap();
}

#[test]
fn there_may_be_more_shards_than_a_process_may_have_files_open() {
    let all: Vec<Record> = Generator::new(1, Mix::Common).take(60).collect();
    let (folder, config) = machine(&all[50..]);
    store(&config, &all[..50], 1);
    // Writes the configuration.
    assert!(logkeeper(folder.path(), &config, &["--check"]).status.success());
    let few = |command: &str| {
        let program = env!("CARGO_BIN_EXE_logkeeper");
        let line = format!("ulimit -n 20; exec {program} --config config.toml {command}");
        Command::new("sh").current_dir(folder.path()).args(["-c", &line]).output().unwrap()
    };
    let output = few("cat");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, list(&all));
    assert!(few("status").status.success());
}

#[test]
fn without_a_tpm_nothing_is_verified() {
    let all = records();
    let (folder, config) = machine(&all[12..]);
    store(&config, &all[..12], 12);
    let output = logkeeper(folder.path(), &config, &["verify"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("logkeeper: cannot hold the log against PCR 10: "), "{said}");
    let status = logkeeper(folder.path(), &config, &["status"]).stdout;
    assert!(String::from_utf8(status).unwrap().ends_with("tpm=none\n"));
}

#[test]
fn locks_are_never_open_for_writing() {
    let (_folder, config) = machine(&records());
    let mut keeper = Machine::keep(&config).unwrap();
    assert!(keeper.lock().unwrap());
    let reader = Machine::open(&config).unwrap();
    let locks = ["lock", "keeper.lock"].map(|name| config.shards.join(name));
    let mut seen = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        if !fs::read_link(&path).is_ok_and(|to| locks.contains(&to)) {
            continue;
        }
        let info =
            fs::read_to_string(Path::new("/proc/self/fdinfo").join(path.file_name().unwrap())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        assert_eq!(u32::from_str_radix(flags, 8).unwrap() & 0o3, 0, "{info}");
        seen += 1;
    }
    assert_eq!(seen, 2);
    drop(reader);
}

#[test]
fn a_shard_that_others_could_have_changed_is_named() {
    let all = records();
    let (folder, config) = machine(&all[12..]);
    store(&config, &all[..12], 12);
    mode(&config.shards.join("00000000-000000000000.rec"), 0o622);
    let output = logkeeper(folder.path(), &config, &["status"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.ends_with("`00000000-000000000000.rec`: others than its owner may write to it\n"), "{said}");
}

#[test]
fn what_cannot_be_used_is_exit_code_2() {
    let (folder, config) = machine(&records());
    let output = logkeeper(folder.path(), &config, &["--check"]);
    assert!(output.status.success() && output.stdout.ends_with(b"config.toml: ok\n"));
    // There has never been a keeper.
    assert_eq!(logkeeper(folder.path(), &config, &["status"]).status.code(), Some(2));
    let path = folder.path().join("other.toml");
    fs::write(&path, "every-record = 1\n").unwrap();
    mode(&path, 0o600);
    let other = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_logkeeper"))
            .arg("--config")
            .arg(&path)
            .args(arguments)
            .output()
            .unwrap()
    };
    assert_eq!(other(&["run"]).status.code(), Some(2));
    assert!(other(&["policy"]).stdout.starts_with(b"# Rules"), "needs no configuration");
}
