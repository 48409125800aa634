//! The suite that every form is tried on.

use std::collections::BTreeMap;

use imalab::event::SuiteContext;
use imalab::report::json;
use imalab_check::outcome::{
    AcceleratorUsed, Boot, Check, CheckResult, Outcome, Reason, RunResult, SuiteResult, Verdict,
};
use imalab_language::finding::{
    ExactlyOnce, Extend, Fact, Finding, KernelDied, Kexec, Known, Part, Quote, Replay, Run, Skip, Step,
};
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
        boot: Some(Boot::Cold),
        cold_because: None,
        cross_checked: false,
        seed: 7,
        strategy: None,
        schedule_hash: None,
        repeat: 1,
        outcome,
        reason: None,
        checks: vec![replayed()],
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

fn replayed() -> CheckResult {
    let facts = vec![Fact::Banks { banks: vec!["sha1".to_owned(), "sha256".to_owned()] }];
    let compared = BTreeMap::from([("records".to_owned(), 213)]);
    CheckResult { facts, compared, ..CheckResult::new(Check::Replay, Verdict::Passed, Vec::new()) }
}

fn pcr_differs() -> Finding {
    let text = "5f0c".to_owned();
    Replay::PcrDiffers {
        step: Step::sample("step"),
        mark: 2,
        bank: "sha256".to_owned(),
        records: 17,
        extends: 18,
        expected_digest: text,
        found_digest: "9ab2".to_owned(),
        prefix: None,
    }
    .into()
}

fn record_lost() -> Finding {
    let extend = Extend { number: 18, ..Extend::sample("extend") };
    ExactlyOnce::RecordLost { extend, records: 1, after: None, before: None, totals: None }.into()
}

pub(crate) fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn failing(mut run: RunResult, reason: Reason) -> RunResult {
    run.reason = Some(reason);
    run.bundle = run.dir.clone();
    run.repro = run.dir.as_ref().map(|dir| format!("cargo xtask repro {}", dir.display()));
    run
}

fn swtpm_ended() -> Run {
    let (child, needed_by) = ("swtpm".to_owned(), Some("qemu".to_owned()));
    Run::ChildEnded { child, status: 1, needed_by, last_words: Vec::new() }
}

/// Every outcome, two kernels, parameters, a repeat, and a guest that does its best to be mistaken for us.
pub(crate) fn suite() -> SuiteResult {
    let lost = Reason {
        check: Some(Check::ExactlyOnce),
        also: vec![Check::Replay, Check::Quote],
        ..Reason::of(record_lost())
    };
    let mut lost = failing(run("trim/one", "7.3", Outcome::Failed), lost);
    lost.parameters = parameters(&[("banks", "sha1+sha256"), ("cpus", "2")]);
    lost.checks = vec![
        CheckResult { more: 3, ..CheckResult::new(Check::Replay, Verdict::Failed, vec![pcr_differs()]) },
        CheckResult::new(Check::ExactlyOnce, Verdict::Failed, vec![record_lost()]),
        CheckResult::new(Check::Quote, Verdict::CouldNotRun, vec![Quote::NotTaken { mark: 2 }.into()]),
        CheckResult {
            facts: vec![Fact::PoweredOff {}],
            ..CheckResult::new(Check::KernelHealth, Verdict::Passed, Vec::new())
        },
        CheckResult::new(Check::Kexec, Verdict::NotApplicable, vec![Kexec::NoKexecStep {}.into()]),
    ];
    lost.checks[0].compared.insert("records".to_owned(), 213);
    lost.checks[0].left_out.insert("records of other PCRs".to_owned(), 2);
    let mut again = run("trim/one", "7.3", Outcome::Passed);
    again.parameters = lost.parameters.clone();
    again.repeat = 2;

    let mut died = failing(
        run("stage/twice", "7.3", Outcome::KernelDied),
        Reason::of(KernelDied::Panic {
            line: "Kernel panic - not syncing: VFS: Unable to mount root fs".to_owned(),
            function: Some("mount_root".to_owned()),
            called_from: None,
            functions: vec!["mount_root".to_owned()],
        }),
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
        Reason::of(Run::NoProgress {
            deadline: "no event for 60 s, in step 4 `open w binary` of task reader".to_owned(),
            agent_error: None,
            idle: None,
            processors: None,
            waiters: Vec::new(),
        }),
    );
    stuck.interface = None;
    stuck.guest_ms = None;
    let mut infra =
        failing(run("access/writer-and-reader", "6.12", Outcome::Infra), Reason::of(swtpm_ended()));
    (infra.release, infra.interface, infra.accelerator, infra.boot_ms, infra.guest_ms) =
        (None, None, None, None, None);

    let mut known = run("found/trim-order", "7.3", Outcome::KnownDefect);
    let breaks = "records younger than the staged ones stay".to_owned();
    known.reason = Some(Reason::of(Known::DefectShown { breaks }));

    let mut cut = run("scale/many-rounds", "6.12", Outcome::Interrupted);
    cut.reason = Some(Reason::of(Run::Interrupted {}));
    (cut.guest_ms, cut.checks) = (None, Vec::new());
    let mut unkept = run("trim/whole", "6.12", Outcome::Passed);
    unkept.repeat = 2;
    unkept.not_stored =
        Some("cannot write /tmp/out/trim-whole/trace.jsonl: No space left on device".to_owned());

    let skip = |scenario: &str| {
        let mut skipped = run(scenario, "6.12", Outcome::Skipped);
        let (release, capabilities) = ("6.12.4".to_owned(), vec!["staging".to_owned()]);
        skipped.reason = Some(Reason::of(Skip::Lacks { release, capabilities }));
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
        not_begun: None,
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
        strategy: None,
        boot: Boot::Cold,
        boot_reason: "asked for".to_owned(),
        jobs: 2,
        seed: 7,
    }
}
