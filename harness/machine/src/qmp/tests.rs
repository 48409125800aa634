use std::io::{BufRead, BufReader, Write};

use rstest::rstest;

use super::*;
use imalab_trace::{What, channel};

const PATIENCE: Duration = Duration::from_secs(60);
const HASTE: Duration = Duration::from_millis(20);
const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}}}"#;

/// A monitor that answers each line that it gets with the next of `answers`, then waits for the end.
fn monitor(greeting: &str, answers: &[&str]) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let greeting = greeting.to_owned();
    let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
    thread::spawn(move || {
        let mut output = theirs.try_clone().unwrap();
        let mut input = BufReader::new(theirs);
        let mut line = String::new();
        output.write_all(greeting.as_bytes()).unwrap();
        for answer in answers {
            input.read_line(&mut line).unwrap();
            if output.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        let _ = input.read_line(&mut line);
    });
    ours
}

#[test]
fn runs_commands_and_passes_events_on() {
    let greeting = format!("{GREETING}\n");
    let stream = monitor(
        &greeting,
        &[
            "{\"return\": {}, \"id\": 1}\n",
            "{\"event\": \"STOP\"}\n{\"news\": 1}\n{\"return\": {}, \"id\": 2}\n",
            "{\"return\": {\"status\": \"paused\"}, \"id\": 3}\n",
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 4}\n",
        ],
    );
    let (events, seen) = channel();
    let mut qmp = Qmp::connect(stream, events, PATIENCE).unwrap();
    assert_eq!(qmp.version(), "7.2.0");
    qmp.stop(PATIENCE).unwrap();
    assert_eq!(seen.recv().unwrap(), What::Qmp(json!({"event": "STOP"})));
    assert_eq!(qmp.status(PATIENCE).unwrap(), "paused");
    assert_eq!(qmp.cont(PATIENCE).unwrap_err().to_string(), "QEMU refused `cont`: no (GenericError)");
}

#[rstest]
// The event may come before the command's answer.
#[case::done_at_once(["", "completed"], Ok(()))]
#[case::done_later(["active", "completed"], Ok(()))]
#[case::failed(["setup", "failed"], Err(QmpError::NotMoved("failed".into())))]
#[case::no_end(["setup", "active"], Err(QmpError::Silent { command: "migrate".into(), patience: HASTE }))]
fn the_end_of_moving_a_state_is_waited_for(
    #[case] statuses: [&str; 2],
    #[case] expected: Result<(), QmpError>,
) {
    let greeting = format!("{GREETING}\n");
    let event = |status| format!("{{\"event\": \"MIGRATION\", \"data\": {{\"status\": \"{status}\"}}}}\n");
    let [before, after] = statuses;
    let (before, after) = match after {
        "completed" if before.is_empty() => (event(after), String::new()),
        _ => (event(before), event(after)),
    };
    let moving = format!("{before}{{\"return\": {{}}, \"id\": 5}}\n{after}");
    let done = |id| format!("{{\"return\": {{}}, \"id\": {id}}}\n");
    let answers = [done(1), done(2), done(3), done(4), moving];
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let (events, seen) = channel();
    let mut qmp = Qmp::connect(monitor(&greeting, &answers), events, PATIENCE).unwrap();
    let patience = if expected.is_ok() { PATIENCE } else { HASTE };
    let channel = UnixStream::pair().unwrap().0.into();
    assert_eq!(qmp.move_state("migrate", channel, patience), expected);
    drop(qmp);
    assert!(seen.iter().next().is_none(), "the run does not hear of it");
}

#[test]
fn a_late_answer_is_not_taken_for_the_next_command() {
    let greeting = format!("{GREETING}\n");
    let stream = monitor(
        &greeting,
        &[
            "{\"return\": {}, \"id\": 1}\n",
            "",
            "{\"return\": {\"status\": \"late\"}, \"id\": 2}\n{\"return\": {\"status\": \"own\"}, \"id\": 3}\n",
        ],
    );
    let mut qmp = Qmp::connect(stream, channel().0, PATIENCE).unwrap();
    assert!(matches!(qmp.status(HASTE), Err(QmpError::Silent { .. })));
    assert_eq!(qmp.status(PATIENCE).unwrap(), "own");
}

#[rstest]
#[case::silent("", HASTE, QmpError::Silent { command: "greeting".into(), patience: HASTE })]
#[case::half_a_line("{\"QMP\"", HASTE, QmpError::Silent { command: "greeting".into(), patience: HASTE })]
#[case::no_greeting("{\"return\": {}}\n", PATIENCE, QmpError::Malformed("the first message is not a greeting".into()))]
fn refuses_what_is_no_monitor(
    #[case] greeting: &str,
    #[case] patience: Duration,
    #[case] expected: QmpError,
) {
    let error = Qmp::connect(monitor(greeting, &[]), channel().0, patience).err().unwrap();
    assert_eq!(error, expected);
}

#[test]
fn refuses_another_protocol() {
    let error = Qmp::connect(monitor("220 ready\r\n", &[]), channel().0, PATIENCE).err().unwrap();
    assert!(matches!(error, QmpError::Malformed(_)), "{error}");
}

#[test]
fn notices_the_end_and_stays_closed() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert_eq!(Qmp::connect(ours, channel().0, PATIENCE).err(), Some(QmpError::Closed));

    let (ours, mut theirs) = UnixStream::pair().unwrap();
    writeln!(theirs, "{GREETING}\n{{\"return\": {{}}, \"id\": 1}}").unwrap();
    let mut qmp = Qmp::connect(ours, channel().0, PATIENCE).unwrap();
    drop(theirs);
    assert_eq!(qmp.status(PATIENCE), Err(QmpError::Closed));
    assert_eq!(qmp.status(PATIENCE), Err(QmpError::Closed));
    assert_eq!(qmp.quit(PATIENCE), Ok(()));
}

#[test]
fn refuses_an_endless_line() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let writer = thread::spawn(move || {
        let block = vec![b'x'; 1 << 16];
        while theirs.write_all(&block).is_ok() {}
    });
    assert_eq!(Qmp::connect(ours, channel().0, PATIENCE).err(), Some(QmpError::Oversized));
    writer.join().unwrap();
}
