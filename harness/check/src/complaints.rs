//! What a guest's kernels complained of on the console, less the panics that the program asked for.

use imalab_formats::splat::{self, Kind, Splat};
use imalab_language::plan::Plan;

/// What a kernel says of a panic by SysRq (`sysrq_handle_crash`, drivers/tty/sysrq.c).
const ASKED: &str = "sysrq triggered crash";

/// Complaints in the order of the console; lines are counted from 0.
///
/// A panic that was asked for ends what its kernel says. The next kernel's complaints are its own, so that none is taken
/// for the rest of that panic's report.
pub(super) fn complaints(plan: &Plan, console: &[&str]) -> Vec<Splat> {
    let asked = |(at, line): (usize, &&str)| {
        (splat::recognise(line) == Some(Kind::Panic) && line.ends_with(ASKED)).then_some(at)
    };
    let asked: Vec<usize> = console.iter().enumerate().filter_map(asked).take(plan.panics()).collect();
    let mut found = Vec::new();
    let mut from = 0;
    for to in asked.into_iter().chain([console.len()]) {
        let of_one = splat::find(&console[from..to]);
        found.extend(of_one.into_iter().map(|splat| Splat { line_index: splat.line_index + from, ..splat }));
        from = to + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use imalab_wire::{Op, Outcome};
    use rstest::rstest;

    use super::*;
    use crate::fake_run::FakeRun;
    use imalab_language::plan::Action;

    const ASKED_FOR: &str = "[    1.5] Kernel panic - not syncing: sysrq triggered crash";

    fn asking(times: usize) -> Plan {
        let mut fake = FakeRun::new();
        for _ in 0..times {
            let op = (Op::Panic, Outcome::NotAttempted, Vec::new());
            fake.step("kexec-execute by panic", Action::KexecExecute, vec![op], vec![]);
        }
        fake.finish().0
    }

    #[rstest]
    #[case::as_asked(1, &["a", ASKED_FOR, "Call Trace:", "b"], &[])]
    #[case::nobody_asked(0, &["a", ASKED_FOR], &[1])]
    #[case::once_more_than_asked(1, &[ASKED_FOR, "a", ASKED_FOR], &[2])]
    #[case::twice(2, &[ASKED_FOR, "a", ASKED_FOR], &[])]
    #[case::another_panic(1, &["Kernel panic - not syncing: Attempted to kill init!"], &[0])]
    #[case::one_that_says_so(1, &["Kernel panic - not syncing: sysrq triggered crash?"], &[0])]
    #[case::right_after(1, &[ASKED_FOR, "Oops: 0002 [#1]", ASKED_FOR], &[1, 2])]
    #[case::before(1, &["WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2", ASKED_FOR], &[0])]
    fn only_panics_that_were_asked_for_are_none(
        #[case] asked: usize,
        #[case] console: &[&str],
        #[case] expected: &[usize],
    ) {
        let lines: Vec<usize> =
            complaints(&asking(asked), console).iter().map(|splat| splat.line_index).collect();
        assert_eq!(lines, expected);
    }
}
