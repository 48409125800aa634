//! Findings of the check `exactly-once` in words.

use super::parts::{be, count, described, described_or, extend, record, record_or, step, totals};
use imalab_formats::tpm::response;
use imalab_language::finding::{ExactlyOnce, Record, Totals};

/// What stands where a list ends.
const END: &str = "the end of the log";

pub(super) fn words(finding: &ExactlyOnce) -> String {
    match finding {
        ExactlyOnce::RecordLost { extend: of, records, after, before, totals: all } => {
            let first = of.number;
            let which = match records {
                0 | 1 => format!("record {first} is missing:"),
                more => format!("records {first} to {} are missing, the first of which is", first + more - 1),
            };
            let after = after.as_ref().map_or_else(String::new, |after| format!("after {}, ", record(after)));
            let next = record_or(before.as_ref(), END);
            let of = extend(of);
            format!(
                "{which} {of}, in no saved, staged or current list; {after}before {next}{}",
                totals(all.as_ref())
            )
        }
        ExactlyOnce::RecordDoubled { record: of, twin, extended, extend_number, totals: all } => {
            let number =
                extend_number.map_or_else(String::new, |number| format!(", first by extend {number}"));
            format!(
                "{} is doubled: it was extended {}{number}, and is also {}{}",
                record(of),
                times(*extended),
                record_or(twin.as_ref(), "elsewhere"),
                totals(all.as_ref())
            )
        }
        ExactlyOnce::RecordsSwapped { record, other, extend_number, other_extend_number, totals } => {
            displaced(
                record,
                "is swapped with",
                other.as_ref(),
                *extend_number,
                *other_extend_number,
                totals.as_ref(),
            )
        }
        ExactlyOnce::OutOfOrder { record, other, extend_number, other_extend_number, totals } => {
            let verb = "is out of order: in its place was extended";
            displaced(record, verb, other.as_ref(), *extend_number, *other_extend_number, totals.as_ref())
        }
        ExactlyOnce::NeverExtended { record: of, totals: all } => {
            format!("{} was never extended: the tap saw no extend of it{}", record(of), totals(all.as_ref()))
        }
        ExactlyOnce::ExtendFailed { record: of, response: code, event, totals: all } => format!(
            "{} was never extended: its extend failed with {} (event {event}){}",
            record(of),
            response::name(*code),
            totals(all.as_ref())
        ),
        ExactlyOnce::ExtendedElsewhere { record: of, pcr, event, totals: all } => format!(
            "{} was never extended: it was extended into PCR {pcr} instead (event {event}){}",
            record(of),
            totals(all.as_ref())
        ),
        ExactlyOnce::WrongPcr { record: of, extend: by, expected, totals: all } => format!(
            "{}: {} has its digests, expected PCR {expected}{}",
            record(of),
            extend(by),
            totals(all.as_ref())
        ),
        ExactlyOnce::WrongDigest {
            record: of,
            extend: by,
            bank,
            expected_digest,
            found_digest,
            padded_sha1,
            totals: all,
        } => {
            let hint = if *padded_sha1 {
                ": that is its SHA-1 digest padded with zeros, so the kernel lacks the bank's hash"
            } else {
                ""
            };
            format!(
                "{}: {} has another digest for {bank}: expected {expected_digest}, found {found_digest}{hint}{}",
                record(of),
                extend(by),
                totals(all.as_ref())
            )
        }
        ExactlyOnce::Banks { extend: of, missing, foreign, affected, extends } => format!(
            "{} does not fit the machine's banks: missing [{}], too many [{}]; nor do {affected} of {extends} in all",
            extend(of),
            missing.join(" "),
            foreign.join(" ")
        ),
        ExactlyOnce::ExtendsRefused { pcr, extends, response: code, event } => format!(
            "the TPM refused {} of PCR {pcr} with {}, the first in event {event}: recorded, and not in the PCR",
            count(*extends, "extend"),
            response::name(*code)
        ),
        ExactlyOnce::RemovedUnsaved { step: by, records, number } => {
            let what = records.map_or_else(|| "records".to_owned(), |records| count(records, "record"));
            format!("{}: removed {what} that nobody had saved, before record {number}", step(by))
        }
        ExactlyOnce::Misread { step: by, number, expected_record, found_record } => format!(
            "{}: read {} as record {number}, which is {}",
            step(by),
            described(found_record),
            described_or(expected_record.as_ref(), "none of the log")
        ),
        ExactlyOnce::StagedOver { step: by } => {
            format!("{}: staging succeeded although records were staged", step(by))
        }
        ExactlyOnce::DeletedNothing { step: by } => {
            format!("{}: deleting succeeded although nothing was staged", step(by))
        }
        ExactlyOnce::StagedFromNowhere { step: by, records } => {
            format!(
                "{}: the staged list holds {} although nothing is staged",
                step(by),
                count(*records, "record")
            )
        }
        ExactlyOnce::StagedChanged { step: by, earlier, number } => format!(
            "{}: the staged list differs from what {} read of it, from record {number} on",
            step(by),
            step(earlier)
        ),
        ExactlyOnce::CarriedUnread { step: by } => format!(
            "{}: the list that it staged was carried over a kexec unread while records were trimmed: where they belong is not \
             known",
            step(by)
        ),
        ExactlyOnce::NoPcrReading { step: by } => {
            format!("{}: no PCR was read at its mark, so nothing says which extends came before it", step(by))
        }
        ExactlyOnce::NotQuiescent { step: by } => {
            format!("{}: another task could still measure at this last checkpoint", step(by))
        }
        ExactlyOnce::NoExtend { commands } => {
            format!("the tap saw no extend of PCR 10 among {} of the guest", count(*commands, "TPM command"))
        }
        ExactlyOnce::LateExtends { extends, event } => format!(
            "{} {} after the last checkpoint, the first in event {event}: no list shows whether they were recorded",
            count(*extends, "extend"),
            be(*extends)
        ),
    }
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

fn displaced(
    of: &Record,
    verb: &str,
    other: Option<&Record>,
    own: Option<u64>,
    others: u64,
    all: Option<&Totals>,
) -> String {
    let own = own.map_or_else(|| "by no extend after it".to_owned(), |own| format!("by extend {own}"));
    let other = record_or(other, "a record before it");
    format!(
        "{} {verb} {other}: it was extended {own}, the other by extend {others}{}",
        record(of),
        totals(all)
    )
}
