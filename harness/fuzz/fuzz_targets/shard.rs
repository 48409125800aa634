//! Shards: whatever the bytes are, there is no panic; a shard that holds what it says is written as the same bytes; and its records
//! read the same at any byte of any form.
//!
//! The first byte chooses whether the rest is a file or a list to make one of, and where reads are cut.

#![no_main]

use imalab_logview::{Form, Header, Log, Position, Shard, ShardName, seal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    if let Ok(name) = std::str::from_utf8(rest) {
        let _ = ShardName::parse(name);
    }
    let header = Header { number: 0, tpm_resets: None, former: None, before: Position::start() };
    let file = match choice & 1 {
        0 => rest.to_vec(),
        _ => match seal(&header, rest) {
            Ok(sealed) => sealed.bytes,
            Err(_) => return,
        },
    };
    let Ok(shard) = Shard::open(file.clone()) else { return };
    if shard.verify().is_err() {
        // What was not held against its end is read all the same, and may be an error.
        let _ = shard.into_segment().read_at(Form { ascii: true, ..Form::CANONICAL }, 0, &mut [0; 64]);
        return;
    }
    let sealed = seal(shard.header(), &shard.records().expect("it was read")).expect("it holds records");
    assert_eq!(sealed.bytes, file, "read and written again");
    if shard.header().before != Position::start() {
        return;
    }
    let mut log = Log::new();
    log.push(shard.into_segment()).expect("it begins the log");
    for form in Form::all() {
        let size = usize::try_from(log.size(form)).expect("a file's size");
        let mut whole = vec![0; size];
        let mut done = 0;
        while done < size {
            let count = log.read_at(form, done as u64, &mut whole[done..]).expect("it was verified");
            assert!(count > 0, "{form} ends at {done} of {size}");
            done += count;
        }
        let at = size * usize::from(choice >> 1) / 128;
        let mut part = vec![0; 40.min(size - at)];
        let count = log.read_at(form, at as u64, &mut part).expect("it was verified");
        assert_eq!(part[..count], whole[at..at + count]);
    }
});
