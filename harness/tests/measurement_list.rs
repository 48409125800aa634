//! The measurement list's two forms: what the kernel wrote is understood, what it cannot have written is refused.

use imalab_formats::ima::{
    AsciiLine, AsciiReader, Bank, Batch, ByteOrder, DATA_MAX, Digest, Generator, LogReader, Mix, Record,
    Replay, field_kind, matching_prefix, parse_log, replay, template_data, write_record,
};
use proptest::prelude::*;
use rstest::rstest;

/// Lines that kernels have printed (boots without a TPM, and of a 5.4 kernel with `ima_template=ima-sig`), as
/// they were posted in public. Their digests are the kernel's, not ours.
const PRINTED: [&str; 3] = [
    "10 0adefe762c149c7cec19da62f0da1297fcfbffff ima-ng sha256:0000000000000000000000000000000000000000000000000000000000000000 boot_aggregate",
    "10 4e5d73ebadfd8f850cb93ce4de755ba148a9a7d5 ima-ng sha256:0000000000000000000000000000000000000000000000000000000000000000 boot_aggregate_late",
    "10 0c8a706a75a5689c1e168f0a573a3cbec33061b5 ima-sig sha256:e4cb9f5709c88376b5fc3743cd88e76b9aae8f3d992d845678de5215edb31216 boot_aggregate ",
];

#[test]
fn the_digests_that_kernels_printed_are_those_of_the_data() {
    for text in PRINTED {
        let line = AsciiLine::parse(text.as_bytes(), Bank::Sha1).unwrap();
        let record = line.to_record(ByteOrder::Little).unwrap();
        assert_eq!(hex::encode(record.template_digest(Bank::Sha1)), text.split(' ').nth(1).unwrap());
        assert!(record.is_consistent());
        assert_eq!(
            AsciiLine::of(&record, ByteOrder::Little).unwrap().to_bytes(),
            format!("{text}\n").as_bytes()
        );
    }
}

/// A record of `ima-ng` laid out by hand, as `ima_measurements_show` does it.
fn by_hand(order: fn(u32) -> [u8; 4], digest: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    list.extend(order(10));
    list.extend(digest);
    list.extend(order(6));
    list.extend(b"ima-ng");
    list.extend(order(4 + 40 + 4 + 5));
    list.extend(order(40));
    list.extend(b"sha256:\0");
    list.extend([0xab; 32]);
    list.extend(order(5));
    list.extend(b"/a b\0");
    list
}

#[rstest]
#[case::little(ByteOrder::Little, u32::to_le_bytes)]
#[case::big(ByteOrder::Big, u32::to_be_bytes)]
fn the_binary_form(
    #[case] order: ByteOrder,
    #[case] bytes: fn(u32) -> [u8; 4],
    #[values(Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512)] view: Bank,
) {
    let digest = vec![0x17; view.digest_size()];
    let list = by_hand(bytes, &digest);
    let records: Vec<Record> =
        LogReader::new(&*list, view).byte_order(order).collect::<Result<_, _>>().unwrap();
    let [record] = &records[..] else { panic!("one record: {records:?}") };
    assert_eq!((record.pcr, &record.digest, &*record.template), (10, &digest, "ima-ng"));
    assert_eq!(record.view(), Some(view));
    let fields: Vec<_> = record
        .borrowed()
        .fields(order)
        .map(|field| field.unwrap())
        .map(|field| (field.id, field.data))
        .collect();
    assert_eq!(fields[0], (Some("d-ng"), [b"sha256:\0".as_slice(), &[0xab; 32]].concat().as_slice()));
    assert_eq!(fields[1], (Some("n-ng"), b"/a b\0".as_slice()));
    // The kernel hashes the lengths in the byte order in which it shows them.
    assert_eq!(record.template_digest(view), Digest::of(view, &[&list[list.len() - 53..]]));

    let mut written = Vec::new();
    write_record(&mut written, record, order).unwrap();
    assert_eq!(written, list);
}

#[test]
fn the_template_ima_has_no_data_length_and_a_padded_name_in_its_digest() {
    let mut list = 10u32.to_le_bytes().to_vec();
    list.extend([1; 20]);
    list.extend(3u32.to_le_bytes());
    list.extend(b"ima");
    list.extend([0xcd; 20]);
    list.extend(4u32.to_le_bytes());
    list.extend(b"/etc");
    let records = parse_log(&list, Bank::Sha1).unwrap();
    let fields = records[0].fields().unwrap();
    assert_eq!((fields[0].id, fields[0].data), (Some("d"), [0xcd; 20].as_slice()));
    assert_eq!((fields[1].id, fields[1].data), (Some("n"), b"/etc".as_slice()));
    let mut hashed = [0xcd; 276];
    hashed[20..].fill(0);
    hashed[20..24].copy_from_slice(b"/etc");
    for bank in Bank::ALL {
        assert_eq!(records[0].template_digest(bank), Digest::of(bank, &[&hashed]));
    }
    let line = AsciiLine::of(&records[0], ByteOrder::Little).unwrap();
    let text = String::from_utf8(line.to_bytes()).unwrap();
    assert_eq!(text, format!("10 {} ima {} /etc\n", "01".repeat(20), "cd".repeat(20)));
    assert_eq!(line.to_record(ByteOrder::Little).unwrap(), records[0]);
}

#[test]
fn an_unknown_template_is_taken_apart_by_its_lengths() {
    let data = template_data(&[b"one", b"", b"three"], ByteOrder::Little);
    let record = Record::new(Bank::Sha1, 11, "ima-tomorrow", data);
    let fields: Vec<_> = record.fields().unwrap().into_iter().map(|field| (field.id, field.data)).collect();
    assert_eq!(fields, [(None, b"one".as_slice()), (None, b""), (None, b"three")]);
    let line = AsciiLine::of(&record, ByteOrder::Little).unwrap();
    assert_eq!(line.fields, [b"6f6e65".to_vec(), b"".to_vec(), b"7468726565".to_vec()]);
    let error = line.to_record(ByteOrder::Little).unwrap_err();
    assert_eq!(error.to_string(), "expected a template whose fields are known, found `ima-tomorrow`");
}

#[test]
fn a_format_in_the_place_of_a_name_tells_the_fields() {
    assert_eq!(field_kind("d-tomorrow"), None);
    let data = template_data(&[b"sha1:\0\x01\x02", b"/x\0", &[0xa4, 0x81], b"?"], ByteOrder::Little);
    let record = Record::new(Bank::Sha1, 10, "d-ng|n-ng|imode|later", data);
    let line = AsciiLine::of(&record, ByteOrder::Little).unwrap();
    let text = String::from_utf8(line.to_bytes()).unwrap();
    assert!(text.ends_with(" d-ng|n-ng|imode|later sha1:0102 /x 33188 3f\n"), "{text}");
}

#[test]
fn a_violation_is_extended_as_ones_in_every_bank() {
    let mut violation =
        Record::new(Bank::Sha1, 10, "ima-ng", template_data(&[b"a:\0", b"n\0"], ByteOrder::Little));
    violation.digest.fill(0);
    for bank in Bank::ALL {
        assert_eq!(violation.extend_digest(bank), Digest::ones(bank));
        let after = Digest::of(bank, &[&vec![0; bank.digest_size()], &vec![0xff; bank.digest_size()]]);
        assert_eq!(replay([&violation], bank, 10), Some(after));
        assert!(violation.in_view(bank).is_violation());
    }
}

#[test]
fn another_banks_digest_is_recomputed_and_the_views_own_is_taken_as_listed() {
    let record = Generator::new(3, Mix::Common).next().unwrap();
    assert_eq!(record.extend_digest(Bank::Sha1).as_bytes(), record.digest);
    assert_eq!(record.extend_digest(Bank::Sha256), record.template_digest(Bank::Sha256));
    let other = record.in_view(Bank::Sha256);
    assert_ne!(record, other);
    assert_eq!(record.event(), other.event());
    let mut changed = record.clone();
    changed.digest[0] ^= 1;
    assert_eq!(changed.extend_digest(Bank::Sha1).as_bytes(), changed.digest);
    assert!(!changed.is_consistent());
}

#[test]
fn a_replay_starts_where_it_is_told_and_finds_prefixes() {
    let records: Vec<Record> = Generator::new(5, Mix::Templates).take(50).collect();
    let whole = replay(&records, Bank::Sha256, 10).unwrap();
    let half = replay(&records[..20], Bank::Sha256, 10).unwrap();
    assert_eq!(matching_prefix(&records, Bank::Sha256, 10, whole.as_bytes()), Some(50));
    assert_eq!(matching_prefix(&records, Bank::Sha256, 10, half.as_bytes()), Some(20));
    assert_eq!(matching_prefix(&records, Bank::Sha256, 10, &[0; 32]), Some(0));
    assert_eq!(matching_prefix(&records, Bank::Sha256, 10, &[1; 32]), None);
    assert_eq!(matching_prefix(&records, Bank::Sha256, 9, whole.as_bytes()), None);

    let mut rest = Replay::new(Bank::Sha256);
    assert!(rest.start_at(10, half));
    assert!(!rest.start_at(10, Digest::zero(Bank::Sha1)));
    for record in &records[20..] {
        rest.record(record);
    }
    assert!(rest.is_at(10, whole.as_bytes()));
    assert_eq!(rest.extended().collect::<Vec<_>>(), [(10, whole)]);
}

/// Errors name the record from 1, the byte, what was expected and what is there.
#[rstest]
#[case::pcr(0, &[64, 0, 0, 0], "record 2, byte 91: expected PCR index of 0 to 63, found 64 (0x00000040)")]
#[case::no_name(24, &[0, 0, 0, 0], "record 2, byte 115: expected template name length of 1 to 254, found 0 (0x00000000)")]
#[case::long_name(24, &[255, 0, 0, 0], "record 2, byte 115: expected template name length of 1 to 254, found 255 (0x000000ff)")]
#[case::name(
    28,
    b"im\n-",
    r#"record 2, byte 119: expected a template name of printable ASCII, found "im\n-ng""#
)]
#[case::long_data(34, &[0xff; 4], "record 2, byte 125: expected template data length of 0 to 16777216, found 4294967295 (0xffffffff)")]
#[case::short(34, &[54, 0, 0, 0], "record 2, byte 129: expected 54 bytes of template data, found the end of the list after 53")]
#[case::field_long(
    38, &[50, 0, 0, 0],
    "record 2, byte 133: template data of `ima-ng`: expected 50 bytes as the content of field `d-ng`, found 49 bytes to the end of the template data"
)]
#[case::field_short(
    82, &[4, 0, 0, 0],
    "record 2, byte 181: template data of `ima-ng`: expected the end of the template data after the last field, found 1 bytes more"
)]
fn malformed_lists(#[case] at: usize, #[case] bytes: &[u8], #[case] message: &str) {
    let record = by_hand(u32::to_le_bytes, &[7; 20]);
    let mut list = [record.clone(), record.clone()].concat();
    list[record.len() + at..][..bytes.len()].copy_from_slice(bytes);
    let mut reader = LogReader::new(&*list, Bank::Sha1);
    assert!(reader.next_record().unwrap().is_some());
    assert_eq!(reader.next_record().unwrap_err().to_string(), message);
    assert!(reader.next_record().unwrap().is_none(), "after an error the list is at its end");
    assert_eq!((reader.records(), reader.offset()), (1, record.len() as u64));
}

#[test]
fn a_claimed_length_takes_no_memory_before_the_bytes_arrive() {
    let mut list = by_hand(u32::to_le_bytes, &[7; 20]);
    list[34..38].copy_from_slice(&(DATA_MAX as u32).to_le_bytes());
    let error = parse_log(&list, Bank::Sha1).unwrap_err().to_string();
    assert!(error.contains("expected 16777216 bytes of template data, found the end"), "{error}");
}

#[test]
fn a_record_of_the_largest_size_passes_through() {
    let content = vec![0x5a; DATA_MAX - 4 - 3 - 4 - 2 - 4];
    let data = template_data(&[b"a:\0", b"n\0", &content], ByteOrder::Little);
    assert_eq!(data.len(), DATA_MAX);
    let small = Record::new(Bank::Sha1, 10, "ima-ng", template_data(&[b"a:\0", b"n\0"], ByteOrder::Little));
    let records = vec![small.clone(), Record::new(Bank::Sha1, 10, "ima-buf", data), small];
    let mut list = Vec::new();
    for record in &records {
        write_record(&mut list, record, ByteOrder::Little).unwrap();
    }
    assert_eq!(parse_log(&list, Bank::Sha1).unwrap(), records);
}

#[rstest]
#[case::empty_line("\n", "line 1, byte 0: expected a PCR index below 64, found \"\"")]
#[case::pcr("+1 00 ima-ng a b\n", "line 1, byte 0: expected a PCR index below 64, found \"+1\"")]
#[case::digest("10 00 ima-ng a b\n", "line 1, byte 0: expected a sha1 digest in hexadecimal, found \"00\"")]
#[case::no_template(
    "10 0000000000000000000000000000000000000000\n",
    "line 1, byte 0: expected a template name, found \"\""
)]
#[case::fields(
    "10 0000000000000000000000000000000000000000 ima-ng a:00\n",
    "line 1, byte 0: expected 2 fields of template `ima-ng`, each after a space, found \"1 fields\""
)]
#[case::unfinished(
    "10 0000000000000000000000000000000000000000 ima-ng a:00 b",
    "line 1, byte 0: expected a line end, found the end of the list"
)]
#[case::second(
    "10 0000000000000000000000000000000000000000 ima-ng a:00 b\n1\n",
    "line 2, byte 58: expected a sha1 digest in hexadecimal, found \"\""
)]
fn malformed_ascii(#[case] text: &str, #[case] message: &str) {
    let error = AsciiReader::new(text.as_bytes(), Bank::Sha1).find_map(Result::err).unwrap();
    assert_eq!(error.to_string(), message);
}

#[test]
fn both_forms_of_every_template_show_the_same_records() {
    for mix in [Mix::Templates, Mix::Legacy] {
        let records: Vec<Record> = Generator::new(11, mix).take(1000).collect();
        let text: Vec<u8> = records
            .iter()
            .flat_map(|record| AsciiLine::of(record, ByteOrder::Little).unwrap().to_bytes())
            .collect();
        let again: Vec<Record> = AsciiReader::new(&*text, Bank::Sha1)
            .map(|line| line.unwrap().to_record(ByteOrder::Little).unwrap())
            .collect();
        assert_eq!(again, records);
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let name = prop_oneof![
        Just("ima-ng".to_owned()),
        Just("evm-sig".to_owned()),
        "[a-z|-]{1,20}".prop_filter("not the template without a length", |name| name != "ima"),
    ];
    let fields = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10);
    (0..64u32, any::<[u8; 20]>(), name, fields).prop_map(|(pcr, digest, template, mut fields)| {
        if let Some(format) = imalab_formats::ima::format_of(&template) {
            fields.resize(format.split('|').count(), Vec::new());
        }
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let data = template_data(&fields, ByteOrder::Little);
        Record { pcr, digest: digest.to_vec(), template, data }
    })
}

/// Hands out few bytes at a time, as a pipe may.
struct Trickle<'a>(&'a [u8], usize);

impl std::io::Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(records in prop::collection::vec(any_record(), 0..10), step in 1..50usize) {
        let mut list = Vec::new();
        for record in &records {
            write_record(&mut list, record, ByteOrder::Little).unwrap();
        }
        let again: Vec<Record> =
            LogReader::new(Trickle(&list, step), Bank::Sha1).collect::<Result<_, _>>().unwrap();
        let sizes = again.iter().map(|record| record.borrowed().binary_size(Bank::Sha1));
        prop_assert_eq!(sizes.sum::<u64>(), list.len() as u64);
        prop_assert_eq!(again, records);
    }

    #[test]
    fn any_bytes_give_records_or_an_error_inside_them(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        view in prop::sample::select(Bank::ALL.to_vec()),
    ) {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for item in LogReader::new(&*bytes, view).byte_order(order) {
                match item {
                    Ok(record) => prop_assert_eq!(record.view(), Some(view)),
                    Err(error) => prop_assert!(error.offset <= bytes.len() as u64),
                }
            }
        }
        for line in AsciiReader::new(&*bytes, view).flatten() {
            let _ = line.to_record(ByteOrder::Little);
        }
    }

    #[test]
    fn a_changed_byte_never_passes_for_the_same_list(seed in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
        let records: Vec<Record> = Generator::new(seed, Mix::Templates).take(5).collect();
        let mut list = Vec::new();
        for record in &records {
            write_record(&mut list, record, ByteOrder::Little).unwrap();
        }
        let at = at.index(list.len());
        list[at] ^= 1 << bit;
        if let Ok(changed) = parse_log(&list, Bank::Sha1) {
            prop_assert_ne!(changed, records);
        }
    }
}

/// Everything that batches hand out, and the error that ends them.
fn in_batches(source: impl std::io::Read) -> (Vec<(Record, u64)>, Option<String>) {
    let mut reader = LogReader::new(source, Bank::Sha1);
    let (mut batch, mut records) = (Batch::new(), Vec::new());
    loop {
        match reader.next_batch(&mut batch) {
            Ok(true) => records.extend(batch.records().map(|(record, offset)| (record.to_owned(), offset))),
            Ok(false) => return (records, None),
            Err(error) => {
                assert!(
                    matches!(reader.next_batch(&mut batch), Ok(false)),
                    "after an error the list is at its end"
                );
                return (records, Some(error.to_string()));
            }
        }
    }
}

fn one_by_one(source: impl std::io::Read) -> (Vec<(Record, u64)>, Option<String>) {
    let mut reader = LogReader::new(source, Bank::Sha1);
    let mut records = Vec::new();
    loop {
        let offset = reader.offset();
        match reader.next_record() {
            Ok(Some(record)) => records.push((record.to_owned(), offset)),
            Ok(None) => return (records, None),
            Err(error) => return (records, Some(error.to_string())),
        }
    }
}

#[rstest]
fn batches_hold_what_single_reads_give(
    #[values(7, 4096, usize::MAX)] step: usize,
    #[values(None, Some(300_000), Some(700_001))] cut: Option<usize>,
    #[values(None, Some(500_000))] changed: Option<usize>,
) {
    let mut list = Vec::new();
    // Several buffers full, and in the middle a record that is larger than one.
    let large = template_data(&[b"a:\0", b"n\0", &[0x33; 300_000]], ByteOrder::Little);
    let large = Record::new(Bank::Sha1, 10, "ima-buf", large);
    let before = Generator::new(6, Mix::Templates).take(1000);
    for record in before.chain([large]).chain(Generator::new(7, Mix::Legacy).take(3000)) {
        write_record(&mut list, &record, ByteOrder::Little).unwrap();
    }
    assert!(list.len() > 700_001);
    list.truncate(cut.unwrap_or(list.len()));
    if let Some(byte) = changed.and_then(|at| list.get_mut(at)) {
        *byte ^= 0xff;
    }
    let batches = in_batches(Trickle(&list, step));
    assert_eq!(batches, one_by_one(&*list));
    assert_eq!(batches.1.is_some(), cut.is_some());
}

#[test]
fn a_list_that_is_cut_anywhere_names_the_record_and_the_byte() {
    for mix in [Mix::Templates, Mix::Legacy] {
        let mut list = Vec::new();
        let mut ends = vec![0];
        for record in Generator::new(2, mix).take(6) {
            write_record(&mut list, &record, ByteOrder::Little).unwrap();
            ends.push(list.len());
        }
        for cut in 0..list.len() {
            let whole = ends.iter().filter(|end| **end > 0 && **end <= cut).count();
            let read = parse_log(&list[..cut], Bank::Sha1);
            if ends.contains(&cut) {
                assert_eq!(read.unwrap().len(), whole);
                continue;
            }
            let error = read.unwrap_err();
            assert_eq!(error.record, whole as u64 + 1, "cut at {cut}: {error}");
            assert!((ends[whole] as u64..=cut as u64).contains(&error.offset), "cut at {cut}: {error}");
            assert!(error.to_string().contains("found the end of the list after"), "cut at {cut}: {error}");
        }
    }
}
