//! `stress` written out: which steps are taken is decided by the seed of the run, before it.

use sha2::{Digest, Sha256};

use crate::scenario::{Attestation, Expectation, Files, Spawn, Start, Step, Task, Verb};

/// The tasks with every `stress` written out.
pub(super) fn write_out(tasks: &[Task], seed: u64) -> Vec<Task> {
    let mut places: Vec<Vec<usize>> = Vec::with_capacity(tasks.len());
    let mut out = Vec::with_capacity(tasks.len());
    for task in tasks {
        let mut writer = Writer { seed, task, clock: 0, steps: Vec::new() };
        let mut at = Vec::with_capacity(task.steps.len());
        for step in &task.steps {
            at.push(writer.steps.len());
            writer.step(step);
        }
        places.push(at);
        // Whoever starts it stands before it, and is written out.
        let moved = |spawn: Spawn| Spawn { by: spawn.by, step: places[spawn.by][spawn.step] };
        let start = match task.start {
            Start::Boot => Start::Boot,
            Start::Forked(spawn) => Start::Forked(moved(spawn)),
            Start::Threaded(spawn) => Start::Threaded(moved(spawn)),
        };
        out.push(Task { name: task.name.clone(), boot: task.boot, start, steps: writer.steps });
    }
    out
}

struct Writer<'t> {
    seed: u64,
    task: &'t Task,
    /// First clock that is free.
    clock: u16,
    steps: Vec<Step>,
}

impl Writer<'_> {
    fn step(&mut self, step: &Step) {
        let Verb::Stress { ms, times, choose } = &step.verb else {
            self.steps.push(step.clone());
            return;
        };
        let (whole, together) = (self.clock, self.clock.saturating_add(1));
        self.clock = self.clock.saturating_add(2);
        self.start_clock(step, whole, *ms, None);
        self.start_clock(step, together, 0, None);
        let mut chance = Chance::of(self.seed, self.task, self.steps.len());
        for pick in 1..=*times {
            let Some(chosen) = choose.get(chance.below(choose.len())) else { continue };
            let of_pick = |step: &Step, clock| step.instead(own(&step.verb, pick), step.expect, Some(clock));
            if let [single] = chosen.as_slice()
                && !matches!(single.verb, Verb::Attest(Attestation::Stage))
            {
                self.steps.push(of_pick(single, whole));
                continue;
            }
            // They are taken all or not at all: the clock that they go by starts only in time, and has run out
            // before and after them.
            self.start_clock(step, together, u32::MAX, Some(whole));
            self.steps.extend(chosen.iter().map(|step| of_pick(step, together)));
            self.start_clock(step, together, 0, None);
        }
    }

    fn start_clock(&mut self, step: &Step, clock: u16, ms: u32, within: Option<u16>) {
        self.steps.push(step.instead(Verb::Clock { clock, ms }, Expectation::Ok, within));
    }
}

/// The verb with files of this pick's own, unless the scenario named them.
fn own(verb: &Verb, pick: u32) -> Verb {
    let of_pick = |files: &Files| match files.named {
        true => files.clone(),
        false => Files { name: format!("{}-{pick}", files.name), ..files.clone() },
    };
    match verb {
        Verb::Measure { files, by } => Verb::Measure { files: of_pick(files), by: *by },
        Verb::Violate { files, kind } => Verb::Violate { files: of_pick(files), kind: *kind },
        Verb::LoadModule { files } => Verb::LoadModule { files: of_pick(files) },
        other => other.clone(),
    }
}

/// Numbers that a seed decides: splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014).
struct Chance(u64);

impl Chance {
    /// Different for each task and place in it, so that tasks do not do the same side by side.
    fn of(seed: u64, task: &Task, place: usize) -> Chance {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        hash.update(task.boot.to_be_bytes());
        hash.update((place as u64).to_be_bytes());
        hash.update(task.name.as_bytes());
        Chance(hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is small beside 2^64.
    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % (count.max(1) as u64)).unwrap_or(0)
    }
}
