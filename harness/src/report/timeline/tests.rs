//! The picture of a run that was made up.

use imalab_check::outcome::{Reason, RunResult};
use imalab_check::{Place, RecordHistory, Within};
use imalab_language::finding::{Step as FindingStep, Steps};
use imalab_language::plan::{Action, Budget, Expect, Interface, Parameters, Plan, PlannedStep, Shape};
use imalab_trace::{Event, Exchange, Host, Origin, Recording, Trace, What};
use imalab_wire::{End, Message, Op, Outcome, Program, Setup, Start, Step, Task};

use super::columns::{MOST, columns};
use super::levels::levels;
use super::page;
use crate::report::fake_result;

fn trace(events: Vec<What>) -> Trace {
    let mut recording = Recording::within(&std::env::temp_dir());
    for (seq, what) in (0..).zip(events) {
        recording.push(Event { seq, at_ns: seq * 1000, what });
    }
    recording.finish()
}

fn hello(boot: u16) -> What {
    What::Guest(Message::Hello { version: 1, token: 7, boot, release: "7.3.4".into(), at_ns: 1 })
}

fn started(task: u16, step: u32) -> What {
    What::Guest(Message::OpStarted { task, step, op: 0, at_ns: 5 })
}

fn done(task: u16, step: u32, begin_ns: u64, outcome: Outcome) -> What {
    What::Guest(Message::OpDone { task, step, op: 0, begin_ns, end_ns: begin_ns + 9, outcome })
}

/// `TPM2_PCR_Extend` of PCR 10 with a SHA-256 digest, and success.
fn extend(answer: &str) -> What {
    let command = format!(
        "8002{:08x}00000182{:08x}{:08x}400000090000010000{:08x}000b{}",
        65,
        10,
        9,
        1,
        "ab".repeat(32)
    );
    What::Tpm(Exchange {
        origin: Origin::Guest,
        locality: 0,
        command: hex::decode(command).expect("hexadecimal"),
        answer: hex::decode(answer).expect("hexadecimal"),
        begin_ns: 1,
        end_ns: 2,
    })
}

fn planned() -> Plan {
    let write = |slot, bytes: &[u8]| Op::Write { slot, bytes: bytes.to_vec() };
    let open = |slot| Op::Open { slot, path: "/sys/kernel/security/ima/list".into(), flags: 2, mode: 0 };
    let step = |id, op| Step { id, clock: None, ops: vec![op] };
    let task = |name: &str, boot, steps| Task { name: name.into(), boot, start: Start::Boot, steps };
    let named = |id, task, text: &str, line| PlannedStep {
        id,
        task,
        text: text.into(),
        line,
        action: Action::SystemCall,
        expect: Expect::Ok,
        reads: Vec::new(),
        mark: None,
    };
    Plan {
        scenario: "stage/once".into(),
        summary: "Made up.".into(),
        parameters: Parameters::new(),
        seed: 1,
        interface: Interface::READ_ONLY,
        seen: Default::default(),
        machine: Shape { cpus: 1, memory_mib: 256, banks: Vec::new(), kernel_args: Vec::new() },
        hash_table: true,
        stock: true,
        program: Program {
            token: 7,
            setup: Setup::default(),
            tasks: vec![
                task("a", 0, vec![step(0, open(3)), step(1, write(3, b"A\n"))]),
                task("b", 0, vec![step(2, write(3, b"<5>\n"))]),
            ],
            finally: Vec::new(),
            end: End::PowerOff,
        },
        steps: vec![named(0, 0, "open", 2), named(1, 0, "stage", 3), named(2, 1, "trim 5", 4)],
        marks: Vec::new(),
        budget: Budget { silence_s: 1, total_s: 1 },
        holds: Vec::new(),
        known_defect: None,
        known_limit: None,
        kernel_says: Vec::new(),
    }
}

/// Two tasks, one of which is never done.
fn story() -> Trace {
    trace(vec![
        extend("80010000000a00000000"),
        extend("80010000000a00000101"),
        hello(0),
        started(0, 0),
        done(0, 0, 20, Outcome::Value(0)),
        started(0, 1),
        extend("80010000000a00000000"),
        extend("80010000000a00000000"),
        started(1, 2),
        What::Guest(Message::FoundAsleep { task: 1, step: 2, op: 0, call: 1, at_ns: 6 }),
        extend("80010000000a00000922"),
        done(0, 1, 30, Outcome::Errno(16)),
        What::Console("[    2.0] random: crng init done".into()),
        What::Console("[    2.1] BUG: kernel NULL pointer dereference, address: <0>".into()),
        What::Host(Host::Exited { child: "qemu".into(), status: 0 }),
    ])
}

#[test]
fn operations_commands_and_words_have_their_places() {
    let made = columns(&planned(), &story()).unwrap();
    let bars: Vec<_> = made
        .bars
        .iter()
        .map(|bar| format!("{}: {}..{:?} {} {}", bar.task, bar.begin, bar.end, bar.text, bar.outcome))
        .collect();
    assert_eq!(
        bars,
        [
            "0: 2..Some(3) open list = 0",
            "0: 4..Some(9) write \"A\\n\" list EBUSY",
            "1: 6..None write \"<5>\\n\" slot 3 no result"
        ]
    );
    assert_eq!(made.bars[2].asleep, [7]);
    let commands: Vec<_> = made
        .commands
        .iter()
        .map(|some| {
            format!("{}: {} {} {:?} {:?}", some.column, some.count, some.name, some.pcr, some.refused)
        })
        .collect();
    assert_eq!(
        commands,
        [
            "0: 2 commands while the kernel boots None None",
            "5: 2 TPM2_PCR_Extend Some(10) None",
            "8: 1 TPM2_PCR_Extend Some(10) Some(\"TPM_RC 0x922\")"
        ]
    );
    assert_eq!(made.notes.len(), 1, "{:?}", made.notes);
    assert!(made.notes[0].loud && made.boots == [1]);
    // An event that is not drawn is at the one before it; the second of a group where the group is.
    assert_eq!((made.of_event(7), made.of_event(12)), (Some(5), Some(9)));
    assert_eq!((made.ended(0, 30), made.ended(1, 30)), (Some(9), None));
}

fn record(number: usize, event: u64, places: Vec<(Within, Option<u64>)>) -> RecordHistory {
    let place = |(within, at_ns)| Place { boot: 0, within, by: None, at_ns };
    RecordHistory {
        number,
        event,
        pcr: 10,
        template: "ima-ng".into(),
        name: "/m/f".into(),
        digest: "sha256:ab".into(),
        places: places.into_iter().map(place).collect(),
    }
}

#[test]
fn lists_are_as_long_as_the_histories_say() {
    let made = columns(&planned(), &story()).unwrap();
    let chunk = || Within::Chunk("save".into());
    let histories = [
        record(1, 0, vec![(Within::Current, None), (Within::Staged, Some(20)), (chunk(), Some(30))]),
        record(2, 6, vec![(Within::Current, None)]),
        record(3, 7, vec![(Within::Current, None), (Within::Nothing, Some(30))]),
    ];
    let found = levels(&made, histories.into_iter());
    assert_eq!(found, [(0, [1, 0, 0, 0]), (3, [0, 1, 0, 0]), (5, [2, 1, 0, 0]), (9, [1, 0, 1, 1])]);
    assert_eq!(levels(&made, std::iter::empty()), []);
}

#[test]
fn a_long_run_is_drawn_from_its_end() {
    let mut events = vec![hello(0)];
    for at in 0..2000 {
        events.extend([started(0, 0), done(0, 0, at, Outcome::Value(0))]);
    }
    events.push(started(0, 1));
    let made = columns(&planned(), &trace(events)).unwrap().shortened();
    assert_eq!((made.columns.len(), made.left_out), (MOST, 4002 - MOST));
    assert_eq!(made.ended(0, 0), Some(0));
    assert_eq!(made.ended(0, 1999), Some(MOST - 2));
    assert_eq!(made.bars.last().map(|bar| (bar.begin, bar.end)), Some((MOST - 1, None)));
    assert!(made.bars.iter().all(|bar| bar.begin < MOST && bar.end.is_none_or(|end| end < MOST)));
}

#[test]
fn the_page_leads_to_what_failed_and_shows_nothing_raw() {
    let scenario = "summary: <b>x</b>\n  - open\n  - stage\n  - trim: {records: 5}\n";
    let page = page(&fake_result(1), &planned(), &story(), std::iter::empty(), Some(scenario))
        .unwrap()
        .into_string();
    assert!(page.contains("<div class=\"bad\" id=\"line-4\">"), "the step under way is marked: {page}");
    assert!(!page.contains("id=\"line-3\" class=\"bad\"") && page.contains("href=\"#line-3\""));
    assert!(!page.contains("<b>x") && !page.contains("\"<5>") && !page.contains("<script"), "{page}");
    assert!(page.contains("NULL pointer dereference, address: &lt;0&gt;"), "{page}");
    assert!(page.contains("no list was read whole"));
}

#[test]
fn the_steps_that_the_reason_is_about_are_marked_and_no_others() {
    let step = FindingStep { id: 1, text: "stage".into(), line: 3, task: "a".into(), boot: 0 };
    let reason = Reason::of(Steps::CounterNotRead { step });
    let result = RunResult { reason: Some(reason), ..fake_result(1) };
    let ended = trace(vec![hello(0), started(0, 0), done(0, 0, 20, Outcome::Value(0))]);
    let scenario = "summary: x\n  - open\n  - stage\n";
    let marked = |result: &RunResult| {
        let page =
            page(result, &planned(), &ended, std::iter::empty(), Some(scenario)).unwrap().into_string();
        (1_u32..=3)
            .filter(|line| page.contains(&format!("class=\"bad\" id=\"line-{line}\"")))
            .collect::<Vec<_>>()
    };
    assert_eq!(marked(&result), [3]);
    assert_eq!(
        marked(&RunResult { outcome: imalab_check::outcome::Outcome::Passed, ..result }),
        Vec::<u32>::new()
    );
}
