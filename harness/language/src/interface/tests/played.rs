//! A kernel that a probe's program is played against, so far as the probe looks at it.

use std::collections::BTreeSet;

use imalab_wire::{Message, Op, Outcome, Piece, Step};

use crate::interface::TPM;
use crate::interface::probe::{Boot, FLUSH};
use crate::plan::Interface;
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{Dialect, Originals};
use imalab_formats::ima::lists::{Kind, Request};
use imalab_formats::ima::model::File;

/// What such a kernel does.
#[derive(Clone)]
pub(super) struct Kernel {
    pub(super) files: Vec<&'static str>,
    pub(super) interface: Interface,
    /// A file that nobody knows.
    pub(super) stranger: Option<&'static str>,
    pub(super) htable: bool,
    pub(super) policy: bool,
    pub(super) records_policies: bool,
    pub(super) tpm: bool,
    pub(super) failslab: bool,
    pub(super) defect: Option<Defect>,
}

/// What is wrong with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    TrimsOneMore,
    TrimsOneLess,
    TrimsAllWhenTooMany,
    RefusesTrimWhileStaged,
    TrimsOneMoreWhileStaged,
    RefusesStage,
    StagesHalf,
    SaveIsEmpty,
    SaveFails,
    RefusesDelete,
    DeleteCounts,
    IgnoresFlush,
    KnowsNoFlush,
    RefusesDeleteWithFlush,
    DoublesSome,
    DoublesAll,
    RecordsNothing,
    RecordsTwice,
    CounterFails,
    TpmIsBusy,
    PolicyRecordedTwice,
    RefusesEveryRequest,
}

pub(super) const FILES: [&str; 2] = ["binary_runtime_measurements", "binary_runtime_measurements_sha1"];

pub(super) fn upstream() -> Kernel {
    Kernel {
        files: FILES.to_vec(),
        interface: Interface::UPSTREAM,
        stranger: None,
        htable: true,
        policy: true,
        records_policies: true,
        tpm: true,
        failslab: true,
        defect: None,
    }
}

/// The lists of such a kernel.
struct Lists<'k> {
    kernel: &'k Kernel,
    flush: bool,
    current: u64,
    staged: u64,
    seen: BTreeSet<String>,
    policy: bool,
    records_policies: bool,
    miscounted: u64,
    /// Whether the step has a file open.
    open: bool,
}

const ENOENT: i32 = 2;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

impl Kernel {
    fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn dialect(&self) -> &'static Dialect {
        self.interface.dialect()
    }

    fn listed(&self) -> Vec<u8> {
        let writable = self.dialect().identity.originals_writable == Some(true);
        let mode = if writable { 0o100_660 } else { 0o100_440 };
        let staged = self.dialect().file_name(Kind::Staged, false, Some(Bank::Sha1));
        let mut lines: Vec<String> = self.files.iter().map(|name| format!("{mode:o} {name}")).collect();
        lines.extend(self.stranger.map(|name| format!("100600 {name}")));
        lines.extend(staged.filter(|_| !self.files.is_empty()).map(|name| format!("100660 {name}")));
        lines.join("\n").into_bytes()
    }
}

impl Lists<'_> {
    fn is(&self, defect: Defect) -> bool {
        self.kernel.is(defect)
    }

    fn open(&self, path: &str, access: i32) -> Result<i64, i32> {
        if path == TPM {
            return match self.kernel.tpm {
                _ if self.is(Defect::TpmIsBusy) => Err(EBUSY),
                true => Ok(0),
                false => Err(ENOENT),
            };
        }
        let dialect = self.kernel.dialect();
        let staged_elsewhere = path.contains("_staged");
        let opens = match dialect.file(path) {
            File::List(list) if list.ascii && self.open && !dialect.one_writer_many_files => {
                return Err(EBUSY);
            }
            File::List(list) if !list.is_staged() => match dialect.originals {
                Originals::Refused => access == 0,
                Originals::WithReading => access != 1,
                // By root, whatever the mode says.
                _ => true,
            },
            File::List(_) => true,
            _ if path.contains("failslab") => self.kernel.failslab,
            _ => !staged_elsewhere,
        };
        if opens { Ok(0) } else { Err(ENOENT) }
    }

    fn write(&mut self, path: &str, text: &str) -> bool {
        let dialect = self.kernel.dialect();
        if dialect.file(path) == File::Policy {
            self.policy = self.kernel.policy;
            self.records_policies |= self.kernel.records_policies && text.contains("label=ima_policy");
            let often = 1 + u64::from(self.is(Defect::PolicyRecordedTwice));
            self.current += u64::from(self.policy && self.records_policies) * often;
            return self.policy;
        }
        let File::List(list) = dialect.file(path) else { return false };
        let request =
            dialect.request(list, text.as_bytes()).filter(|_| !self.is(Defect::RefusesEveryRequest));
        match request {
            None => false,
            Some(Request::StageAll) => self.stage(u64::MAX, false),
            Some(Request::StageFirst(records)) => self.stage(records, true),
            Some(Request::StageUpTo(records)) => self.stage(records, false),
            Some(Request::Delete) => {
                let flush = self.is(Defect::RefusesDeleteWithFlush) && self.flush;
                let works = self.staged > 0 && !self.is(Defect::RefusesDelete) && !flush;
                if works {
                    self.staged = 0;
                    self.miscounted += u64::from(self.is(Defect::DeleteCounts));
                    self.forget();
                }
                works
            }
            Some(Request::DeleteFirst(records)) => {
                let works = self.staged >= records && self.staged > 0;
                if works {
                    self.current += self.staged - records;
                    self.staged = 0;
                }
                works
            }
            Some(Request::Trim(records)) => {
                let forbidden = dialect.grammar.number.as_ref().is_some_and(|number| number.not_with_flush);
                let alone = self.staged == 0 || dialect.trims_while_staged != Some(false);
                alone && !(self.flush && forbidden) && self.trim(records)
            }
            Some(Request::TrimAll) => false,
        }
    }

    fn stage(&mut self, count: u64, exactly: bool) -> bool {
        let works = self.staged == 0
            && self.current > 0
            && !(exactly && self.current < count)
            && !self.is(Defect::RefusesStage);
        if works {
            let half = self.is(Defect::StagesHalf);
            self.staged = if half { self.current / 2 } else { count.min(self.current) };
            self.current -= self.staged;
        }
        works
    }

    fn trim(&mut self, count: u64) -> bool {
        if self.staged > 0 && self.is(Defect::RefusesTrimWhileStaged) {
            return false;
        }
        let works = self.current >= count || self.is(Defect::TrimsAllWhenTooMany);
        if works {
            let more =
                self.is(Defect::TrimsOneMore) || self.is(Defect::TrimsOneMoreWhileStaged) && self.staged > 0;
            let count = count + u64::from(more) - u64::from(self.is(Defect::TrimsOneLess));
            self.current = self.current.saturating_sub(count);
            self.forget();
        }
        works
    }

    fn forget(&mut self) {
        if self.flush && !self.is(Defect::IgnoresFlush) {
            self.seen.clear();
        }
    }

    fn measure(&mut self, name: &str, count: u64) {
        let new = self.seen.insert(name.to_owned());
        let doubles = match self.kernel.defect {
            _ if !self.kernel.htable => count,
            Some(Defect::DoublesSome) => 1,
            Some(Defect::DoublesAll) => count,
            _ => 0,
        };
        let made = match self.kernel.defect {
            Some(Defect::RecordsNothing) => 0,
            Some(Defect::RecordsTwice) => count * 2,
            _ => count,
        };
        self.current += if !self.policy {
            0
        } else if new {
            made
        } else {
            doubles
        };
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, i32> {
        let many = |count: u64| vec![0; usize::try_from(count).unwrap()];
        Ok(match path.rsplit('/').next().unwrap() {
            "runtime_measurements_count" if self.is(Defect::CounterFails) => return Err(EINVAL),
            "runtime_measurements_count" => format!("{}\n", self.current + self.miscounted).into_bytes(),
            "cmdline" if self.flush && self.is(Defect::KnowsNoFlush) => {
                format!("/init\0{FLUSH}\0").into_bytes()
            }
            "cmdline" => b"/init\0".to_vec(),
            name if name.contains("_staged") && self.is(Defect::SaveFails) => return Err(EINVAL),
            name if name.contains("_staged") && self.is(Defect::SaveIsEmpty) => Vec::new(),
            name if name.contains("_staged") => {
                match self.kernel.dialect().nothing_staged.filter(|_| self.staged == 0) {
                    Some(errno) => return Err(errno as i32),
                    None => many(self.staged),
                }
            }
            name if name.contains("_runtime_measurements") => many(self.current),
            _ => Vec::new(),
        })
    }
}

/// What the kernel says on its console in a boot.
pub(super) fn console(kernel: &Kernel, boot: &Boot) -> Vec<String> {
    let says = !kernel.htable && boot.kernel_args == [FLUSH] && !kernel.is(Defect::DoublesAll);
    let line = "[    0.0] ima: Hash table not enabled, ignoring request to flush".to_owned();
    says.then_some(line).into_iter().collect()
}

/// Plays a boot: what the agent would send on such a kernel.
pub(super) fn play(kernel: &Kernel, boot: &Boot) -> Vec<Message> {
    let mut sent = vec![Message::Hello {
        version: imalab_wire::VERSION,
        token: 1,
        boot: 0,
        release: "7.3.4".to_owned(),
        at_ns: 0,
    }];
    let mut lists = Lists {
        kernel,
        flush: boot.kernel_args == [FLUSH],
        current: 1,
        staged: 0,
        seen: BTreeSet::new(),
        policy: false,
        records_policies: false,
        miscounted: 0,
        open: false,
    };
    for step in &boot.program.tasks[0].steps {
        play_step(&mut lists, step, &mut sent);
    }
    sent.push(Message::Done { ops: 0, frames: 0 });
    sent
}

fn play_step(lists: &mut Lists<'_>, step: &Step, sent: &mut Vec<Message>) {
    let mut failed = false;
    let mut path = String::new();
    lists.open = false;
    for (op, number) in step.ops.iter().zip(0..) {
        let mut data = Vec::new();
        let given = match op {
            _ if failed => Err(0),
            Op::Open { path: opened, flags, .. } => {
                path.clone_from(opened);
                let given = lists.open(opened, flags & 3);
                lists.open |= flags & 3 != 0;
                given
            }
            Op::ListModes { .. } => {
                data = lists.kernel.listed();
                if lists.kernel.files.is_empty() { Err(2) } else { Ok(0) }
            }
            Op::Read { .. } => lists.read(&path).map(|bytes| {
                data = bytes;
                0
            }),
            Op::Write { bytes, .. } => {
                if lists.write(&path, std::str::from_utf8(bytes).unwrap()) {
                    Ok(0)
                } else {
                    Err(EINVAL)
                }
            }
            Op::Measure { name, count, .. } => {
                lists.measure(name, *count);
                Ok(0)
            }
            _ => Ok(0),
        };
        let outcome = match (failed, given) {
            (true, _) => Outcome::NotAttempted,
            (false, Ok(value)) => Outcome::Value(value),
            (false, Err(errno)) => Outcome::Errno(errno),
        };
        failed |= given.is_err();
        // Pieces of one byte, as the boundaries are the agent's choice.
        for (bytes, offset) in data.chunks(1).zip(0..) {
            let piece = Piece { task: 0, step: step.id, op: number, offset, bytes: bytes.to_vec() };
            sent.push(Message::Data(piece));
        }
        sent.push(Message::OpDone { task: 0, step: step.id, op: number, begin_ns: 0, end_ns: 0, outcome });
    }
}
