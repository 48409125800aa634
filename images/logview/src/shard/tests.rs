use super::*;
use imalab_formats::ima::{Bank, ByteOrder, Generator, Mix, Replay, write_record};
use rstest::rstest;

fn list(seed: u64, mix: Mix, count: usize) -> Vec<u8> {
    let mut list = Vec::new();
    for record in Generator::new(seed, mix).take(count) {
        write_record(&mut list, &record, ByteOrder::Little).unwrap();
    }
    list
}

fn header(before: Position) -> Header {
    Header { number: 3, tpm_resets: Some(7), former: Some([0xab; 32]), before }
}

#[rstest]
#[case(Mix::Common)]
#[case(Mix::Templates)]
#[case(Mix::Legacy)]
fn a_shard_is_read_as_it_was_written(#[case] mix: Mix) {
    let mut before = Position::start();
    before.pass_all(&list(1, mix, 10)).unwrap();
    let records = list(2, mix, 40);
    let sealed = seal(&header(before.clone()), &records).unwrap();
    let shard = Shard::open(sealed.bytes.clone()).unwrap();
    assert_eq!(shard.header(), &header(before));
    assert_eq!(shard.after(), &sealed.after);
    assert_eq!((shard.count(), shard.records().unwrap()), (40, records));
    assert_eq!(shard.verify().unwrap(), sealed.sha256);
}

#[test]
fn values_at_the_end_are_those_of_a_replay() {
    let records = list(5, Mix::Common, 700);
    let sealed = seal(&header(Position::start()), &records).unwrap();
    for bank in Bank::ALL {
        let mut replay = Replay::new(bank);
        for record in imalab_formats::ima::parse_log(&records, Bank::Sha1).unwrap() {
            replay.record(&record);
        }
        assert_eq!(Some(sealed.after.value(bank, 10)), replay.value(10));
    }
    assert!(sealed.after.violations > 0, "one in 500 is one");
}

#[test]
fn the_form_is_this_one() {
    let sealed =
        seal(&Header { former: None, ..header(Position::start()) }, &list(1, Mix::Common, 1)).unwrap();
    let (head, rest) = sealed.bytes.split_at(512);
    let head = std::str::from_utf8(head).unwrap().trim_end();
    assert_eq!(
        head,
        "ima-log-shard 1 000512\nnumber 3\ntpm-resets 7\nform binary sha1 little-endian\nformer -\nrecord 0\n\
         binary-byte 0\nascii-byte 0\nviolations 0"
    );
    let end = std::str::from_utf8(&rest[list(1, Mix::Common, 1).len()..]).unwrap();
    let lines: Vec<&str> = end.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines[..2], ["ima-log-shard-end 1 001024", "record 1"]);
    assert!(lines[5].starts_with("pcr 10 sha1 "), "{lines:?}");
    assert_eq!(lines.last(), Some(&"end 001024"));
}

#[test]
fn each_bit_matters() {
    let sealed = seal(&header(Position::start()), &list(9, Mix::Common, 3)).unwrap();
    for at in 0..sealed.bytes.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bytes = sealed.bytes.clone();
            bytes[at] ^= bit;
            let found = Shard::open(bytes).and_then(|shard| shard.verify());
            assert!(found.is_err(), "byte {at} bit {bit:#x}: {found:?}");
        }
    }
}

#[test]
fn a_shard_that_was_cut_is_none() {
    let sealed = seal(&header(Position::start()), &list(9, Mix::Common, 3)).unwrap();
    for length in 0..sealed.bytes.len() {
        assert!(Shard::open(sealed.bytes[..length].to_vec()).is_err(), "{length}");
    }
    let mut longer = sealed.bytes;
    longer.push(b'\n');
    assert!(Shard::open(longer).is_err());
}

#[test]
fn what_is_no_list_is_not_sealed() {
    let records = list(1, Mix::Common, 2);
    let error = seal(&header(Position::start()), &records[..records.len() - 1]).unwrap_err();
    assert!(error.to_string().starts_with("not a measurement list: "), "{error}");
}

#[test]
fn a_digest_of_other_bytes_and_sums_of_others_are_told() {
    let one = seal(&header(Position::start()), &list(1, Mix::Common, 3)).unwrap().bytes;
    let other =
        seal(&Header { number: 4, ..header(Position::start()) }, &list(1, Mix::Common, 3)).unwrap().bytes;
    let swapped = [&one[..512], &other[512..]].concat();
    let error = Shard::open(swapped).unwrap().verify().unwrap_err();
    assert!(matches!(error, Damage::Digest { .. }), "{error}");
    // A digest that fits, of records that amount to something else than is said.
    let header = header(Position::start());
    let mut bytes = header.encode();
    bytes.extend(list(1, Mix::Common, 3));
    let mut after = Position::start();
    after.pass_all(&list(2, Mix::Common, 3)).unwrap();
    after.place = seal(&header, &list(1, Mix::Common, 3)).unwrap().after.place;
    let digest = Sha256::digest(&bytes).into();
    bytes.extend(block::encode_end(&after, &digest));
    assert!(matches!(Shard::open(bytes).unwrap().verify(), Err(Damage::Sums)));
}

#[rstest]
#[case("00000003-000000000137.rec", Some((3, 137)))]
#[case("123456789-1234567890123.rec", Some((123_456_789, 1_234_567_890_123)))]
#[case("3-137.rec", None)]
#[case("00000003-000000000137.rec.tmp", None)]
#[case("+0000003-000000000137.rec", None)]
#[case("lock", None)]
fn names_are_read_one_way(#[case] name: &str, #[case] expected: Option<(u64, u64)>) {
    let parsed = ShardName::parse(name);
    assert_eq!(parsed.map(|name| (name.number, name.first)), expected);
    assert!(parsed.is_none_or(|parsed| parsed.to_string() == name));
}
