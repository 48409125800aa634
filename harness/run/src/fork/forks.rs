//! The saved machines of a call: which are worth making, and where each is as long as it is needed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::context::RunContext;
use super::super::kernels;
use super::super::run::run_from;
use super::Saved;
use super::key::Key;
use imalab_language::plan::{Budget, Plan};
use imalab_trace::What;
use imalab_wire::{End, Message, Program};

/// Most bytes of states at a time, 2 GiB: one of a machine with 256 MiB has some 21 MB, and is dropped after the last run that
/// it is for. Machines that are saved at the same time each get what is left.
const MOST: u64 = 2048 * 1024 * 1024;

/// So many runs on one machine, and saving it is worth more than it costs. In the deterministic lane one is enough: how a
/// machine comes to its program decides what its seed means, and must not depend on what else is run.
pub const WORTHWHILE: u64 = 3;

/// How long one that does nothing may take: some tenths of a second on an idle host.
const TRIAL: Budget = Budget { silence_s: 10, total_s: 30 };

/// Saved machines.
#[derive(Debug, Default)]
pub struct Forks {
    machines: Mutex<BTreeMap<Key, Arc<Mutex<Entry>>>>,
    /// Bytes of all states that are kept.
    taken: AtomicU64,
    /// Why there are no others, once one that should be as good as all others was not.
    trouble: Mutex<Option<String>>,
    /// Whether a run from one of them was compared with one that booted.
    compared: AtomicBool,
}

#[derive(Debug, Default)]
struct Entry {
    /// Runs that are to come.
    left: u64,
    made: Made,
}

#[derive(Debug, Default)]
enum Made {
    #[default]
    NotYet,
    Saved(Arc<Saved>),
    /// Why it is not.
    Not(String),
}

/// What there is for a run.
#[derive(Debug)]
pub(in super::super) enum Found {
    /// A machine to go on from.
    Saved(Arc<Saved>),
    /// Why there is none.
    None(String),
}

fn is_done(what: &What) -> bool {
    matches!(what, What::Guest(Message::Done { .. }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Forks {
    /// Says that `plan` will be run so often; gives how many runs are expected on its machine so far.
    pub fn expect(&self, plan: &Plan, context: RunContext<'_>, times: u64) -> u64 {
        let entry = Arc::clone(lock(&self.machines).entry(Key::of(plan, context)).or_default());
        let mut entry = lock(&entry);
        entry.left += times;
        entry.left
    }

    /// Saves the machine of `plan`, and has one that goes on from it do nothing.
    ///
    /// # Errors
    /// Why no run will go on from a saved machine.
    pub fn prove(&self, plan: &Plan, context: RunContext<'_>) -> Result<(), String> {
        let saved = match self.find(plan, context) {
            Found::Saved(saved) => saved,
            Found::None(why) => return Err(why),
        };
        let program =
            Program { tasks: Vec::new(), finally: Vec::new(), end: End::PowerOff, ..plan.program.clone() };
        let nothing = Plan {
            program,
            steps: Vec::new(),
            marks: Vec::new(),
            holds: Vec::new(),
            budget: TRIAL,
            ..plan.clone()
        };
        let proved = run_from(&nothing, context, Ok(&saved)).map_err(|error| one_line(&error));
        let proved = proved.and_then(|ran| match ran.trace.notable().any(|event| is_done(&event.what)) {
            true => Ok(()),
            false => Err("its agent did not come to its end".to_owned()),
        });
        proved.map_err(|why| {
            let why = format!("a saved machine could not be gone on from: {why}");
            self.give_up(why.clone());
            why
        })
    }

    /// The machine for `plan`, which is booted and saved for the first that asks; others wait for it meanwhile.
    pub(in super::super) fn find(&self, plan: &Plan, context: RunContext<'_>) -> Found {
        let Some(entry) = lock(&self.machines).get(&Key::of(plan, context)).map(Arc::clone) else {
            return Found::None(
                "its kernel, image, QEMU or swtpm has changed since the runs were planned".to_owned(),
            );
        };
        let mut entry = lock(&entry);
        if let Some(trouble) = &*lock(&self.trouble) {
            return Found::None(trouble.clone());
        }
        if let Made::NotYet = entry.made {
            entry.made = match entry.left {
                0..WORTHWHILE if context.seeded.is_none() => {
                    Made::Not(format!("{} runs have this machine, too few to save it", entry.left))
                }
                _ => match self.make(plan, context) {
                    Ok(saved) => Made::Saved(Arc::new(saved)),
                    Err(why) => Made::Not(why),
                },
            };
        }
        match &entry.made {
            Made::Saved(saved) => Found::Saved(Arc::clone(saved)),
            Made::Not(why) => Found::None(why.clone()),
            Made::NotYet => Found::None("it was not saved".to_owned()),
        }
    }

    fn make(&self, plan: &Plan, context: RunContext<'_>) -> Result<Saved, String> {
        let initramfs = kernels::initramfs(plan, context).map_err(|error| one_line(&error))?;
        let room = MOST.saturating_sub(self.taken.load(Ordering::SeqCst));
        let saved = Saved::make(&plan.machine, initramfs, context, room);
        let saved = saved.map_err(|error| format!("the machine could not be saved: {}", one_line(&error)))?;
        self.taken.fetch_add(saved.bytes(), Ordering::SeqCst);
        Ok(saved)
    }

    /// One of the runs that were expected of `plan` is over, with all that was run again to compare; the machine goes with the
    /// last.
    pub fn used(&self, plan: &Plan, context: RunContext<'_>) {
        let Some(entry) = lock(&self.machines).get(&Key::of(plan, context)).map(Arc::clone) else { return };
        let mut entry = lock(&entry);
        entry.left = entry.left.saturating_sub(1);
        if let (0, Made::Saved(saved)) = (entry.left, &entry.made) {
            self.taken.fetch_sub(saved.bytes(), Ordering::SeqCst);
            entry.made = Made::Not("no further run was planned".to_owned());
        }
    }

    /// Whether nobody has asked this before: the first run of a suite is compared with one that boots.
    pub fn is_first(&self) -> bool {
        !self.compared.swap(true, Ordering::SeqCst)
    }

    /// One of them could not be gone on from: none is used any more.
    pub(in super::super) fn give_up(&self, why: String) {
        lock(&self.trouble).get_or_insert(why);
    }
}

/// An error and its causes, in a line.
pub(in super::super) fn one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
