//! `imalab verify` on inputs as users of measurement lists have reported them, and on those of somebody who means ill.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// `imalab verify` with this line, in the folder of the cases.
fn command(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imalab"));
    command.arg("verify").args(line.split(' ').filter(|word| !word.is_empty()));
    command.current_dir(fixtures().join("cases")).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8([&*output.stdout, &*output.stderr].concat()).unwrap();
    assert!(
        text.chars().all(|c| c == '\n' || !c.is_control() && !"\u{200f}\u{202e}\u{2066}".contains(c)),
        "raw characters: {text:?}"
    );
    (output.status.code().unwrap(), text)
}

fn verify(line: &str) -> (i32, String) {
    said(&command(line).output().unwrap())
}

const QUOTE_RSA: &str = "--log 03-quote-keys/list.bin --quote-message 03-quote-keys/rsa/q.msg --quote-signature \
                         03-quote-keys/rsa/q.sig --quote-key 03-quote-keys/rsa/pub.pem --nonce 00112233445566778899aabb";

#[rstest]
#[case::plain("--log plain/list.bin --pcrs sha256,plain/pcrs", 0, &["matches after all 2 records\n", "the list holds\n"])]
#[case::bank_from_the_digest("--log plain/list.bin --pcrs plain/pcrs", 0, &["sha256  matches after all 2 records\n"])]
#[case::nothing_to_compare("--log plain/list.bin", 4, &["nothing was compared: whether the list holds is not known"])]
#[case::pcr_that_others_extend(
    "--log 02-pcr-that-others-extend/list.bin --pcrs sha256,02-pcr-that-others-extend/pcrs",
    4,
    &["matches after all 3 records in PCR 10\n", "PCR 11 was not compared", "compared with nothing: 1 record of PCR 11, nothing is said of them (--uncovered-pcr 11 allows it)"]
)]
#[case::pcr_that_others_extend_allowed(
    "--log 02-pcr-that-others-extend/list.bin --pcrs sha256,02-pcr-that-others-extend/pcrs --uncovered-pcr 11",
    0,
    &["the list holds"]
)]
#[case::rsa(QUOTE_RSA, 0, &["quote   matches after all 2 records over sha256:10", "bare public key"])]
#[case::ecc384(
    "--log 03-quote-keys/list.bin --quote-message 03-quote-keys/ecc384/q.msg --quote-signature \
     03-quote-keys/ecc384/q.sig --quote-key 03-quote-keys/ecc384/pub.pem --nonce 00112233445566778899aabb",
    0,
    &["quote   matches after all 2 records over sha256:10"]
)]
#[case::key_not_supported(
    "--log plain/list.bin --quote-message ../quotes/p521-sha512/message --quote-signature \
     ../quotes/p521-sha512/signature --quote-key ../quotes/p521-sha512/key.pem --nonce 00112233445566778899aabb",
    2,
    &["the quote was not checked", "not supported", "1.3.132.0.35"]
)]
#[case::hash_not_supported(
    "--log plain/list.bin --quote-message ../quotes/rsassa-sha1/message --quote-signature \
     ../quotes/rsassa-sha1/signature --quote-key ../quotes/rsassa-sha1/key.pem --nonce 00112233445566778899aabb",
    2,
    &["the quote was not checked", "not supported", "TPM_ALG_SHA1"]
)]
#[case::padded_sha256(
    "--log 06-padded-sha1/list.bin --pcrs sha256,06-padded-sha1/pcrs-sha256",
    0,
    &["sha256  matches after all 2 records with SHA-1 digests, padded with zeros (SHA-1 padded)\n"]
)]
#[case::padded_sha1("--log 06-padded-sha1/list.bin --pcrs sha1,06-padded-sha1/pcrs-sha1", 0, &["sha1    matches after all 2 records\n"])]
#[case::sysfs("--log plain/list.bin --pcrs 07-sysfs-pcr/10", 0, &["sha256  matches after all 2 records\n"])]
#[case::sysfs_folder("--log plain/list.bin --pcrs 07-sysfs-pcr", 0, &["sha256  matches after all 2 records\n"])]
#[case::pcrread_all("--log plain/list.bin --pcrs ../pcrs/pcrread-all.bin", 0, &["sha512  matches after all 2 records\n"])]
#[case::pcrread_text("--log plain/list.bin --pcrs ../pcrs/pcrread.txt", 0, &["sha384  matches after all 2 records\n"])]
#[case::pcrread_o("--log plain/list.bin --pcrs sha256:10,../pcrs/pcrread-sha256-10.bin", 0, &["sha256  matches after all"])]
#[case::pcrread_o_of_none("--log plain/list.bin --pcrs ../pcrs/pcrread-sha256-10.bin", 2, &["need a selection", "sha256:10,FILE"])]
#[case::quoted_values("--log plain/list.bin --pcrs ../quotes/p256-sha256/pcrs", 0, &["sha256  matches after all 2 records\n"])]
#[case::only_new_records(
    "--log 09-only-new-records/new.bin --pcrs 09-only-new-records/pcrs --start 09-only-new-records/pcr-before",
    0,
    &["matches after the only record\n", "the list holds\n"]
)]
#[case::only_new_records_from_nowhere(
    "--log 09-only-new-records/new.bin --pcrs 09-only-new-records/pcrs",
    4,
    &["the list does not begin with boot_aggregate (see --start)", "nothing was compared"]
)]
#[case::reset_within(
    "--log 10-tpm-reset-within-the-list/list.bin --pcrs 10-tpm-reset-within-the-list/pcrs",
    100,
    &["the value is that of records 2 on, to 3, from the value after a reset", "the list does not hold"]
)]
#[case::big_endian("--log 11-big-endian/list.bin", 2, &["(with `--big-endian` it is one)"])]
#[case::big_endian_told("--log 11-big-endian/list.bin --big-endian", 4, &["1 record of the sha1 view"])]
#[case::little_endian("--log plain/list.bin --big-endian", 2, &["(without `--big-endian` it is one)"])]
#[case::read_too_early(
    "--log 12-list-read-too-early/list.bin --pcrs 12-list-read-too-early/pcrs",
    100,
    &["likeliest first:\n  - the PCRs were read after the list was read, and a record came in between"]
)]
fn cases(#[case] line: &str, #[case] exit: i32, #[case] parts: &[&str]) {
    let (code, text) = verify(line);
    // What is not compared, or reset, is never told as lost.
    if exit != 100 || text.contains("from the value after a reset") {
        assert!(!text.contains("lost"), "{text}");
    }
    assert_eq!(code, exit, "{text}");
    for part in parts {
        // Errors are wrapped.
        let flat =
            |text: &str| text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(flat(&text).contains(&flat(part)), "{part}\n{text}");
    }
}

#[rstest]
#[case::signature("--nonce 00112233445566778899aabc", "nonce")]
#[case::key(
    "--quote-key ../quotes/rsassa-sha256/key.pem",
    "the signature is not that of the attestation key"
)]
fn a_quote_that_does_not_verify_is_a_finding(#[case] instead: &str, #[case] part: &str) {
    let (option, value) = instead.split_once(' ').unwrap();
    let mut words: Vec<&str> = QUOTE_RSA.split(' ').filter(|word| !word.is_empty()).collect();
    let place = words.iter().position(|word| *word == option).unwrap();
    words[place + 1] = value;
    let (code, text) = verify(&words.join(" "));
    assert_eq!(code, 100, "{text}");
    assert!(text.contains("the quote does not verify") && text.contains(part), "{text}");
}

/// Runs with a list, longer than a reader's buffer, that comes through a pipe.
fn piped(line: &str, list: &[u8]) -> (i32, String) {
    let mut child = command(line);
    let mut child =
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A reader that has seen enough closes the pipe.
        scope.spawn(move || drop(pipe.write_all(list)));
        said(&child.wait_with_output().unwrap())
    })
}

#[test]
fn a_list_through_a_pipe_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut generate = Command::new(env!("CARGO_BIN_EXE_imalab"));
    generate.args(["generate-log", "--records", "20000", "--out", &path("log"), "--pcrs-dir", &path("")]);
    assert!(generate.status().unwrap().success());
    let list = fs::read(path("log")).unwrap();
    assert!(list.len() > 1 << 20);
    let pcrs = path("pcrs-sha256.txt");
    for log in ["-", "/dev/stdin", "/proc/self/fd/0"] {
        let (code, text) = piped(&format!("--log {log} --pcrs {pcrs}"), &list);
        assert_eq!((code, text.contains("matches after all 20000 records")), (0, true), "{log}: {text}");
    }
    // Looking twice for what explains a mismatch, and at two chunks.
    let (code, text) =
        piped(&format!("--log - --pcrs {}", fixtures().join("cases/plain/pcrs").display()), &list);
    assert_eq!((code, text.contains("likeliest first")), (100, true), "{text}");
    let (rest, plain) = (fixtures().join("cases/09-only-new-records/new.bin"), path("log"));
    let line = format!("--log - {} --pcrs {pcrs}", rest.display());
    for (option, exit) in [("", 4), (" --uncovered-tail", 0), (" --whole", 100)] {
        let (code, text) = piped(&format!("{line}{option}"), &fs::read(&plain).unwrap());
        assert_eq!((code, text.contains("matches after 20000 of 20001")), (exit, true), "{text}");
    }
    let (code, text) = piped(&format!("--log - --pcrs {pcrs} --pcrs -"), &list);
    assert_eq!((code, text.contains("which can be read once")), (2, true), "{text}");
    // A process substitution of the shell.
    let line = format!("{} verify --log <(cat {}) --pcrs {pcrs}", env!("CARGO_BIN_EXE_imalab"), path("log"));
    let (code, text) = said(&Command::new("bash").args(["-c", &line]).output().unwrap());
    assert_eq!((code, text.contains("the list holds")), (0, true), "{text}");
}

#[rstest]
#[case::compressed(b"\x1f\x8b\x08\0\0\0\0\0", "zcat")]
#[case::ascii(b"10 0adefe762c149c7cec19da62f0da1297fcfbffff ima-ng sha256:00 boot_aggregate\n", "ASCII form")]
#[case::text(b"hello \x1b[31m\xe2\x80\xae\n", "malformed measurement list")]
#[case::zeros(&[0; 4096], "malformed measurement list")]
#[case::name(b"\x0a\0\0\0aaaaaaaaaaaaaaaaaaaa\x06\0\0\0\x1b[31m\n\x20\0\0\0", "malformed measurement list")]
#[case::claims_much(
    b"\x0a\0\0\0aaaaaaaaaaaaaaaaaaaa\x06\0\0\0ima-ng\xff\xff\xff\xff",
    "malformed measurement list"
)]
fn what_is_no_list_is_told_so(#[case] content: &[u8], #[case] part: &str) {
    let (code, text) = piped("--log -", content);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains(part), "{text}");
}

#[test]
fn names_cannot_act_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("\u{1b}[31m\u{202e}evil");
    let run = |arguments: &[&str]| {
        let mut command = command("");
        said(&command.args(arguments).arg(&path).output().unwrap()).0
    };
    assert_eq!(run(&["--log"]), 2);
    File::create(&path).unwrap().write_all(b"\x1b[2J\xe2\x80\xae: x\n").unwrap();
    assert_eq!(run(&["--log"]), 2);
    assert_eq!(run(&["--log", "plain/list.bin", "--pcrs"]), 2);
    assert_eq!(run(&["--log", "plain/list.bin", "--start"]), 2);
}

#[rstest]
#[case::endless("--log /dev/zero")]
#[case::random("--log /dev/urandom")]
#[case::folder("--log .")]
#[case::unreadable("--log /proc/self/mem")]
#[case::endless_values("--log plain/list.bin --pcrs /dev/zero")]
#[case::folder_of_values("--log plain/list.bin --pcrs plain")]
#[case::endless_quote(
    "--log plain/list.bin --quote-message /dev/zero --quote-signature plain/pcrs --quote-key plain/pcrs --nonce 00"
)]
fn devices_and_folders_are_refused_at_once(#[case] line: &str) {
    let start = Instant::now();
    let (code, text) = verify(line);
    assert_eq!(code, 2, "{text}");
    // What cannot be read is not called malformed.
    assert!(!line.contains("self/mem") || text.contains("cannot read"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_verdict_that_cannot_be_written_is_no_pass() {
    let run = |line: &str| {
        command(line).stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap()
    };
    let output = run("--log plain/list.bin --pcrs plain/pcrs");
    assert_eq!(output.status.code(), Some(96));
    // A finding is not lost by it.
    let output = run("--log 12-list-read-too-early/list.bin --pcrs 12-list-read-too-early/pcrs --json");
    assert_eq!(output.status.code(), Some(100));
}
