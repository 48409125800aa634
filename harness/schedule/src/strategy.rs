//! Who decides, as a machine of its own.

use std::collections::BTreeMap;

use crate::order::{Choice, Does, Strategy};
use crate::random::draw;

/// A strategy under way.
#[derive(Debug)]
pub(crate) enum Decider {
    None,
    Random { seed: u64, per: u64 },
    List { choices: Vec<Choice>, taken: usize },
    Pct(Pct),
}

/// Priorities (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic Guarantees of Finding
/// Bugs, 2010): the processor of the highest priority runs until it waits, and at the change points the one that is there
/// gets a low one.
#[derive(Debug)]
pub(crate) struct Pct {
    priorities: Vec<u64>,
    changes: BTreeMap<u64, u64>,
}

impl Pct {
    fn new(seed: u64, depth: u64, points: u64, processors: usize) -> Pct {
        // All begin above what a change gives: depth, depth + 1…
        let mut priorities: Vec<u64> = (0..processors as u64).map(|cpu| depth + cpu).collect();
        // Fisher and Yates. The draws of events come from the other end.
        for at in (1..priorities.len()).rev() {
            let other = draw(seed, u64::MAX - at as u64) % (at as u64 + 1);
            priorities.swap(at, usize::try_from(other).unwrap_or(at));
        }
        let place = |change| draw(seed, u64::MAX / 2 + change) % points.max(1);
        let changes = (1..depth).map(|change| (place(change), change)).collect();
        Pct { priorities, changes }
    }

    fn at(&mut self, event: u64, cpu: usize, waiting: &[bool]) -> Option<Does> {
        if let (Some(priority), Some(own)) = (self.changes.get(&event), self.priorities.get_mut(cpu)) {
            *own = *priority;
        }
        let own = *self.priorities.get(cpu)?;
        let above = self.priorities.iter().zip(waiting).any(|(priority, waits)| *priority > own && !waits);
        above.then_some(Does::Hold)
    }
}

impl Decider {
    pub(crate) fn new(strategy: &Strategy, processors: usize) -> Decider {
        match strategy {
            Strategy::None => Decider::None,
            Strategy::Random { seed, per } => Decider::Random { seed: *seed, per: *per },
            Strategy::List { choices } => Decider::List { choices: choices.clone(), taken: 0 },
            Strategy::Pct { seed, depth, points } => {
                Decider::Pct(Pct::new(*seed, *depth, *points, processors))
            }
        }
    }

    /// What becomes of the processor that is at this point; `waiting`: which processors have nothing to do.
    pub(crate) fn at(&mut self, event: u64, cpu: usize, waiting: &[bool]) -> Option<Does> {
        match self {
            Decider::None => None,
            Decider::Random { seed, per } => draw(*seed, event).is_multiple_of(*per).then_some(Does::Preempt),
            Decider::List { choices, taken } => {
                let next = choices.get(*taken).filter(|choice| choice.event == event)?;
                *taken += 1;
                Some(next.does)
            }
            Decider::Pct(pct) => pct.at(event, cpu, waiting),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Which of two processors runs at each point, when both always have something to do and the one that is held lets the
    /// other run.
    fn order(seed: u64, depth: u64) -> Vec<usize> {
        let mut pct = Pct::new(seed, depth, 100, 2);
        let mut cpu = 0;
        let mut ran = Vec::new();
        for event in 0..100 {
            match pct.at(event, cpu, &[false, false]) {
                Some(Does::Hold) => cpu = 1 - cpu,
                _ => ran.push(cpu),
            }
        }
        ran
    }

    #[test]
    fn a_depth_of_n_changes_n_minus_one_times_at_most() {
        for depth in 1..5 {
            for seed in 0..50 {
                let ran = order(seed, depth);
                let changes = ran.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
                assert!(changes < depth, "{depth} {seed}: {ran:?}");
            }
        }
    }

    #[test]
    fn seeds_begin_with_either_and_change_everywhere() {
        let first: BTreeSet<usize> = (0..50).map(|seed| order(seed, 2)[0]).collect();
        assert_eq!(first.len(), 2);
        let lengths: BTreeSet<usize> = (0..200)
            .map(|seed| order(seed, 2))
            .map(|ran| ran.iter().take_while(|cpu| **cpu == ran[0]).count())
            .collect();
        assert!(lengths.len() > 30, "{lengths:?}");
    }

    #[test]
    fn whoever_waits_keeps_nobody_off() {
        let mut pct = Pct::new(1, 2, 100, 2);
        let low = usize::from(pct.priorities[0] > pct.priorities[1]);
        assert_eq!(pct.at(200, low, &[false, false]), Some(Does::Hold));
        assert_eq!(pct.at(201, low, &[true, true]), None);
    }
}
