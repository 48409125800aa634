//! Keylime's own verifier as a judge of what a run leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use imalab_check::outcome::Outcome;

use crate::lab::{Lab, said};

fn python() -> PathBuf {
    let python = std::env::var_os("IMALAB_KEYLIME").unwrap_or_else(|| {
        panic!("IMALAB_KEYLIME is not set: run `cargo xtask check`, which installs Keylime and sets it")
    });
    python.into()
}

/// The value in a `pcrs-<bank>.txt`.
fn pcr(dir: &Path, bank: &str) -> String {
    let text = fs::read_to_string(dir.join(format!("pcrs-{bank}.txt"))).unwrap();
    let line = text.lines().find(|line| line.starts_with("PCR-10:")).unwrap();
    line.split_once(':').unwrap().1.split_whitespace().collect::<String>().to_ascii_lowercase()
}

/// Whether Keylime accepts the list; `first`: in two requests, the first of so many lines.
fn accepts(log: &Path, bank: &str, pcr: &str, first: Option<usize>) -> (bool, String) {
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/keylime_ima.py");
    let mut command = Command::new(python());
    command.arg(judge).arg(log).args([bank, pcr]).args(first.map(|lines| lines.to_string()));
    let output = command.output().unwrap();
    (output.status.success(), said(&output))
}

#[test]
fn keylime_accepts_a_run_that_passed_and_nothing_else() {
    let lab = Lab::new();
    let out = lab.path("out");
    lab.run(lab.test().arg("--out").arg(&out).arg("stage/twice")).exits(0);
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::Passed);
    let dir = result.dir.unwrap();
    let log = dir.join("log.txt");
    let text = fs::read_to_string(&log).unwrap();
    let lines = text.lines().count();
    for bank in ["sha1", "sha256"] {
        let value = pcr(&dir, bank);
        let (accepted, said) = accepts(&log, bank, &value, None);
        assert!(accepted, "{bank}: {said}");
        let (accepted, said) = accepts(&log, bank, &value, Some(lines / 2));
        assert!(accepted, "{bank}, in two requests: {said}");
    }

    // One record less, one twice, two in another order.
    let value = pcr(&dir, "sha256");
    let all: Vec<&str> = text.lines().collect();
    let less = [&all[..2], &all[3..]].concat();
    let twice = [&all[..3], &all[2..]].concat();
    let mut swapped = all.clone();
    swapped.swap(1, 2);
    for (name, wrong) in [("less", less), ("twice", twice), ("swapped", swapped)] {
        let path = lab.path(name);
        fs::write(&path, wrong.join("\n") + "\n").unwrap();
        let (accepted, said) = accepts(&path, "sha256", &value, None);
        assert!(!accepted && said.contains("does not match"), "{name}: {said}");
    }
}
