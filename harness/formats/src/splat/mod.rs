//! Recognises a kernel's complaints on its console: panic, oops, warnings, lock-ups, sanitizer reports.
//!
//! Pure. [`recognise`] tells of one line, [`find`] of a whole console.

pub mod hang;
mod pattern;
pub mod stack;

use serde::{Deserialize, Serialize};

/// What a kernel complains about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It has given up.
    Panic,
    /// A fault in the kernel; the task is dead, what it held stays held.
    Oops,
    /// `BUG()`, or another complaint that begins so.
    Bug,
    /// `WARN()`, or another complaint of that weight.
    Warning,
    /// The lock validator, or a debug check of a lock.
    Lockdep,
    /// Sleeping or scheduling where that is forbidden.
    AtomicContext,
    /// No grace period for long.
    RcuStall,
    /// A task blocked for long.
    HungTask,
    /// A processor that does not schedule.
    SoftLockup,
    /// A processor that takes no interrupts.
    HardLockup,
    /// A work queue that does not get on.
    WorkqueueLockup,
    /// Kernel address sanitizer.
    Kasan,
    /// Kernel concurrency sanitizer: a data race.
    Kcsan,
    /// Kernel memory sanitizer: use of something uninitialised.
    Kmsan,
    /// Sampling memory-error detector.
    Kfence,
    /// Undefined behaviour.
    Ubsan,
    /// kmemleak found memory that nobody refers to.
    MemoryLeak,
    /// A reference count over- or underflowed.
    Refcount,
    /// A list's links do not fit together.
    ListCorruption,
    /// A page, page table or slab object is damaged.
    MemoryCorruption,
    /// A process was killed for its memory, or none could be.
    OutOfMemory,
    /// An allocation failed and nobody was killed for it.
    AllocationFailure,
}

impl Kind {
    /// Its name: `hung-task`.
    #[must_use]
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned));
        name.unwrap_or_else(|| format!("{self:?}"))
    }

    /// Whether it says that a task or a processor does not get on.
    #[must_use]
    pub fn is_stall(self) -> bool {
        matches!(
            self,
            Kind::HungTask | Kind::RcuStall | Kind::SoftLockup | Kind::HardLockup | Kind::WorkqueueLockup
        )
    }
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splat {
    /// What about.
    pub kind: Kind,
    /// Index of the title's line in the console.
    pub line_index: usize,
    /// The line that says it, without time stamp.
    pub title: String,
    /// The title's line and what follows of the report, as printed: at most [`EXCERPT`] lines.
    pub excerpt: Vec<String>,
}

/// Most lines of a report that are kept.
pub const EXCERPT: usize = 60;

/// The kind of complaint that `line` begins, if any.
#[must_use]
pub fn recognise(line: &str) -> Option<Kind> {
    let text = without_prefix(line);
    pattern::PATTERNS.iter().find(|(_, words)| words.are_in(text)).map(|&(kind, _)| kind)
}

/// All complaints of a console, in order; of a report that says the same in several lines, the first.
#[must_use]
pub fn find<Line: AsRef<str>>(console: &[Line]) -> Vec<Splat> {
    let mut found: Vec<Splat> = Vec::new();
    // Whether the last one's report is still being printed.
    let mut open = false;
    for (line_index, line) in console.iter().map(AsRef::as_ref).enumerate() {
        let kind = recognise(line);
        if let (true, Some(last)) = (open, found.last_mut()) {
            let distance = line_index - last.line_index;
            if kind.is_none_or(|kind| is_restated(last.kind, kind, distance)) {
                last.excerpt.push(line.to_owned());
                open = last.excerpt.len() < EXCERPT && !is_end(without_prefix(line));
                continue;
            }
        }
        if let Some(kind) = kind {
            let title = without_prefix(line).to_owned();
            found.push(Splat { kind, line_index, title, excerpt: vec![line.to_owned()] });
            open = true;
        }
    }
    found
}

/// Whether a line of kind `next`, `distance` lines after the title of a report of kind `first`, belongs to it.
///
/// A fault is told as "BUG: unable to handle...", then "Oops: ..."; a `BUG()` as "kernel BUG at", then
/// "Oops: invalid opcode"; a reference count as "refcount_t: ...", then a `WARN()`, since 6.19 the other way
/// round; an OOM kill by who asked and, after the memory report, by who was killed.
fn is_restated(first: Kind, next: Kind, distance: usize) -> bool {
    match (first, next) {
        (Kind::Oops | Kind::Bug | Kind::ListCorruption, Kind::Oops | Kind::Bug) => distance <= 8,
        (Kind::Refcount | Kind::ListCorruption | Kind::Lockdep, Kind::Warning)
        | (Kind::Warning, Kind::Refcount | Kind::ListCorruption | Kind::Lockdep) => distance <= 3,
        (Kind::OutOfMemory, Kind::OutOfMemory) => true,
        // "---[ end Kernel panic - not syncing: ... ]---" does not begin like one; a double fault does.
        (Kind::Panic, Kind::Oops | Kind::Panic) => true,
        _ => false,
    }
}

/// Whether a report ends with this line (kernel/panic.c; the line of `=` of mm/kasan/report.c and others).
fn is_end(text: &str) -> bool {
    text.starts_with("---[ end ") || (text.len() >= 40 && text.bytes().all(|byte| byte == b'='))
}

/// The line without what printk puts before it: `[   12.345678] `, with CONFIG_PRINTK_CALLER also
/// `[    T1] ` or `[    C0] ` (kernel/printk/printk.c, info_print_prefix()).
pub fn without_prefix(line: &str) -> &str {
    let mut text = line.trim();
    if let Some((stamp, rest)) = bracketed(text)
        && stamp.contains('.')
        && stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b' ')
    {
        text = rest;
        if let Some((caller, rest)) = bracketed(text)
            && let Some(number) = caller.trim().strip_prefix(['T', 'C'])
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            text = rest;
        }
    }
    text
}

fn bracketed(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    Some((inside, rest.trim_start()))
}

#[cfg(test)]
mod tests;
