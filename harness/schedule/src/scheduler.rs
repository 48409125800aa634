//! The decisions of one run, one after the other.

use sha2::{Digest, Sha256};

use crate::SCHEMA;
use crate::coverage::Collector;
use crate::order::{Does, HOLD_TICKS, Order};
use crate::report::{End, Preemption, Report};
use crate::strategy::Decider;

/// A processor at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which processor.
    pub cpu: u32,
    /// The address of the block that it is about to execute.
    pub address: u64,
    /// Instructions that all processors together have executed.
    pub instructions: u64,
}

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
        let does = self.decider.at(event, cpu, &self.waiting);
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

    /// A processor has nothing to do, or spins for a lock; those that go on now.
    pub fn waits(&mut self, point: Point) -> Vec<u32> {
        if let Some(waiting) = self.waiting.get_mut(point.cpu as usize) {
            *waiting = true;
        }
        self.release(point)
    }

    /// A processor's timer has ticked; those that go on now.
    pub fn tick(&mut self, point: Point) -> Vec<u32> {
        if !self.held.contains(&true) {
            return Vec::new();
        }
        self.ticks += 1;
        if self.ticks <= HOLD_TICKS {
            return Vec::new();
        }
        self.expired += 1;
        self.release(point)
    }

    fn release(&mut self, point: Point) -> Vec<u32> {
        let all: Vec<u32> = (0..).zip(&self.held).filter(|(_, held)| **held).map(|(cpu, _)| cpu).collect();
        if !all.is_empty() {
            self.held.fill(false);
            if !self.over {
                self.enter(Entry::Release, point, 0);
            }
        }
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
        self.enter(Entry::End, point, 0);
        self.over = true;
        Some(self.release(point))
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::order::{Choice, Range, Strategy};

    fn order(strategy: Strategy) -> Order {
        Order {
            schema: SCHEMA,
            points: vec![Range { begin: 0, end: 1000 }],
            begin: None,
            waits: Vec::new(),
            tick: None,
            ends: Vec::new(),
            stop: None,
            from: None,
            strategy,
            gate: None,
            watch: None,
            coverage: false,
            report: "/report".into(),
        }
    }

    fn at(step: u64) -> Point {
        Point { cpu: (step % 2) as u32, address: step % 1000, instructions: 7 * step }
    }

    /// Runs over a guest whose order does not depend on what is decided.
    fn ran(strategy: Strategy, steps: u64) -> Report {
        let mut scheduler = Scheduler::new(&order(strategy), 2);
        for step in 0..steps {
            scheduler.point(at(step));
        }
        scheduler.end(at(steps));
        scheduler.report()
    }

    #[test]
    fn a_guest_cannot_fill_the_memory_of_its_host() {
        let mut scheduler = Scheduler::new(&order(Strategy::Random { seed: 1, per: 1 }), 2);
        scheduler.most = 10;
        (0..13).for_each(|step| drop(scheduler.point(at(step))));
        let report = scheduler.report();
        assert_eq!((report.preemptions.len(), report.left_out, report.events), (10, 3, 13));
    }

    proptest! {
        #[test]
        fn the_list_of_a_seed_is_the_same_schedule(seed: u64, per in 1u64..50, steps in 0u64..500) {
            let random = ran(Strategy::Random { seed, per }, steps);
            prop_assert_eq!(&random, &ran(Strategy::Random { seed, per }, steps));
            let list = ran(Strategy::List { choices: random.choices() }, steps);
            prop_assert_eq!(list, random);
        }

        #[test]
        fn one_preemption_less_is_another_hash(seed: u64, steps in 1u64..300, less: prop::sample::Index) {
            let whole = ran(Strategy::Random { seed, per: 3 }, steps);
            prop_assume!(!whole.preemptions.is_empty());
            let mut rest: Vec<Choice> = whole.choices();
            rest.remove(less.index(rest.len()));
            prop_assert_ne!(ran(Strategy::List { choices: rest }, steps).hash, whole.hash);
        }
    }

    #[test]
    fn coverage_is_told_where_it_is_asked_for_and_changes_no_schedule() {
        let ran = |coverage| {
            let order = Order { coverage, ..order(Strategy::Random { seed: 3, per: 5 }) };
            let mut scheduler = Scheduler::new(&order, 2);
            (0..100).for_each(|step| drop(scheduler.point(at(step))));
            scheduler.end(at(100));
            scheduler.report()
        };
        let (without, with) = (ran(false), ran(true));
        assert_eq!((without.coverage, without.hash), (None, with.hash));
        let coverage = with.coverage.unwrap();
        assert_eq!((coverage.blocks.len(), coverage.pairs.len()), (100, 99));
    }

    #[test]
    fn each_part_of_an_entry_counts() {
        let hash = |point: Point| {
            let mut scheduler = Scheduler::new(&order(Strategy::None), 2);
            scheduler.point(point);
            scheduler.report().hash
        };
        let one = Point { cpu: 0, address: 5, instructions: 9 };
        for other in [Point { cpu: 1, ..one }, Point { address: 6, ..one }, Point { instructions: 10, ..one }]
        {
            assert_ne!(hash(one), hash(other));
        }
        let mut tpm = Scheduler::new(&order(Strategy::None), 2);
        tpm.tpm_command(one);
        assert_ne!(hash(one), tpm.report().hash);
    }

    #[test]
    fn what_a_machine_went_on_from_is_part_of_its_schedule() {
        let from = |name: Option<&str>| {
            let order = Order { from: name.map(String::from), ..order(Strategy::None) };
            let report = Scheduler::new(&order, 2).report();
            assert_eq!(report.from.as_deref(), name);
            report.hash
        };
        let hashes = [from(None), from(Some("")), from(Some("aa")), from(Some("ab"))];
        assert_eq!(hashes.iter().collect::<std::collections::BTreeSet<_>>().len(), hashes.len());
    }

    #[test]
    fn no_seed_is_like_the_next() {
        let hashes: std::collections::BTreeSet<String> =
            (0..50).map(|seed| ran(Strategy::Random { seed, per: 10 }, 200).hash).collect();
        assert_eq!(hashes.len(), 50);
    }

    #[test]
    fn what_comes_after_the_end_does_not_count() {
        let mut scheduler = Scheduler::new(&order(Strategy::Random { seed: 1, per: 1 }), 2);
        assert_eq!(scheduler.report().end, End::Cut);
        assert_eq!(scheduler.point(at(0)).0, Some(Does::Preempt));
        assert_eq!(scheduler.end(at(1)), Some(Vec::new()));
        let told = scheduler.report();
        assert_eq!(scheduler.point(at(2)).0, None);
        scheduler.tpm_command(at(3));
        assert_eq!(scheduler.end(at(4)), None);
        assert_eq!(scheduler.report(), told);
        assert_eq!(told.end, End::Reached);
    }

    #[test]
    fn points_count_from_the_begin_and_tpm_commands_always() {
        let begin = Order { begin: Some(4), ..order(Strategy::Random { seed: 1, per: 1 }) };
        let mut scheduler = Scheduler::new(&begin, 2);
        assert_eq!(scheduler.point(at(0)).0, None);
        scheduler.tpm_command(at(1));
        scheduler.begin();
        assert_eq!(scheduler.point(at(2)).0, Some(Does::Preempt));
        let report = scheduler.report();
        assert_eq!((report.events, report.tpm_commands, report.instructions), (1, 1, 14));
        assert_eq!(report.preemptions[0].event, 0);
    }

    #[test]
    fn who_is_held_goes_on_when_another_waits_or_after_some_ticks() {
        let hold = |event| Choice { event, does: Does::Hold };
        let mut scheduler = Scheduler::new(&order(Strategy::List { choices: vec![hold(0), hold(1)] }), 2);
        assert_eq!(scheduler.point(at(0)).0, Some(Does::Hold));
        assert_eq!(scheduler.waits(at(1)), [0]);
        assert_eq!(scheduler.waits(at(1)), [0; 0]);
        assert_eq!(scheduler.point(at(2)).0, Some(Does::Hold));
        for _ in 0..HOLD_TICKS {
            assert_eq!(scheduler.tick(at(3)), [0; 0]);
        }
        assert_eq!(scheduler.tick(at(3)), [0]);
        assert_eq!(scheduler.report().expired, 1);
    }

    #[test]
    fn not_all_are_held() {
        let choices = [0, 1].map(|event| Choice { event, does: Does::Hold }).to_vec();
        let mut scheduler = Scheduler::new(&order(Strategy::List { choices }), 2);
        assert_eq!(scheduler.point(at(0)), (Some(Does::Hold), vec![]));
        assert_eq!(scheduler.point(at(1)), (Some(Does::Hold), vec![0]));
        assert_eq!(scheduler.waits(at(2)), [1]);
    }

    #[test]
    fn nobody_is_held_for_ever() {
        let choices = vec![Choice { event: 0, does: Does::Hold }];
        let mut scheduler = Scheduler::new(&order(Strategy::List { choices }), 2);
        scheduler.point(at(1));
        assert_eq!(scheduler.end(at(2)), Some(vec![1]));
    }

    #[test]
    fn priorities_replay_as_a_list() {
        let ran = |strategy| {
            let mut scheduler = Scheduler::new(&order(strategy), 2);
            for step in 0..300 {
                if step % 7 == 0 {
                    scheduler.waits(at(step));
                }
                scheduler.point(at(step));
            }
            scheduler.end(at(300));
            scheduler.report()
        };
        let pct = ran(Strategy::Pct { seed: 3, depth: 3, points: 300 });
        assert!(!pct.preemptions.is_empty());
        assert_eq!(ran(Strategy::List { choices: pct.choices() }), pct);
    }
}
