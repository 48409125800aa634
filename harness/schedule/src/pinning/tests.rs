use super::*;
use crate::pin::Spot;
use crate::range::Range;

const STACK: u64 = 0x4000;
/// Where both come to, by a call from 100.
const LOCK: u64 = 64;

fn spot(address: u64) -> Spot {
    Spot { address, from: vec![Range { begin: 100, end: 110 }] }
}

/// Task 1 is held until task 2 comes there too, and that until task 1 has ended its first step.
fn overlap() -> Pinning {
    let pins = vec![
        Pin { task: 1, at: spot(LOCK), until: Until::Comes { task: 2, to: spot(LOCK) } },
        Pin { task: 2, at: spot(LOCK), until: Until::Ends { task: 1, step: 1 } },
    ];
    let mut pinning = Pinning::new(&Pins { tell: 8, option: 9, stack: STACK, pins }, 2);
    for told in [TaskReport::Is(1), TaskReport::Is(2)] {
        pinning.reports(told, stack_of(told));
    }
    pinning
}

fn set(pinning: &mut Pinning) {
    for pin in 0..2 {
        assert_eq!(pinning.reports(TaskReport::Arms(pin), 0), Moves::default());
    }
}

fn stack_of(told: TaskReport) -> u64 {
    match told {
        TaskReport::Is(task) => STACK * u64::from(task) + 8,
        _ => 0,
    }
}

fn passes(pinning: &mut Pinning, cpu: u32, task: u64) -> Moves {
    pinning.passes(Point { cpu, address: LOCK, instructions: 7 }, STACK * task + 0x3ff8, Some(105))
}

fn holds(pin: usize) -> Moves {
    Moves { holds: Some(pin), ..Moves::default() }
}

fn ends(pinning: &Pinning) -> Vec<PinEnd> {
    pinning.report().iter().map(|report| report.end).collect()
}

#[test]
fn two_tasks_are_ordered_by_two_pins() {
    let mut pinning = overlap();
    set(&mut pinning);
    assert_eq!(passes(&mut pinning, 0, 1), holds(0));
    assert!(pinning.holds(0) && !pinning.holds(1));
    assert_eq!(passes(&mut pinning, 1, 2), Moves { holds: Some(1), lets_go: vec![(0, 0)] });
    assert_eq!(pinning.reports(TaskReport::Ends(1, 1), 0), Moves { holds: None, lets_go: vec![(1, 1)] });
    assert_eq!(ends(&pinning), [PinEnd::Ordered; 2]);
    assert_eq!(pinning.report()[1], PinReport { end: PinEnd::Ordered, cpu: Some(1), instructions: Some(7) });
    // Each holds once.
    assert_eq!(passes(&mut pinning, 0, 1), Moves::default());
    assert_eq!(pinning.end(), Moves::default());
}

#[test]
fn what_has_come_before_the_place_needs_no_hold() {
    let mut pinning = overlap();
    set(&mut pinning);
    assert_eq!(passes(&mut pinning, 0, 2), holds(1));
    assert_eq!(passes(&mut pinning, 1, 1), Moves::default());
    assert_eq!(pinning.reports(TaskReport::Ends(1, 1), 0).lets_go, [(1, 0)]);
    assert_eq!(ends(&pinning), [PinEnd::Ordered; 2]);
    assert_eq!(pinning.report()[0].cpu, None);
}

#[test]
fn nobody_is_held_before_it_is_asked_for_or_elsewhere_or_as_another_task() {
    let mut pinning = overlap();
    assert_eq!(passes(&mut pinning, 0, 1), Moves::default());
    set(&mut pinning);
    assert_eq!(passes(&mut pinning, 0, 3), Moves::default());
    let at = |address| Point { cpu: 0, address, instructions: 0 };
    assert_eq!(pinning.passes(at(LOCK), STACK, Some(110)), Moves::default());
    assert_eq!(pinning.passes(at(LOCK), STACK, None), Moves::default());
    assert_eq!(pinning.passes(at(LOCK + 1), STACK, Some(105)), Moves::default());
    assert_eq!(ends(&pinning), [PinEnd::NotReached; 2]);
    assert_eq!(ends(&overlap()), [PinEnd::NotSet; 2]);
}

#[test]
fn a_step_that_came_to_its_end_earlier_does_not_count() {
    let mut pinning = overlap();
    pinning.reports(TaskReport::Ends(1, 1), 0);
    set(&mut pinning);
    assert_eq!(passes(&mut pinning, 0, 2), holds(1));
}

#[test]
fn a_task_that_has_ended_is_not_waited_for() {
    let mut pinning = overlap();
    set(&mut pinning);
    passes(&mut pinning, 0, 1);
    assert_eq!(pinning.reports(TaskReport::Over(2), 0).lets_go, [(0, 0)]);
    assert_eq!(ends(&pinning), [PinEnd::NeverCame, PinEnd::GivenUp]);
    let mut pinning = overlap();
    set(&mut pinning);
    pinning.reports(TaskReport::Over(1), 0);
    assert_eq!(ends(&pinning), [PinEnd::NotReached, PinEnd::GivenUp]);
}

#[test]
fn a_hold_ends_when_all_others_wait() {
    let mut pinning = overlap();
    set(&mut pinning);
    passes(&mut pinning, 0, 1);
    (0..PATIENCE).for_each(|_| assert_eq!(pinning.waits(), Moves::default()));
    // Somebody got somewhere.
    pinning.ran();
    (0..PATIENCE).for_each(|_| assert_eq!(pinning.waits(), Moves::default()));
    assert_eq!(pinning.waits().lets_go, [(0, 0)]);
    assert_eq!(ends(&pinning), [PinEnd::Stuck, PinEnd::GivenUp]);
    // Nothing is held after that.
    assert_eq!(passes(&mut pinning, 0, 2), Moves::default());
}

#[test]
fn the_last_processor_is_not_held() {
    let pins = vec![Pin { task: 1, at: spot(LOCK), until: Until::Ends { task: 2, step: 1 } }];
    let mut pinning = Pinning::new(&Pins { tell: 8, option: 9, stack: STACK, pins }, 1);
    pinning.reports(TaskReport::Is(1), STACK);
    pinning.reports(TaskReport::Arms(0), 0);
    assert_eq!(passes(&mut pinning, 0, 1), Moves::default());
    assert_eq!(ends(&pinning), [PinEnd::LastOne]);
}

#[test]
fn nobody_is_held_beyond_the_end() {
    let mut pinning = overlap();
    set(&mut pinning);
    passes(&mut pinning, 1, 1);
    assert_eq!(pinning.end().lets_go, [(0, 1)]);
    assert_eq!(ends(&pinning), [PinEnd::NeverCame, PinEnd::NotReached]);
}

#[test]
fn a_guest_cannot_fill_the_memory_of_its_host() {
    let mut pinning = overlap();
    for task in 0..1000 {
        pinning.reports(TaskReport::Is(task), u64::from(task) * STACK);
        pinning.reports(TaskReport::Is(1), u64::from(task) * STACK);
        pinning.reports(TaskReport::Arms(task), 0);
    }
    assert!(pinning.tasks.len() <= 2);
}
