//! What a person or a CI log sees.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use imalab::event::{Listener, PlannedSuite, Stop, SuiteEvent};
use imalab::report::terminal::{Look, Terminal};
use imalab::run_id::RunId;
use imalab_check::outcome::{Outcome, RunResult, SuiteResult};
use indicatif::{InMemoryTerm, ProgressDrawTarget, TermLike};
use rstest::rstest;

use crate::suite::{context, parameters, run, suite};

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

fn tell(terminal: &mut Terminal, suite: &SuiteResult) {
    plan(terminal, suite.runs.len());
    for run in &suite.runs {
        start(terminal, run);
        terminal.event(SuiteEvent::RunEnded(run));
    }
    terminal.event(SuiteEvent::Finished(suite));
}

fn plan(terminal: &mut Terminal, count: usize) {
    let id = RunId::of(&run("stage/once", "7.3", Outcome::Passed));
    let runs = (0..count as u64).map(|place| (place, id.clone())).collect();
    terminal.event(SuiteEvent::Planned(&PlannedSuite { context: context(), runs, shard: None }));
}

fn start(terminal: &mut Terminal, run: &RunResult) {
    terminal.event(SuiteEvent::RunStarted { id: &RunId::of(run), place: run.place });
}

#[test]
fn without_a_terminal_a_run_is_a_line_and_the_summary_is_the_last() {
    let out = Captured::default();
    tell(&mut Terminal::plain(Box::new(out.clone())), &suite());
    let text = out.text();
    assert!(!text.contains('\u{1b}'), "no colour, and no escape of the guest's either");
    let last = "4 passed, 4 failed, 2 skipped, 1 interrupted; nothing ran of stage on 6.12";
    assert_eq!(text.lines().last(), Some(last));
    insta::assert_snapshot!("plain", text);
}

#[test]
fn an_interrupted_suite_says_what_did_not_run() {
    let out = Captured::default();
    let mut terminal = Terminal::plain(Box::new(out.clone()));
    plan(&mut terminal, 20);
    terminal.event(SuiteEvent::Stopping { why: Stop::Signal, running: 1 });
    let runs = vec![run("stage/once", "7.3", Outcome::Passed)];
    let suite = SuiteResult { runs, interrupted: true, not_begun: Some(19), ..suite() };
    terminal.event(SuiteEvent::Finished(&suite));
    assert!(
        out.text().contains("interrupted: ending 1 run; another signal stops at once\n"),
        "{}",
        out.text()
    );
    assert!(
        out.text().ends_with("interrupted: 19 runs of 20 did not run\n1 passed, 0 failed\n"),
        "{}",
        out.text()
    );
}

#[test]
fn results_that_do_not_say_what_is_missing_are_just_interrupted() {
    let out = Captured::default();
    let suite =
        SuiteResult { runs: vec![run("stage/once", "7.3", Outcome::Passed)], interrupted: true, ..suite() };
    Terminal::plain(Box::new(out.clone())).event(SuiteEvent::Finished(&suite));
    assert!(out.text().ends_with("\ninterrupted\n1 passed, 0 failed\n"), "{}", out.text());
}

#[test]
fn nothing_ran_is_said() {
    let out = Captured::default();
    tell(&mut Terminal::plain(Box::new(out.clone())), &SuiteResult { runs: vec![], ..suite() });
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
    let mut terminal = Terminal::plain(Box::new(Closed));
    tell(&mut terminal, &suite());
    assert_eq!(terminal.trouble().unwrap().kind(), io::ErrorKind::BrokenPipe);
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

fn on_screen(width: u16) -> (InMemoryTerm, Terminal) {
    let screen = InMemoryTerm::new(60, width);
    let look = Look { colour: true, progress: true, ..Look::PLAIN };
    let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
    (screen.clone(), Terminal::on(Box::new(Screen(screen)), look, target))
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
    let (screen, mut terminal) = on_screen(width);
    let (first, second) = (long_name(), run("stage/once", "7.3", Outcome::Passed));
    for kernel in ["6.12", "7.3"] {
        terminal.event(SuiteEvent::ProbeStarted { kernel });
        let asked = screen.contents();
        assert!(asked.contains(&format!("probing {kernel}")) && asked.lines().count() == 1, "{asked}");
    }
    plan(&mut terminal, 2);
    assert!(!screen.contents().contains("probing"), "the kernels have answered:\n{}", screen.contents());
    start(&mut terminal, &first);
    start(&mut terminal, &second);
    let both = screen.contents();
    let live: Vec<&str> = both.lines().rev().take(3).collect();
    assert!(live[0].contains("0/2"), "the suite's bar is the lowest line:\n{both}");
    assert!(live[1].contains("stage/once") && live[2].contains("race/a-very"), "one line each:\n{both}");

    terminal.event(SuiteEvent::RunEnded(&first));
    let one = screen.contents();
    let live: Vec<&str> = one.lines().rev().take(2).collect();
    assert!(live[0].contains("1/2") && live[1].contains("stage/once"), "{one}");
    let whole: String = one.lines().collect();
    assert!(whole.contains(&first.scenario), "the finished run's line is whole:\n{one}");

    terminal.event(SuiteEvent::RunEnded(&second));
    let suite = SuiteResult { runs: vec![first, second], ..suite() };
    terminal.event(SuiteEvent::Finished(&suite));
    let end = screen.contents();
    assert_eq!(end.lines().last(), Some("2 passed, 0 failed"), "{end}");
    assert!(!end.contains("/2"), "no bar is left:\n{end}");
}

#[test]
fn a_slow_run_is_told_while_it_runs_and_its_machine_stays_on_the_screen() {
    let (screen, mut terminal) = on_screen(70);
    plan(&mut terminal, 1);
    let slow = run("scale/many", "7.3", Outcome::Passed);
    start(&mut terminal, &slow);
    let elapsed = std::time::Duration::from_millis(60_400);
    terminal.event(SuiteEvent::RunSlow { id: &RunId::of(&slow), place: 0, elapsed });
    let text = screen.contents();
    let line = "     running [  > 60 s] scale/many on 7.3";
    assert_eq!(text.lines().filter(|shown| *shown == line).count(), 1, "{line} in\n{text}");
    let live: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(live[0].contains("0/1") && live[1].contains("scale/many"), "{text}");
}

#[test]
fn many_machines_at_once_never_garble_a_line() {
    let (screen, mut terminal) = on_screen(70);
    plan(&mut terminal, 24);
    let run = |machine, number| run(&format!("m{machine}/s{number}"), "7.3", Outcome::Passed);
    for number in 0..6 {
        (0..4).for_each(|machine| start(&mut terminal, &run(machine, number)));
        (0..4).for_each(|machine| terminal.event(SuiteEvent::RunEnded(&run(machine, number))));
    }
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
    let variable =
        |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    let look = Look::choose(stdout, stderr, Some(80), variable);
    assert_eq!((look.colour, look.progress), (colour, progress));
}
