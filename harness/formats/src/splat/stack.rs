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
    let from = report
        .iter()
        .position(|line| without_prefix(line) == "Call Trace:")
        .map_or(report.len(), |at| at + 1);
    let more = report[from..].iter().map(|line| without_prefix(line));
    more.take_while(|line| *line != "</TASK>" && *line != "Call Trace:").filter_map(frame)
}

/// The function of one line of a call trace, `ima_queue_stage+0x9c/0x150`.
fn frame(line: &str) -> Option<&str> {
    let (name, place) = line.split_once("+0x")?;
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
    (is_name && place.contains("/0x")).then_some(name)
}

fn is_one_of(names: &[&str], function: &str) -> bool {
    names.iter().any(|name| function.starts_with(name))
}

/// The function that a report is about: the one at which the processor was, with the first of IMA's below it; else the first of
/// the call trace that does not only tell.
#[must_use]
pub fn function(report: &[String]) -> Option<String> {
    let at = report.iter().find_map(|line| {
        let (_, rest) = without_prefix(line).split_once("RIP: ")?;
        frame(rest.split_once(':').map_or(rest, |(_, rest)| rest).trim())
    });
    let mut told = trace(report).filter(|function| !is_one_of(TELLING, function));
    let Some(at) = at else { return told.next().map(str::to_owned) };
    if is_of_ima(at) {
        return Some(at.to_owned());
    }
    Some(match told.find(|function| is_of_ima(function)) {
        Some(caller) => format!("{at}, called from {caller}"),
        None => at.to_owned(),
    })
}

fn is_of_ima(function: &str) -> bool {
    function.starts_with("ima_")
}

/// A task that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its name and number, as a kernel writes them: `agent:72`.
    pub task: String,
    /// The function in which it waits, where the report tells.
    pub function: Option<String>,
}

/// The tasks of a console that a kernel shows as waiting so that nothing but what they wait for wakes them
/// (`sched_show_task`, kernel/sched/core.c).
#[must_use]
pub fn blocked(console: &[String]) -> Vec<Blocked> {
    let starts: Vec<usize> =
        (0..console.len()).filter(|at| without_prefix(&console[*at]).starts_with("task:")).collect();
    let ends = starts.iter().skip(1).copied().chain([console.len()]);
    starts.iter().zip(ends).filter_map(|(from, to)| one(&console[*from..to])).collect()
}

fn one(report: &[String]) -> Option<Blocked> {
    let (name, rest) = without_prefix(report.first()?).strip_prefix("task:")?.split_once(" state:")?;
    let pid = rest.split_once("pid:")?.1.split_whitespace().next()?;
    if !rest.starts_with('D') {
        return None;
    }
    let function = trace(report).find(|function| !is_one_of(WAITING, function)).map(str::to_owned);
    Some(Blocked { task: format!("{}:{pid}", name.trim_end()), function })
}

/// The task that a report of a hung one is about.
#[must_use]
pub fn hung(title: &str) -> Option<&str> {
    title.strip_prefix("INFO: task ")?.split_once(" blocked").map(|(task, _)| task)
}

/// Who likely holds what a task waits for (`debug_show_blocker`, kernel/hung_task.c, since 6.16).
#[must_use]
pub fn holder<'a>(console: &'a [String], task: &str) -> Option<&'a str> {
    console.iter().find_map(|line| {
        let (waits, holds) =
            without_prefix(line).strip_prefix("INFO: task ")?.split_once(" likely owned by task ")?;
        let own = waits.strip_prefix(task)?.starts_with(' ');
        own.then(|| holds.split_whitespace().next().unwrap_or(holds).trim_end_matches('.'))
    })
}

#[cfg(test)]
mod tests;
