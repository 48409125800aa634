//! The evidence of a run that passed, and judges of it that are not ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imalab_check::outcome::{Check, Outcome};

use crate::lab::{Lab, said};

/// Whether evmctl accepts the list in `dir`, and what it says.
fn evmctl(dir: &Path) -> (bool, String) {
    let pcrs = |bank: &str| format!("{bank},{}", dir.join(format!("pcrs-{bank}.txt")).display());
    let output = Command::new("evmctl")
        .args(["ima_measurement", "--pcrs", &pcrs("sha1"), "--pcrs", &pcrs("sha256")])
        .arg(dir.join("log.bin"))
        .output()
        .unwrap_or_else(|error| {
            panic!("evmctl: {error}; it has to be there for this check (Debian: ima-evm-utils)")
        });
    (output.status.success(), said(&output))
}

fn verify(lab: &Lab, dir: &Path) -> Command {
    let mut command = lab.bare(["verify", "--log"]);
    command.arg(dir.join("log.bin"));
    for bank in ["sha1", "sha256"] {
        command.arg("--pcrs").arg(format!("{bank},{}", dir.join(format!("pcrs-{bank}.txt")).display()));
    }
    command
}

fn verify_quote(lab: &Lab, dir: &Path, quote: &Path, nonce: &str) -> Command {
    let mut command = lab.bare(["verify", "--log"]);
    command.arg(dir.join("log.bin")).arg("--quote-message").arg(quote.join("quote.msg"));
    command.arg("--quote-signature").arg(quote.join("quote.sig"));
    command.arg("--quote-key").arg(quote.join("key.pub")).args(["--nonce", nonce]);
    command
}

/// The folder of the last quote of a run.
fn last_quote(dir: &Path) -> PathBuf {
    let number = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.strip_prefix("mark-").unwrap().parse::<u64>().unwrap()
    };
    let quotes = fs::read_dir(dir.join("quote")).unwrap().map(|entry| entry.unwrap().path());
    quotes.max_by_key(number).unwrap()
}

#[test]
fn a_run_that_passed_convinces_others() {
    let lab = Lab::new();
    let out = lab.path("out");
    let mut command = lab.test();
    command.arg("--out").arg(&out).args(["--junit", "results.xml", "--ktap", "results.ktap"]);
    lab.run(command.arg("stage/twice")).exits(0).says(&["1 passed", "stage/twice"]);
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::Passed);
    assert!(result.checks.iter().all(|check| !check.verdict.is_bad()), "{result:#?}");
    for check in Check::INVARIANTS {
        assert!(result.checks.iter().any(|found| found.check == check), "{check}: {result:#?}");
    }
    assert!(
        fs::read_to_string(lab.path("results.xml")).unwrap().contains(r#"name="twice" classname="stage""#)
    );
    assert!(fs::read_to_string(lab.path("results.ktap")).unwrap().starts_with("KTAP version 1\n"));
    let dir = result.dir.unwrap();
    assert_eq!(dir.parent().unwrap(), out.canonicalize().unwrap());

    // evmctl, tpm2-tools and `verify` accept it.
    let (accepted, text) = evmctl(&dir);
    assert!(accepted, "{text}");
    lab.run(&mut verify(&lab, &dir)).exits(0);
    let quote = last_quote(&dir);
    let nonce = fs::read_to_string(quote.join("nonce.hex")).unwrap().trim().to_owned();
    lab.run(&mut verify_quote(&lab, &dir, &quote, &nonce)).exits(0);
    assert!(tpm2_checkquote(&quote, &nonce));
    // Judging the stored trace again gives the same.
    lab.run(lab.bare(["recheck"]).arg(&dir)).exits(0).says(&["1 passed"]);

    // Nobody accepts another nonce.
    let other =
        if nonce.starts_with('0') { nonce.replacen('0', "1", 1) } else { format!("0{}", &nonce[1..]) };
    lab.run(&mut verify_quote(&lab, &dir, &quote, &other)).exits(100).says(&["nonce"]);
    assert!(!tpm2_checkquote(&quote, &other));

    // Nobody accepts another list.
    let log = dir.join("log.bin");
    let mut bytes = fs::read(&log).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 0x01;
    fs::write(&log, bytes).unwrap();
    let (accepted, text) = evmctl(&dir);
    assert!(!accepted, "{text}");
    lab.run(&mut verify(&lab, &dir)).exits(100);
    lab.run(&mut verify_quote(&lab, &dir, &quote, &nonce)).exits(100);
}

fn tpm2_checkquote(quote: &Path, nonce: &str) -> bool {
    let output = Command::new("tpm2_checkquote")
        .arg("-u")
        .arg(quote.join("key.pub"))
        .arg("-m")
        .arg(quote.join("quote.msg"))
        .arg("-s")
        .arg(quote.join("quote.sig"))
        .args(["-g", "sha256", "-q", nonce])
        .output()
        .unwrap_or_else(|error| {
            panic!("tpm2_checkquote: {error}; it has to be there for this check (Debian: tpm2-tools)")
        });
    output.status.success()
}

#[test]
fn two_calls_at_once_do_not_meet() {
    let lab = Lab::new();
    let call = |name: &str| {
        let mut command = lab.with("test", &crate::lab::kernel(), &crate::lab::initramfs());
        command.arg("--scenarios").arg(crate::lab::scenarios()).arg("--out").arg(lab.path("out"));
        command.arg("--json").arg(lab.path(name)).arg(crate::lab::SHORT);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let (one, two) = (call("one.json"), call("two.json"));
    let (one, two) = (lab.output(one), lab.output(two));
    one.exits(0);
    two.exits(0);
    lab.is_clean();
    let dir =
        |name: &str| imalab::report::json::read(&lab.path(name)).unwrap().runs.pop().unwrap().dir.unwrap();
    let (one, two) = (dir("one.json"), dir("two.json"));
    assert_ne!(one, two);
    for dir in [one, two] {
        let (accepted, text) = evmctl(&dir);
        assert!(accepted, "{text}");
    }
}
