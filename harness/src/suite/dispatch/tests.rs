//! Runs without machines.

use std::sync::Mutex;

use rstest::rstest;

use super::*;
use imalab_check::outcome::Outcome;

struct Fake(u64, RunId);

impl Work for Fake {
    fn id(&self) -> &RunId {
        &self.1
    }
    fn place(&self) -> u64 {
        self.0
    }
}

fn fakes(count: u64) -> Mutex<std::vec::IntoIter<Fake>> {
    let id = |place| RunId {
        scenario: format!("fake/{place}"),
        parameters: Default::default(),
        kernel: "k".to_owned(),
        repeat: 1,
    };
    Mutex::new((0..count).map(|place| Fake(place, id(place))).collect::<Vec<_>>().into_iter())
}

fn result(run: &Fake, outcome: Outcome) -> RunResult {
    serde_json::from_value(serde_json::json!({
        "scenario": run.1.scenario, "parameters": {}, "kernel": "k", "release": null, "interface": null,
        "lane": "free", "accelerator": null, "seed": 1, "repeat": 1, "place": run.0, "outcome": outcome,
        "reason": null, "checks": [], "console_tail": [], "wall_ms": 1, "boot_ms": null, "guest_ms": null,
        "dir": null, "bundle": null, "repro": null
    }))
    .unwrap()
}

/// What a listener was told, a word an event.
fn words(event: SuiteEvent<'_>) -> String {
    match event {
        SuiteEvent::RunStarted { place, .. } => format!("began {place}"),
        SuiteEvent::RunSlow { place, .. } => format!("slow {place}"),
        SuiteEvent::RunEnded(run) => format!("ended {}", run.place),
        SuiteEvent::Stopping { why, running } => format!("{why:?}, {running} running"),
        other => format!("{other:?}"),
    }
}

const NEVER: Duration = Duration::from_secs(3600);

fn dispatch(workers: usize, interrupts: &Interrupts) -> Dispatch<'_> {
    Dispatch { workers, slow_after: NEVER, fail_fast: None, interrupts }
}

#[rstest]
#[case(1)]
#[case(3)]
fn every_run_begins_and_ends_once(#[case] workers: usize) {
    let (queue, mut told) = (fakes(20), Vec::new());
    let results = dispatch(workers, &Interrupts::default()).run(
        || queue.lock().unwrap().next(),
        |run| result(&run, Outcome::Passed),
        &mut |event: SuiteEvent<'_>| told.push(words(event)),
    );
    assert_eq!(results.into_keys().collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert_eq!(told.len(), 40);
    for place in 0..20 {
        let at = |word: &str| told.iter().position(|told| *told == format!("{word} {place}")).unwrap();
        assert!(at("began") < at("ended"), "{told:?}");
    }
}

#[test]
fn a_worker_goes_on_when_its_result_was_told() {
    let (queue, told) = (fakes(5), Mutex::new(Vec::new()));
    dispatch(1, &Interrupts::default()).run(
        || {
            told.lock().unwrap().push("next".to_owned());
            queue.lock().unwrap().next()
        },
        |run| result(&run, Outcome::Passed),
        &mut |event: SuiteEvent<'_>| {
            if let SuiteEvent::RunEnded(_) = event {
                told.lock().unwrap().push("ended".to_owned());
            }
        },
    );
    let told = told.into_inner().unwrap();
    assert!(told.chunks(2).all(|pair| pair == ["next", "ended"] || pair == ["next"]), "{told:?}");
}

#[test]
fn a_signal_lets_what_runs_end_and_begins_nothing_more() {
    let (queue, mut told, interrupts) = (fakes(5), Vec::new(), Interrupts::default());
    let results = dispatch(1, &interrupts).run(
        || queue.lock().unwrap().next(),
        |run| {
            interrupts.raise();
            result(&run, Outcome::Interrupted)
        },
        &mut |event: SuiteEvent<'_>| told.push(words(event)),
    );
    assert_eq!(results.len(), 1);
    assert_eq!(told, ["began 0", "Signal, 1 running", "ended 0"]);
}

#[test]
fn after_a_signal_nothing_begins() {
    let (queue, mut told, interrupts) = (fakes(5), Vec::new(), Interrupts::default());
    interrupts.raise();
    let results = dispatch(2, &interrupts).run(
        || queue.lock().unwrap().next(),
        |run| result(&run, Outcome::Passed),
        &mut |event: SuiteEvent<'_>| told.push(words(event)),
    );
    assert_eq!((results.len(), told), (0, vec!["Signal, 0 running".to_owned()]));
}

#[rstest]
#[case(1, 2)]
#[case(2, 4)]
fn after_so_many_failures_nothing_begins(#[case] most: usize, #[case] ended: usize) {
    let (queue, mut told, interrupts) = (fakes(9), Vec::new(), Interrupts::default());
    let dispatch = Dispatch { fail_fast: Some(most), ..dispatch(1, &interrupts) };
    let results = dispatch.run(
        || queue.lock().unwrap().next(),
        // Every second one fails.
        |run| result(&run, [Outcome::KnownDefect, Outcome::Timeout][usize::from(run.0 % 2 == 1)]),
        &mut |event: SuiteEvent<'_>| told.push(words(event)),
    );
    assert_eq!(results.len(), ended);
    assert_eq!(told.last().unwrap(), "FailFast, 0 running");
}

#[test]
fn a_slow_run_is_announced_while_it_runs() {
    let (queue, mut told) = (fakes(1), Vec::new());
    let (announced, wait) = channel();
    let wait = Mutex::new(wait);
    let interrupts = Interrupts::default();
    let slow = Dispatch { slow_after: Duration::from_millis(1), ..dispatch(1, &interrupts) };
    slow.run(
        || queue.lock().unwrap().next(),
        |run| {
            // It ends when it was called slow for the second time.
            for _ in 0..2 {
                wait.lock().unwrap().recv().unwrap();
            }
            result(&run, Outcome::Passed)
        },
        &mut |event: SuiteEvent<'_>| {
            told.push(words(event));
            if let SuiteEvent::RunSlow { .. } = event {
                announced.send(()).unwrap();
            }
        },
    );
    assert_eq!(told.first().unwrap(), "began 0");
    assert_eq!(told.last().unwrap(), "ended 0");
    let slow = told[1..told.len() - 1].iter().all(|told| told == "slow 0");
    assert!(slow && told.len() >= 4, "{told:?}");
}

#[test]
fn a_listener_that_panics_ends_the_suite() {
    // Workers notice only when they have a result to hand over.
    let queue = fakes(1000);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        dispatch(2, &Interrupts::default()).run(
            || queue.lock().unwrap().next(),
            |run| result(&run, Outcome::Passed),
            &mut |event: SuiteEvent<'_>| assert!(!matches!(event, SuiteEvent::RunEnded(_))),
        );
    }));
    assert!(panicked.is_err());
    assert!(queue.lock().unwrap().len() > 0, "nobody carried out the rest");
}
