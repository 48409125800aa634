//! The decisions of one run, one after the other.

use sha2::{Digest, Sha256};

use crate::SCHEMA;
use crate::coverage::Collector;
use crate::order::{Does, HOLD_TICKS, Order};
use crate::pin::TaskReport;
use crate::pinning::{Moves, Pinning};
use crate::point::Point;
use crate::report::{End, Preemption, Report};
use crate::strategy::Decider;

/// Most preemptions that are kept; a run has some thousands. A report of so many has less than 64 MiB, which is what is read of one.
const MOST: usize = 1 << 19;

/// What goes into the hash, told apart by a first byte.
#[derive(Clone, Copy)]
enum Entry {
    Point = 1,
    Tpm = 2,
    End = 3,
    Release = 4,
    From = 5,
    Pin = 6,
    Unpin = 7,
}

/// Decides, counts and hashes.
#[derive(Debug)]
pub struct Scheduler {
    decider: Decider,
    /// Which processors have nothing to do, or spin for a lock, as far as was seen.
    waiting: Vec<bool>,
    /// Which are kept off.
    held: Vec<bool>,
    /// Ticks of the others since one was.
    ticks: u32,
    expired: u64,
    counting: bool,
    over: bool,
    from: Option<String>,
    hash: Sha256,
    events: u64,
    tpm_commands: u64,
    instructions: u64,
    preemptions: Vec<Preemption>,
    /// How many of them are kept.
    most: usize,
    left_out: u64,
    coverage: Option<Collector>,
    pinning: Option<Pinning>,
}

impl Scheduler {
    /// At the begin of a run with this order on so many processors.
    #[must_use]
    pub fn new(order: &Order, processors: usize) -> Scheduler {
        let mut hash = Sha256::new();
        if let Some(name) = &order.from {
            hash.update([Entry::From as u8]);
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
        Scheduler {
            decider: Decider::new(&order.strategy, processors),
            waiting: vec![false; processors],
            held: vec![false; processors],
            ticks: 0,
            expired: 0,
            counting: order.begin.is_none(),
            over: false,
            from: order.from.clone(),
            hash,
            events: 0,
            tpm_commands: 0,
            instructions: 0,
            preemptions: Vec::new(),
            most: MOST,
            left_out: 0,
            coverage: order.coverage.then(Collector::default),
            pinning: order.pins.as_ref().map(|pins| Pinning::new(pins, processors)),
        }
    }

    /// Points count from now on.
    pub fn begin(&mut self) {
        self.counting = true;
    }

    /// A processor is at a point; what is to become of it, if it is not to go on, and those that go on now.
    pub fn point(&mut self, point: Point) -> (Option<Does>, Vec<u32>) {
        let cpu = point.cpu as usize;
        if let Some(waiting) = self.waiting.get_mut(cpu) {
            *waiting = false;
        }
        if self.over || !self.counting {
            return (None, Vec::new());
        }
        if let Some(coverage) = &mut self.coverage {
            coverage.point(point.cpu, point.address);
        }
        let event = self.events;
        self.events += 1;
        if let Some(pinning) = &mut self.pinning {
            pinning.ran();
        }
        let pinned = self.pinned();
        let waiting: Vec<bool> =
            self.waiting.iter().zip(&pinned).map(|(waits, pin)| *waits || *pin).collect();
        let others = pinned.iter().filter(|pinned| **pinned).count();
        // Not all can be held, and one that the scenario holds is not let go of for this one.
        let last = others > 0 && others + 1 >= pinned.len();
        let does = self.decider.at(event, cpu, &waiting).filter(|does| *does != Does::Hold || !last);
        if let Some(does) = does {
            let Point { cpu, address, instructions } = point;
            if self.preemptions.len() < self.most {
                self.preemptions.push(Preemption { event, does, cpu, address, instructions });
            } else {
                self.left_out += 1;
            }
        }
        let code = match does {
            None => 0,
            Some(Does::Preempt) => 1,
            Some(Does::Hold) => 2,
        };
        self.enter(Entry::Point, point, code);
        if does != Some(Does::Hold) {
            return (does, Vec::new());
        }
        // Not all can be held: it is their turn.
        let others = self.release(point);
        self.ticks = 0;
        if let Some(held) = self.held.get_mut(cpu) {
            *held = true;
        }
        (does, others)
    }

    /// Which processors are held by the scenario.
    fn pinned(&self) -> Vec<bool> {
        let holds = |cpu| self.pinning.as_ref().is_some_and(|pinning| pinning.holds(cpu));
        (0..).take(self.waiting.len()).map(holds).collect()
    }

    /// A task tells of itself, with this stack pointer; those that go on now.
    pub fn reports(&mut self, point: Point, told: TaskReport, stack: u64) -> Vec<u32> {
        self.pin(point, |pinning| pinning.reports(told, stack)).1
    }

    /// A block begins where pins may hold, with this stack pointer and what stands at the stack's top; whether its processor is
    /// held, and those that go on now.
    pub fn passes(&mut self, point: Point, stack: u64, back: Option<u64>) -> (bool, Vec<u32>) {
        self.pin(point, |pinning| pinning.passes(point, stack, back))
    }

    fn pin(&mut self, point: Point, does: impl FnOnce(&mut Pinning) -> Moves) -> (bool, Vec<u32>) {
        let Some(pinning) = self.pinning.as_mut().filter(|_| !self.over) else { return Default::default() };
        let Moves { holds, lets_go } = does(pinning);
        let code = |pin: usize| u8::try_from(pin).unwrap_or(u8::MAX);
        for (pin, _) in &lets_go {
            self.enter(Entry::Unpin, point, code(*pin));
        }
        if let Some(pin) = holds {
            self.enter(Entry::Pin, point, code(pin));
        }
        let free = |cpu: &u32| self.held.get(*cpu as usize) != Some(&true);
        (holds.is_some(), lets_go.into_iter().map(|(_, cpu)| cpu).filter(free).collect())
    }

    /// A processor has nothing to do, or spins for a lock; those that go on now.
    pub fn waits(&mut self, point: Point) -> Vec<u32> {
        if let Some(waiting) = self.waiting.get_mut(point.cpu as usize) {
            *waiting = true;
        }
        let mut all = self.pin(point, Pinning::waits).1;
        all.append(&mut self.release(point));
        all
    }

    /// A processor's timer has ticked; those that go on now.
    pub fn tick(&mut self, point: Point) -> Vec<u32> {
        let mut all = self.pin(point, Pinning::waits).1;
        if !self.held.contains(&true) {
            return all;
        }
        self.ticks += 1;
        if self.ticks > HOLD_TICKS {
            self.expired += 1;
            all.append(&mut self.release(point));
        }
        all
    }

    fn release(&mut self, point: Point) -> Vec<u32> {
        let mut all: Vec<u32> =
            (0..).zip(&self.held).filter(|(_, held)| **held).map(|(cpu, _)| cpu).collect();
        if !all.is_empty() {
            self.held.fill(false);
            if !self.over {
                self.enter(Entry::Release, point, 0);
            }
        }
        let pinned = self.pinned();
        all.retain(|cpu| pinned.get(*cpu as usize) != Some(&true));
        all
    }

    /// The guest has given its TPM a command; counted from the start, since each takes the guest's time.
    pub fn tpm_command(&mut self, point: Point) {
        if !self.over {
            self.tpm_commands += 1;
            self.enter(Entry::Tpm, point, 0);
        }
    }

    /// The guest has come to the end of the schedule. Whatever comes later does not count. The first time, gives those that
    /// go on now.
    pub fn end(&mut self, point: Point) -> Option<Vec<u32>> {
        if self.over {
            return None;
        }
        let mut all = self.pin(point, Pinning::end).1;
        self.enter(Entry::End, point, 0);
        self.over = true;
        all.append(&mut self.release(point));
        Some(all)
    }

    /// What there is to tell.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            schema: SCHEMA,
            hash: hex::encode(self.hash.clone().finalize()),
            from: self.from.clone(),
            end: if self.over { End::Reached } else { End::Cut },
            events: self.events,
            tpm_commands: self.tpm_commands,
            instructions: self.instructions,
            expired: self.expired,
            preemptions: self.preemptions.clone(),
            left_out: self.left_out,
            holds: Vec::new(),
            pins: self.pinning.as_ref().map(Pinning::report).unwrap_or_default(),
            coverage: self.coverage.as_ref().map(Collector::coverage),
        }
    }

    fn enter(&mut self, entry: Entry, point: Point, code: u8) {
        let mut bytes = [0; 22];
        bytes[0] = entry as u8;
        bytes[1] = code;
        bytes[2..6].copy_from_slice(&point.cpu.to_le_bytes());
        bytes[6..14].copy_from_slice(&point.address.to_le_bytes());
        bytes[14..22].copy_from_slice(&point.instructions.to_le_bytes());
        self.hash.update(bytes);
        self.instructions = point.instructions;
    }
}

#[cfg(test)]
mod tests;
