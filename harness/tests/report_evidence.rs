//! What a run leaves on disk, read back and by tools that are not ours; disks that are full; traces that are not whole.

#![expect(clippy::unwrap_used, reason = "a test's panic is its failure")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use imalab::report::run_dir::{self, Bundle, KernelUsed, OutDir, RunDir, hash_file};
use imalab::report::trace::{self, TraceReader, TraceWriter};
use imalab::report::{list, print, terminal::Look};
use imalab::run_id::RunId;
use imalab_check::outcome::{Outcome, Reason, RunResult};
use imalab_files::atomic;
use imalab_formats::ima::Bank;
use imalab_language::finding::Replay;
use imalab_language::lane::Lane;
use imalab_trace::{Event, Exchange, Host, Origin, PcrReading, PcrValue, QuoteTaken, Trace, What};
use proptest::prelude::*;
use rstest::rstest;
use sha1::Sha1;
use sha2::{Digest, Sha256};

fn id() -> RunId {
    RunId {
        scenario: "stage/once".to_owned(),
        parameters: BTreeMap::new(),
        kernel: "mainline".to_owned(),
        repeat: 1,
    }
}

fn result(dir: &RunDir) -> RunResult {
    RunResult {
        scenario: id().scenario,
        parameters: BTreeMap::new(),
        kernel: id().kernel,
        release: None,
        interface: None,
        lane: Lane::Free,
        accelerator: None,
        boot: None,
        cold_because: None,
        cross_checked: false,
        seed: 7,
        strategy: None,
        schedule_hash: None,
        repeat: 1,
        outcome: Outcome::Failed,
        reason: Some(Reason::of(Replay::NoQuiescentCheckpoint {})),
        checks: vec![],
        latency: vec![],
        place: 0,
        freed: vec![],
        console_tail: vec![],
        wall_ms: 1,
        boot_ms: None,
        guest_ms: None,
        dir: Some(dir.path().to_owned()),
        bundle: Some(dir.path().to_owned()),
        repro: Some(dir.repro(&[])),
        not_stored: None,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn console(seq: u64) -> Event {
    Event { seq, at_ns: seq * 1000, what: What::Console(format!("line {seq}")) }
}

fn exchange(origin: Origin, command: &[u8], answer: &[u8]) -> What {
    What::Tpm(Exchange {
        origin,
        locality: 0,
        command: command.to_vec(),
        answer: answer.to_vec(),
        begin_ns: 1_500_000_000,
        end_ns: 1_501_250_000,
    })
}

/// A `PCR_Extend` of PCR 10 in sha1 and sha256 with a password session, as Linux sends it.
fn extend() -> Vec<u8> {
    let session = [&[0x40, 0, 0, 0x09][..], &[0, 0, 0, 0, 0]].concat();
    let mut body = vec![0, 0, 0, 10, 0, 0, 0, session.len() as u8];
    body.extend(session);
    body.extend([0, 0, 0, 2, 0, 4]);
    body.extend([0xaa; 20]);
    body.extend([0, 0x0b]);
    body.extend([0xbb; 32]);
    let size = (10 + body.len() as u32).to_be_bytes();
    [&[0x80, 0x02], &size[..], &[0, 0, 1, 0x82], &body].concat()
}

fn sample_trace() -> Trace {
    let ok = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0];
    let mut mark = vec![0x80, 0x01, 0, 0, 0, 18];
    mark.extend(imalab_wire::MARK_COMMAND.to_be_bytes());
    mark.extend(1_u64.to_be_bytes());
    let whats = vec![
        What::Host(Host::Spawned { child: "swtpm".to_owned(), pid: 4711 }),
        What::Console("Linux version".to_owned()),
        exchange(Origin::Guest, &extend(), &ok),
        exchange(Origin::Guest, &extend()[..40], &[0x80, 0x01, 0, 0, 0, 10, 0, 0, 1, 0x42]),
        exchange(Origin::Mark, &mark, &ok),
        exchange(Origin::Harness, &[0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x7f, 0xff], &[]),
        exchange(Origin::Guest, &[1, 2, 3], &[9]),
        What::Qmp(serde_json::json!({"event": "SHUTDOWN", "data": {"guest": true}})),
    ];
    let events: Vec<Event> = (0..).zip(whats).map(|(seq, what)| Event { seq, at_ns: seq, what }).collect();
    Trace::from(events)
}

#[test]
fn a_run_leaves_its_evidence_and_a_bundle_that_knows_when_it_was_altered() {
    let out = tempfile::tempdir().unwrap();
    let dir = OutDir::create(&out.path().join("new/below")).unwrap().run(&id()).unwrap();
    let mut writer = dir.trace().unwrap();
    sample_trace().iter().for_each(|seen| writer.append(seen.unwrap().event()).unwrap());
    writer.finish().unwrap();
    dir.write_console(b"\xffraw\r\n").unwrap();
    dir.write_scenario("summary: x\n").unwrap();
    dir.write_log([b"records"]).unwrap();
    dir.write_tpm(&sample_trace()).unwrap();
    let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    dir.write_commands(&[words(&["qemu", "-append", "quiet panic=1"]), words(&["swtpm"])]).unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join(run_dir::COMMANDS)).unwrap(),
        "qemu -append 'quiet panic=1'\nswtpm\n"
    );
    let values = vec![PcrValue { bank: Bank::Sha1, digest: vec![1; 20] }];
    dir.write_pcrs(&PcrReading { mark: 1, update_counter: 3, values: values.clone() }).unwrap();
    let quote = QuoteTaken {
        mark: 1,
        nonce: vec![7; 20],
        key: vec![1, 2, 3],
        attest: vec![4],
        signature: vec![5],
        values,
    };
    dir.write_quote(&quote).unwrap();
    let run = result(&dir);
    dir.write_result(&run).unwrap();
    let image = hash_file(&dir.path().join("log.bin")).unwrap();
    let kernel = KernelUsed {
        name: "mainline".to_owned(),
        release: Some("7.3.4".to_owned()),
        image: image.clone(),
        key: None,
        config: None,
        initramfs: image,
        others: Default::default(),
    };
    let bundle = Bundle::of(&run, kernel, &dir).unwrap();
    dir.write_bundle(&bundle).unwrap();

    assert_eq!(dir.path().file_name().unwrap(), "stage-once+mainline");
    assert_eq!(
        names(dir.path()),
        [
            "bundle.json",
            "commands.txt",
            "console.log",
            "log.bin",
            "pcrs-sha1.txt",
            "quote",
            "result.json",
            "scenario.yaml",
            "tpm.txt",
            "trace.jsonl"
        ]
    );
    assert_eq!(
        names(&dir.path().join("quote/mark-1")),
        ["key.pub", "nonce.hex", "pcr10-sha1.hex", "quote.msg", "quote.sig"]
    );
    assert_eq!(fs::read(dir.path().join("quote/mark-1/key.pub")).unwrap(), [0, 3, 1, 2, 3], "TPM2B_PUBLIC");
    assert_eq!(fs::read(dir.path().join(run_dir::CONSOLE)).unwrap(), b"\xffraw\r\n");
    assert_eq!(trace::read(&dir.path().join(run_dir::TRACE)).unwrap(), sample_trace());
    assert_eq!(dir.read_result().unwrap(), run);

    let again = RunDir::existing(dir.path());
    assert_eq!(again.read_bundle().unwrap(), bundle);
    assert_eq!(bundle.kernel.image.sha256, hex::encode(Sha256::digest(b"records")));
    assert_eq!(bundle.altered(&again), Vec::<String>::new());
    fs::write(dir.path().join("log.bin"), b"Records").unwrap();
    fs::remove_file(dir.path().join("quote/mark-1/quote.sig")).unwrap();
    assert_eq!(bundle.altered(&again), ["log.bin", "quote/mark-1/quote.sig"]);
}

#[test]
fn a_folder_with_evidence_is_never_reused() {
    let out = tempfile::tempdir().unwrap();
    let dir = OutDir::create(out.path()).unwrap();
    let paths: Vec<_> = (0..3).map(|_| dir.run(&id()).unwrap().path().to_owned()).collect();
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["stage-once+mainline", "stage-once+mainline.2", "stage-once+mainline.3"]);
}

#[test]
fn a_file_in_the_place_of_the_folder_is_named() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out");
    fs::write(&path, "").unwrap();
    let error = OutDir::create(&path).unwrap_err();
    assert!(
        error.to_string().contains("cannot create the folder") && error.to_string().ends_with("/out"),
        "{error}"
    );
}

#[test]
fn the_tpm_trace_is_readable() {
    let mut text = Vec::new();
    run_dir::tpm_text(&sample_trace(), &mut text).unwrap();
    insta::assert_snapshot!("tpm_text", String::from_utf8(text).unwrap());
}

#[test]
fn a_writer_refuses_an_event_out_of_order_and_leaves_no_file() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("trace.jsonl");
    let mut writer = TraceWriter::create(&path).unwrap();
    writer.append(&console(0)).unwrap();
    let error = writer.append(&console(2)).unwrap_err();
    assert!(error.source.to_string().contains("expected event 1, found event 2"), "{}", error.source);
    drop(writer);
    assert_eq!(names(out.path()), Vec::<String>::new());
}

const HEADER: &str = "{\"kind\":\"imalab trace\",\"schema\":1}\n";

fn line(seq: u64) -> String {
    serde_json::to_string(&console(seq)).unwrap() + "\n"
}

#[rstest]
#[case::empty("", "line 1 is not its header")]
#[case::other_file("hello\n", "line 1 is not its header")]
#[case::other_kind("{\"kind\":\"shopping\",\"schema\":1}\n", "line 1 is not its header")]
#[case::other_schema(
    "{\"kind\":\"imalab trace\",\"schema\":9}\n",
    "schema 9, and this imalab reads schema 1"
)]
#[case::lost(&format!("{HEADER}{}{}", line(0), line(2)), "line 3: expected event 1, found event 2")]
#[case::doubled(&format!("{HEADER}{}{}", line(0), line(0)), "line 3: expected event 1, found event 0")]
#[case::late_start(&format!("{HEADER}{}", line(5)), "line 2: expected event 0, found event 5")]
#[case::no_event(&format!("{HEADER}{}{{\"seq\":1}}\n", line(0)), "line 3: not an event")]
#[case::cut_off(&format!("{HEADER}{}{}", line(0), line(1).trim_end()), "line 3: the file ends within this line")]
#[case::too_long(&format!("{HEADER}\"{}\"\n", "x".repeat(17 << 20)), "line 2: longer than 16777216 bytes")]
fn a_trace_that_is_not_whole_is_refused(#[case] text: &str, #[case] expected: &str) {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("trace.jsonl");
    fs::write(&path, text).unwrap();
    let error = trace::read(&path).unwrap_err().to_string();
    assert!(error.contains("trace.jsonl") && error.contains(expected), "{error}");
}

#[test]
fn events_before_the_damage_can_still_be_read() {
    let text = format!("{HEADER}{}{}{{\"se", line(0), line(1));
    let mut reader = TraceReader::new(Cursor::new(text), Path::new("t")).unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), console(0));
    assert_eq!(reader.next().unwrap().unwrap(), console(1));
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
        let mut bytes = if whole { HEADER.as_bytes().to_vec() } else { Vec::new() };
        bytes.extend(body);
        if let Ok(reader) = TraceReader::new(Cursor::new(bytes), Path::new("t")) {
            prop_assert!(reader.take(400).count() < 400);
        }
    }

    #[test]
    fn what_was_written_is_read(lines in proptest::collection::vec(any::<String>(), 0..8), blob in any::<Vec<u8>>()) {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("trace.jsonl");
        let mut whats: Vec<What> = lines.into_iter().map(What::Console).collect();
        whats.push(exchange(Origin::Guest, &blob, &blob));
        let events: Vec<Event> = (0..).zip(whats).map(|(seq, what)| Event { seq, at_ns: u64::MAX - seq, what }).collect();
        let trace = Trace::from(events);
        trace::write(&path, &trace).unwrap();
        prop_assert_eq!(trace::read(&path).unwrap(), trace);
    }
}

/// Records of the template `ima-ng` in the kernel's binary form (`Documentation/security/IMA-templates.rst`) with PCR 10
/// of sha1 and sha256 after them.
fn log_with_pcrs() -> (Vec<u8>, [Vec<u8>; 2]) {
    let field = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let (mut log, mut sha1, mut sha256) = (Vec::new(), vec![0; 20], vec![0; 32]);
    for n in 0..5 {
        let digest = [&b"sha256:\0"[..], &Sha256::digest([n])].concat();
        let data = [field(&digest), field(format!("/file-{n}\0").as_bytes())].concat();
        log.extend(10_u32.to_le_bytes());
        log.extend(Sha1::digest(&data));
        log.extend(field(b"ima-ng"));
        log.extend(field(&data));
        sha1 = Sha1::digest([sha1, Sha1::digest(&data).to_vec()].concat()).to_vec();
        sha256 = Sha256::digest([sha256, Sha256::digest(&data).to_vec()].concat()).to_vec();
    }
    (log, [sha1, sha256])
}

/// Debian's ima-evm-utils must be there: `cargo xtask doctor` brings it.
#[rstest]
#[case::sha1(Bank::Sha1, 0)]
#[case::sha256(Bank::Sha256, 1)]
fn evmctl_agrees_with_the_pcr_file_and_only_with_the_true_one(#[case] bank: Bank, #[case] index: usize) {
    let out = tempfile::tempdir().unwrap();
    let dir = OutDir::create(out.path()).unwrap().run(&id()).unwrap();
    let (log, pcrs) = log_with_pcrs();
    dir.write_log([&log]).unwrap();
    let mut digest = pcrs[index].clone();
    for (matches, flip) in [(true, 0), (false, 1)] {
        *digest.last_mut().unwrap() ^= flip;
        let values = vec![PcrValue { bank, digest: digest.clone() }];
        dir.write_pcrs(&PcrReading { mark: 1, update_counter: 0, values }).unwrap();
        let pcrs = format!("{bank},{}", dir.path().join(format!("pcrs-{bank}.txt")).display());
        let evmctl = Command::new("evmctl")
            .args(["ima_measurement", "--pcrs", &pcrs])
            .arg(dir.path().join("log.bin"))
            .output();
        let evmctl = evmctl.expect("evmctl of ima-evm-utils");
        let said = String::from_utf8_lossy(&[evmctl.stdout, evmctl.stderr].concat()).into_owned();
        // Its exit code alone is no evidence: 0 also when it could read no PCR file.
        assert_eq!(said.contains("Matched per TPM bank calculated digest(s)."), matches, "{said}");
        assert_eq!(evmctl.status.success(), matches, "{said}");
    }
}

fn scenarios() -> Vec<list::ScenarioEntry> {
    let entry = |name: &str, summary: &str, needs: &[&str], runs| list::ScenarioEntry {
        scenario: name.to_owned(),
        summary: summary.to_owned(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        runs,
        only_when_named: name == "trim/all",
    };
    vec![
        entry(
            "stage/once",
            "Staging moves every record of the current list to the staged one, and deleting it loses none.",
            &["staging"],
            4,
        ),
        entry("access/a-scenario-with-a-very-long-name-indeed-longer-than-any-column", "Short.", &[], 1),
        entry("trim/all", "Evil \u{1b}[2J summary.", &["trim", "kexec"], 1),
    ]
}

#[rstest]
#[case::redirected("list_redirected", None)]
#[case::wide("list_wide", Some(100))]
#[case::narrow("list_narrow", Some(36))]
fn the_list_fits_its_screen(#[case] name: &str, #[case] width: Option<usize>) {
    let mut text = Vec::new();
    list::table(&scenarios(), Look { width, ..Look::PLAIN }, &mut text).unwrap();
    insta::assert_snapshot!(name, String::from_utf8(text).unwrap());
}

#[test]
fn the_list_is_json_too() {
    let mut text = Vec::new();
    list::json(&scenarios(), &mut text).unwrap();
    let read: list::ScenarioList = serde_json::from_slice(&text).unwrap();
    assert_eq!((read.schema, read.scenarios), (1, scenarios()));
}

#[test]
fn an_error_shows_its_causes_and_what_may_be_done() {
    let error = atomic::write(Path::new("/nowhere/results.json"), b"").unwrap_err();
    insta::assert_snapshot!("error", print::render(&miette::Report::new(error), false, 80));
}
