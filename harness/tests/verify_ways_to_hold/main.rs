//! Every way in which `imalab verify` could say that a list holds without having compared it. `docs/verify.md` has the
//! table; a row there is a test here, or in the file that it names.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod any_list;
#[path = "../verify/bench.rs"]
#[expect(dead_code, reason = "another test needs more of it")]
mod bench;
mod remarks;
mod starts;
mod uncompared;

use std::fs;

use bench::Bench;
use imalab_formats::ima::{Bank, Digest, Generator, Mix, Record, replay};
use imalab_verify::{Quoted, Verdict};

fn records(count: usize) -> Vec<Record> {
    Generator::new(9, Mix::Common).take(count).collect()
}

/// Records of PCR 10 with `more` of PCR 11 behind the first.
fn with_pcr_11(count: usize, more: usize) -> Vec<Record> {
    let mut records = records(count + more);
    records[1..=more].iter_mut().for_each(|record| record.pcr = 11);
    records
}

fn value(records: &[Record], bank: Bank, pcr: u32) -> Digest {
    replay(records, bank, pcr).unwrap()
}

/// A quote over these PCRs as the records leave them.
fn quoted(selection: &[(Bank, &[u32])], records: &[Record]) -> Quoted {
    let mut quoted = Quoted {
        selection: selection.iter().map(|(bank, pcrs)| (*bank, pcrs.to_vec())).collect(),
        hash: Bank::Sha256,
        digest: Vec::new(),
        restricted: true,
        empty_nonce: false,
    };
    quoted.digest = quoted.digest_of(|bank, pcr| value(records, bank, pcr)).as_bytes().to_vec();
    quoted
}

fn bench(log: &[Record]) -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("message"), "message").unwrap();
    bench.log("log", log);
    bench
}

fn run(bench: &Bench, more: &str, quoted: Option<Quoted>) -> (Verdict, String) {
    let (verdict, text) = bench.run(format!("verify --log @log {more}").trim(), quoted);
    (verdict.unwrap(), text)
}
