//! System calls with what they give, and lists as the kernel shows them.

use imalab_wire::{Op, Outcome};

use imalab_formats::ima::{AsciiLine, Bank, ByteOrder, Record, write_record};
use imalab_language::interface::IMA;
use imalab_language::plan::Form;

/// One operation with what it gives.
pub(crate) type Done = (Op, Outcome, Vec<u8>);

pub(crate) fn value(number: usize) -> Outcome {
    Outcome::Value(number as i64)
}

/// Opens for writing, writes and closes: the `staged` or the `current` list by its SHA-1 file.
pub(crate) fn write(name: &str, bytes: &[u8]) -> Vec<Done> {
    let open = Op::Open { slot: 0, path: path(name), flags: 1, mode: 0 };
    vec![
        (open, value(0), Vec::new()),
        (Op::Write { slot: 0, bytes: bytes.to_vec() }, value(bytes.len()), Vec::new()),
        (Op::Close { slot: 0 }, value(0), Vec::new()),
    ]
}

/// Opens for reading, reads to the end and closes: a list, or the counter `count` or `violations`.
pub(crate) fn read(name: &str, bytes: Vec<u8>) -> Vec<Done> {
    let open = Op::Open { slot: 0, path: path(name), flags: 0, mode: 0 };
    let length = value(bytes.len());
    vec![
        (open, value(0), Vec::new()),
        (Op::Read { slot: 0, chunk: 4096, limit: None, send: true, nothing: None }, length, bytes),
        (Op::Close { slot: 0 }, value(0), Vec::new()),
    ]
}

/// Path of a file of mainline by the short name that tests have for it, or by its own.
pub(crate) fn path(name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    let name = match name {
        "staged" => "binary_runtime_measurements_sha1_staged",
        "current" => "binary_runtime_measurements_sha1",
        "count" => "runtime_measurements_count",
        name if name.starts_with('/') => return name.to_owned(),
        name => name,
    };
    format!("{IMA}/{name}")
}

/// Name of a list's file in mainline.
pub(crate) fn list(form: Form, bank: Bank, staged: bool) -> String {
    let form = if form == Form::Ascii { "ascii" } else { "binary" };
    format!("{form}_runtime_measurements_{bank}{}", if staged { "_staged" } else { "" })
}

/// A list as the kernel shows it.
pub(crate) fn show(list: &[Record], form: Form, bank: Bank) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in list {
        let record = record.in_view(bank);
        match form {
            Form::Binary => write_record(&mut bytes, &record, ByteOrder::Little).expect("memory takes it"),
            Form::Ascii => {
                if let Ok(line) = AsciiLine::of(&record, ByteOrder::Little) {
                    bytes.extend_from_slice(&line.to_bytes());
                }
            }
        }
    }
    bytes
}
