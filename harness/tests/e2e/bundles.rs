//! A scenario that fails, and the bundle that shows it again.

use std::fs;
use std::process::Stdio;

use imalab::report::words;
use imalab_check::outcome::Outcome;
use imalab_language::finding::Pattern;
use nix::sys::signal::Signal;

use crate::lab::{Lab, initramfs, kernel};
use crate::machinery::{BOOTING, TellingSwtpm, send};

pub(crate) const WRONG: &str = "summary: Expects what does not happen.
promise: none, it is wrong
steps:
  - measure: 1
  - stage: {expect: EBUSY}
  - save: {expect: any}
  - delete: {expect: any}
";

#[test]
fn a_failure_is_shown_again_by_its_bundle() {
    let lab = Lab::new();
    let folder = lab.path("mine");
    fs::create_dir_all(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/wrong.yaml"), WRONG).unwrap();
    let image = lab.path("bzImage");
    fs::copy(kernel(), &image).unwrap();
    let mut command = lab.with("test", &image, &initramfs());
    command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json"));
    lab.run(&mut command).exits(100).says(&["FAILED", "mine/wrong", "EBUSY", "repro"]);
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::Failed);
    let reason = result.reason.unwrap();
    let expected = Pattern { code: Some("steps/unexpected-success".to_owned()), ..Pattern::default() };
    assert!(expected.matches(&reason.finding), "{reason:?}");
    let told = words::finding(&reason.finding);
    let bundle = result.bundle.unwrap();
    assert!(bundle.starts_with(lab.cache().canonicalize().unwrap()), "{}", bundle.display());
    assert!(result.repro.unwrap().contains(bundle.to_str().unwrap()));

    // Without a machine, and with one.
    lab.run(lab.bare(["recheck"]).arg(&bundle)).exits(100).says(&["FAILED", &told]);
    let repro = || {
        let mut command = lab.bare(["repro"]);
        command.arg(&bundle).arg("--cache").arg(lab.cache());
        command
    };
    // The scenario may be gone or another one by now: the bundle has its own.
    fs::remove_dir_all(&folder).unwrap();
    lab.run(&mut repro()).exits(100).says(&["FAILED", &told]);

    // A signal is a signal, not a failure of the surroundings.
    let told = TellingSwtpm::new(&lab);
    let mut command = repro();
    command.args(["--accel", "tcg", "--swtpm"]).arg(&told.program);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    told.wait_for_commands(BOOTING);
    send(child.id(), Signal::SIGINT);
    lab.ended(child).exits(130);

    // Another kernel under the same path is not taken for the one that failed.
    let mut bytes = fs::read(&image).unwrap();
    bytes.push(0);
    fs::write(&image, bytes).unwrap();
    lab.run(&mut repro()).exits(2).says(&["bzImage has changed", "sha256", "--image"]);
    fs::remove_file(&image).unwrap();
    lab.run(&mut repro()).exits(2).says(&["bzImage", "--image"]);

    // A bundle that was cut short, or whose evidence is another, is an error that says where.
    let trace = bundle.join("trace.jsonl");
    let text = fs::read(&trace).unwrap();
    fs::write(&trace, &text[..text.len() / 2]).unwrap();
    lab.run(lab.bare(["recheck"]).arg(&bundle)).exits(2).says(&["is not what its run left", "trace.jsonl"]);
    fs::write(bundle.join("bundle.json"), "{").unwrap();
    lab.run(&mut repro()).exits(2).says(&["bundle.json"]);
}
