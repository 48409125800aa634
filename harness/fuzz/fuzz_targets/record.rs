//! The record parsers: whatever the bytes are, there is no panic; what is read is written as the same bytes; and
//! what is shown as text is the same record when it is read from the text.
//!
//! The first byte chooses view and byte order, the others are the list.

#![no_main]

use imalab_formats::ima::{AsciiLine, AsciiReader, Bank, Batch, ByteOrder, LogReader, write_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, list)) = input.split_first() else { return };
    let view = Bank::ALL[usize::from(choice & 3)];
    let order = if choice & 4 == 0 { ByteOrder::Little } else { ByteOrder::Big };

    let mut reader = LogReader::new(list, view).byte_order(order);
    let mut written = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                write_record(&mut written, record, order).expect("a Vec takes everything");
                let _ = record.extend_digest(Bank::Sha256);
                let Ok(line) = AsciiLine::of(record, order) else { continue };
                let text = line.to_bytes();
                let content = text.strip_suffix(b"\n").expect("a line ends");
                // A name with a space or a line break in it is not told from two fields; the kernel writes none.
                let Ok(again) = AsciiLine::parse(content, view) else { continue };
                if again == line {
                    assert_eq!(again.to_bytes(), text);
                    if let Ok(shown) = again.to_record(order) {
                        assert_eq!(AsciiLine::of(&shown, order).expect("made of its own text"), line);
                    }
                }
            }
            Ok(None) => break,
            Err(error) => {
                assert!(error.offset <= list.len() as u64, "{error}");
                break;
            }
        }
    }
    assert_eq!(&list[..written.len()], written, "read and written again");

    let mut batched = Vec::new();
    let (mut batches, mut batch) = (LogReader::new(list, view).byte_order(order), Batch::new());
    while let Ok(true) = batches.next_batch(&mut batch) {
        for (record, _) in batch.records() {
            write_record(&mut batched, record, order).expect("a Vec takes everything");
        }
    }
    assert_eq!(batched, written, "batches hold the same records");

    for line in AsciiReader::new(list, view).map_while(Result::ok) {
        let _ = line.to_record(order);
    }
});
