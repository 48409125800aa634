//! For how long a mutex of the guest is held, in instructions.

use crate::Point;
use crate::order::Watch;
use crate::range::Range;
use crate::report::MutexHold;

/// Most holds that are kept: a run has some dozens.
const MOST: usize = 1 << 12;

/// Who asks for the mutex and has not got it yet.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The stack pointer after the call: tells tasks apart.
    stack: u64,
    at: u64,
    instructions: u64,
    /// Whether the call may come back without it.
    tries: bool,
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    asked: Asked,
    cpu: u32,
    since: u64,
    blocks: u64,
}

/// Follows one mutex. What is asked for and never come back from is forgotten with its stack.
#[derive(Debug)]
pub struct MutexHolds {
    appends: Vec<Range>,
    asked: Vec<Asked>,
    holder: Option<Holder>,
    appended: u64,
    holds: Vec<MutexHold>,
}

impl MutexHolds {
    /// Of a mutex that nobody holds.
    #[must_use]
    pub fn new(watch: &Watch) -> MutexHolds {
        let appends = watch.appends.clone();
        MutexHolds { appends, asked: Vec::new(), holder: None, appended: 0, holds: Vec::new() }
    }

    /// It is asked for by a call that returns to `at`, with the stack pointer as it will be then; `tries`: which may come back without it.
    pub fn asks(&mut self, (at, stack): (u64, u64), tries: bool, instructions: u64) {
        self.asked.retain(|asked| asked.stack != stack);
        self.asked.push(Asked { stack, at, instructions, tries });
    }

    /// Whether somebody who asked for it may come back to this address.
    #[must_use]
    pub fn may_return_to(&self, address: u64) -> bool {
        self.asked.iter().any(|asked| asked.at == address)
    }

    /// A block begins at this point, with this stack pointer, and this where a call leaves its result.
    pub fn returns(&mut self, point: Point, stack: u64, result: u64) {
        let who = |asked: &Asked| (asked.at, asked.stack) == (point.address, stack);
        if let Some(at) = self.asked.iter().position(who) {
            let asked = self.asked.swap_remove(at);
            // An `int`: the lower half.
            if asked.tries && result as u32 != 0 {
                return;
            }
            self.holder = Some(Holder { asked, cpu: point.cpu, since: point.instructions, blocks: 0 });
        }
    }

    /// A processor begins a block of IMA's code.
    pub fn begins(&mut self, cpu: u32) {
        if let Some(holder) = self.holder.as_mut().filter(|holder| holder.cpu == cpu) {
            holder.blocks += 1;
        }
    }

    /// It is given back.
    pub fn gives(&mut self, instructions: u64) {
        let Some(Holder { asked, since, blocks, .. }) = self.holder.take() else { return };
        if self.appends.iter().any(|range| range.has(asked.at)) {
            self.appended += 1;
            return;
        }
        if self.holds.len() < MOST {
            self.holds.push(MutexHold {
                at: asked.at,
                appends: self.appended,
                waited: since - asked.instructions,
                held: instructions - since,
                blocks,
            });
        }
    }

    /// All that were told one by one.
    #[must_use]
    pub fn holds(&self) -> Vec<MutexHold> {
        self.holds.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: u64 = 100;
    const APPEND: u64 = 200;

    fn at(address: u64, instructions: u64) -> Point {
        Point { cpu: 0, address, instructions }
    }

    fn holds() -> MutexHolds {
        let appends = vec![Range { begin: APPEND, end: APPEND + 9 }];
        MutexHolds::new(&Watch { mutex: 1, takes: vec![2], tries: vec![4], gives: 3, appends })
    }

    #[test]
    fn a_hold_begins_when_the_call_comes_back_and_not_when_it_is_made() {
        let mut holds = holds();
        holds.asks((APPEND, 64), false, 10);
        holds.returns(at(APPEND, 20), 64, 0);
        // Meanwhile another task asks, and a block of the same code runs in a third.
        holds.asks((STAGE, 32), false, 30);
        assert!(holds.may_return_to(STAGE) && !holds.may_return_to(APPEND));
        holds.returns(at(STAGE, 40), 96, 0);
        holds.gives(50);
        assert_eq!(holds.holds(), []);
        holds.returns(at(STAGE, 60), 32, 0);
        holds.gives(67);
        assert_eq!(holds.holds(), [MutexHold { at: STAGE, appends: 1, waited: 30, held: 7, blocks: 0 }]);
        holds.asks((STAGE, 32), false, 70);
        holds.returns(at(STAGE, 72), 32, 0);
        holds.gives(80);
        assert_eq!(holds.holds()[1], MutexHold { at: STAGE, appends: 1, waited: 2, held: 8, blocks: 0 });
    }

    #[test]
    fn who_is_killed_while_waiting_holds_nothing() {
        let eintr = -4_i64 as u64;
        let mut holds = holds();
        holds.asks((STAGE, 64), false, 10);
        holds.returns(at(STAGE, 20), 64, eintr);
        // Meanwhile another one waits, and is killed.
        holds.asks((APPEND, 32), true, 25);
        holds.returns(at(APPEND, 30), 32, eintr);
        holds.gives(40);
        assert_eq!(holds.holds(), [MutexHold { at: STAGE, appends: 0, waited: 10, held: 20, blocks: 0 }]);
        // What is above the lower half of the register is not the result.
        holds.asks((STAGE, 32), true, 50);
        holds.returns(at(STAGE, 60), 32, 1 << 32);
        holds.gives(67);
        assert_eq!(holds.holds()[1], MutexHold { at: STAGE, appends: 0, waited: 10, held: 7, blocks: 0 });
    }

    #[test]
    fn blocks_of_others_are_not_the_holders() {
        let mut holds = holds();
        holds.begins(0);
        holds.asks((STAGE, 64), false, 10);
        holds.returns(at(STAGE, 20), 64, 0);
        [0, 1, 0, 1, 1].into_iter().for_each(|cpu| holds.begins(cpu));
        holds.gives(30);
        assert_eq!(holds.holds()[0].blocks, 2);
    }

    #[test]
    fn what_nobody_has_is_not_given_back_and_a_guest_cannot_fill_the_memory_of_its_host() {
        let mut holds = holds();
        holds.gives(5);
        for round in 0..2 * MOST as u64 {
            holds.asks((STAGE, 64), false, round);
            holds.asks((STAGE, 64), false, round);
            holds.returns(at(STAGE, round), 64, 0);
            holds.gives(round);
            holds.gives(round);
        }
        assert_eq!((holds.holds().len(), holds.asked.len()), (MOST, 0));
    }
}
