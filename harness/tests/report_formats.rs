//! One suite with every outcome, in every form that it is reported in.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};

use imalab::outcome::{AcceleratorUsed, CheckResult, Outcome, RunResult, SuiteResult, Verdict};
use imalab::plan::Interface;
use imalab::report::terminal::Look;
use imalab::report::{Context, Exit, Reporter, RunId, exit_code, html, json, junit, ktap};
use indicatif::{InMemoryTerm, ProgressDrawTarget, TermLike};
use rstest::rstest;

fn run(scenario: &str, kernel: &str, outcome: Outcome) -> RunResult {
    RunResult {
        scenario: scenario.to_owned(),
        parameters: BTreeMap::new(),
        kernel: kernel.to_owned(),
        release: Some(format!("{kernel}.4")),
        interface: Some(Interface::Upstream),
        lane: "free".to_owned(),
        accelerator: Some(AcceleratorUsed {
            name: "tcg".to_owned(),
            reason: "/dev/kvm opened and never ran guest code within 2 s".to_owned(),
        }),
        seed: 7,
        repeat: 1,
        outcome,
        reason: String::new(),
        checks: vec![check("replay", Verdict::Passed, &["213 records replay to PCR 10 of sha1, sha256"])],
        console_tail: Vec::new(),
        wall_ms: 3_204,
        boot_ms: Some(1_950),
        guest_ms: Some(640),
        dir: Some(format!("/tmp/out/{}", scenario.replace('/', "-")).into()),
        bundle: None,
        repro: None,
    }
}

fn check(name: &str, verdict: Verdict, findings: &[&str]) -> CheckResult {
    CheckResult {
        check: name.to_owned(),
        verdict,
        findings: findings.iter().map(|finding| (*finding).to_owned()).collect(),
    }
}

fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn failing(mut run: RunResult, reason: &str) -> RunResult {
    run.reason = reason.to_owned();
    run.bundle = run.dir.clone();
    run.repro = run.dir.as_ref().map(|dir| format!("cargo xtask repro {}", dir.display()));
    run
}

/// Every outcome, two kernels, parameters, a repeat, and a guest that does its best to be mistaken for us.
fn suite() -> SuiteResult {
    let mut lost = failing(run("trim/one", "7.3", Outcome::Failed), "1 record extended and in no list");
    lost.parameters = parameters(&[("banks", "sha1+sha256"), ("cpus", "2")]);
    lost.checks = vec![
        check("replay", Verdict::Failed, &["sha256: replayed 5f0c…, PCR 10 is 9ab2…\nfirst difference at record 18"]),
        check("exactly-once", Verdict::Failed, &["extend 18 (sha1 77aa…): in no saved, staged or current list"]),
        check("quote", Verdict::CouldNotRun, &["no attestation key: TPM_RC 0x922"]),
        check("kernel-health", Verdict::Passed, &["214 console lines, none denied"]),
    ];
    let mut again = run("trim/one", "7.3", Outcome::Passed);
    again.parameters = lost.parameters.clone();
    again.repeat = 2;

    let mut died = failing(run("stage/twice", "7.3", Outcome::KernelDied), "Kernel panic - not syncing: VFS: Unable to mount root fs");
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

    let mut stuck = failing(run("access/writer-and-reader", "7.3", Outcome::Timeout), "no event for 60 s, in step 4 `open w binary` of task reader");
    stuck.interface = None;
    stuck.guest_ms = None;
    let mut infra = failing(run("access/writer-and-reader", "6.12", Outcome::Infra), "swtpm exited with status 1");
    (infra.release, infra.interface, infra.accelerator, infra.boot_ms, infra.guest_ms) = (None, None, None, None, None);

    let mut known = run("found/trim-order", "7.3", Outcome::KnownDefect);
    known.reason = "records younger than the staged ones are gone, as described".to_owned();

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
        ],
        wall_ms: 83_250,
        interrupted: false,
    }
}

fn context() -> Context {
    Context {
        kernels: vec!["7.3 (7.3.4)".to_owned(), "6.12 (6.12.117)".to_owned()],
        accelerator: AcceleratorUsed {
            name: "tcg".to_owned(),
            reason: "/dev/kvm opened and never ran guest code within 2 s".to_owned(),
        },
        lane: "free".to_owned(),
        jobs: 2,
        seed: 7,
    }
}

/// A writer that a test can read.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn told(reporter: &Reporter, suite: &SuiteResult) -> io::Result<()> {
    reporter.suite_started(suite.runs.len(), &context());
    for run in &suite.runs {
        reporter.run_started(&RunId::of(run));
        reporter.run_finished(run);
    }
    reporter.suite_finished(suite)
}

#[test]
fn without_a_terminal_a_run_is_a_line_and_the_summary_is_the_last() {
    let out = Captured::default();
    told(&Reporter::plain(Box::new(out.clone())), &suite()).unwrap();
    let text = out.text();
    assert!(!text.contains('\u{1b}'), "no colour, and no escape of the guest's either");
    assert_eq!(text.lines().last(), Some("3 passed, 4 failed, 2 skipped"));
    insta::assert_snapshot!("plain", text);
}

#[test]
fn an_interrupted_suite_says_what_did_not_run() {
    let out = Captured::default();
    let reporter = Reporter::plain(Box::new(out.clone()));
    reporter.suite_started(20, &context());
    let suite = SuiteResult { runs: vec![run("stage/once", "7.3", Outcome::Passed)], interrupted: true, ..suite() };
    reporter.suite_finished(&suite).unwrap();
    assert!(out.text().ends_with("interrupted: 19 runs of 20 did not run\n1 passed, 0 failed\n"), "{}", out.text());
}

#[test]
fn nothing_ran_is_said() {
    let out = Captured::default();
    let reporter = Reporter::plain(Box::new(out.clone()));
    reporter.suite_started(0, &context());
    reporter.suite_finished(&SuiteResult { runs: vec![], ..suite() }).unwrap();
    assert!(out.text().ends_with("nothing ran\n0 passed, 0 failed\n"), "{}", out.text());
}

#[test]
fn a_closed_stdout_is_an_error_at_the_end_and_no_panic() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = told(&Reporter::plain(Box::new(Closed)), &suite()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

/// Writes to the same screen that the progress is drawn on, as a real terminal does.
struct Screen(InMemoryTerm);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_str(&String::from_utf8_lossy(bytes).replace('\n', "\r\n"))?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn on_screen(width: u16) -> (InMemoryTerm, Reporter) {
    let screen = InMemoryTerm::new(60, width);
    let look = Look { colour: true, progress: true, ..Look::PLAIN };
    let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
    (screen.clone(), Reporter::on(Box::new(Screen(screen)), look, target))
}

fn long_name() -> RunResult {
    let mut run = run(&format!("race/{}", "a-very-long-name-".repeat(8)), "7.3", Outcome::Passed);
    run.parameters = parameters(&[("banks", "sha1+sha256+sha384+sha512"), ("list", "10000")]);
    run
}

#[rstest]
#[case::wide(100)]
#[case::narrow(30)]
fn progress_stays_below_the_lines_and_leaves_nothing_behind(#[case] width: u16) {
    let (screen, reporter) = on_screen(width);
    let (first, second) = (long_name(), run("stage/once", "7.3", Outcome::Passed));
    reporter.suite_started(2, &context());
    reporter.run_started(&RunId::of(&first));
    reporter.run_started(&RunId::of(&second));
    let both = screen.contents();
    let live: Vec<&str> = both.lines().rev().take(3).collect();
    assert!(live[0].contains("0/2"), "the suite's bar is the lowest line:\n{both}");
    assert!(live[1].contains("stage/once") && live[2].contains("race/a-very"), "one line each:\n{both}");

    reporter.run_finished(&first);
    let one = screen.contents();
    let live: Vec<&str> = one.lines().rev().take(2).collect();
    assert!(live[0].contains("1/2") && live[1].contains("stage/once"), "{one}");
    let whole: String = one.lines().collect();
    assert!(whole.contains(&first.scenario), "the finished run's line is whole:\n{one}");

    reporter.run_finished(&second);
    let suite = SuiteResult { runs: vec![first, second], ..suite() };
    reporter.suite_finished(&suite).unwrap();
    let end = screen.contents();
    assert_eq!(end.lines().last(), Some("2 passed, 0 failed"), "{end}");
    assert!(!end.contains("/2"), "no bar is left:\n{end}");
}

#[test]
fn many_machines_at_once_never_garble_a_line() {
    let (screen, reporter) = on_screen(70);
    reporter.suite_started(24, &context());
    std::thread::scope(|scope| {
        for machine in 0..4 {
            let reporter = &reporter;
            scope.spawn(move || {
                for number in 0..6 {
                    let run = run(&format!("m{machine}/s{number}"), "7.3", Outcome::Passed);
                    reporter.run_started(&RunId::of(&run));
                    reporter.run_finished(&run);
                }
            });
        }
    });
    let text = screen.contents();
    for machine in 0..4 {
        for number in 0..6 {
            let line = format!("      passed [ 3.204 s] m{machine}/s{number} on 7.3");
            assert_eq!(text.lines().filter(|shown| *shown == line).count(), 1, "{line} in\n{text}");
        }
    }
}

#[rstest]
#[case::terminal(true, true, &[("TERM", "xterm")], true, true)]
#[case::no_color(true, true, &[("TERM", "xterm"), ("NO_COLOR", "1")], false, true)]
#[case::empty_no_color_means_nothing(true, true, &[("TERM", "xterm"), ("NO_COLOR", "")], true, true)]
#[case::dumb(true, true, &[("TERM", "dumb")], false, false)]
#[case::no_term(true, true, &[], false, false)]
#[case::redirected_stdout(false, true, &[("TERM", "xterm")], false, true)]
#[case::ci(false, false, &[("TERM", "xterm")], false, false)]
fn colour_and_progress_need_a_terminal(
    #[case] stdout: bool,
    #[case] stderr: bool,
    #[case] environment: &[(&str, &str)],
    #[case] colour: bool,
    #[case] progress: bool,
) {
    let variable = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let look = Look::choose(stdout, stderr, Some(80), variable);
    assert_eq!((look.colour, look.progress), (colour, progress));
}

#[rstest]
#[case::all_passed(&[Outcome::Passed, Outcome::Passed], false, 0)]
#[case::known_defect_is_a_pass(&[Outcome::KnownDefect], false, 0)]
#[case::some_skipped(&[Outcome::Passed, Outcome::Skipped], false, 0)]
#[case::nothing_matched(&[], false, 4)]
#[case::all_skipped(&[Outcome::Skipped, Outcome::Skipped], false, 4)]
#[case::infra(&[Outcome::Passed, Outcome::Infra], false, 96)]
#[case::infra_and_skipped(&[Outcome::Skipped, Outcome::Infra], false, 96)]
#[case::failed(&[Outcome::Passed, Outcome::Failed], false, 100)]
#[case::timeout(&[Outcome::Timeout], false, 100)]
#[case::a_retry_must_not_lose_a_finding(&[Outcome::Failed, Outcome::Infra], false, 100)]
#[case::died(&[Outcome::KernelDied], false, 101)]
#[case::died_over_failed_and_infra(&[Outcome::Failed, Outcome::KernelDied, Outcome::Infra], false, 101)]
#[case::interrupted(&[Outcome::Passed], true, 130)]
#[case::interrupted_over_all(&[Outcome::KernelDied, Outcome::Failed], true, 130)]
#[case::interrupted_before_the_first(&[], true, 130)]
fn exit_codes(#[case] outcomes: &[Outcome], #[case] interrupted: bool, #[case] code: u8) {
    let runs: Vec<RunResult> = outcomes.iter().map(|outcome| run("stage/once", "7.3", *outcome)).collect();
    let mut suite = SuiteResult { runs, interrupted, ..suite() };
    assert_eq!(exit_code(&suite), code);
    suite.runs.reverse();
    assert_eq!(exit_code(&suite), code, "the order of runs does not matter");
}

#[rstest]
#[case(Exit::Passed, 96)]
#[case(Exit::NothingRan, 96)]
#[case(Exit::ScenarioFailed, 100)]
#[case(Exit::KernelDied, 101)]
#[case(Exit::Interrupted, 130)]
fn a_result_that_could_not_be_written_never_hides_a_finding(#[case] suite: Exit, #[case] code: u8) {
    assert_eq!(suite.and(Exit::Infra).code(), code);
}

#[test]
fn json_round_trips() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    json::write(&path, &suite()).unwrap();
    assert_eq!(json::read(&path).unwrap(), suite());
    insta::assert_snapshot!("json_of_one_run", serde_json::to_string_pretty(&suite().runs[2]).unwrap());
}

#[rstest]
#[case::other_schema(r#"{"schema": 2, "anything": true}"#, "is of schema 2, and this imalab reads schema 1")]
#[case::no_schema(r#"{"runs": []}"#, "is not a result of imalab")]
#[case::cut_off(r#"{"schema": 1, "runs": [{"#, "is not a result of imalab")]
#[case::no_json("hello", "is not a result of imalab")]
#[case::empty("", "is not a result of imalab")]
fn json_that_is_not_ours_is_refused(#[case] text: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    std::fs::write(&path, text).unwrap();
    let error = json::read(&path).unwrap_err().to_string();
    assert!(error.contains(expected) && error.contains("results.json"), "{error}");
}

#[test]
fn junit_reads_back_with_what_went_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("junit.xml");
    junit::write(&path, &suite()).unwrap();
    let xml = std::fs::read_to_string(&path).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((report.tests, report.failures, report.errors, report.skipped), (9, 2, 2, 2));
    insta::assert_snapshot!("junit", xml);
}

#[test]
fn ktap_golden() {
    insta::assert_snapshot!("ktap", ktap::document(&suite()));
}

#[test]
fn ktap_of_nothing_is_an_empty_plan() {
    assert_eq!(ktap::document(&SuiteResult { runs: vec![], ..suite() }), "KTAP version 1\n1..0\n");
}

/// Runs the kernel's own parser when `IMALAB_KUNIT` names a `kunit.py`.
#[test]
fn kunit_reads_the_ktap() {
    let Some(kunit) = std::env::var_os("IMALAB_KUNIT") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.ktap");
    ktap::write(&path, &suite()).unwrap();
    let output = Command::new("python3").arg(kunit).arg("parse").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Ran 9 tests: passed: 3, failed: 4, skipped: 2\n"), "{text}{output:?}");
    assert!(!text.contains("[ERROR]") && !text.contains("[CRASHED]"), "{text}");
    assert!(text.contains("(needs staging; CONFIG_IMA_STAGING=y on Linux 7.2 or newer would meet it)"), "{text}");
    assert!(text.contains("first difference at record 18"), "{text}");
}

#[test]
fn html_shows_every_run_and_trusts_no_guest() {
    let page = html::page(&suite()).into_string();
    assert!(!page.contains("<b>") && !page.contains('\u{1b}') && !page.contains("<script"), "guest text is text");
    assert_eq!(page.matches("<details class=\"run ").count(), suite().runs.len());
    assert_eq!(page.matches(" open>").count(), 4, "failures, and they alone, are unfolded");
    for number in 1..=suite().runs.len() {
        assert!(page.contains(&format!("id=\"run-{number}\"")), "run {number}");
    }
    let body = &page[page.find("<body>").unwrap()..];
    insta::assert_snapshot!("html_body", body.replace("><", ">\n<"));
}

#[test]
fn html_of_nothing_is_a_page() {
    let page = html::page(&SuiteResult { runs: vec![], ..suite() }).into_string();
    assert!(page.contains("0 passed") && page.ends_with("</html>"), "{page}");
}
