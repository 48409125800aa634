//! Holds of tasks: a scenario's places become addresses of the kernel, and what the plugin tells of them becomes an event.

use std::path::Path;

use imalab_language::plan::{HeldUntil, Hold, Plan, PlanError, no_such_place};
use imalab_language::scenario::Place;
use imalab_schedule::{Pin, PinEnd, Pins, Report, Spot, Symbols, SymbolsError, Until};
use imalab_trace::Host;
use imalab_wire::TELL;

use super::SeededError;

/// The system call by which tasks tell of themselves (`kernel/sys.c`).
const TELLS: &str = "__x64_sys_prctl";

/// Bytes of a kernel stack, and with KASAN (`THREAD_SIZE`, `arch/x86/include/asm/page_64_types.h`).
const STACK: u64 = 16 << 10;
const KASAN_STACK: u64 = 32 << 10;
/// What kernels with KASAN have (`mm/kasan/report.c`).
const KASAN: &str = "kasan_report";

/// Tells whether a kernel has every place that a plan's holds name.
///
/// # Errors
/// [`PlanError`] with the line of the scenario.
pub fn known_places(plan: &Plan, kernel: &Path) -> Result<(), PlanError> {
    let Some(first) = plan.holds.first() else { return Ok(()) };
    let refused = |hold: &Hold, why: String| no_such_place(&plan.scenario, hold, why);
    let symbols = super::symbols(kernel).map_err(|error: SeededError| {
        refused(first, format!("{error}, and so no place in the kernel's code"))
    })?;
    for hold in &plan.holds {
        for place in hold.places() {
            spot(&symbols, place).map_err(|error| refused(hold, error.to_string()))?;
        }
    }
    Ok(())
}

/// What the plugin is told of a plan's holds; `None`: there are none.
pub(super) fn pins(symbols: &Symbols, holds: &[Hold]) -> Result<Option<Pins>, SymbolsError> {
    if holds.is_empty() {
        return Ok(None);
    }
    let pin = |hold: &Hold| {
        let until = match &hold.until {
            HeldUntil::Comes { task, to } => Until::Comes { task: *task, to: spot(symbols, to)? },
            HeldUntil::Ends { task, step } => Until::Ends { task: *task, step: *step },
        };
        Ok(Pin { task: hold.task, at: spot(symbols, &hold.at)?, until })
    };
    let pins = holds.iter().map(pin).collect::<Result<_, SymbolsError>>()?;
    let stack = stack_of(symbols);
    Ok(Some(Pins { tell: symbols.address(TELLS)?, option: u64::from(TELL.cast_unsigned()), stack, pins }))
}

/// Bytes of a kernel stack.
pub(super) fn stack_of(symbols: &Symbols) -> u64 {
    if symbols.address(KASAN).is_ok() { KASAN_STACK } else { STACK }
}

fn spot(symbols: &Symbols, place: &Place) -> Result<Spot, SymbolsError> {
    let address = symbols.place(&place.function, place.offset)?;
    let from = match &place.from {
        None => Vec::new(),
        Some(from) => match symbols.ranges(|name| name == from) {
            none if none.is_empty() => return Err(SymbolsError::Unknown(from.clone())),
            ranges => ranges,
        },
    };
    Ok(Spot { address, from })
}

/// The first hold that could not be kept, if any: then the run was not ordered as its scenario asks for.
pub(in super::super) fn not_ordered(plan: &Plan, report: &Report) -> Option<Host> {
    let ends = report.pins.iter().map(|pin| pin.end).chain(std::iter::repeat(PinEnd::NotSet));
    let (hold, end) =
        plan.holds.iter().zip(ends).find(|(_, end)| !matches!(end, PinEnd::Ordered | PinEnd::GivenUp))?;
    let name = |task: u16| {
        plan.program.tasks.get(usize::from(task)).map_or_else(String::new, |task| task.name.clone())
    };
    let until = match &hold.until {
        HeldUntil::Comes { task, to } => format!("`{}` comes to {to}", name(*task)),
        HeldUntil::Ends { task, step } => format!("`{}` has ended its step {step}", name(*task)),
    };
    let end = match end {
        PinEnd::Ordered | PinEnd::GivenUp => return None,
        PinEnd::NotSet => "not-set",
        PinEnd::NotReached => "not-reached",
        PinEnd::NeverCame => "never-came",
        PinEnd::Stuck => "stuck",
        PinEnd::LastOne => "last-one",
    };
    Some(Host::NotOrdered {
        line: hold.line,
        task: name(hold.task),
        place: hold.at.to_string(),
        until,
        end: end.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
ffffffff81000000 T __x64_sys_prctl
ffffffff81000040 T mutex_lock
ffffffff81000080 T ima_queue_stage
ffffffff810000c0 t twice
ffffffff810000d0 t twice
ffffffff810000e0 t ima_trim.isra.0
ffffffff810000f0 t ima_trim.cold
ffffffff81000100 T _etext
";

    fn place(function: &str, offset: u64, from: Option<&str>) -> Place {
        Place { function: function.into(), offset, from: from.map(String::from) }
    }

    fn hold(at: Place) -> Hold {
        Hold { line: 9, task: 1, at, until: HeldUntil::Ends { task: 2, step: 1 } }
    }

    fn pin(at: Place) -> Result<Spot, String> {
        let symbols = Symbols::parse(MAP).unwrap();
        let pins = pins(&symbols, &[hold(at)]).map_err(|error| error.to_string())?;
        Ok(pins.unwrap().pins[0].at.clone())
    }

    #[test]
    fn places_are_addresses() {
        let at = |address: u64| Ok(Spot { address: 0xffff_ffff_8100_0000 + address, from: Vec::new() });
        assert_eq!(pin(place("ima_queue_stage", 0, None)), at(0x80));
        assert_eq!(pin(place("ima_queue_stage", 0x2f, None)), at(0xaf));
        assert_eq!(pin(place("ima_trim", 0, None)), at(0xe0));
        let called = pin(place("mutex_lock", 0, Some("ima_queue_stage"))).unwrap();
        assert_eq!((called.address & 0xff, called.from[0].begin & 0xff), (0x40, 0x80));
    }

    #[test]
    fn what_a_kernel_does_not_have_is_told_by_name() {
        let error = |at| pin(at).unwrap_err();
        assert_eq!(error(place("ima_stage", 0, None)), "the kernel has no function `ima_stage`");
        assert_eq!(error(place("mutex_lock", 0, Some("nobody"))), "the kernel has no function `nobody`");
        let beyond = "`ima_queue_stage` has 64 bytes, and so no place at +0x40";
        assert_eq!(error(place("ima_queue_stage", 0x40, None)), beyond);
        assert_eq!(error(place("twice", 0, None)), "the kernel has 2 functions `twice`");
    }

    #[test]
    fn a_kernel_whose_tasks_cannot_tell_who_they_are_is_refused() {
        let symbols = Symbols::parse(&MAP.replace("prctl", "other")).unwrap();
        assert_eq!(pins(&symbols, &[]), Ok(None));
        let refused = pins(&symbols, &[hold(place("mutex_lock", 0, None))]);
        assert_eq!(refused, Err(SymbolsError::Unknown(TELLS.into())));
    }

    #[test]
    fn stacks_are_larger_with_kasan() {
        let stack = |map: &str| {
            pins(&Symbols::parse(map).unwrap(), &[hold(place("mutex_lock", 0, None))]).unwrap().unwrap().stack
        };
        assert_eq!(stack(MAP), STACK);
        assert_eq!(stack(&format!("{MAP}ffffffff81000200 T kasan_report\n")), KASAN_STACK);
    }
}
