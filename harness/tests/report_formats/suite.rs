//! The suite that every form is tried on.

use std::collections::BTreeMap;

use imalab::report::json;
use imalab::suite::SuiteContext;
use imalab_check::outcome::{AcceleratorUsed, CheckResult, Outcome, RunResult, SuiteResult, Verdict};
use imalab_language::lane::Lane;
use imalab_language::plan::Interface;

pub(crate) fn run(scenario: &str, kernel: &str, outcome: Outcome) -> RunResult {
    RunResult {
        scenario: scenario.to_owned(),
        parameters: BTreeMap::new(),
        kernel: kernel.to_owned(),
        release: Some(format!("{kernel}.4")),
        interface: Some(Interface::UPSTREAM),
        lane: Lane::Free,
        accelerator: Some(AcceleratorUsed {
            name: "tcg".to_owned(),
            reason: "/dev/kvm opened and never ran guest code within 2 s".to_owned(),
        }),
        seed: 7,
        repeat: 1,
        outcome,
        reason: String::new(),
        checks: vec![check("replay", Verdict::Passed, &["213 records replay to PCR 10 of sha1, sha256"])],
        latency: Vec::new(),
        place: 0,
        freed: Vec::new(),
        console_tail: Vec::new(),
        wall_ms: 3_204,
        boot_ms: Some(1_950),
        guest_ms: Some(640),
        dir: Some(format!("/tmp/out/{}", scenario.replace('/', "-")).into()),
        bundle: None,
        repro: None,
        not_stored: None,
    }
}

pub(crate) fn check(name: &str, verdict: Verdict, findings: &[&str]) -> CheckResult {
    CheckResult {
        check: name.to_owned(),
        verdict,
        findings: findings.iter().map(|finding| (*finding).to_owned()).collect(),
        compared: BTreeMap::new(),
        left_out: BTreeMap::new(),
    }
}

pub(crate) fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn failing(mut run: RunResult, reason: &str) -> RunResult {
    run.reason = reason.to_owned();
    run.bundle = run.dir.clone();
    run.repro = run.dir.as_ref().map(|dir| format!("cargo xtask repro {}", dir.display()));
    run
}

/// Every outcome, two kernels, parameters, a repeat, and a guest that does its best to be mistaken for us.
pub(crate) fn suite() -> SuiteResult {
    let mut lost = failing(run("trim/one", "7.3", Outcome::Failed), "1 record extended and in no list");
    lost.parameters = parameters(&[("banks", "sha1+sha256"), ("cpus", "2")]);
    lost.checks = vec![
        check(
            "replay",
            Verdict::Failed,
            &["sha256: replayed 5f0c…, PCR 10 is 9ab2…\nfirst difference at record 18"],
        ),
        check(
            "exactly-once",
            Verdict::Failed,
            &["extend 18 (sha1 77aa…): in no saved, staged or current list"],
        ),
        check("quote", Verdict::CouldNotRun, &["no attestation key: TPM_RC 0x922"]),
        check("kernel-health", Verdict::Passed, &["214 console lines, none denied"]),
        check("kexec", Verdict::NotApplicable, &["no kexec step"]),
    ];
    lost.checks[0].compared.insert("records".to_owned(), 213);
    lost.checks[0].left_out.insert("records of other PCRs".to_owned(), 2);
    let mut again = run("trim/one", "7.3", Outcome::Passed);
    again.parameters = lost.parameters.clone();
    again.repeat = 2;

    let mut died = failing(
        run("stage/twice", "7.3", Outcome::KernelDied),
        "Kernel panic - not syncing: VFS: Unable to mount root fs",
    );
    died.checks = Vec::new();
    died.console_tail = [
        "ok 1 everything",
        "KTAP version 1",
        "# Subtest: fake",
        "\u{1b}[2J\u{1b}[31m]]><b>&amp;\u{0}\u{7}",
        "reboot: System halted",
        "---[ end Kernel panic - not syncing: VFS: Unable to mount root fs ]---",
    ]
    .map(str::to_owned)
    .to_vec();

    let mut stuck = failing(
        run("access/writer-and-reader", "7.3", Outcome::Timeout),
        "no event for 60 s, in step 4 `open w binary` of task reader",
    );
    stuck.interface = None;
    stuck.guest_ms = None;
    let mut infra =
        failing(run("access/writer-and-reader", "6.12", Outcome::Infra), "swtpm exited with status 1");
    (infra.release, infra.interface, infra.accelerator, infra.boot_ms, infra.guest_ms) =
        (None, None, None, None, None);

    let mut known = run("found/trim-order", "7.3", Outcome::KnownDefect);
    known.reason = "records younger than the staged ones are gone, as described".to_owned();

    let mut cut = run("scale/many-rounds", "6.12", Outcome::Interrupted);
    cut.reason = "interrupted".to_owned();
    (cut.guest_ms, cut.checks) = (None, Vec::new());
    let mut unkept = run("trim/whole", "6.12", Outcome::Passed);
    unkept.repeat = 2;
    unkept.not_stored =
        Some("cannot write /tmp/out/trim-whole/trace.jsonl: No space left on device".to_owned());

    let skip = |scenario: &str| {
        let mut skipped = run(scenario, "6.12", Outcome::Skipped);
        skipped.reason = "needs staging; CONFIG_IMA_STAGING=y on Linux 7.2 or newer would meet it".to_owned();
        (skipped.wall_ms, skipped.boot_ms, skipped.guest_ms, skipped.dir) = (0, None, None, None);
        skipped.checks = Vec::new();
        skipped
    };
    SuiteResult {
        schema: json::SCHEMA,
        runs: vec![
            run("stage/once", "7.3", Outcome::Passed),
            died,
            lost,
            again,
            stuck,
            known,
            skip("stage/once"),
            skip("stage/twice"),
            infra,
            cut,
            unkept,
        ],
        wall_ms: 83_250,
        interrupted: false,
        shard: None,
    }
}

pub(crate) fn context() -> SuiteContext {
    SuiteContext {
        kernels: vec!["7.3 (7.3.4)".to_owned(), "6.12 (6.12.117)".to_owned()],
        accelerator: AcceleratorUsed {
            name: "tcg".to_owned(),
            reason: "/dev/kvm opened and never ran guest code within 2 s".to_owned(),
        },
        lane: Lane::Free,
        jobs: 2,
        seed: 7,
    }
}
