//! The keeper on a machine that is killed, kexec'd, reset or let down at each of its system calls: no record is lost or doubled.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

mod boots;
mod disk;
mod each_call;
mod others;
mod sim;
mod tpm;
mod view;

use imalab_logkeeper::{Flavour, Folder, GENERATION, Interface, Keeper, Old, Problem, Settings, Step};
use imalab_logview::{Form, Log, Shard, ShardName};

use sim::{DAY, Dead, Machine, Sim, bytes};

/// A kernel and how its records are taken out; `None`: as it offers first.
type Way = (Interface, Option<Flavour>);

const WAYS: [Way; 4] = [
    (Interface::Upstream, None),
    (Interface::Upstream, Some(Flavour::Trim)),
    (Interface::BankLast, None),
    (Interface::Trim, None),
];

fn keeper(sim: &Sim, flavour: Option<Flavour>) -> Keeper<Sim> {
    keeper_with(sim, flavour, Old::Archive)
}

fn keeper_with(sim: &Sim, flavour: Option<Flavour>, old: Old) -> Keeper<Sim> {
    let mut files = sim.files();
    files.flavour = flavour.or(files.flavour);
    Keeper::new(sim.clone(), files, Settings { flavour, pcr: 10, old })
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

/// A new keeper that has come to rest.
fn next_keeper(sim: &Sim, flavour: Option<Flavour>) -> Keeper<Sim> {
    let mut keeper = keeper(sim, flavour);
    rest(&mut keeper);
    keeper
}

/// What a client reads: shards that the generation counts, then what the kernel holds.
fn client(sim: &Sim) -> Result<Log<Vec<u8>>, String> {
    let machine = sim.0.borrow();
    let generation = machine.content(Folder::Generation, GENERATION).unwrap_or_else(|| b"0\n".to_vec());
    let generation: u64 = String::from_utf8(generation).unwrap().trim_end().parse().unwrap();
    let mut log = Log::new();
    for name in machine.names_in(Folder::Shards) {
        let Some(parsed) = ShardName::parse(&name) else { continue };
        if parsed.number >= generation {
            return Err(format!("{name} is not counted by {generation}"));
        }
        let damage = |damage| format!("{name}: {damage}");
        let shard = Shard::open(machine.content(Folder::Shards, &name).unwrap()).map_err(damage)?;
        shard.verify().map_err(damage)?;
        log.push(shard.into_segment()).map_err(|gap| format!("{name}: {gap}"))?;
    }
    log.set_tail(machine.held()).unwrap();
    Ok(log)
}

/// Whether the log is all records since the cold boot, once each and in order, and keeper and TPM agree on where it stands.
fn judge(sim: &Sim, keeper: &Keeper<Sim>) -> Result<(), String> {
    let log = client(sim)?;
    let machine = sim.0.borrow();
    if let Some(broken) = &machine.broken {
        return Err(broken.clone());
    }
    let expected = bytes(&machine.all);
    let mut found = vec![0; usize::try_from(log.size(Form::CANONICAL)).unwrap() + 1];
    let mut done = 0;
    while let count @ 1.. = log.read_at(Form::CANONICAL, done as u64, &mut found[done..]).unwrap() {
        done += count;
    }
    if found[..done] != expected {
        return Err(format!("{done} bytes, and there were {}", expected.len()));
    }
    let mut replayed = keeper.after().clone();
    replayed.pass_all(&machine.held()).unwrap();
    if &replayed != machine.tpm() {
        return Err("the keeper's shards and the kernel's records do not replay to the PCRs".into());
    }
    if machine.has_tpm && !keeper.pcr_matches() {
        return Err("the keeper says that the TPM does not agree".into());
    }
    Ok(())
}

fn assert_whole(sim: &Sim, keeper: &Keeper<Sim>, context: &dyn std::fmt::Debug) {
    if let Err(why) = judge(sim, keeper) {
        panic!("{context:?}: {why}");
    }
}

/// A keeper's day: three rotations among measurements. Errors are what the next look is for.
fn day(keeper: &mut Keeper<Sim>) -> Vec<Result<Step, Problem>> {
    let mut steps = Vec::new();
    for _ in 0..3 {
        for _ in 0..DAY / 3 {
            keeper.system().0.borrow_mut().measure_of_day();
        }
        steps.push(keeper.step(true));
    }
    steps
}

/// How many calls a day has.
fn calls(way: Way) -> u64 {
    let sim = Machine::start(way.0);
    let mut keeper = keeper(&sim, way.1);
    let steps = day(&mut keeper);
    assert!(steps.iter().all(|step| matches!(step, Ok(Step::Kept { .. }))), "{steps:?}");
    assert_whole(&sim, &keeper, &way);
    let calls = sim.0.borrow().calls;
    assert!(calls > 30, "{calls}");
    calls
}

/// Machines whose keeper dies in the middle of its day, at each of its calls; `set_up` has what is not as usual.
fn killed(way: Way, set_up: impl FnOnce(&mut Machine)) -> Vec<Dead> {
    let sim = Machine::start(way.0);
    set_up(&mut sim.0.borrow_mut());
    sim.0.borrow_mut().remember_deaths();
    day(&mut keeper(&sim, way.1));
    let deaths = sim.0.borrow_mut().deaths();
    assert!(deaths.len() > 60, "{}", deaths.len());
    deaths
}

/// Those of a usual day.
fn killed_at_each(way: Way) -> Vec<Dead> {
    killed(way, |_| {})
}

/// A machine whose keeper has had its day.
fn after_a_day(interface: Interface) -> (Sim, Keeper<Sim>) {
    let sim = Machine::start(interface);
    let mut keeper = keeper(&sim, None);
    day(&mut keeper);
    (sim, keeper)
}
