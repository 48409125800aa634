//! The numbers in the critical data that a kernel records when it loads another and when it leaves for it, each computed
//! anew from the whole log.
//!
//! `ima_measure_kexec_event` (`security/integrity/ima/ima_kexec.c`) tells the size of the segment for the list, and how
//! many bytes and records the kernel has logged and taken over since it started, whatever was deleted since; a header
//! counts with the bytes. The segment is made at each load for what is staged and current then, with a header for each and
//! some memory to spare, in whole pages (`ima_add_kexec_buffer`).

use std::ops::RangeInclusive;

use imalab_wire::{KEXEC_FILE_ON_CRASH, Op, Outcome};
use nix::errno::Errno;

use crate::evidence::{Ended, Evidence, Moment};
use crate::findings::Findings;
use crate::history::{History, Turn};
use crate::reconstruction::{Reconstruction, Reconstructions};
use imalab_language::finding::{Fact, Kexec, Record};
use imalab_wire::kernels::NO_KERNEL;

/// Bytes of `struct ima_kexec_hdr` (`security/integrity/ima/ima.h`).
const HEADER: u64 = 24;
/// Bytes of a page on x86.
const PAGE: u64 = 4096;
/// `CONFIG_IMA_KEXEC_EXTRA_MEMORY_KB` counts in these; when it is 0, half a page, two of them, is to spare.
const EXTRA_UNIT: u64 = 1024;

/// What is compared, as the result names it; a policy without critical data has none.
const NUMBERS: &str = "numbers in records of kexec";

/// Template of critical data (`ima_template_desc_buf`).
const TEMPLATE: &str = "ima-buf";
/// Name of the record that a load makes.
const LOAD: &str = "kexec_load";
/// Name of the record that an execution makes.
const EXECUTE: &str = "kexec_execute";

/// What a record of kexec tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KexecRecord {
    /// Its place in the whole log.
    at: usize,
    load: bool,
    segment: u64,
    bytes: u64,
    records: u64,
}

/// An operation that loads, or leaves.
#[derive(Clone, Copy)]
struct Call {
    step: usize,
    begin: Moment,
    end: Moment,
}

pub(super) fn check(
    evidence: &Evidence<'_>,
    whole: &Reconstruction,
    history: &History,
    reconstructions: &Reconstructions,
    findings: &mut Findings,
) {
    let kexec_records = kexec_records(evidence, whole, findings);
    if kexec_records.is_empty() {
        findings.compared(0, NUMBERS);
        return;
    }
    let mut judge = Judge { evidence, whole, history, reconstructions, findings, true_ones: 0 };
    let mut spare: Vec<(u64, u64)> = Vec::new();
    for boot in 1..=evidence.boots {
        let of_boot: Vec<KexecRecord> =
            kexec_records.iter().filter(|record| history.boot_of(record.at) == boot).copied().collect();
        spare.extend(judge.boot(boot, &of_boot));
    }
    let true_ones = judge.true_ones;
    spared(&spare, findings);
    findings.compared(true_ones, NUMBERS);
    findings.fact(Fact::TrueRecords { records: kexec_records.len() as u64 });
}

/// The records of kexec in the whole log.
fn kexec_records(
    evidence: &Evidence<'_>,
    whole: &Reconstruction,
    findings: &mut Findings,
) -> Vec<KexecRecord> {
    let mut all = Vec::new();
    for (at, id) in whole.records.iter().enumerate() {
        let record = evidence.records.get(id);
        if *record.template != *TEMPLATE {
            continue;
        }
        let load = match record.name().as_str() {
            LOAD => true,
            EXECUTE => false,
            _ => continue,
        };
        let text = record.field("buf").unwrap_or_default();
        match numbers(text) {
            Some([segment, bytes, records]) => all.push(KexecRecord { at, load, segment, bytes, records }),
            None => findings.finding(Kexec::NoNumbers {
                record: evidence.record_at(id, at),
                words: text.escape_ascii().to_string(),
            }),
        }
    }
    all
}

fn numbers(text: &[u8]) -> Option<[u64; 3]> {
    let mut rest = std::str::from_utf8(text).ok()?;
    let mut found = [0; 3];
    let names = ["kexec_segment_size", "ima_binary_runtime_size", "ima_runtime_measurements_count"];
    for (name, number) in names.into_iter().zip(&mut found) {
        let (digits, after) = rest.strip_prefix(name)?.strip_prefix('=')?.split_once(';')?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = digits.parse().ok()?;
        rest = after;
    }
    rest.is_empty().then_some(found)
}

struct Judge<'j, 'a> {
    evidence: &'j Evidence<'a>,
    whole: &'j Reconstruction,
    history: &'j History,
    reconstructions: &'j Reconstructions,
    findings: &'j mut Findings,
    true_ones: usize,
}

impl Judge<'_, '_> {
    /// Judges the kexec records of one boot. For each segment the least and the most bytes that were to spare in it.
    fn boot(&mut self, boot: u32, stated: &[KexecRecord]) -> Vec<(u64, u64)> {
        let loads: Vec<KexecRecord> = stated.iter().filter(|stated| stated.load).copied().collect();
        let calls = self.loads(boot);
        // Each record has its call when there are as many.
        let matched = calls.len() == loads.len();
        if calls.len() > loads.len() && !loads.is_empty() || calls.len() < loads.len() {
            let (expected, found) = (calls.len() as u64, loads.len() as u64);
            self.findings.finding(Kexec::Loads { boot: from_zero(boot), expected, found });
        }
        let mut spare = Vec::new();
        for (number, stated) in loads.iter().enumerate() {
            let call = calls.get(number).filter(|_| matched).copied();
            self.counted(boot, stated, call);
            spare.extend(call.and_then(|call| self.segment(boot, stated, call)));
        }
        let left = self.evidence.left_by(boot);
        let leaves: Vec<&KexecRecord> = stated.iter().filter(|stated| !stated.load).collect();
        let expected = usize::from(boot < self.evidence.boots);
        // What is lost is known by its digest alone.
        let lost = self.evidence.limit.is_some_and(|limit| u32::from(limit.lost.kexec) == boot);
        if leaves.len() != expected && !(lost && leaves.is_empty()) {
            let (expected, found) = (expected as u64, leaves.len() as u64);
            self.findings.finding(Kexec::Executions { boot: from_zero(boot), expected, found });
        }
        for stated in leaves {
            let call = left.and_then(|step| {
                let (begin, end) = self.evidence.steps[step].span()?;
                Some(Call { step, begin, end })
            });
            self.counted(boot, stated, call);
            self.same_segment(stated, &loads);
        }
        spare
    }

    /// Loads that reach the measurement list, in order of time: with a file that is a kernel as far as anybody can see, and
    /// not for a crash.
    fn loads(&self, boot: u32) -> Vec<Call> {
        let mut calls = Vec::new();
        for (at, step) in self.evidence.steps.iter().enumerate() {
            for (op, seen) in step.ops.iter().zip(&step.seen) {
                // kexec_load(2) does not concern IMA.
                let Op::KexecLoad { kernel, flags, .. } = op else { continue };
                let Some(Ended { begin, end, outcome }) = seen.ended else { continue };
                let reached = match outcome {
                    Outcome::Value(_) => true,
                    Outcome::Errno(errno) => {
                        let early = [Errno::EPERM, Errno::EBUSY, Errno::ENOENT, Errno::ENOMEM];
                        kernel != NO_KERNEL && !early.contains(&Errno::from_raw(errno))
                    }
                    Outcome::NotAttempted => false,
                };
                if reached && flags & KEXEC_FILE_ON_CRASH == 0 && begin.boot == boot {
                    calls.push(Call { step: at, begin, end });
                }
            }
        }
        calls.sort_by_key(|call| call.begin);
        calls
    }

    /// A record of the whole log.
    fn record(&self, at: usize) -> Record {
        let id = self.whole.records.get(at);
        id.map_or_else(|| Record::unknown(at as u64 + 1), |id| self.evidence.record_at(id, at))
    }

    fn size(&self, at: usize) -> u64 {
        self.whole.records.get(at).map_or(0, |id| self.evidence.records.get(id).size())
    }

    /// The two counts against what the kernel had logged and taken over by then. While other tasks may measure, they may be
    /// those of a little earlier, the bytes of no later than the records.
    fn counted(&mut self, boot: u32, stated: &KexecRecord, call: Option<Call>) {
        let place = usize::try_from(boot).unwrap_or(usize::MAX) - 1;
        let carried = self.history.carried.get(place).map_or(&[][..], Vec::as_slice);
        let start = self.history.starts.get(place).copied().unwrap_or(0).min(stated.at);
        let mut bytes = HEADER + carried.iter().map(|at| self.size(*at)).sum::<u64>();
        let mut records = carried.len() as u64;
        let quiet = call.is_some_and(|call| self.evidence.quiescent(call.step));
        let (mut bytes_at, mut records_at) = (None, None);
        for at in start..=stated.at {
            if !quiet || at == stated.at {
                if stated.bytes == bytes {
                    bytes_at = Some(at);
                }
                if stated.records == records {
                    records_at = Some(at);
                }
            }
            if at < stated.at {
                bytes += self.size(at);
                records += 1;
            }
        }
        let of_boot = from_zero(boot);
        if bytes_at.is_none() {
            let (record, expected, found) = (self.record(stated.at), bytes, stated.bytes);
            self.findings.finding(Kexec::Bytes { boot: of_boot, record, expected, found });
        }
        if records_at.is_none() {
            let (record, expected, found) = (self.record(stated.at), records, stated.records);
            self.findings.finding(Kexec::Records { boot: of_boot, record, expected, found });
        }
        self.true_ones += usize::from(bytes_at.is_some()) + usize::from(records_at.is_some());
        if let (Some(bytes_at), Some(records_at)) = (bytes_at, records_at)
            && bytes_at > records_at
        {
            self.findings.finding(Kexec::BytesTooLate { record: self.record(stated.at) });
        }
    }

    /// The least and the most bytes that were to spare in a load's segment, where its needs are known.
    fn segment(&mut self, boot: u32, stated: &KexecRecord, call: Call) -> Option<(u64, u64)> {
        if !stated.segment.is_multiple_of(PAGE) {
            let (record, found) = (self.record(stated.at), stated.segment);
            self.findings.finding(Kexec::OddSegment { record, found });
            return None;
        }
        let during =
            self.reconstructions.changes.iter().any(|change| (call.begin..=call.end).contains(&change.at));
        if during || !self.evidence.quiescent(call.step) {
            return None;
        }
        let live = (0..stated.at).filter(|at| self.is_held(*at, boot, call.begin));
        let headers = self.evidence.plan.interface.dialect().segment_headers;
        let needed = live.map(|at| self.size(at)).sum::<u64>() + headers * HEADER;
        let Some(most) = stated.segment.checked_sub(needed) else {
            let (record, expected, found) = (self.record(stated.at), needed, stated.segment);
            self.findings.finding(Kexec::SegmentTooSmall { record, expected, found });
            return None;
        };
        self.true_ones += 1;
        Some((most.saturating_sub(PAGE - 1), most))
    }

    /// Whether the record was in a list of the kernel at that moment of its boot.
    fn is_held(&self, at: usize, boot: u32, moment: Moment) -> bool {
        let out = self.history.turns(at).find_map(|turn| match turn {
            Turn::Deleted { by, .. } | Turn::Trimmed { by } => self.reconstructions.changes.get(by),
            _ => None,
        });
        out.is_none_or(|change| (change.at.boot, change.at) >= (boot, moment))
    }

    /// An execution tells the segment of the load before it. One that was too large for a segment left no record.
    fn same_segment(&mut self, stated: &KexecRecord, loads: &[KexecRecord]) {
        let Some(load) = loads.iter().rfind(|load| load.at < stated.at) else { return };
        let memory = u64::from(self.evidence.plan.machine.memory_mib) << 20;
        if stated.segment == load.segment {
            self.true_ones += 1;
        } else if stated.segment < memory / 4 {
            self.findings.finding(Kexec::OtherSegment {
                record: self.record(stated.at),
                load: self.record(load.at),
                expected: load.segment,
                found: stated.segment,
            });
        }
    }
}

/// A boot, from 1, as scenarios count it.
fn from_zero(boot: u32) -> u16 {
    u16::try_from(boot.saturating_sub(1)).unwrap_or(u16::MAX)
}

/// All segments of a run have the same number of bytes to spare.
fn spared(spare: &[(u64, u64)], findings: &mut Findings) {
    let Some(both) = spare
        .iter()
        .map(|(least, most)| *least..=*most)
        .reduce(|a, b| *a.start().max(b.start())..=*a.end().min(b.end()))
    else {
        return;
    };
    match units(&both) {
        Some(kib) => findings.fact(Fact::Spare { kib }),
        None => {
            let (least, most) = (*both.start(), *both.end());
            findings.finding(Kexec::SpareBytes { least, most, unit: EXTRA_UNIT });
        }
    }
}

/// How many units are to spare: 2, which is the default, when they may be.
fn units(range: &RangeInclusive<u64>) -> Option<u64> {
    let least = range.start().div_ceil(EXTRA_UNIT).max(1);
    let units = if (least..=range.end() / EXTRA_UNIT).contains(&2) { 2 } else { least };
    range.contains(&(units * EXTRA_UNIT)).then_some(units)
}
