//! Each verb's steps.

use imalab_wire::{KEXEC_FILE_ON_CRASH, Op, Violation, WITHOUT_WORD};

use super::built::Built;
use super::calls::{Calls, Place, task_id};
use super::compile::Compiler;
use super::count::Count;
use super::files::{observed, path, reading};
use super::unresolved::Unresolved;
use super::{PlanError, checkpoint};
use crate::interface::{IMA, MEASURED, Operations, read_whole, request};
use crate::scenario::{
    Awaited, Expectation, File, Files, KexecCall, Leave, Policy, Records, Step, Verb, Way,
};
use crate::vocabulary::{Action, Expect, MarkAction};
use imalab_formats::ima::lists::Mark;
use imalab_formats::tpm::fault::{Fault, How};

impl Compiler<'_> {
    pub(super) fn verb(&mut self, place: usize, step: &Step) -> Result<(), PlanError> {
        let own = self.slots.own;
        let expect = self.expect(step);
        let nothing = |text: &str, action| Built {
            text: text.to_owned(),
            operations: Operations::nothing(),
            action,
            expect: Expect::Ok,
        };
        match &step.verb {
            Verb::Checkpoint => self.checkpoint(step.line, true, false),
            Verb::Quote => self.mark(step.line, nothing("quote", Action::Quote), MarkAction::Quote, None),
            Verb::Stage => self.listed(step, "stage", self.adapter.stage(own), Action::Stage, expect)?,
            Verb::Save => self.listed(step, "save", self.adapter.save(own), Action::Save, expect)?,
            Verb::Delete => self.listed(step, "delete", self.adapter.delete(own), Action::Delete, expect)?,
            Verb::Trim { records } => {
                let records = self.records(step, *records)?;
                let operations = self.adapter.trim(own, records);
                self.listed(step, &format!("trim {records}"), operations, Action::Trim { records }, expect)?;
            }
            Verb::TrimTo { mark } => {
                let text = match mark {
                    Mark::First => "trim to first".to_owned(),
                    Mark::Last => "trim to last".to_owned(),
                    Mark::Nth(number) => format!("trim to {number}"),
                };
                self.listed(step, &text, self.adapter.trim_to(own, *mark), Action::TrimTo, expect)?;
            }
            Verb::Snapshot { purges: false } => {
                let operations = self.adapter.snapshot(own);
                self.listed(step, "snapshot", operations, Action::SystemCall, expect)?;
            }
            Verb::Snapshot { purges: true } => {
                self.listed(step, "purge", self.adapter.purge(own), Action::TrimTo, expect)?;
            }
            Verb::MarkLog => {
                self.listed(step, "mark-log", self.adapter.mark(own), Action::SystemCall, expect)?;
            }
            Verb::Attest(how) => self.attest(step, *how, expect)?,
            Verb::Measure { files, by } => self.measure(step, files, *by),
            Verb::Violate { files, kind } => self.violate(step, files, *kind),
            Verb::View { file } => {
                let built = self.view(file, expect);
                self.add(step.line, built);
            }
            Verb::Call(call) => {
                let place = Place { task: self.task, step: place };
                let calls = Calls { adapter: self.adapter, tasks: self.tasks, movers: &self.movers, place };
                let built = calls.call(&mut self.slots, call, expect);
                let built = built.map_err(|name| self.unresolved(step.line, name))?;
                self.add(step.line, built);
            }
            Verb::Start { .. } | Verb::WaitFor { .. } => {
                let built = self.program(place, step, expect);
                let built = built.map_err(|name| self.unresolved(step.line, name))?;
                self.add(step.line, built);
            }
            Verb::Kill { task, signal }
                if self.variant.programs.iter().any(|program| program.name == *task) =>
            {
                let meant = self.starts.meant(self.tasks, (self.task, place), task);
                let meant = meant.map_err(|name| self.unresolved(step.line, name))?;
                let op = Op::EndProgram { task: meant, signal: signal.number };
                self.add(step.line, Built::call(format!("kill {task} {}", signal.name), op, expect));
            }
            Verb::Hold { name, round } => {
                let number = self.held(name, *round).map_err(|name| self.unresolved(step.line, name))?;
                let built = nothing(&format!("hold {name}"), Action::SystemCall);
                self.mark(step.line, built, MarkAction::Hold, Some(number));
            }
            Verb::HoldTask(hold) => self.hold_task(step, hold),
            Verb::TpmFault(fault) => {
                let built = nothing(&fault_text(*fault), Action::SystemCall);
                self.mark(step.line, built, MarkAction::Arm(*fault), None);
            }
            other => {
                let built = self.simple(other, expect);
                let built = built.map_err(|name| self.unresolved(step.line, name))?;
                self.add(step.line, built);
            }
        }
        Ok(())
    }

    /// What concerns a program.
    fn program(&self, place: usize, step: &Step, expect: Expect) -> Result<Built, Unresolved> {
        let place = (self.task, place);
        Ok(match &step.verb {
            Verb::WaitFor { program, what } => {
                let task = self.starts.meant(self.tasks, place, program)?;
                match what {
                    Awaited::Line(text) => {
                        let told = format!("wait-for {program} says `{text}`");
                        Built::call(told, Op::AwaitLine { task, text: text.clone() }, expect)
                    }
                    Awaited::Status(status) => {
                        let expect = match step.expect {
                            Expectation::Default | Expectation::Ok => Expect::Value(i64::from(*status)),
                            _ => expect,
                        };
                        Built::call(
                            format!("wait-for {program} status {status}"),
                            Op::AwaitEnd { task },
                            expect,
                        )
                    }
                }
            }
            Verb::Start { program, kill_at } => {
                let killed = kill_at.map_or_else(String::new, |at| {
                    let every = if at.every { "every " } else { "" };
                    format!(" kill-at {every}{}", at.call)
                });
                let op = Op::Start { task: self.starts.at(place, program)? };
                Built::call(format!("start {program}{killed}"), op, expect)
            }
            _ => Built::call("nothing".to_owned(), Op::Release, expect),
        })
    }

    /// The mark of a hold.
    fn held(&self, name: &str, round: u16) -> Result<u64, Unresolved> {
        self.holds.get(&self.meeting(name, round)).copied().ok_or_else(|| Unresolved::hold(name))
    }

    /// What tells a barrier or a hold from others.
    fn meeting(&self, name: &str, round: u16) -> (u16, String, u16) {
        (self.boot(), name.to_owned(), round)
    }

    fn boot(&self) -> u16 {
        self.tasks.get(self.task).map_or(0, |task| task.boot)
    }

    /// Adds a verb that the interface translates.
    pub(super) fn listed(
        &mut self,
        step: &Step,
        text: &str,
        operations: Option<Operations>,
        action: Action,
        expect: Expect,
    ) -> Result<(), PlanError> {
        let Some(operations) = operations else {
            return Err(PlanError::NoSuchVerb {
                scenario: self.scenario.id.clone(),
                line: step.line,
                verb: text.to_owned(),
                interface: self.interface,
            });
        };
        self.add(step.line, Built { text: text.to_owned(), operations, action, expect });
        Ok(())
    }

    fn records(&self, step: &Step, records: Records) -> Result<u64, PlanError> {
        match records {
            Records::Exactly(records) => Ok(records),
            Records::All => self.count.as_ref().and_then(Count::current).ok_or_else(|| {
                PlanError::UnknownCount { scenario: self.scenario.id.clone(), line: step.line }
            }),
        }
    }

    /// Opens a file, reads it whole and closes it, in one step.
    fn view(&self, file: &File, expect: Expect) -> Built {
        let (name, path) = path(self.adapter, file);
        let of = observed(file);
        let operations = read_whole(self.slots.own, path, of);
        Built { text: format!("view {name}"), operations, action: reading(of), expect }
    }

    fn measure(&mut self, step: &Step, files: &Files, by: Way) {
        let expect = match self.expect(step) {
            Expect::Ok if step.expect == Expectation::Default => self
                .count
                .as_ref()
                .and_then(|count| count.new_records(files, by))
                .map_or(Expect::Ok, Expect::NewRecords),
            expect => expect,
        };
        let (dir, name, salt) = (MEASURED.to_owned(), files.name.clone(), files.salt.clone());
        let (first, count) = (0, files.count);
        let (op, how) = match by {
            Way::Open => (Op::Measure { dir, name, salt, first, count }, ""),
            Way::Execute => (Op::Execute { dir, name, salt, first, count }, " by exec"),
            Way::Map => (Op::MapExecute { dir, name, salt, first, count }, " by mmap"),
        };
        let text = format!("measure {}{how}", named(files));
        self.counted(step, text, op, Action::Measure { files: count }, expect);
    }

    fn violate(&mut self, step: &Step, files: &Files, kind: Violation) {
        let op = Op::Violate {
            dir: MEASURED.to_owned(),
            name: files.name.clone(),
            salt: files.salt.clone(),
            first: 0,
            count: files.count,
            kind,
        };
        let how = match kind {
            Violation::OpenWriters => "open-writers",
            Violation::TimeOfUse => "time-of-use",
        };
        let text = format!("violate {} {how}", named(files));
        let expect = self.expect(step);
        self.counted(step, text, op, Action::Violate { files: files.count }, expect);
    }

    /// Adds an operation on files, between two looks at the counter where it must grow by so much.
    fn counted(&mut self, step: &Step, text: String, op: Op, action: Action, expect: Expect) {
        let files = match action {
            Action::Measure { files } | Action::Violate { files } => files,
            _ => 0,
        };
        self.files = self.files.saturating_add(files);
        let operations = Operations { ops: vec![op], reads: Vec::new() };
        let operations = match expect {
            Expect::NewRecords(_) => {
                let count = || checkpoint::count(self.adapter).at(self.slots.own);
                count().then(operations).then(count())
            }
            _ => operations,
        };
        self.add(step.line, Built { text, operations, action, expect });
    }

    /// A verb that is a single operation, or none that anything hangs on.
    fn simple(&mut self, verb: &Verb, expect: Expect) -> Result<Built, Unresolved> {
        let call = |text: String, op| Built::call(text, op, expect);
        Ok(match verb {
            Verb::Barrier { name, round } => {
                let (id, parties) = self
                    .barriers
                    .get(&self.meeting(name, *round))
                    .copied()
                    .ok_or_else(|| Unresolved::barrier(name))?;
                let built = call(format!("barrier {name}"), Op::Barrier { id, parties });
                Built { action: Action::Barrier, ..built }
            }
            Verb::Spawn { task, thread } => {
                let id = task_id(self.tasks, self.boot(), task)?;
                match thread {
                    true => call(format!("thread {task}"), Op::Thread { task: id }),
                    false => call(format!("fork {task}"), Op::Fork { task: id }),
                }
            }
            Verb::Kill { task, signal } => {
                let id = task_id(self.tasks, self.boot(), task)?;
                call(format!("kill {task} {}", signal.name), Op::Kill { task: id, signal: signal.number })
            }
            Verb::AwaitBlocked { task } => {
                let id = task_id(self.tasks, self.boot(), task)?;
                call(format!("await-blocked {task}"), Op::AwaitBlocked { task: id })
            }
            Verb::Exit { status } => call(format!("exit {status}"), Op::Exit { status: *status }),
            Verb::DropCapability { name, number } => {
                call(format!("drop-capability {name}"), Op::DropCapability { capability: *number })
            }
            Verb::SetUser { uid } => call(format!("set-user {uid}"), Op::SetUser { uid: *uid }),
            Verb::NewUserNamespace => call("user-namespace".to_owned(), Op::NewUserNamespace),
            Verb::SetLimit { resource, value } => {
                let op = Op::SetLimit { resource: resource.number, limit: *value };
                call(format!("limit {} {value}", resource.name), op)
            }
            Verb::Clock { clock, ms } => {
                let text = match *ms {
                    u32::MAX => "stress: steps together".to_owned(),
                    0 => "stress: apart".to_owned(),
                    ms => format!("stress {ms} ms"),
                };
                call(text, Op::Clock { clock: *clock, ms: *ms })
            }
            Verb::Release { name, round } => {
                let hold = self.held(name, *round)?;
                call(format!("release {name}"), Op::ReleaseHold { hold })
            }
            Verb::Create { path, text } => {
                let op = Op::Create { path: path.clone(), bytes: text.clone().into_bytes() };
                call(format!("create {path}"), op)
            }
            Verb::LoadModule { files } => {
                self.files = self.files.saturating_add(1);
                let op = Op::LoadModule {
                    dir: MEASURED.to_owned(),
                    name: files.name.clone(),
                    salt: files.salt.clone(),
                };
                Built {
                    action: Action::Measure { files: 1 },
                    ..call(format!("load-module {}", files.name), op)
                }
            }
            Verb::LoadPolicy(policy) => {
                let operations = policy_operations(self.slots.own, policy);
                Built { text: "load-policy".to_owned(), operations, action: Action::SystemCall, expect }
            }
            Verb::KexecLoad { kernel, args, without, call: which } => {
                let text = format!("kexec-load {kernel}");
                let taken_off = without.iter().map(|word| format!("{WITHOUT_WORD}={word}"));
                let args: Vec<String> = taken_off.chain(args.iter().cloned()).collect();
                let (kernel, args) = (kernel.clone(), args.join(" "));
                let (text, op) = match which {
                    KexecCall::File { on: Leave::Reboot } => (text, Op::KexecLoad { kernel, args, flags: 0 }),
                    KexecCall::File { on: Leave::Panic } => (
                        format!("{text} on-crash"),
                        Op::KexecLoad { kernel, args, flags: KEXEC_FILE_ON_CRASH },
                    ),
                    KexecCall::Segments => (text, Op::KexecLoadSegments { kernel, args, flags: 0 }),
                };
                Built { action: Action::KexecLoad, ..call(text, op) }
            }
            Verb::KexecUnload => call("kexec-unload".to_owned(), Op::KexecUnload),
            Verb::KexecExecute { by } => {
                let (text, op) = match by {
                    Leave::Reboot => ("kexec-execute", Op::KexecExecute),
                    Leave::Panic => ("kexec-execute by panic", Op::Panic),
                };
                Built { action: Action::KexecExecute, ..call(text.to_owned(), op) }
            }
            // These have been dealt with by the caller, and `stress` is written out before.
            Verb::Checkpoint
            | Verb::Quote
            | Verb::Stage
            | Verb::Save
            | Verb::Delete
            | Verb::Trim { .. }
            | Verb::TrimTo { .. }
            | Verb::MarkLog
            | Verb::Snapshot { .. }
            | Verb::Attest(_)
            | Verb::Measure { .. }
            | Verb::Violate { .. }
            | Verb::View { .. }
            | Verb::Call(_)
            | Verb::Hold { .. }
            | Verb::HoldTask(_)
            | Verb::TpmFault(_)
            | Verb::Start { .. }
            | Verb::WaitFor { .. }
            | Verb::Stress { .. } => Built {
                text: "nothing".to_owned(),
                operations: Operations::nothing(),
                action: Action::SystemCall,
                expect,
            },
        })
    }
}

fn named(files: &Files) -> String {
    let salted = if files.salt.is_empty() { String::new() } else { format!(" salt {}", files.salt) };
    format!("{} {}{salted}", files.count, files.name)
}

fn fault_text(fault: Fault) -> String {
    let how = match fault.how {
        How::Answer { code } => format!("answer {code:#x}"),
        How::Lost { .. } => "lost".to_owned(),
        How::Late { ms, .. } => format!("late by {ms} ms"),
    };
    format!("tpm-fault {how} to {} of command {:#x}", fault.times, fault.command)
}

/// The kernel takes one rule by one write, or the path of a file (`ima_write_policy` in
/// `security/integrity/ima/ima_fs.c`).
fn policy_operations(slot: imalab_wire::Slot, policy: &Policy) -> Operations {
    let lines: Vec<&str> = match policy {
        Policy::Rules(rules) => rules.lines().map(str::trim).filter(|rule| !rule.is_empty()).collect(),
        Policy::Path(path) => vec![path],
    };
    let Operations { mut ops, reads } = request(slot, format!("{IMA}/policy"), "");
    let writes = lines.into_iter().map(|line| Op::Write { slot, bytes: format!("{line}\n").into_bytes() });
    ops.splice(1..2, writes);
    Operations { ops, reads }
}
