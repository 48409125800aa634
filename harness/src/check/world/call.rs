//! System calls with what they give, and lists as the kernel shows them.

use imalab_wire::{Op, Outcome};

use crate::ima::{AsciiLine, Bank, ByteOrder, Record, write_record};
use crate::plan::Form;

/// One operation with what it gives.
pub(in crate::check) type Done = (Op, Outcome, Vec<u8>);

pub(in crate::check) fn value(number: usize) -> Outcome {
    Outcome::Value(number as i64)
}

pub(in crate::check) fn write(path: &str, bytes: &[u8]) -> Vec<Done> {
    let open = Op::Open { slot: 0, path: path.to_owned(), flags: 1, mode: 0 };
    vec![
        (open, value(0), Vec::new()),
        (Op::Write { slot: 0, bytes: bytes.to_vec() }, value(bytes.len()), Vec::new()),
        (Op::Close { slot: 0 }, value(0), Vec::new()),
    ]
}

pub(in crate::check) fn read(path: &str, bytes: Vec<u8>) -> Vec<Done> {
    let open = Op::Open { slot: 0, path: path.to_owned(), flags: 0, mode: 0 };
    let length = value(bytes.len());
    vec![
        (open, value(0), Vec::new()),
        (Op::Read { slot: 0, chunk: 4096, limit: None, send: true }, length, bytes),
        (Op::Close { slot: 0 }, value(0), Vec::new()),
    ]
}

/// A list as the kernel shows it.
pub(in crate::check) fn show(list: &[Record], form: Form, bank: Bank) -> Vec<u8> {
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
