// SPDX-License-Identifier: GPL-2.0-or-later
//! What is done while the guest runs.
//!
//! All callbacks come from the one thread that runs all processors, but the last, which comes from QEMU's main thread.

use std::ffi::{c_uint, c_void};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use imalab_schedule::{Does, MutexHolds, Order, Point, Range, Report, Scheduler, TaskReport};

use crate::qemu::{Block, Id, Qemu, Register, Translation};
use crate::threads;

/// `TPM_STS` of the TIS: a command can be given (TCG PC Client Platform TPM Profile, 6.5.2.5).
const COMMAND_READY: u8 = 0x40;
/// `TPM_STS`: there is an answer to read.
const DATA_AVAILABLE: u8 = 0x10;

/// Where a system call's function finds its first two arguments in the registers that it gets: `di` and `si` of `struct pt_regs`
/// (`arch/x86/include/asm/ptrace.h`).
const ARGUMENTS: [u64; 2] = [112, 104];

/// Between two looks at what QEMU's main thread does: it has no way to tell a plugin.
const LOOK: Duration = Duration::from_micros(30);

/// Instructions that all processors together have begun; translated code adds to it.
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);

/// Whether the guest has been where its order's stop counts from.
static MAY_STOP: AtomicBool = AtomicBool::new(false);

static LANE: OnceLock<Lane> = OnceLock::new();

struct Lane {
    qemu: Qemu,
    order: Order,
    processors: u32,
    scheduler: Mutex<Scheduler>,
    holds: Option<Mutex<MutexHolds>>,
}

/// It was started already.
#[derive(Debug)]
pub(crate) struct Started;

/// Begins to listen.
///
/// # Errors
/// When there is a lane already.
pub(crate) fn start(
    id: Id,
    qemu: Qemu,
    order: Order,
    processors: u32,
    late: Duration,
) -> Result<(), Started> {
    let scheduler = Mutex::new(Scheduler::new(&order, processors as usize));
    let holds = order.watch.as_ref().map(|watch| Mutex::new(MutexHolds::new(watch)));
    LANE.set(Lane { qemu, order, processors, scheduler, holds }).map_err(|_| Started)?;
    threads::watch(qemu, late);
    qemu.listen(id, translated, ended);
    Ok(())
}

impl Lane {
    fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The holds of the mutex that is watched, if there is one.
    fn holds(&self) -> Option<MutexGuard<'_, MutexHolds>> {
        Some(self.holds.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn report(&self) -> Report {
        let holds = self.holds().map(|holds| holds.holds()).unwrap_or_default();
        Report { holds, ..self.scheduler().report() }
    }

    /// Whether a function was called for the mutex that is watched.
    fn is_for_the_mutex(&self, cpu: c_uint) -> bool {
        let mutex = self.order.watch.as_ref().map(|watch| watch.mutex);
        mutex.is_some() && self.qemu.register(cpu, Register::Argument) == mutex
    }

    /// Waits until the TPM has done what it was told, so that the guest finds it done whenever it looks.
    fn gate(&self, status: u64) {
        // Since a store to the register has one of three effects: the command is cancelled or forgotten (ready), it is
        // carried out (an answer, in the end), or its answer is read anew.
        threads::stand_still(|| {
            while self.qemu.byte_at(status) & (COMMAND_READY | DATA_AVAILABLE) == 0 {
                std::thread::sleep(LOOK);
            }
        });
        // To carry it out QEMU takes a thread of its pool. When none is idle it schedules the making of one, by which all
        // processors are stopped as well (`icount_notify_exit` in `aio_bh_enqueue`), and whether one is idle depends on
        // the host. So they are always stopped.
        (0..self.processors).for_each(|cpu| self.qemu.preempt(cpu));
    }

    fn go_on(&self, cpus: &[u32]) {
        cpus.iter().for_each(|cpu| self.qemu.go_on(*cpu));
    }

    /// Waits until the monitor stops the machine, in the midst of a block: it stands still after that block then, whenever it
    /// was told to.
    fn be_stopped(&self) {
        threads::stand_still(|| {
            // Who stops it has the lock until every processor was told to stop (`pause_all_vcpus`).
            while self.qemu.is_running() {
                std::thread::sleep(LOOK);
            }
        });
    }

    /// Writes the report.
    fn tell(&self) {
        let report = self.report();
        let written = serde_json::to_vec(&report).map_err(std::io::Error::other);
        if let Err(error) = written.and_then(|text| fs::write(&self.order.report, text)) {
            eprintln!("imalab's plugin: cannot write {}: {error}", self.order.report.display());
        }
    }
}

fn point(cpu: c_uint, address: u64) -> Point {
    Point { cpu, address, instructions: INSTRUCTIONS.load(Ordering::Relaxed) }
}

fn any_has(ranges: &[Range], address: u64) -> bool {
    let after = ranges.partition_point(|range| range.begin <= address);
    after.checked_sub(1).is_some_and(|at| ranges[at].has(address))
}

extern "C" fn translated(_: Id, block: *mut Block) {
    let Some(lane) = LANE.get() else { return };
    #[expect(unsafe_code, reason = "a C interface")]
    // SAFETY: QEMU has called us with it.
    let block = unsafe { Translation::new(&lane.qemu, block) };
    let (order, address) = (&lane.order, block.address());
    block.count(INSTRUCTIONS.as_ptr(), block.instructions() as u64);
    if order.begin == Some(address) {
        block.when_it_begins(on_begin);
    }
    if order.ends.contains(&address) {
        block.when_it_begins(on_end);
    }
    if order.stop.is_some_and(|stop| stop.after == address) {
        block.when_it_begins(on_may_stop);
    }
    if order.stop.is_some_and(|stop| stop.at == address) {
        block.when_it_begins(on_stop);
    }
    if order.waits.contains(&address) {
        block.when_it_begins(on_wait);
    }
    if order.tick == Some(address) {
        block.when_it_begins(on_tick);
    }
    if let Some(watch) = &order.watch {
        if watch.takes.contains(&address) {
            block.when_it_begins(on_take);
        }
        if watch.tries.contains(&address) {
            block.when_it_begins(on_try);
        }
        if watch.gives == address {
            block.when_it_begins(on_give);
        }
    }
    if any_has(&order.points, address) {
        block.when_it_begins(on_point);
    }
    if let Some(pins) = &order.pins {
        if pins.tell == address {
            block.when_it_begins(on_tell);
        }
        if pins.concern(address) {
            block.when_it_begins(on_spot);
        }
    }
    if order.gate.as_ref().is_some_and(|gate| any_has(&gate.writers, address)) {
        block.after_stores(on_store);
    }
}

extern "C" fn on_begin(_: c_uint, _: *mut c_void) {
    if let Some(lane) = LANE.get() {
        lane.scheduler().begin();
    }
}

extern "C" fn on_end(cpu: c_uint, address: *mut c_void) {
    let Some(lane) = LANE.get() else { return };
    let ended = lane.scheduler().end(point(cpu, address.addr() as u64));
    if let Some(held) = ended {
        lane.go_on(&held);
        lane.tell();
    }
}

extern "C" fn on_may_stop(_: c_uint, _: *mut c_void) {
    MAY_STOP.store(true, Ordering::Relaxed);
}

extern "C" fn on_stop(cpu: c_uint, address: *mut c_void) {
    if let Some(lane) = LANE.get()
        && MAY_STOP.swap(false, Ordering::Relaxed)
    {
        on_end(cpu, address);
        lane.be_stopped();
    }
}

extern "C" fn on_take(cpu: c_uint, _: *mut c_void) {
    asks(cpu, false);
}

extern "C" fn on_try(cpu: c_uint, _: *mut c_void) {
    asks(cpu, true);
}

fn asks(cpu: c_uint, tries: bool) {
    let Some(lane) = LANE.get() else { return };
    if lane.is_for_the_mutex(cpu)
        && let Some(mut holds) = lane.holds()
        && let Some(stack) = lane.qemu.register(cpu, Register::Stack)
        && let Some(back) = lane.qemu.word_at(cpu, stack)
    {
        // The return takes its own address from the stack.
        holds.asks((back, stack.wrapping_add(8)), tries, INSTRUCTIONS.load(Ordering::Relaxed));
    }
}

extern "C" fn on_give(cpu: c_uint, _: *mut c_void) {
    let Some(lane) = LANE.get() else { return };
    if lane.is_for_the_mutex(cpu)
        && let Some(mut holds) = lane.holds()
    {
        holds.gives(INSTRUCTIONS.load(Ordering::Relaxed));
    }
}

extern "C" fn on_point(cpu: c_uint, address: *mut c_void) {
    let Some(lane) = LANE.get() else { return };
    let at = address.addr() as u64;
    if let Some(mut holds) = lane.holds()
        && holds.may_return_to(at)
        && let Some(stack) = lane.qemu.register(cpu, Register::Stack)
        && let Some(result) = lane.qemu.register(cpu, Register::Result)
    {
        holds.returns(point(cpu, at), stack, result);
    }
    if let Some(mut holds) = lane.holds() {
        holds.begins(cpu);
    }
    let (does, held) = lane.scheduler().point(point(cpu, address.addr() as u64));
    lane.go_on(&held);
    match does {
        None => {}
        Some(Does::Preempt) => lane.qemu.preempt(cpu),
        Some(Does::Hold) => lane.qemu.stop(),
    }
}

extern "C" fn on_tell(cpu: c_uint, address: *mut c_void) {
    let Some(lane) = LANE.get() else { return };
    let Some(pins) = &lane.order.pins else { return };
    let (qemu, argument) = (&lane.qemu, |register| lane.qemu.register(cpu, register));
    if let (Some(registers), Some(stack)) = (argument(Register::Argument), argument(Register::Stack))
        && let [Some(option), Some(number)] =
            ARGUMENTS.map(|offset| qemu.word_at(cpu, registers.wrapping_add(offset)))
        && option == pins.option
        && let Some(told) = TaskReport::of(number)
    {
        let held = lane.scheduler().reports(point(cpu, address.addr() as u64), told, stack);
        lane.go_on(&held);
    }
}

extern "C" fn on_spot(cpu: c_uint, address: *mut c_void) {
    let Some(lane) = LANE.get() else { return };
    let Some(stack) = lane.qemu.register(cpu, Register::Stack) else { return };
    let back = lane.qemu.word_at(cpu, stack);
    let (stops, held) = lane.scheduler().passes(point(cpu, address.addr() as u64), stack, back);
    lane.go_on(&held);
    if stops {
        lane.qemu.stop();
    }
}

extern "C" fn on_wait(cpu: c_uint, address: *mut c_void) {
    let Some(lane) = LANE.get() else { return };
    let held = lane.scheduler().waits(point(cpu, address.addr() as u64));
    lane.go_on(&held);
}

extern "C" fn on_tick(cpu: c_uint, address: *mut c_void) {
    let Some(lane) = LANE.get() else { return };
    let held = lane.scheduler().tick(point(cpu, address.addr() as u64));
    lane.go_on(&held);
}

extern "C" fn on_store(cpu: c_uint, access: u32, address: u64, _: *mut c_void) {
    if let Some(lane) = LANE.get()
        && let Some(gate) = &lane.order.gate
        && lane.qemu.physical(access, address) == Some(gate.status)
    {
        lane.gate(gate.status);
        lane.scheduler().tpm_command(point(cpu, address));
    }
}

extern "C" fn ended(_: Id, _: *mut c_void) {
    if let Some(lane) = LANE.get() {
        let report = lane.scheduler().report();
        // What was told at the end of the schedule stands.
        if report.end == imalab_schedule::End::Cut {
            lane.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_their_begin() {
        let ranges = [Range { begin: 10, end: 20 }, Range { begin: 30, end: 31 }];
        let found = [9, 10, 19, 20, 29, 30, 31].map(|address| any_has(&ranges, address));
        assert_eq!(found, [false, true, true, false, false, true, false]);
        assert!(!any_has(&[], 0));
    }
}
