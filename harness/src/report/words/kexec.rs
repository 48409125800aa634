//! Findings of the check `kexec` in words.

use super::parts::{count, described_or, record, step};
use imalab_language::finding::Kexec;

pub(super) fn words(finding: &Kexec) -> String {
    match finding {
        Kexec::CarriedOtherwise { boot, step: at, number, expected_record, found_record } => format!(
            "boot {boot}: {} read {} as record {number} of the list, where {} had to be carried: staged, then current",
            step(at),
            described_or(found_record.as_ref(), "nothing"),
            described_or(expected_record.as_ref(), "one that no list ever showed")
        ),
        Kexec::NoAggregate { boot, step: at, records, found_record } => format!(
            "boot {boot}: {} read {} where the kernel's boot aggregate has to be, after {}",
            step(at),
            described_or(found_record.as_ref(), "nothing"),
            count(*records, "carried record")
        ),
        Kexec::Aggregates { numbers, boots } => {
            let places: Vec<String> = numbers.iter().map(u64::to_string).collect();
            format!(
                "{} extended (record {}), expected one of each of {}",
                count(numbers.len() as u64, "boot aggregate"),
                places.join(", "),
                count(*boots, "boot")
            )
        }
        Kexec::RefusedEarly { step: at } => {
            format!("{}: refused as if measuring were suspended, and no kexec had begun", step(at))
        }
        Kexec::GrantedLate { step: at, refused } => format!(
            "{}: granted although {} had been refused because measuring is suspended",
            step(at),
            step(refused)
        ),
        Kexec::NoNumbers { record: of, words } => {
            format!("{}: `{words}` does not have the three numbers", record(of))
        }
        Kexec::Loads { boot, expected, found } => format!(
            "boot {boot}: {} in the log, {} that should make one",
            count(*found, "kexec_load record"),
            count(*expected, "load")
        ),
        Kexec::Executions { boot, expected, found } => {
            format!("boot {boot}: {} in the log, expected {expected}", count(*found, "kexec_execute record"))
        }
        Kexec::Bytes { boot, record: of, expected, found } => format!(
            "{}: it tells of {}, the log of boot {boot} has {expected} before it, with a header",
            record(of),
            count(*found, "byte")
        ),
        Kexec::Records { boot, record: of, expected, found } => format!(
            "{}: it tells of {}, the log of boot {boot} has {expected} before it",
            record(of),
            count(*found, "record")
        ),
        Kexec::BytesTooLate { record: of } => {
            format!("{}: its bytes are of a later moment than its number of records", record(of))
        }
        Kexec::OddSegment { record: of, found } => {
            format!("{}: a segment of {} is not one of whole pages", record(of), count(*found, "byte"))
        }
        Kexec::SegmentTooSmall { record: of, expected, found } => format!(
            "{}: a segment of {} does not hold the {expected} bytes of the lists",
            record(of),
            count(*found, "byte")
        ),
        Kexec::OtherSegment { record: of, load, expected, found } => format!(
            "{}: it tells of a segment of {}, {} of one of {expected}",
            record(of),
            count(*found, "byte"),
            record(load)
        ),
        Kexec::SpareBytes { least, most, unit } => format!(
            "the segments have {least} to {most} bytes to spare, expected a multiple of {unit} common to all"
        ),
        Kexec::NoKexecStep {} => "no kexec step".to_owned(),
    }
}
