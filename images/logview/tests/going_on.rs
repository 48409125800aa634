//! A log that is read while records move from the kernel into shards: whatever was read stays what it was, at its place.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use imalab_formats::ima::{Bank, ByteOrder, Generator, Mix, Record, write_record};
use imalab_logview::{Broken, Form, Header, Log, Position, Segment, Shard, seal};
use proptest::prelude::*;

fn list(records: &[Record]) -> Vec<u8> {
    let mut list = Vec::new();
    for record in records {
        write_record(&mut list, record, ByteOrder::Little).unwrap();
    }
    list
}

fn records(seed: u64, count: usize) -> Vec<Record> {
    Generator::new(seed, Mix::Templates).take(count).collect()
}

/// A shard of these records, behind those before it.
fn segment(before: &[Record], records: &[Record]) -> Segment<Vec<u8>> {
    let mut position = Position::start();
    position.pass_all(&list(before)).unwrap();
    let header = Header { number: 0, tpm_resets: None, former: None, before: position };
    Shard::open(seal(&header, &list(records)).unwrap().bytes).unwrap().into_segment()
}

/// All of a form, read in one go of a log that holds all records at once.
fn whole(records: &[Record], form: Form) -> Vec<u8> {
    let mut log: Log<Vec<u8>> = Log::new();
    log.set_tail(list(records)).unwrap();
    read_from(&log, form, 0, usize::MAX)
}

fn read_from(log: &Log<Vec<u8>>, form: Form, from: u64, most: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 700]);
    while all.len() < most {
        let room = buffer.len().min(most - all.len());
        match log.read_at(form, from + all.len() as u64, &mut buffer[..room]).unwrap() {
            0 => break,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
    all
}

/// What happens between two reads.
#[derive(Clone, Debug)]
enum Event {
    /// So many records come, and the reader looks.
    Come(usize),
    /// So many of the kernel's records go into a shard; the reader looks, or did not in time.
    Kept(usize),
    /// The reader looks at everything anew.
    Anew,
    /// A piece is read in each form.
    Read(prop::sample::Index, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0usize..60).prop_map(Event::Come),
        (1usize..80).prop_map(Event::Kept),
        Just(Event::Anew),
        (any::<prop::sample::Index>(), 1usize..900).prop_map(|(at, length)| Event::Read(at, length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_read_is_that_part_of_the_whole_log(
        seed in any::<u64>(),
        looks_in_time in any::<bool>(),
        events in prop::collection::vec(event(), 1..24),
    ) {
        let all = records(seed, 400);
        let expected: Vec<(Form, Vec<u8>)> = Form::all().map(|form| (form, whole(&all, form))).collect();
        let mut log: Log<Vec<u8>> = Log::new();
        let (mut kept, mut there, mut cuts) = (0, 0, vec![0]);
        for event in events {
            match event {
                Event::Come(count) => {
                    there = all.len().min(there + count);
                    if looks_in_time {
                        log.follow(list(&all[kept..there])).unwrap();
                    }
                }
                Event::Kept(count) => {
                    let to = there.min(kept + count);
                    if to == kept {
                        continue;
                    }
                    log.keep(segment(&all[..kept], &all[kept..to])).unwrap();
                    (kept, cuts) = (to, [cuts.as_slice(), &[to]].concat());
                    log.follow(list(&all[kept..there])).unwrap();
                }
                Event::Anew => {
                    let mut anew: Log<Vec<u8>> = Log::new();
                    for cut in cuts.windows(2) {
                        anew.push(segment(&all[..cut[0]], &all[cut[0]..cut[1]])).unwrap();
                    }
                    anew.set_tail(list(&all[kept..there])).unwrap();
                    log.go_on_as(anew).unwrap();
                    prop_assert_eq!(log.end().records, there as u64);
                }
                Event::Read(at, length) => {
                    for (form, expected) in &expected {
                        let end = usize::try_from(log.size(*form)).unwrap();
                        let at = at.index(end + 10);
                        let part = expected[..end].get(at..).unwrap_or_default();
                        let part = &part[..part.len().min(length)];
                        prop_assert!(read_from(&log, *form, at as u64, length) == part, "{} at {}", form, at);
                    }
                }
            }
        }
    }
}

/// A log of two shards and a tail.
fn log(all: &[Record]) -> Log<Vec<u8>> {
    let mut log = Log::new();
    log.push(segment(&[], &all[..20])).unwrap();
    log.push(segment(&all[..20], &all[20..40])).unwrap();
    log.set_tail(list(&all[40..])).unwrap();
    log
}

#[test]
fn other_records_are_told_and_change_nothing() {
    let (all, other) = (records(1, 70), records(2, 70));
    let mut log = log(&all);
    let before = read_from(&log, Form::CANONICAL, 0, usize::MAX);
    let breaks = [
        log.follow(list(&other[40..])),
        log.follow(list(&all[40..60])),
        log.follow(list(&all[41..])),
        log.keep(segment(&all[..40], &other[40..50])),
        log.go_on_as(self::log(&other)),
        log.go_on_as(Log::new()),
    ];
    for (index, broken) in breaks.iter().enumerate() {
        assert!(matches!(broken, Err(Broken::Other(_))), "{index}: {broken:?}");
    }
    assert!(matches!(log.keep(segment(&all[..20], &all[20..40])), Err(Broken::Gap(_))));
    assert!(matches!(log.follow([list(&all[40..]), vec![1]].concat()), Err(Broken::Records(_))));
    assert!(read_from(&log, Form::CANONICAL, 0, usize::MAX) == before);
    log.follow(list(&all[40..])).unwrap();
}

#[test]
fn what_was_not_seen_in_the_kernel_is_read_of_its_shard() {
    let all = records(3, 200);
    let mut log: Log<Vec<u8>> = Log::new();
    log.follow(list(&all[..50])).unwrap();
    // 100 more came and were kept before anybody looked.
    log.keep(segment(&[], &all[..150])).unwrap();
    log.follow(list(&all[150..])).unwrap();
    let form = Form { ascii: true, bank: Bank::Sha256 };
    assert!(read_from(&log, form, 0, usize::MAX) == whole(&all, form));
}
