//! The keeper on a machine that is killed, kexec'd, reset or let down at each of its system calls: no record is lost or doubled.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

mod sim;
mod stories;

use imalab_logkeeper::{Flavour, Folder, GENERATION, Keeper, Old, Problem, Settings, Step};
use imalab_logview::{Form, Log, Shard, ShardName};

use sim::{Sim, bytes};

fn keeper(sim: &Sim, flavour: Option<Flavour>) -> Keeper<Sim> {
    let mut files = sim.files();
    files.flavour = flavour.or(files.flavour);
    Keeper::new(sim.clone(), files, Settings { flavour, pcr: 10, old: Old::Archive })
}

/// Looks until there is nothing to do; what waits or fails for more looks than any injected fault lasts is a defect.
fn rest(keeper: &mut Keeper<Sim>) {
    for _ in 0..40 {
        if let Ok(Step::Nothing) = keeper.step(false) {
            return;
        }
    }
    panic!("the keeper never rests: {:?}", keeper.step(false));
}

/// What a client reads: shards that the generation counts, then what the kernel holds.
fn client(sim: &Sim) -> Log<Vec<u8>> {
    let machine = sim.0.borrow();
    let generation = machine.content(Folder::Generation, GENERATION).unwrap_or_else(|| b"0\n".to_vec());
    let generation: u64 = String::from_utf8(generation).unwrap().trim_end().parse().unwrap();
    let mut log = Log::new();
    for name in machine.names_in(Folder::Shards) {
        let Some(parsed) = ShardName::parse(&name) else { continue };
        assert!(parsed.number < generation, "{name} is not counted by {generation}");
        let shard = Shard::open(machine.content(Folder::Shards, &name).unwrap()).unwrap();
        shard.verify().unwrap();
        log.push(shard.into_segment()).unwrap();
    }
    log.set_tail(machine.held()).unwrap();
    log
}

/// The log is all records since the cold boot, once each and in order, and the TPM stands for it.
fn assert_whole(sim: &Sim, context: &dyn std::fmt::Debug) {
    let log = client(sim);
    let machine = sim.0.borrow();
    let expected = bytes(&machine.all);
    let mut found = vec![0; usize::try_from(log.size(Form::CANONICAL)).unwrap() + 1];
    let mut done = 0;
    while let count @ 1.. = log.read_at(Form::CANONICAL, done as u64, &mut found[done..]).unwrap() {
        done += count;
    }
    assert!(found[..done] == expected, "{context:?}: {done} bytes, and there were {}", expected.len());
    let mut replayed = imalab_logview::Position::start();
    replayed.pass_all(&expected).unwrap();
    assert_eq!(&replayed, machine.tpm(), "{context:?}");
}

/// A keeper's day: three rotations among measurements. Errors are what the next look is for.
fn day(keeper: &mut Keeper<Sim>) -> Vec<Result<Step, Problem>> {
    let mut steps = Vec::new();
    for _ in 0..3 {
        for _ in 0..4 {
            keeper.world().0.borrow_mut().measure();
        }
        steps.push(keeper.step(true));
    }
    steps
}
