//! What of a run's events is drawn, and in which column: the order is what matters, so each has the same width.

use std::collections::BTreeMap;

use imalab_check::operation;
use imalab_formats::splat;
use imalab_formats::tpm::command::{Command, command_code, name, parse, response_code};
use imalab_language::plan::Plan;
use imalab_trace::{Event, Exchange, Host, Origin, Trace, Unreadable, What};
use imalab_wire::{Message, Op, Outcome, TaskId};
use nix::errno::Errno;

use crate::report::words::operation_text;

/// Most columns: a browser draws them at once, and no reader looks at more.
pub(super) const MOST: usize = 1200;

/// Events that are drawn at one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Number of the first of them.
    pub(super) event: u64,
    /// Host nanoseconds since the machine was started.
    pub(super) at_ns: u64,
}

/// An operation of a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) task: usize,
    /// Columns; without an end the guest was in it when the run ended, or it left the kernel.
    pub(super) begin: usize,
    pub(super) end: Option<usize>,
    /// Place of its step in the plan.
    pub(super) step: usize,
    pub(super) text: String,
    pub(super) outcome: String,
    pub(super) failed: bool,
    /// Where it was found asleep.
    pub(super) asleep: Vec<usize>,
}

/// Commands to the TPM that follow each other without anything else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) column: usize,
    pub(super) name: String,
    /// PCR that they extend.
    pub(super) pcr: Option<u32>,
    pub(super) count: u64,
    pub(super) origin: Origin,
    /// What the TPM said, unless it did what was asked for.
    pub(super) refused: Option<String>,
}

/// Something that is no operation and no command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) column: usize,
    pub(super) text: String,
    /// Whether it is what a reader looks for first.
    pub(super) loud: bool,
}

/// All that is drawn.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    pub(super) bars: Vec<Bar>,
    pub(super) commands: Vec<Commands>,
    pub(super) notes: Vec<Note>,
    /// Columns in which a kernel's agent says hello.
    pub(super) boots: Vec<usize>,
    /// Columns by event, for what happens at one of them.
    of_event: BTreeMap<u64, usize>,
    /// Column of the end of the system call that began at this guest time of this boot.
    ended: BTreeMap<(u16, u64), usize>,
    /// Columns at the start that were left out.
    pub(super) left_out: usize,
}

/// Takes the events apart.
///
/// # Errors
/// When what was put into a file cannot be read.
pub(super) fn columns(plan: &Plan, trace: &Trace) -> Result<Columns, Unreadable> {
    let mut maker = Maker { plan, made: Columns::default(), open: BTreeMap::new(), paths: BTreeMap::new() };
    for seen in trace.iter() {
        maker.event(seen?.event());
    }
    for (_, at) in std::mem::take(&mut maker.open) {
        maker.made.bars[at].outcome = "no result".to_owned();
    }
    Ok(maker.made)
}

impl Columns {
    /// The column of an event, or of the one before it that is drawn.
    pub(super) fn of_event(&self, event: u64) -> Option<usize> {
        self.of_event.range(..=event).next_back().map(|(_, column)| *column)
    }

    /// The column in which a system call ended that began then.
    pub(super) fn ended(&self, boot: u16, begin_ns: u64) -> Option<usize> {
        self.ended.get(&(boot, begin_ns)).copied()
    }

    fn push(&mut self, event: &Event) -> usize {
        let column = self.columns.len();
        self.columns.push(Column { event: event.seq, at_ns: event.at_ns });
        self.of_event.insert(event.seq, column);
        column
    }

    fn boot(&self) -> u16 {
        u16::try_from(self.boots.len().saturating_sub(1)).unwrap_or(u16::MAX)
    }

    /// Leaves out what is too much: the end of a run is where it went wrong.
    pub(super) fn shortened(mut self) -> Columns {
        let Some(cut) = self.columns.len().checked_sub(MOST).filter(|cut| *cut > 0) else { return self };
        self.left_out = cut;
        self.columns.drain(..cut);
        let shift = |column: usize| column.saturating_sub(cut);
        self.bars.retain(|bar| bar.end.is_none_or(|end| end >= cut));
        for bar in &mut self.bars {
            bar.begin = shift(bar.begin);
            bar.end = bar.end.map(shift);
            bar.asleep.retain(|column| *column >= cut);
            bar.asleep.iter_mut().for_each(|column| *column = shift(*column));
        }
        self.commands.retain(|commands| commands.column >= cut);
        self.commands.iter_mut().for_each(|commands| commands.column = shift(commands.column));
        self.notes.retain(|note| note.column >= cut);
        self.notes.iter_mut().for_each(|note| note.column = shift(note.column));
        // A boot stays the one of its number.
        self.boots.iter_mut().for_each(|column| *column = shift(*column));
        self.of_event.values_mut().chain(self.ended.values_mut()).for_each(|column| *column = shift(*column));
        self
    }
}

struct Maker<'p> {
    plan: &'p Plan,
    made: Columns,
    /// The bar that a task has not ended.
    open: BTreeMap<TaskId, usize>,
    /// Paths by the slot of a task.
    paths: BTreeMap<(TaskId, u16), String>,
}

impl Maker<'_> {
    fn event(&mut self, event: &Event) {
        match &event.what {
            What::Guest(message) => self.message(event, message),
            What::Tpm(exchange) => self.exchange(event, exchange),
            What::Console(line) => {
                if splat::recognise(line).is_some() {
                    self.note(event, splat::without_prefix(line), true);
                }
            }
            What::Pcrs(reading) => self.note(event, &format!("PCR 10 read at mark {}", reading.mark), false),
            What::Quote(_) => self.note(event, "quote taken", false),
            What::Host(host) => self.host(event, host),
            What::Qmp(_) => {}
        }
    }

    fn message(&mut self, event: &Event, message: &Message) {
        match message {
            Message::Hello { .. } => {
                let column = self.made.push(event);
                self.made.boots.push(column);
                self.open.clear();
                self.paths.clear();
            }
            Message::OpStarted { task, step, op, .. } => {
                let begin = self.made.push(event);
                self.begin(*task, *step, *op, begin);
            }
            Message::FoundAsleep { task, .. } => {
                let column = self.made.push(event);
                if let Some(at) = self.open.get(task) {
                    self.made.bars[*at].asleep.push(column);
                }
            }
            Message::OpDone { task, step, op, begin_ns, outcome, .. } => {
                let column = self.made.push(event);
                if !self.open.contains_key(task) {
                    self.begin(*task, *step, *op, column);
                }
                let boot = self.made.boot();
                self.made.ended.insert((boot, *begin_ns), column);
                if let Some(at) = self.open.remove(task) {
                    let bar = &mut self.made.bars[at];
                    bar.end = Some(column);
                    (bar.outcome, bar.failed) = match outcome {
                        Outcome::Value(value) => (format!("= {value}"), false),
                        Outcome::Errno(errno) => (errno_name(*errno), true),
                        Outcome::NotAttempted => ("not attempted".to_owned(), true),
                    };
                }
            }
            Message::ReleaseHold { hold, .. } => self.note(event, &format!("hold {hold} released"), false),
            Message::TaskEnded { status, .. } if *status != 0 => {
                self.note(event, &format!("a task ended with {status}"), false);
            }
            Message::Fault { text } => self.note(event, text, true),
            Message::Unobserved { text, .. } => self.note(event, text, true),
            Message::Said { text, .. } => self.note(event, text, false),
            Message::Observed(_)
            | Message::TaskStarted { .. }
            | Message::TaskEnded { .. }
            | Message::Data(_)
            | Message::Progress { .. }
            | Message::Done { .. }
            | Message::Waiting => {}
        }
    }

    fn begin(&mut self, task: TaskId, step: u32, op: u16, begin: usize) {
        let at = self.plan.steps.iter().position(|planned| planned.id == step).unwrap_or(usize::MAX);
        let known = self.op(task, step, op).cloned();
        let text =
            known.as_ref().map_or_else(|| format!("operation {op} of step {step}"), |op| self.text(task, op));
        match known {
            Some(Op::Open { slot, path, .. }) => {
                self.paths.insert((task, slot), path);
            }
            // Both give their descriptors to what they start.
            Some(Op::Fork { task: child } | Op::Thread { task: child }) => {
                let given = self.paths.range((task, 0)..=(task, u16::MAX));
                let given: Vec<_> = given.map(|((_, slot), path)| ((child, *slot), path.clone())).collect();
                self.paths.extend(given);
            }
            _ => {}
        }
        let bar = Bar {
            task: usize::from(task),
            begin,
            end: None,
            step: at,
            text,
            outcome: String::new(),
            failed: false,
            asleep: Vec::new(),
        };
        self.open.insert(task, self.made.bars.len());
        self.made.bars.push(bar);
    }

    fn op(&self, task: TaskId, step: u32, op: u16) -> Option<&Op> {
        let program = &self.plan.program;
        let steps = program.tasks.get(usize::from(task)).map_or(&program.finally, |task| &task.steps);
        steps.iter().find(|known| known.id == step)?.ops.get(usize::from(op))
    }

    /// The operation with the file that its slot stands for.
    fn text(&self, task: TaskId, op: &Op) -> String {
        let mut shown = operation(0, op);
        let path = shown.slot.and_then(|slot| self.paths.get(&(task, slot)));
        if let (Some(path), None) = (path, &shown.path) {
            (shown.path, shown.slot) = (Some(path.clone()), None);
        }
        shown.path = shown.path.map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
        if matches!(op, Op::Open { .. }) {
            shown.slot = None;
        }
        operation_text(&shown)
    }

    fn exchange(&mut self, event: &Event, exchange: &Exchange) {
        let booting = self.made.boots.is_empty();
        let code = command_code(&exchange.command);
        let mut what = code.map_or_else(
            || "no command".to_owned(),
            |code| name(code).map_or_else(|| format!("command {code:#010x}"), str::to_owned),
        );
        let mut pcr = None;
        match parse(&exchange.command) {
            Ok(Command::PcrExtend { pcr: index, .. }) => pcr = Some(index),
            Ok(Command::Mark { number }) => what = format!("mark {number}"),
            _ => {}
        }
        if booting {
            (what, pcr) = ("commands while the kernel boots".to_owned(), None);
        }
        let refused = match response_code(&exchange.answer) {
            Ok(0) => None,
            Ok(code) => Some(format!("TPM_RC {code:#x}")),
            Err(_) if exchange.origin == Origin::Mark => None,
            Err(_) if exchange.answer.is_empty() => Some("no answer".to_owned()),
            Err(_) => Some("malformed answer".to_owned()),
        };
        let refused = refused.filter(|_| !booting);
        let next = self.made.columns.len();
        let key = (&what, pcr, exchange.origin, &refused);
        if let Some(last) = self.made.commands.last_mut()
            && last.column + 1 == next
            && (&last.name, last.pcr, last.origin, &last.refused) == key
        {
            last.count += 1;
            return;
        }
        let column = self.made.push(event);
        let commands = Commands { column, name: what, pcr, count: 1, origin: exchange.origin, refused };
        self.made.commands.push(commands);
    }

    fn host(&mut self, event: &Event, host: &Host) {
        match host {
            Host::Fault { command, how } => {
                let command = name(*command).unwrap_or("a command");
                self.note(event, &format!("the next {command}: {how:?}"), false);
            }
            Host::Hang { text }
            | Host::Deadline { text }
            | Host::TpmTrouble { text }
            | Host::BadFrame { text } => {
                self.note(event, text, true);
            }
            Host::Exited { child, status } if *status != 0 => {
                self.note(event, &format!("{child} ended with {status}"), true);
            }
            Host::Interrupted => self.note(event, "interrupted", true),
            _ => {}
        }
    }

    fn note(&mut self, event: &Event, text: &str, loud: bool) {
        let column = self.made.push(event);
        self.made.notes.push(Note { column, text: text.to_owned(), loud });
    }
}

fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}
