//! Pins under way: who is held, and what that waits for.

use std::collections::BTreeMap;

use crate::pin::{Pin, PinEnd, PinReport, Pins, TaskReport, Until};
use crate::point::Point;

/// How often processors that run may wait or be ticked by their timers while another is held and none comes to a point: some
/// tenths of a second of the guest, after which nobody is likely to come to what is waited for.
const PATIENCE: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotSet,
    /// Set, and the task has not come to the place. `came`: what it is to wait for has come already.
    Set {
        came: bool,
    },
    Held {
        cpu: u32,
    },
    Over(PinEnd),
}

#[derive(Clone, Copy, Debug)]
struct Under {
    state: State,
    cpu: Option<u32>,
    instructions: Option<u64>,
}

/// What becomes of processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// The pin by which the one that is here is held.
    pub(crate) holds: Option<usize>,
    /// Those that go on now, by the pins that held them.
    pub(crate) lets_go: Vec<(usize, u32)>,
}

/// Pins under way.
#[derive(Debug)]
pub(crate) struct Pinning {
    pins: Vec<Pin>,
    stack: u64,
    under: Vec<Under>,
    /// Which kernel stack is whose; of tasks that a pin names alone.
    tasks: BTreeMap<u64, u16>,
    processors: usize,
    idle: u32,
}

impl Pinning {
    pub(crate) fn new(order: &Pins, processors: usize) -> Pinning {
        let none = Under { state: State::NotSet, cpu: None, instructions: None };
        Pinning {
            pins: order.pins.clone(),
            stack: order.stack.max(1),
            under: vec![none; order.pins.len()],
            tasks: BTreeMap::new(),
            processors,
            idle: 0,
        }
    }

    /// Whether a processor is held.
    pub(crate) fn holds(&self, cpu: u32) -> bool {
        self.under.iter().any(|under| under.state == State::Held { cpu })
    }

    fn any(&self) -> bool {
        self.under.iter().any(|under| matches!(under.state, State::Held { .. }))
    }

    /// A task tells of itself, with this stack pointer.
    pub(crate) fn reports(&mut self, told: TaskReport, stack: u64) -> Moves {
        self.idle = 0;
        match told {
            TaskReport::Is(task) => {
                if self.pins.iter().any(|pin| pin.task == task || pin.until.task() == task) {
                    self.tasks.retain(|_, known| *known != task);
                    self.tasks.insert(stack / self.stack, task);
                }
                Moves::default()
            }
            TaskReport::Arms(pin) => {
                if let Some(under) = self.under.get_mut(usize::from(pin))
                    && under.state == State::NotSet
                {
                    under.state = State::Set { came: false };
                }
                Moves::default()
            }
            TaskReport::Ends(task, step) => self.comes(|until| {
                matches!(until, Until::Ends { task: by, step: which } if *by == task && *which <= step)
            }),
            TaskReport::Over(task) => {
                self.tasks.retain(|_, known| *known != task);
                let lost = |(pin, under): (&Pin, &Under)| match under.state {
                    State::Set { .. } if pin.task == task => Some(PinEnd::NotReached),
                    State::Set { came: false } | State::Held { .. } if pin.until.task() == task => {
                        Some(PinEnd::NeverCame)
                    }
                    _ => None,
                };
                let found = self.pins.iter().zip(&self.under).map(lost).enumerate();
                let first = found.filter_map(|(pin, end)| Some((pin, end?))).next();
                first.map_or_else(Moves::default, |(pin, end)| self.give_up(pin, end))
            }
        }
    }

    /// A block begins where something may happen, with this stack pointer; `back` is what stands at the stack's top.
    pub(crate) fn passes(&mut self, point: Point, stack: u64, back: Option<u64>) -> Moves {
        let Some(task) = self.tasks.get(&(stack / self.stack)).copied() else { return Moves::default() };
        let mut moves = self.comes(|until| {
            matches!(until, Until::Comes { task: by, to } if *by == task && to.is(point.address, back))
        });
        let here = |(pin, under): (&Pin, &Under)| {
            matches!(under.state, State::Set { .. }) && pin.task == task && pin.at.is(point.address, back)
        };
        let Some(pin) = self.pins.iter().zip(&self.under).position(here) else { return moves };
        if self.under[pin].state == (State::Set { came: true }) {
            self.under[pin].state = State::Over(PinEnd::Ordered);
            return moves;
        }
        let held = (0..).take(self.processors).filter(|cpu| self.holds(*cpu)).count();
        if held + 1 >= self.processors {
            let mut given_up = self.give_up(pin, PinEnd::LastOne);
            moves.lets_go.append(&mut given_up.lets_go);
            return moves;
        }
        let Point { cpu, instructions, .. } = point;
        self.under[pin] =
            Under { state: State::Held { cpu }, cpu: Some(cpu), instructions: Some(instructions) };
        self.idle = 0;
        moves.holds = Some(pin);
        moves
    }

    /// A processor that is not held gets somewhere.
    pub(crate) fn ran(&mut self) {
        self.idle = 0;
    }

    /// One has nothing to do, spins, or was ticked by its timer.
    pub(crate) fn waits(&mut self) -> Moves {
        if !self.any() {
            return Moves::default();
        }
        self.idle += 1;
        if self.idle <= PATIENCE {
            return Moves::default();
        }
        let held = |under: &Under| matches!(under.state, State::Held { .. });
        let first = self.under.iter().position(held);
        first.map_or_else(Moves::default, |pin| self.give_up(pin, PinEnd::Stuck))
    }

    /// The schedule is over.
    pub(crate) fn end(&mut self) -> Moves {
        let mut moves = Moves::default();
        for (at, under) in self.under.iter_mut().enumerate() {
            let end = match under.state {
                State::Over(_) => continue,
                State::NotSet => PinEnd::NotSet,
                State::Set { .. } => PinEnd::NotReached,
                State::Held { cpu } => {
                    moves.lets_go.push((at, cpu));
                    PinEnd::NeverCame
                }
            };
            under.state = State::Over(end);
        }
        moves
    }

    /// As they went, in order.
    pub(crate) fn report(&self) -> Vec<PinReport> {
        let report = |under: &Under| {
            let end = match under.state {
                State::Over(end) => end,
                State::NotSet => PinEnd::NotSet,
                State::Set { .. } => PinEnd::NotReached,
                State::Held { .. } => PinEnd::NeverCame,
            };
            PinReport { end, cpu: under.cpu, instructions: under.instructions }
        };
        self.under.iter().map(report).collect()
    }

    /// What pins wait for has come.
    fn comes(&mut self, is: impl Fn(&Until) -> bool) -> Moves {
        let mut moves = Moves::default();
        for (at, (pin, under)) in self.pins.iter().zip(&mut self.under).enumerate() {
            if !is(&pin.until) {
                continue;
            }
            under.state = match under.state {
                State::Set { .. } => State::Set { came: true },
                State::Held { cpu } => {
                    moves.lets_go.push((at, cpu));
                    State::Over(PinEnd::Ordered)
                }
                other => other,
            };
        }
        moves
    }

    /// This pin cannot be kept: the run is not what was asked for, whatever comes of the others.
    fn give_up(&mut self, pin: usize, end: PinEnd) -> Moves {
        let mut moves = Moves::default();
        for (at, under) in self.under.iter_mut().enumerate() {
            if let State::Held { cpu } = under.state {
                moves.lets_go.push((at, cpu));
            }
            if !matches!(under.state, State::Over(_)) {
                under.state = State::Over(if at == pin { end } else { PinEnd::GivenUp });
            }
        }
        moves
    }
}

#[cfg(test)]
mod tests;
