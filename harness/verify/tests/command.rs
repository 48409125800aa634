//! The verifier as a program by itself: what it prints where, and its exit codes.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use imalab_formats::ima::{Bank, Mix};
use imalab_verify::{GenerateLogArgs, generate};

fn run(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imalab-verify"));
    command.current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

fn code(folder: &Path, line: &str) -> (i32, String, String) {
    let output = run(folder, line);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn each_verdict_has_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let args = GenerateLogArgs {
        records: 20,
        seed: 7,
        mix: Mix::Common,
        out: path.join("list"),
        pcrs_dir: path.to_owned(),
        banks: vec![Bank::Sha256],
    };
    generate(&args).unwrap();
    let (holds, stdout, stderr) = code(path, "--log list --pcrs pcrs-sha256.txt");
    assert_eq!((holds, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("20"), "{stdout}");
    let (not_compared, ..) = code(path, "--log list");
    assert_eq!(not_compared, 4);
    fs::create_dir(path.join("other")).unwrap();
    generate(&GenerateLogArgs {
        seed: 8,
        out: path.join("other/list"),
        pcrs_dir: path.join("other"),
        ..args
    })
    .unwrap();
    let (differs, ..) = code(path, "--log list --pcrs other/pcrs-sha256.txt");
    assert_eq!(differs, 100);
    let (missing, stdout, stderr) = code(path, "--log no-such-list --pcrs pcrs-sha256.txt");
    assert_eq!((missing, stdout.as_str()), (2, ""));
    assert!(stderr.contains("cannot read no-such-list"), "{stderr}");
    let (usage, _, stderr) = code(path, "--no-such-flag");
    assert!(usage == 2 && stderr.contains("--no-such-flag"), "{usage} {stderr}");
    let (help, stdout, _) = code(path, "--help");
    assert!(help == 0 && stdout.contains("Exit codes: 0 holds"), "{stdout}");
}
