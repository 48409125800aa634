//! Observed calls as steps: each is told as it begins, and again as what it turned out to be. Reads that go on where the one before
//! ended are one step, so that a list which was read in portions is one reading of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use imalab_wire::{MAX_OBSERVED, Message, Observed, Op, Outcome, Piece, Run, StepId, TaskId};
use nix::errno::Errno;

use crate::clock::now_ns;
use crate::ops::Report;
use crate::uplink::{Broken, Uplink};

/// Bytes of a piece.
const PIECE: usize = 30 * 1024;

/// A read of a descriptor: at its own offset, or at one that the call says.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) descriptor: u16,
    pub(super) path: Arc<str>,
    /// Offset that the call says.
    pub(super) at: Option<i64>,
    /// Where it begins, if that is known.
    pub(super) from: Option<u64>,
    /// Bytes that are asked for.
    pub(super) bytes: u64,
}

/// Reads that go on.
#[derive(Debug)]
struct Reading {
    step: StepId,
    asked: Asked,
    length: u64,
    begin: u64,
    end: u64,
}

impl Reading {
    fn goes_on(&self, asked: &Asked) -> bool {
        let next = self.asked.from.map(|from| from + self.length);
        self.asked.descriptor == asked.descriptor
            && self.asked.at.is_some() == asked.at.is_some()
            && (asked.at.is_none() || asked.from == next)
    }

    /// What it is when it has this many bytes, and whether it is the whole file.
    fn op(&self, bytes: u64, ended: bool) -> (Op, bool) {
        let Asked { descriptor: slot, at, from, .. } = self.asked;
        let start = from == Some(0);
        let clamped = u32::try_from(bytes).unwrap_or(u32::MAX);
        let op = match (at, ended) {
            (None, true) => Op::Read { slot, chunk: clamped, limit: None, send: true, nothing: None },
            (None, false) => Op::Read { slot, chunk: clamped, limit: Some(bytes), send: true, nothing: None },
            (Some(_), true) if start => Op::ReadThrough { slot },
            (Some(offset), _) => Op::ReadAt { slot, offset, bytes: clamped, send: true },
        };
        (op, ended && start)
    }
}

/// A call that was told as it began.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    task: TaskId,
    step: StepId,
    begin: u64,
}

/// Gives observed calls their numbers.
#[derive(Debug)]
pub(super) struct Teller {
    next: StepId,
    end: StepId,
    readings: BTreeMap<TaskId, Reading>,
    /// When each task's last call ended.
    last: BTreeMap<TaskId, u64>,
}

impl Teller {
    pub(super) fn new(run: &Run) -> Teller {
        let end = run.first_step.saturating_add(MAX_OBSERVED);
        Teller { next: run.first_step, end, readings: BTreeMap::new(), last: BTreeMap::new() }
    }

    /// Whether there are no numbers left.
    pub(super) fn is_full(&self) -> bool {
        self.next >= self.end
    }

    fn number(&mut self) -> StepId {
        let step = self.next;
        self.next = self.next.saturating_add(1);
        step
    }

    /// A call begins.
    pub(super) fn begin<U: Uplink>(
        &mut self,
        task: TaskId,
        op: Op,
        path: Option<&str>,
        report: &mut Report<'_, U>,
    ) -> Result<Reported, Broken> {
        self.close(task, report)?;
        let step = self.number();
        let observed = Observed { task, step, op, path: path.map(str::to_owned), whole: false };
        report.tell(&Message::Observed(Box::new(observed)))?;
        let at_ns = now_ns();
        report.tell(&Message::OpStarted { task, step, op: 0, at_ns })?;
        report.leave()?;
        Ok(Reported { task, step, begin: now_ns() })
    }

    /// A call has ended.
    pub(super) fn end<U: Uplink>(
        &mut self,
        told: &Reported,
        outcome: Result<i64, Errno>,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        let outcome = match outcome {
            Ok(value) => Outcome::Value(value),
            Err(errno) => Outcome::Errno(errno as i32),
        };
        self.done(told, now_ns(), outcome, report)
    }

    fn done<U: Uplink>(
        &mut self,
        told: &Reported,
        end_ns: u64,
        outcome: Outcome,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        let Reported { task, step, begin } = *told;
        // Of what was not seen to begin, no more is known than that it came after the call before.
        let last = self.last.entry(task).or_default();
        let begin_ns = begin.max(*last);
        *last = end_ns.max(begin_ns);
        report.tell(&Message::OpDone { task, step, op: 0, begin_ns, end_ns: *last, outcome })
    }

    /// A call that was told is this.
    pub(super) fn instead<U: Uplink>(
        &mut self,
        told: &Reported,
        op: Op,
        path: Option<&str>,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        let (task, step, path) = (told.task, told.step, path.map(str::to_owned));
        report.tell(&Message::Observed(Box::new(Observed { task, step, op, path, whole: false })))
    }

    /// Something of which only the end was seen: it came about between `since` and now.
    pub(super) fn passed<U: Uplink>(
        &mut self,
        task: TaskId,
        op: Op,
        path: Option<&str>,
        since: u64,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        let told = self.begin(task, op, path, report)?;
        self.end(&Reported { begin: since, ..told }, Ok(0), report)
    }

    /// A read begins, or goes on.
    pub(super) fn begin_read<U: Uplink>(
        &mut self,
        task: TaskId,
        asked: Asked,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        if self.readings.get(&task).is_some_and(|reading| reading.goes_on(&asked)) {
            return Ok(());
        }
        self.close(task, report)?;
        let reading = Reading { step: self.next, length: 0, begin: 0, end: 0, asked };
        let path = Arc::clone(&reading.asked.path);
        let told = self.begin(task, reading.op(reading.asked.bytes, false).0, Some(&path), report)?;
        self.readings.insert(task, Reading { begin: told.begin, end: told.begin, ..reading });
        Ok(())
    }

    /// A read has given these bytes; none: the file has no more.
    pub(super) fn read<U: Uplink>(
        &mut self,
        task: TaskId,
        bytes: &[u8],
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        let Some(reading) = self.readings.get_mut(&task) else { return Ok(()) };
        reading.end = now_ns();
        for piece in bytes.chunks(PIECE) {
            let (step, offset) = (reading.step, reading.length);
            report.tell(&Message::Data(Piece { task, step, op: 0, offset, bytes: piece.to_vec() }))?;
            reading.length += piece.len() as u64;
        }
        if bytes.is_empty() { self.conclude(task, true, report) } else { Ok(()) }
    }

    /// A read has failed.
    pub(super) fn failed<U: Uplink>(
        &mut self,
        task: TaskId,
        errno: Errno,
        asked: Asked,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        if self.readings.get(&task).is_some_and(|reading| reading.length > 0) {
            self.close(task, report)?;
            self.begin_read(task, asked, report)?;
        }
        let Some(reading) = self.readings.remove(&task) else { return Ok(()) };
        self.end(&Reported { task, step: reading.step, begin: reading.begin }, Err(errno), report)
    }

    /// A task's reads do not go on.
    pub(super) fn close<U: Uplink>(
        &mut self,
        task: TaskId,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        self.conclude(task, false, report)
    }

    /// A task is within a call that will never return: nothing is known of it but what it read before.
    pub(super) fn abandon<U: Uplink>(
        &mut self,
        task: TaskId,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        match self.readings.get(&task) {
            Some(reading) if reading.length == 0 => {
                self.readings.remove(&task);
                Ok(())
            }
            _ => self.close(task, report),
        }
    }

    fn conclude<U: Uplink>(
        &mut self,
        task: TaskId,
        ended: bool,
        report: &mut Report<'_, U>,
    ) -> Result<(), Broken> {
        let Some(reading) = self.readings.remove(&task) else { return Ok(()) };
        let Reading { step, length, begin, end, ref asked } = reading;
        // One that gave nothing asked for what it asked for.
        let bytes = if length == 0 { asked.bytes } else { length };
        let (op, whole) = reading.op(bytes, ended);
        let observed = Observed { task, step, op, path: Some(asked.path.to_string()), whole };
        report.tell(&Message::Observed(Box::new(observed)))?;
        let outcome = Outcome::Value(i64::try_from(length).unwrap_or(i64::MAX));
        self.done(&Reported { task, step, begin }, end, outcome, report)
    }
}
