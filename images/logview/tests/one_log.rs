//! However a log is cut into shards and a tail, and in whatever portions it is read: each form is that of the whole list.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use imalab_formats::ima::{AsciiLine, Bank, ByteOrder, Generator, Mix, Record, write_record};
use imalab_logview::{Form, Gap, Header, Log, Place, Position, Segment, Shard, seal};
use proptest::prelude::*;

fn list(records: &[Record]) -> Vec<u8> {
    let mut list = Vec::new();
    for record in records {
        write_record(&mut list, record, ByteOrder::Little).unwrap();
    }
    list
}

/// What the kernel would show of all records.
fn whole(records: &[Record], form: Form) -> Vec<u8> {
    let shown: Vec<Record> = records.iter().map(|record| record.in_view(form.bank)).collect();
    if !form.ascii {
        return list(&shown);
    }
    let line = |record: &Record| AsciiLine::of(record, ByteOrder::Little).unwrap().to_bytes();
    shown.iter().flat_map(line).collect()
}

/// The log of these records, cut at these places; the last piece is the kernel's.
fn cut(records: &[Record], cuts: &[usize]) -> Log<Vec<u8>> {
    let (mut log, mut before, mut former, mut from) = (Log::new(), Position::start(), None, 0);
    for (number, cut) in (0..).zip(cuts) {
        if *cut <= from {
            continue;
        }
        let header = Header { number, tpm_resets: None, former, before };
        let sealed = seal(&header, &list(&records[from..*cut])).unwrap();
        log.push(Shard::open(sealed.bytes).unwrap().into_segment()).unwrap();
        (before, former, from) = (sealed.after, Some(sealed.sha256), *cut);
    }
    log.set_tail(list(&records[from..])).unwrap();
    log
}

fn read_all(log: &Log<Vec<u8>>, form: Form, portion: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; portion]);
    loop {
        match log.read_at(form, all.len() as u64, &mut buffer).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_form_reads_as_one_list(
        seed in any::<u64>(),
        mix in prop::sample::select(vec![Mix::Common, Mix::Templates, Mix::Legacy]),
        cuts in prop::collection::vec(0usize..200, 0..5),
        portion in 1usize..3000,
    ) {
        let records: Vec<Record> = Generator::new(seed, mix).take(200).collect();
        let mut cuts = cuts;
        cuts.sort_unstable();
        let log = cut(&records, &cuts);
        for form in Form::all() {
            let expected = whole(&records, form);
            prop_assert_eq!(log.size(form), expected.len() as u64, "{}", form);
            prop_assert!(read_all(&log, form, portion) == expected, "{}", form);
        }
    }

    #[test]
    fn a_read_at_any_byte_is_that_part(
        seed in any::<u64>(),
        cuts in prop::collection::vec(0usize..150, 0..4),
        reads in prop::collection::vec((any::<prop::sample::Index>(), 0usize..700), 1..20),
    ) {
        let records: Vec<Record> = Generator::new(seed, Mix::Templates).take(150).collect();
        let mut cuts = cuts;
        cuts.sort_unstable();
        let log = cut(&records, &cuts);
        for form in Form::all() {
            let expected = whole(&records, form);
            for (at, length) in &reads {
                let at = at.index(expected.len() + 10);
                let mut buffer = vec![0; *length];
                let count = log.read_at(form, at as u64, &mut buffer).unwrap();
                let part = expected.get(at..).unwrap_or_default();
                prop_assert!(buffer[..count] == part[..part.len().min(*length)], "{} at {}", form, at);
            }
        }
    }
}

#[test]
fn an_offset_never_moves() {
    let records: Vec<Record> = Generator::new(3, Mix::Common).take(300).collect();
    for form in Form::all() {
        let expected = whole(&records, form);
        for cuts in [vec![], vec![100], vec![100, 200], vec![100, 200, 300]] {
            assert!(read_all(&cut(&records, &cuts), form, 4096) == expected, "{form} {cuts:?}");
        }
    }
}

#[test]
fn a_record_is_found_by_its_number() {
    let records: Vec<Record> = Generator::new(4, Mix::Common).take(150).collect();
    let log = cut(&records, &[70, 140]);
    for number in [0, 1, 69, 70, 71, 139, 140, 149, 150, 151] {
        let before = &records[..records.len().min(number)];
        let place = log.place_of(number as u64).unwrap();
        assert_eq!(place.records, before.len() as u64);
        for form in Form::all() {
            assert_eq!(place.offset(form), whole(before, form).len() as u64, "{form} {number}");
        }
    }
}

#[test]
fn a_piece_that_is_missing_is_told() {
    let mut log: Log<Vec<u8>> = Log::new();
    let start = Place { records: 3, binary: 300, ascii: 400 };
    let gap = log.push(Segment::new(Vec::new(), 0, start, start)).unwrap_err();
    assert_eq!(gap, Gap { end: Place::default(), start });
    assert_eq!(gap.to_string(), "records 0 to 3 are in none of the pieces");
}

#[test]
fn records_that_are_not_what_the_blocks_say_are_an_error_and_no_other_bytes() {
    let records: Vec<Record> = Generator::new(4, Mix::Common).take(10).collect();
    let header = Header { number: 0, tpm_resets: None, former: None, before: Position::start() };
    let mut sealed = seal(&header, &list(&records)).unwrap();
    // The length of the first template's name.
    sealed.bytes[512 + 24] ^= 1;
    let mut log = Log::new();
    log.push(Shard::open(sealed.bytes).unwrap().into_segment()).unwrap();
    let error = log.read_at(Form { ascii: true, bank: Bank::Sha256 }, 0, &mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}
