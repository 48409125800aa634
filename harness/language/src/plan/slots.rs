//! Numbers for the descriptors that a scenario names.
//!
//! A child goes on with its parent's numbers, and threads share them: a number that two threads could open at once
//! would let one take the other's file.

use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::Slot;

use super::unresolved::Unresolved;
use crate::scenario::{Start, Task, process_of};

/// Slot of the verbs' own descriptors in a process of one thread; those that a scenario names come after it.
pub(super) const OWN: Slot = 0;

/// The numbers of one task.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    /// That of the verbs' own descriptors.
    pub(super) own: Slot,
    open: BTreeMap<String, Slot>,
    /// What every thread of the process goes by; `None` for a process of one thread.
    fixed: Option<BTreeMap<String, Slot>>,
    /// First number that this process may take.
    floor: Slot,
    /// Numbers of descriptors that were not to be made. Whoever makes one all the same keeps it open, and no other step
    /// is to stumble over it.
    spent: Slot,
}

impl Slots {
    /// Those of a task that starts with its boot and is alone in its process.
    pub(super) fn new() -> Slots {
        Slots { own: OWN, open: BTreeMap::new(), fixed: None, floor: OWN + 1, spent: 0 }
    }

    /// Those of a task as it starts; `before` has those that the spawning steps of each task before it found.
    ///
    /// # Errors
    /// A thread without numbers of its process's, which no process has.
    pub(super) fn of(
        tasks: &[Task],
        task: usize,
        before: &[BTreeMap<usize, Slots>],
    ) -> Result<Slots, Unresolved> {
        let inherited = tasks[task].start.spawn().and_then(|spawn| before.get(spawn.by)?.get(&spawn.step));
        let mut slots = match (tasks[task].start, inherited) {
            (Start::Forked(_), Some(parent)) => parent.child(),
            (_, Some(parent)) => parent.clone(),
            _ => Slots::new(),
        };
        let process = process_of(tasks, task);
        let threads: Vec<_> = (0..tasks.len()).filter(|other| process_of(tasks, *other) == process).collect();
        if threads.len() > 1 && task == process {
            slots.share(tasks, &threads);
        }
        if let (Some(fixed), true) = (&slots.fixed, task != process) {
            let own = own_name(task);
            slots.own = fixed.get(&own).copied().ok_or_else(|| Unresolved::descriptor(&own))?;
        }
        Ok(slots)
    }

    /// What a child goes on with. Other threads of a process may be in the middle of a verb at a fork, so its child
    /// takes none of their numbers.
    fn child(&self) -> Slots {
        let Some(fixed) = &self.fixed else { return self.clone() };
        let own = fixed.values().copied().max().unwrap_or(OWN).saturating_add(1);
        Slots { own, open: fixed.clone(), fixed: None, floor: own.saturating_add(1), spent: self.spent }
    }

    /// Gives every name that a thread of the process will use, and each thread, a number of its own.
    fn share(&mut self, tasks: &[Task], threads: &[usize]) {
        let mut fixed = self.open.clone();
        let mut taken: BTreeSet<Slot> = fixed.values().copied().collect();
        taken.insert(self.own);
        let floor = self.floor;
        let mut take = |name: String| {
            fixed.entry(name).or_insert_with(|| {
                let slot = (floor..).find(|slot| !taken.contains(slot)).unwrap_or(Slot::MAX);
                taken.insert(slot);
                slot
            });
        };
        for thread in threads {
            // The first one goes by the process's own.
            if *thread != threads[0] {
                take(own_name(*thread));
            }
            for step in &tasks[*thread].steps {
                if let crate::scenario::Verb::Call(call) = &step.verb {
                    call.makes().map(str::to_owned).map(&mut take);
                }
            }
        }
        self.fixed = Some(fixed);
    }

    /// Whether no descriptor is open that a step of the verbs' own could meet.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.fixed.is_none()
    }

    /// The number of a descriptor.
    pub(super) fn get(&self, name: &str) -> Result<Slot, Unresolved> {
        let open = self.fixed.as_ref().unwrap_or(&self.open);
        open.get(name).copied().ok_or_else(|| Unresolved::descriptor(name))
    }

    /// The lowest free number becomes the descriptor's, or one of its own that nobody else goes by where making it is to
    /// fail.
    pub(super) fn take(&mut self, name: &str, fails: bool) -> Result<Slot, Unresolved> {
        if self.fixed.is_some() {
            return self.get(name);
        }
        if fails {
            self.spent = self.spent.saturating_add(1);
            return Ok(Slot::MAX - self.spent);
        }
        let taken = |slot: &Slot| *slot == self.own || self.open.values().any(|open| open == slot);
        let free = (self.floor..=Slot::MAX).find(|slot| !taken(slot));
        let slot = free.ok_or_else(|| Unresolved::descriptor(name))?;
        self.open.insert(name.to_owned(), slot);
        Ok(slot)
    }

    /// A descriptor is closed.
    pub(super) fn close(&mut self, name: &str) -> Result<Slot, Unresolved> {
        let slot = self.get(name)?;
        self.open.remove(name);
        Ok(slot)
    }
}

/// What stands for a thread's own descriptors among the names, of which none has a space.
fn own_name(task: usize) -> String {
    format!("task {task}")
}
