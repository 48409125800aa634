//! How much memory, and time of a processor, a guest can make the harness take: each flood in a process of its own, of which both
//! are measured. Totals bound the time as well, so that nothing has to be bounded by the second (`docs/architecture.md`, "Trust").

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use imalab::report::words;
use imalab::suite::{AskError, capabilities};
use imalab_check::outcome::Outcome;
use imalab_machine::accel::Accel;
use imalab_machine::command::QEMU;
use imalab_machine::console;
use imalab_machine::guest as agent_channel;
use imalab_run::{Interrupts, RunContext, Scratch, Stream};
use imalab_trace::{Exchange, Flood, Host, Origin, Sender, What};
use imalab_wire::{Message, Piece, frame};
use rstest::rstest;
use serde_json::json;

use crate::guest::{Then, spec};

const LONG: Duration = Duration::from_secs(300);

/// What a machine may take, in KiB.
const MOST: u64 = 256 * 1024;

/// What it may take of a processor, in seconds: some times what is measured of a build that is not optimized.
const MOST_TIME: f64 = 120.0;

/// The flood that a process of this program is to make.
const FLOOD: &str = "IMALAB_TEST_FLOOD";

/// Writes the same bytes over and over, and says whether nobody took them for a while.
fn pour(mut into: UnixStream, portion: impl Fn(u64) -> Vec<u8>, bytes: u64) -> bool {
    into.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (mut poured, mut stalled) = (0, false);
    for number in 0.. {
        let portion = portion(number);
        let mut rest = portion.as_slice();
        while !rest.is_empty() {
            match into.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    println!("stalled");
                    stalled = true;
                }
                Err(error) => panic!("{error}"),
            }
        }
        poured += portion.len() as u64;
        if poured > bytes {
            break;
        }
    }
    stalled
}

/// Frames of so many messages each.
fn frames(message: impl Fn(u64) -> Message) -> impl Fn(u64) -> Vec<u8> {
    const EACH: u64 = 1_000;
    move |number| {
        (number * EACH..(number + 1) * EACH)
            .flat_map(|seq| frame::encode(seq, &message(seq)).unwrap())
            .collect()
    }
}

fn agent(
    events: &Sender,
    portion: impl Fn(u64) -> Vec<u8> + Send + 'static,
    bytes: u64,
) -> thread::JoinHandle<bool> {
    let (host, theirs) = UnixStream::pair().unwrap();
    let _ = agent_channel::listen(host, false, events.clone()).unwrap();
    thread::spawn(move || pour(theirs, portion, bytes))
}

/// Floods a stream that nobody takes from until the flood stalls or is over, and tells the peak.
#[test]
#[ignore = "a process of its own for those below"]
fn flooding() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(Instant::now(), folder.path());
    let events = stream.sender();
    let flood = match std::env::var(FLOOD).unwrap().as_str() {
        "console" => {
            let (host, theirs) = UnixStream::pair().unwrap();
            let _ = console::capture(host, &folder.path().join("console.log"), Vec::new(), events).unwrap();
            thread::spawn(move || pour(theirs, |_| vec![b'\n'; 64 * 1024], 300 * 1024 * 1024))
        }
        "messages" => {
            let bytes = 27 * (Flood::Messages.quota().count + 200_000);
            agent(&events, frames(|seq| Message::Progress { task: 0, step: 1, done: seq }), bytes)
        }
        "data" => {
            let piece = |_| Message::Data(Piece { task: 0, step: 0, op: 0, offset: 0, bytes: Vec::new() });
            agent(&events, frames(piece), 31 * (Flood::Data.quota().count + 200_000))
        }
        "tpm" => thread::spawn(move || {
            for at in 0..1_000_000 {
                let (command, answer) = (vec![0; 65], vec![0; 19]);
                let exchange = Exchange {
                    origin: Origin::Guest,
                    locality: 0,
                    command,
                    answer,
                    begin_ns: at,
                    end_ns: at,
                };
                events.send(What::Tpm(exchange)).unwrap();
            }
            false
        }),
        "monitor" => thread::spawn(move || {
            for _ in 0..1_000_000 {
                events
                    .send(What::Qmp(json!({"event": "RTC_CHANGE", "data": {"offset": [[], [], []]}})))
                    .unwrap();
            }
            false
        }),
        "guest" => return real(folder.path()),
        other => panic!("{other}"),
    };
    let until = Instant::now() + LONG;
    let mut told = None;
    // Not taken at first; what comes then is taken as a run takes it.
    let idle = Instant::now() + Duration::from_secs(2);
    while Instant::now() < idle && !flood.is_finished() {
        thread::park_timeout(Duration::from_millis(10));
    }
    while !flood.is_finished() {
        assert!(Instant::now() < until, "the flood does not end");
        let _ = stream.next(Duration::from_millis(100), |what| {
            if let What::Host(Host::Flooded { by, text }) = what {
                assert_eq!(told, None);
                told = Some((*by, text.clone()));
            }
        });
    }
    stream.drain();
    let trace = stream.into_trace();
    let flooded = trace.notable().find_map(|event| match &event.what {
        What::Host(Host::Flooded { text, .. }) => Some(text.clone()),
        _ => None,
    });
    tell(&flooded.unwrap_or_default());
}

fn tell(flooded: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    // Own time and the system's (proc_pid_stat(5)), in hundredths; that of QEMU is not in it.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    let time: f64 = fields.map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    println!("peak {peak}\ntime {}\nflooded {flooded}", time / 100.0);
}

/// A whole run of a real machine whose guest prints line ends for ever, judged.
fn real(folder: &Path) {
    let spec = spec(folder, "hello\n", Then::Flood);
    let scratch = Scratch::new(folder).unwrap();
    let context = RunContext {
        kernel: &spec.kernel,
        initramfs: &spec.initramfs,
        kernels: &[],
        accel: Accel::Tcg,
        qemu: Path::new(QEMU),
        swtpm: Path::new("swtpm"),
        timeout_scale: 1.0,
        scratch: &scratch,
        interrupts: &Interrupts::default(),
        seeded: None,
        forks: None,
        debugger: None,
    };
    match capabilities(context, &[], None, folder, &mut || ()) {
        Err(AskError::Guest { judgement, .. }) => {
            assert_eq!(judgement.outcome, Outcome::Failed);
            tell(&words::reason(&judgement.reason.unwrap()));
        }
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::newlines_on_the_console("console", "more than 200000 lines on its console")]
#[case::a_real_guest("guest", "the guest flooded the run: more than 200000 lines on its console")]
#[case::empty_messages("messages", "more than 700000 messages of its agent")]
#[case::empty_pieces("data", "more than 2000000 pieces of data from its agent")]
#[case::tpm_commands("tpm", "")]
#[case::events_of_the_monitor("monitor", "more than 4096 events of QEMU's monitor")]
fn a_flood_ends_in_bounded_memory(#[case] flood: &str, #[case] expected: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "flood::flooding", "--ignored", "--nocapture"]).env(FLOOD, flood);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"))
    };
    let peak: u64 = line("peak ").trim_end_matches(" kB").parse().unwrap();
    let time: f64 = line("time ").parse().unwrap();
    println!("{flood}: {peak} KiB at most, {time} s of a processor");
    assert_eq!(line("flooded").trim(), expected);
    assert!(peak < MOST, "{flood}: {peak} KiB");
    assert!(time < MOST_TIME, "{flood}: {time} s of a processor");
}
