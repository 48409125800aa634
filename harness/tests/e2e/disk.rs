//! A full disk.

use std::fs;
use std::path::Path;
use std::process::Command;

use imalab_check::outcome::Outcome;

use crate::lab::{Lab, files, initramfs, kernel};

/// Runs `"$@"` with a tiny disk at `$DIR`, in a mount namespace that ends with it; then lists what is on it.
const ON_TINY_DISK: &str = "mount -t tmpfs -o size=64k tiny \"$DIR\" || exit 3
\"$@\"; code=$?
find \"$DIR\" -type f > \"$LIST\"
exit $code";

/// Where no disk can be mounted: no file may become longer. Ignored, the signal gives way to the error.
const WITH_SHORT_FILES: &str = "trap '' XFSZ; ulimit -f 64
\"$@\"; code=$?
find \"$DIR\" -type f > \"$LIST\"
exit $code";

fn can_mount(at: &Path) -> bool {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "mount", "-t", "tmpfs", "tiny"]).arg(at);
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_is_told_and_no_file_is_half_written() {
    let lab = Lab::new();
    let (out, list) = (lab.path("out"), lab.path("list"));
    fs::create_dir(&out).unwrap();
    let mut command = lab.around(if can_mount(&out) {
        ["unshare", "--mount", "--map-root-user", "sh", "-c", ON_TINY_DISK, "sh"].to_vec()
    } else {
        ["sh", "-c", WITH_SHORT_FILES, "sh"].to_vec()
    });
    command.env("DIR", &out).env("LIST", &list);
    command.arg(env!("CARGO_BIN_EXE_imalab"));
    command.args(lab.test().arg("--out").arg(&out).args(["--accel", "tcg", "stage/once"]).get_args());
    let ended = lab.run(&mut command);
    ended.exits(96).says(&["2 passed", "evidence not stored: cannot write", out.to_str().unwrap()]);
    for result in lab.results().runs {
        assert_eq!(result.outcome, Outcome::Passed);
        assert!(result.not_stored.unwrap().contains("No space left"));
    }
    let left = fs::read_to_string(list).unwrap();
    assert!(left.lines().any(|file| file.ends_with("plan.json")), "the run got so far: {left}");
    assert!(!left.contains(".partial") && !left.contains("trace.jsonl"), "{left}");
    assert!(files(&out).iter().all(|file| !file.ends_with("trace.jsonl")));
}

#[test]
fn a_finding_is_not_lost_where_its_evidence_cannot_be_stored() {
    let lab = Lab::new();
    let folder = lab.path("mine");
    fs::create_dir_all(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/wrong.yaml"), crate::bundles::WRONG).unwrap();
    // Nothing can be made where a file stands, whoever calls.
    fs::write(lab.cache().join("bundles"), "").unwrap();
    let mut command = lab.with("test", &kernel(), &initramfs());
    command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json"));
    lab.run(&mut command).exits(100).says(&["FAILED", "EBUSY", "evidence not stored", "bundles", "1 failed"]);
    let result = lab.result();
    assert_eq!((result.outcome, result.bundle), (Outcome::Failed, None));
    assert!(result.not_stored.unwrap().contains("bundles"));
}
