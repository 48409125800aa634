//! Who waits for whom: the barriers of a program, without any waiting of its own.

use std::collections::BTreeMap;

use imalab_wire::TaskId;

/// Barriers at which somebody waits.
#[derive(Debug, Default)]
pub(crate) struct Barriers {
    open: BTreeMap<u16, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    parties: u16,
    tasks: Vec<TaskId>,
}

/// What an arrival leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Others have to come first.
    Wait,
    /// These tasks, the arrived one among them, go on.
    Release(Vec<TaskId>),
    /// The barrier has other parties for those who wait there, or none at all.
    Refuse,
}

impl Barriers {
    /// `task` has come to barrier `id`, which is complete with `parties` tasks. A barrier that was completed is
    /// as new.
    pub(crate) fn arrive(&mut self, task: TaskId, id: u16, parties: u16) -> Arrival {
        let waiting = self.open.entry(id).or_insert(Waiting { parties, tasks: Vec::new() });
        if waiting.parties != parties || parties == 0 {
            if waiting.tasks.is_empty() {
                self.open.remove(&id);
            }
            return Arrival::Refuse;
        }
        waiting.tasks.push(task);
        if waiting.tasks.len() < usize::from(parties) {
            return Arrival::Wait;
        }
        self.open.remove(&id).map_or(Arrival::Wait, |complete| Arrival::Release(complete.tasks))
    }

    /// `task` has ended, be it while it waited.
    pub(crate) fn leave(&mut self, task: TaskId) {
        for waiting in self.open.values_mut() {
            waiting.tasks.retain(|other| *other != task);
        }
        self.open.retain(|_, waiting| !waiting.tasks.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_party_releases_all_and_the_barrier_is_as_new() {
        let mut barriers = Barriers::default();
        for _ in 0..2 {
            assert_eq!(barriers.arrive(0, 7, 3), Arrival::Wait);
            assert_eq!(barriers.arrive(2, 7, 3), Arrival::Wait);
            assert_eq!(barriers.arrive(1, 7, 3), Arrival::Release(vec![0, 2, 1]));
        }
    }

    #[test]
    fn one_party_does_not_wait_and_none_is_refused() {
        let mut barriers = Barriers::default();
        assert_eq!(barriers.arrive(0, 1, 1), Arrival::Release(vec![0]));
        assert_eq!(barriers.arrive(0, 1, 0), Arrival::Refuse);
        assert_eq!(barriers.arrive(0, 1, 2), Arrival::Wait, "a refusal leaves no barrier behind");
    }

    #[test]
    fn other_parties_are_refused_and_disturb_nobody() {
        let mut barriers = Barriers::default();
        assert_eq!(barriers.arrive(0, 1, 2), Arrival::Wait);
        assert_eq!(barriers.arrive(1, 1, 3), Arrival::Refuse);
        assert_eq!(barriers.arrive(1, 1, 2), Arrival::Release(vec![0, 1]));
    }

    #[test]
    fn who_has_left_is_not_counted() {
        let mut barriers = Barriers::default();
        assert_eq!(barriers.arrive(0, 1, 2), Arrival::Wait);
        barriers.leave(0);
        assert_eq!(barriers.arrive(1, 1, 2), Arrival::Wait);
        assert_eq!(barriers.arrive(0, 1, 2), Arrival::Release(vec![1, 0]));
    }
}
