//! The lists and counters that the guest read.

use std::io::{BufReader, Read};

use imalab_wire::{Op, Outcome, StepId};

use super::portion::{Pieces, Portion};
use super::{Moment, Oddities, Oddity, OpSeen, RecordId, Records, StepSeen};
use crate::run_length::RunLength;
use imalab_formats::ima::lists::ListId;
use imalab_formats::ima::{AsciiReader, Bank, ByteOrder, LogReader, ReadError, RecordRef};
use imalab_language::plan::{Action, Form, Observed};

/// Longest counter that is looked at, in bytes: the kernel prints a `long` and a newline.
const COUNTER_MAX: u64 = 64;

/// A measurement list as the guest read it.
#[derive(Clone, Debug)]
pub(crate) struct ListSeen {
    /// Place of its step in the evidence.
    pub(crate) step: usize,
    /// Operation that read it.
    pub(crate) op: u16,
    /// Binary or ASCII.
    pub(crate) form: Form,
    /// Bank whose digests it shows.
    pub(crate) bank: Bank,
    /// The list that it is.
    pub(crate) list: ListId,
    /// When reading began.
    pub(crate) begin: Moment,
    /// How many records it holds, up to where it is broken.
    pub(crate) count: usize,
    /// What it holds. Not known of an ASCII list in a checkpoint, whose text is compared as it is.
    pub(crate) records: Option<RunLength<RecordId>>,
    /// Records whose digest column is not the digest of their data.
    pub(crate) wrong: Vec<WrongDigest>,
    /// Why it could not be read to its end.
    pub(crate) broken: Option<String>,
}

/// A record whose digest column is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongDigest {
    /// Place in its list, from 0.
    pub(crate) at: usize,
    /// What the column shows.
    pub(crate) found: Vec<u8>,
}

impl ListSeen {
    /// Whether it holds staged records.
    pub(crate) fn is_staged(&self) -> bool {
        self.list.is_staged()
    }
}

/// A counter as the guest read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterSeen {
    /// Place of its step in the evidence.
    pub(crate) step: usize,
    /// Operation that read it.
    pub(crate) op: u16,
    /// Which counter.
    pub(crate) of: Observed,
    /// Its value.
    pub(crate) value: u64,
}

/// Reads every list and counter of which all the data are there.
pub(super) fn digest(
    steps: &[StepSeen<'_>],
    records: &mut Records,
    oddities: &mut Oddities,
) -> (Vec<ListSeen>, Vec<CounterSeen>) {
    let (mut lists, mut counters) = (Vec::new(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        let mut readings = step.planned.reads.clone();
        readings.sort_unstable_by_key(|reading| reading.op);
        for reading in readings {
            let (id, op) = (step.planned.id, reading.op);
            let place = usize::from(op);
            let (Some(read), Some(seen)) = (step.ops.get(place).filter(|op| reads(op)), step.seen.get(place))
            else {
                oddities.push(Oddity::NotRead { step: id, op });
                continue;
            };
            let Some((begin, _)) = complete(read, seen) else { continue };
            match reading.of {
                Observed::List { form, bank, staged } => {
                    let mut list = ListSeen {
                        step: at,
                        op,
                        form,
                        bank,
                        list: if staged { ListId::STAGED } else { ListId::CURRENT },
                        begin,
                        count: 0,
                        records: None,
                        wrong: Vec::new(),
                        broken: None,
                    };
                    let known = form == Form::Binary || step.planned.action != Action::Checkpoint;
                    list.read(seen, known, records);
                    lists.push(list);
                }
                Observed::Count | Observed::Violations | Observed::Number => match number(id, op, seen) {
                    Ok(value) => counters.push(CounterSeen { step: at, op, of: reading.of, value }),
                    Err(oddity) => oddities.push(oddity),
                },
            }
        }
    }
    (lists, counters)
}

/// Whether an operation reads a file to its end and sends what it read.
fn reads(op: &Op) -> bool {
    matches!(op, Op::Read { send: true, .. } | Op::FindQuoted { send: true, .. } | Op::ReadThrough { .. })
}

/// When it was read, if it was read and all of it arrived. A search says how many records it found, not how many bytes
/// it read; it reads to the end, and whether records are whole is for those who read them.
fn complete(op: &Op, seen: &OpSeen<'_>) -> Option<(Moment, Moment)> {
    match seen.outcome() {
        Some(Outcome::Value(value)) if !op.tells_bytes_sent() || u64::try_from(value) == Ok(seen.length) => {
            seen.span()
        }
        _ => None,
    }
}

fn number(step: StepId, op: u16, seen: &OpSeen<'_>) -> Result<u64, Oddity> {
    let mut bytes = Vec::new();
    // What cannot be read back is no number.
    let _ = Pieces::new(&seen.pieces).take(COUNTER_MAX).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    // Each read(2) writes the number anew (`ima_show_counter`, `security/integrity/ima/ima_fs.c`): what a second one gives is the
    // end of a number that has more digits by then. The first says what it was.
    let (text, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let grown = rest.strip_suffix('\n').is_some_and(digits);
    if digits(text)
        && (rest.is_empty() || grown)
        && let Ok(value) = text.parse()
    {
        return Ok(value);
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Err(Oddity::NotDecimal { step, op, text: text.escape_debug().to_string() })
}

impl ListSeen {
    fn read(&mut self, seen: &OpSeen<'_>, known: bool, records: &mut Records) {
        let pieces = Pieces::new(&seen.pieces);
        let mut ids = RunLength::default();
        self.broken = match (self.form, known) {
            (Form::Binary, _) => self.binary(pieces, &mut ids, records).err().map(|error| error.to_string()),
            (Form::Ascii, true) => self.ascii(pieces, &mut ids, records),
            (Form::Ascii, false) => self.lines(&seen.pieces),
        };
        if known {
            self.count = ids.len();
            self.records = Some(ids);
        }
    }

    fn binary(
        &mut self,
        pieces: Pieces<'_, '_>,
        ids: &mut RunLength<RecordId>,
        records: &mut Records,
    ) -> Result<(), ReadError> {
        let mut reader = LogReader::new(pieces, self.bank);
        while let Some(record) = reader.next_record()? {
            self.take(record, ids, records);
        }
        Ok(())
    }

    fn ascii(
        &mut self,
        pieces: Pieces<'_, '_>,
        ids: &mut RunLength<RecordId>,
        records: &mut Records,
    ) -> Option<String> {
        for line in AsciiReader::new(BufReader::new(pieces), self.bank) {
            let line = match line {
                Ok(line) => line,
                Err(error) => return Some(error.to_string()),
            };
            match line.to_record(ByteOrder::Little) {
                Ok(record) => self.take(record.borrowed(), ids, records),
                Err(problem) => return Some(format!("line {}: {problem}", ids.len() + 1)),
            }
        }
        None
    }

    fn lines(&mut self, pieces: &[Portion<'_>]) -> Option<String> {
        let mut last = None;
        for piece in pieces {
            let bytes = match piece.bytes() {
                Ok(bytes) => bytes,
                Err(error) => return Some(error.to_string()),
            };
            self.count += bytes.iter().filter(|byte| **byte == b'\n').count();
            last = bytes.last().copied().or(last);
        }
        last.filter(|last| *last != b'\n').map(|_| "the last line has no end".to_owned())
    }

    fn take(&mut self, record: RecordRef<'_>, ids: &mut RunLength<RecordId>, records: &mut Records) {
        let Some(id) = records.intern(record) else { return };
        if records.shown(id, self.bank).as_bytes() != record.digest {
            self.wrong.push(WrongDigest { at: ids.len(), found: record.digest.to_vec() });
        }
        ids.push(id);
    }
}
