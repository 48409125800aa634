//! Old readers on a real kernel, while the log keeper takes records out of it: without its view they break, and with it they read the
//! whole log, at places that never move, whoever is killed.

use std::collections::BTreeMap;

use imalab_formats::ima::{AsciiLine, Bank, ByteOrder, Record, Replay, parse_log, write_record};

use crate::trial::{Trial, run};

const LIST: &str = "binary_runtime_measurements";

/// What the guest handed over, by name.
fn sent(trial: &Trial) -> BTreeMap<String, Vec<u8>> {
    let mut rest = trial.sent.as_slice();
    let mut contents = BTreeMap::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let (name, length) = line.rsplit_once(' ').unwrap();
        let (content, behind) = rest[end + 1..].split_at(length.parse().unwrap());
        contents.insert(name.to_owned(), content.to_vec());
        rest = behind;
    }
    contents
}

fn digests(list: &[u8]) -> Vec<Vec<u8>> {
    let records = parse_log(list, Bank::Sha1).unwrap();
    records.iter().map(|record| record.extend_digest(Bank::Sha256).as_bytes().to_vec()).collect()
}

/// What PCR 10 of SHA-256 comes to with these records.
fn replayed(records: &[Record]) -> Vec<u8> {
    let mut replay = Replay::new(Bank::Sha256);
    for record in records {
        replay.record(record);
    }
    replay.value(10).unwrap().as_bytes().to_vec()
}

/// What a kernel that holds all records shows under a name.
fn form(records: &[Record], name: &str) -> Vec<u8> {
    let bank = name.rsplit_once("_sha").map_or(Bank::Sha1, |(_, bank)| format!("sha{bank}").parse().unwrap());
    let mut shown = Vec::new();
    for record in records.iter().map(|record| record.in_view(bank)) {
        if name.starts_with("ascii") {
            shown.extend(AsciiLine::of(&record, ByteOrder::Little).unwrap().to_bytes());
        } else {
            write_record(&mut shown, &record, ByteOrder::Little).unwrap();
        }
    }
    shown
}

#[test]
fn old_readers_see_one_whole_log() {
    let trial = run("IMALAB_KERNEL_FUSE", "IMALAB_VIEW", "trial=view");
    trial.must_say(&[
        "owners: the same",
        "in flight: answered",
        "nobody: EACCES",
        "writing: EBUSY",
        "verify: exit status: 0",
        "locked: EBUSY, EBUSY, then 0",
        "killed again and again: exit status: 1",
        "open while killed: ENOTCONN",
        "both killed: ENOTCONN",
        "unbind: exit status: 0",
        "view: exit status: 0",
        "keeper: exit status: 0",
        "done",
    ]);
    let said = &trial.said;
    assert_eq!(said.matches("again, no trouble").count(), 3, "{said}");
    assert_eq!(said.matches("trial: nobody: EACCES").count(), 2, "{said}");
    let again: u64 = said
        .split("trial: reader: ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    // Each of the three comes by four places at a time; how often is the host's affair.
    assert!(again >= 12, "{again} reads of what was read before");

    let sent = sent(&trial);
    // The whole log is what crossed the tap.
    let whole = &sent["whole/at-last"];
    let records = parse_log(whole, Bank::Sha1).unwrap();
    assert_eq!(records.len(), trial.extends.len(), "{said}");
    assert!(digests(whole) == trial.extends, "once each, and in order");
    // Whoever read earlier has read its beginning, byte by byte.
    for name in ["whole/again", "whole/cat", "whole/after-both", &format!("whole/{LIST}")] {
        assert!(whole.starts_with(&sent[name]), "{name}");
    }
    for (name, read) in sent.iter().filter_map(|(name, read)| Some((name.strip_prefix("old/")?, read))) {
        assert!(!read.is_empty() && form(&records, name).starts_with(read), "{name}");
    }
    // Each form, and both counters.
    let idle = parse_log(&sent[&format!("whole/{LIST}")], Bank::Sha1).unwrap();
    let forms = sent.iter().filter_map(|(name, read)| Some((name.strip_prefix("whole/")?, read)));
    let forms: Vec<_> = forms.filter(|(name, _)| name.contains("_runtime_")).collect();
    assert_eq!(forms.len(), 10, "two of them links");
    for (name, read) in forms {
        assert!(form(&idle, name) == *read, "{name}");
    }
    assert_eq!(sent["whole/runtime_measurements_count"], format!("{}\n", idle.len()).as_bytes());
    assert_eq!(sent["whole/violations"], b"8\n");
    assert!(said.contains(&format!("trial: idle: {0} then {0}", idle.len())), "{said}");

    // Without the view: what is left in the kernel, which no PCR stands for.
    for (name, list) in sent.iter().filter(|(name, _)| name.starts_with("trimmed")) {
        let left = digests(list);
        assert!(!left.is_empty() && left.len() < trial.extends.len(), "{name}");
        assert!(!trial.extends.starts_with(&left), "{name}");
        let values = (1..=records.len()).map(|count| replayed(&records[..count]));
        let pcr = replayed(&parse_log(list, Bank::Sha1).unwrap());
        assert!(values.into_iter().all(|value| value != pcr), "{name}: PCR 10 has had its value");
    }
    assert_eq!(sent.keys().filter(|name| name.starts_with("trimmed")).count(), 5);
    println!("{} records, {again} reads of what was read before", records.len());
}

/// What the rule of `logkeeper policy` is for: without it the view adds a record for each of its files.
#[test]
fn without_its_rule_the_view_is_measured() {
    let trial = run("IMALAB_KERNEL_FUSE", "IMALAB_VIEW", "trial=view trial.rule=none");
    let idle = trial.said.split("trial: idle: ").nth(1).and_then(|rest| rest.lines().next());
    let (before, after) = idle.and_then(|idle| idle.split_once(" then ")).unwrap();
    let count = |text: &str| text.trim().parse::<u64>().unwrap();
    assert!(count(before) < count(after), "{before}, {after}");
}
