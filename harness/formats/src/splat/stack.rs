//! Which function a kernel's report is about.

use super::without_prefix;

/// Where a task that sleeps is: functions by which anything waits, and that say nothing of what for
/// (kernel/sched, kernel/locking, kernel/time/timer.c, kernel/rcu).
const WAITING: &[&str] = &[
    "__schedule",
    "schedule",
    "io_schedule",
    "preempt_schedule",
    "__cond_resched",
    "context_switch",
    "__mutex_lock",
    "mutex_lock",
    "__ww_mutex",
    "rt_mutex",
    "__rt_mutex",
    "rwbase",
    "rwsem_down",
    "down_",
    "__down",
    "down",
    "percpu_rwsem_wait",
    "percpu_down",
    "__percpu_down",
    "wait_for_c",
    "__wait_for_common",
    "do_wait_for_common",
    "wait_woken",
    "__wait_on_bit",
    "out_of_line_wait",
    "bit_wait",
    "msleep",
    "usleep",
    "do_nanosleep",
    "wait_rcu_gp",
    "__wait_rcu_gp",
    "synchronize_",
    "__synchronize",
    "queued_spin",
    "native_queued_spin",
    "_raw_spin",
    "__raw_spin",
];

/// Where a kernel that dies or complains is: functions by which it says so (kernel/panic.c, lib/dump_stack.c,
/// arch/x86/kernel/dumpstack.c, arch/x86/entry).
const TELLING: &[&str] = &[
    "dump_stack",
    "show_stack",
    "show_regs",
    "show_trace",
    "panic",
    "vpanic",
    "nmi_panic",
    "__warn",
    "warn_",
    "report_bug",
    "handle_bug",
    "exc_",
    "asm_",
    "die",
    "__die",
    "oops_",
    "page_fault_oops",
    "kernelmode_fixup",
    "do_trap",
    "do_error_trap",
    "make_task_dead",
    "kasan_",
    "__kasan",
    "print_report",
    "print_address",
    "check_memory",
    "kmsan_",
    "__asan",
    "ubsan_",
    "__ubsan",
    "sched_show_task",
    "nmi_cpu_backtrace",
    "trigger_",
    "rcu_dump",
    "<TASK>",
];

/// The functions of a report's first call trace, innermost first; those that only may be on the stack (`?`) are left out.
fn trace(report: &[String]) -> impl Iterator<Item = &str> {
    lines(report).filter_map(frame)
}

/// The lines of a report's first call trace.
fn lines(report: &[String]) -> impl Iterator<Item = &str> {
    let from = report
        .iter()
        .position(|line| without_prefix(line) == "Call Trace:")
        .map_or(report.len(), |at| at + 1);
    let more = report[from..].iter().map(|line| without_prefix(line));
    more.take_while(|line| *line != "</TASK>" && *line != "Call Trace:")
}

/// The function of one line of a call trace, `ima_queue_stage+0x9c/0x150`. The compiler's parts of a function (`.cold`,
/// `.part.0`, `.isra.0`, `.constprop.0`) go by the function's name.
fn frame(line: &str) -> Option<&str> {
    let (name, place) = line.split_once("+0x")?;
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
    (is_name && place.contains("/0x")).then(|| name.split('.').next().unwrap_or(name))
}

fn is_one_of(names: &[&str], function: &str) -> bool {
    names.iter().any(|name| function.starts_with(name))
}

/// The function that a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The first function of IMA below it, when it is none itself.
    pub called_from: Option<String>,
}

/// The function that a report is about: the one at which the processor was, with the first of IMA's below it; else the first of
/// the call trace that does not only tell.
#[must_use]
pub fn function(report: &[String]) -> Option<Function> {
    let mut told = trace(report).filter(|function| !is_one_of(TELLING, function));
    let Some(at) = at(report) else {
        return told.next().map(|name| Function { name: name.to_owned(), called_from: None });
    };
    let called_from = if is_of_ima(at) { None } else { told.find(|function| is_of_ima(function)) };
    Some(Function { name: at.to_owned(), called_from: called_from.map(str::to_owned) })
}

/// All functions that a report names: the one at which the processor was, and those of the call trace, innermost first. Those
/// that only may be on the stack (`?`) are among them: the caller of a function without a frame of its own (`memcpy_orig` of
/// `arch/x86/lib/memcpy_64.S`) is such a one.
#[must_use]
pub fn functions(report: &[String]) -> Vec<String> {
    let traced = lines(report).filter_map(|line| frame(line.strip_prefix("? ").unwrap_or(line)));
    at(report).into_iter().chain(traced).map(str::to_owned).collect()
}

/// The function at which the processor was.
fn at(report: &[String]) -> Option<&str> {
    report.iter().find_map(|line| {
        let (_, rest) = without_prefix(line).split_once("RIP: ")?;
        frame(rest.split_once(':').map_or(rest, |(_, rest)| rest).trim())
    })
}

fn is_of_ima(function: &str) -> bool {
    function.starts_with("ima_")
}

/// The function in which a task waits that a report shows: the first of its call trace by which not just anything waits.
pub(super) fn waits_in(report: &[String]) -> Option<String> {
    trace(report).find(|function| !is_one_of(WAITING, function)).map(str::to_owned)
}

#[cfg(test)]
mod tests;
