//! How much memory judging a long run takes; `docs/performance.md` has the figures.

use std::fs;
use std::time::Instant;

use rstest::rstest;

use crate::digest;
use crate::fake_run::{FakeRun, TODAY, passed};
use imalab_formats::ima::Bank;
use imalab_trace::Recording;

/// What judging a million records may take, KiB.
const MOST: u64 = 512 * 1024;

/// Measured at a time, before they are staged, saved and deleted; as many as `scale/million-in-chunks` has.
const CHUNK: u64 = 50_000;

/// Resident memory of this process, KiB: now, or its peak since that was last reset.
fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

/// All that becomes of a run: its checks, and what it leaves of each record.
#[rstest]
#[case::one_bank(&[Bank::Sha256])]
#[case::four_banks(&[Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512])]
#[ignore = "takes minutes: `cargo test --release -p imalab-check million -- --ignored --nocapture`"]
fn a_million_records_are_judged_in_half_a_gibibyte(#[case] banks: &[Bank]) {
    let folder = std::env::temp_dir();
    let mut fake = FakeRun::with_banks(banks);
    let mut recording = Recording::within(&folder);
    std::mem::take(&mut fake.trace.events).into_iter().for_each(|event| recording.push(event));
    fake.recording = Some(recording);
    for _ in 0..20 {
        fake.measure(CHUNK);
        fake.stage_save_delete();
    }
    fake.measure(10);
    let (plan, trace) = fake.finish();

    // The peak is reset to what is resident now (proc(5), `clear_refs`).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, began) = (memory("VmRSS:"), Instant::now());
    let digest = digest(&plan, &trace);
    digest.check(TODAY).iter().for_each(passed);
    assert_eq!((digest.records().count(), digest.histories().count()), (1_000_011, 1_000_011));
    let (peak, took) = (memory("VmHWM:"), began.elapsed());
    println!("{} banks: {} MiB at most, {} MiB before, in {took:.1?}", banks.len(), peak >> 10, before >> 10);
    assert!(peak < MOST, "{peak} KiB");
}
