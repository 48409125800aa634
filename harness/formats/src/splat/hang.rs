//! What a kernel tells of tasks that do not get on: what they wait for, and who holds it.

use super::stack::{self, waits_in};
use super::without_prefix;

/// A task that a kernel shows (`sched_show_task`, kernel/sched/core.c).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name and number, as a kernel writes them: `agent:72`.
    pub task: String,
    /// Whether nothing but what it waits for wakes it (state `D`).
    pub is_blocked: bool,
    /// The function in which it waits, where the report tells.
    pub function: Option<String>,
}

/// The tasks of a console that a kernel shows, as often as it does.
pub fn shown(console: &[String]) -> impl Iterator<Item = Shown> {
    reports(console, |line| line.starts_with("task:")).filter_map(one)
}

/// Those of them that are blocked, each once.
#[must_use]
pub fn blocked(console: &[String]) -> Vec<Shown> {
    let mut blocked: Vec<Shown> = Vec::new();
    for one in shown(console).filter(|one| one.is_blocked) {
        if !blocked.contains(&one) {
            blocked.push(one);
        }
    }
    blocked
}

fn one(report: &[String]) -> Option<Shown> {
    let (name, rest) = without_prefix(report.first()?).strip_prefix("task:")?.split_once(" state:")?;
    let pid = rest.split_once("pid:")?.1.split_whitespace().next()?;
    let task = format!("{}:{pid}", name.trim_end());
    Some(Shown { task, is_blocked: rest.starts_with('D'), function: waits_in(report) })
}

/// The parts of a console that begin with such a line.
fn reports(console: &[String], begins: fn(&str) -> bool) -> impl Iterator<Item = &[String]> {
    let starts: Vec<usize> = (0..console.len()).filter(|at| begins(without_prefix(&console[*at]))).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([console.len()]).collect();
    starts.into_iter().zip(ends).map(|(from, to)| &console[from..to])
}

/// The function in which a task was on a processor when the kernel showed what that one does
/// (`dump_stack_print_info`, lib/dump_stack.c: `CPU: 0 UID: 0 PID: 70 Comm: agent Not tainted ...`).
fn on_processor(console: &[String], task: &str) -> Option<String> {
    let report = reports(console, |line| line.starts_with("CPU: ")).find(|report| {
        let told = report.first().and_then(|line| without_prefix(line).split_once(" PID: "));
        let Some((pid, name)) = told.and_then(|(_, rest)| rest.split_once(" Comm: ")) else { return false };
        let own = task.rsplit_once(':').filter(|(comm, number)| *number == pid && name.starts_with(comm));
        own.is_some()
    })?;
    Some(stack::function(report)?.name)
}

/// A task that is hung, as a kernel and its answer to an NMI tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hung {
    /// Which.
    pub task: String,
    /// The function in which it waits.
    pub function: Option<String>,
    /// What for, where it is a lock: `mutex`, `semaphore` or `rw-semaphore`.
    pub lock: Option<&'static str>,
    /// Who holds that.
    pub holder: Holder,
}

/// Who holds the lock that a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The kernel does not tell (before 6.16, or without `CONFIG_DETECT_HUNG_TASK_BLOCKER`).
    Untold,
    /// It has looked, and found nobody.
    NotFound,
    /// The task itself.
    Itself,
    /// Another task.
    Task {
        /// Which.
        task: String,
        /// What it does.
        does: Does,
    },
}

/// What the holder of a lock does meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// It waits as well, in this function where that is told.
    Waits(Option<String>),
    /// It is on a processor, in this function.
    Runs(String),
    /// It sleeps or is in user space: it left the lock taken.
    IsNotBlocked,
    /// Nobody knows.
    Unknown,
}

/// The task that a report of a hung one is about, by its title.
#[must_use]
pub fn task(title: &str) -> Option<&str> {
    let rest = title.strip_prefix("INFO: task ")?;
    let task = |words| rest.split_once(words).map(|(task, _)| task);
    task(" blocked for more than ").or_else(|| task(" blocked in I/O wait for more than "))
}

/// What a console tells of the hung task that a report with this title is about.
#[must_use]
pub fn hung(console: &[String], title: &str) -> Option<Hung> {
    let task = task(title)?;
    let told = |of: &str| shown(console).filter(|one| one.task == of).last();
    let said = console.iter().enumerate().find_map(|(at, line)| {
        let (lock, holder) = blocker(without_prefix(line), task)?;
        Some((at, lock, holder))
    });
    let holder = match said {
        None => Holder::Untold,
        Some((_, _, None)) => Holder::NotFound,
        Some((_, _, Some(holder))) if holder == task => Holder::Itself,
        Some((at, _, Some(holder))) => {
            // All that are blocked were shown since then, or this one would not have been.
            let all_shown = shown(&console[at..]).any(|one| one.task == task);
            let does = match told(holder) {
                Some(Shown { is_blocked: true, function, .. }) => Does::Waits(function),
                other => match on_processor(console, holder) {
                    Some(function) => Does::Runs(function),
                    None if other.is_some() || all_shown => Does::IsNotBlocked,
                    None => Does::Unknown,
                },
            };
            Holder::Task { task: holder.to_owned(), does }
        }
    };
    let function = told(task).and_then(|one| one.function);
    Some(Hung { task: task.to_owned(), function, lock: said.map(|(_, lock, _)| lock), holder })
}

/// What a line says of the lock that `task` waits for, and of its holder (`debug_show_blocker`, kernel/hung_task.c).
fn blocker<'a>(line: &'a str, task: &str) -> Option<(&'static str, Option<&'a str>)> {
    let rest = line.strip_prefix("INFO: task ")?.strip_prefix(task)?.strip_prefix(' ')?;
    let rest = rest.strip_prefix("<reader> ").or(rest.strip_prefix("<writer> ")).unwrap_or(rest);
    let rest = rest.strip_prefix("is ").unwrap_or(rest);
    let rest = rest.strip_prefix("blocked on a")?;
    let rest = rest.strip_prefix("n ").or(rest.strip_prefix(' '))?;
    let (lock, rest) = ["mutex", "semaphore", "rw-semaphore"]
        .into_iter()
        .find_map(|lock| rest.strip_prefix(lock).map(|rest| (lock, rest)))?;
    let holder =
        rest.strip_prefix(" likely owned by task ").or(rest.strip_prefix(" likely last held by task "));
    let Some(holder) = holder else {
        return rest.ends_with(" is not found.").then_some((lock, None));
    };
    let holder = holder.strip_suffix('.').unwrap_or(holder);
    let holder = holder.strip_suffix(" <reader>").or(holder.strip_suffix(" <writer>")).unwrap_or(holder);
    Some((lock, Some(holder)))
}

#[cfg(test)]
mod tests;
