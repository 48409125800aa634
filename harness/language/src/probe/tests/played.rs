//! A kernel that a probe's program is played against, so far as the probe looks at it.

mod lists;

use imalab_wire::{Message, Op, Outcome, Piece, Step};

use self::lists::Lists;
use crate::probe::Boot;
use crate::vocabulary::FLUSH;
use imalab_formats::Interface;
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{COUNT, Dialect};
use imalab_formats::ima::lists::Kind;

/// What such a kernel does.
#[derive(Clone)]
pub(super) struct Kernel {
    pub(super) files: Vec<&'static str>,
    pub(super) interface: Interface,
    /// A file that nobody knows.
    pub(super) stranger: Option<&'static str>,
    /// A file of its interface that is missing.
    pub(super) lacks: Option<&'static str>,
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
    NewlineOtherwise,
    BaseOtherwise,
    BeyondOtherwise,
    FlushesOtherwise,
    StagesLate,
    DeletesLate,
    TrimsLate,
    SuspendedWithAnotherError,
    LosesStagedAtKexec,
}

pub(super) const FILES: [&str; 2] = ["binary_runtime_measurements", "binary_runtime_measurements_sha1"];

pub(super) fn upstream() -> Kernel {
    Kernel {
        files: FILES.to_vec(),
        interface: Interface::UPSTREAM,
        stranger: None,
        lacks: None,
        htable: true,
        policy: true,
        records_policies: true,
        tpm: true,
        failslab: true,
        defect: None,
    }
}

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
        let own =
            self.dialect().own_files.iter().filter(|own| own.name != COUNT && Some(own.name) != self.lacks);
        lines.extend(own.filter(|_| !self.files.is_empty()).map(|own| format!("100660 {}", own.name)));
        lines.extend(staged.filter(|_| !self.files.is_empty()).map(|name| format!("100660 {name}")));
        lines.join("\n").into_bytes()
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
    let mut lists = Lists::new(kernel, boot.kernel_args == [FLUSH]);
    let tasks = &boot.program.tasks;
    let last = tasks.iter().map(|task| task.boot).max().unwrap();
    for kernel in 0..=last {
        // The first leaves the kernel; the others are heard when it is on its way.
        let of: Vec<_> = tasks.iter().filter(|task| task.boot == kernel).collect();
        for step in &of[0].steps {
            play_step(&mut lists, step, &mut sent);
        }
        if kernel < last {
            lists.suspended = true;
            for step in of.iter().skip(1).flat_map(|task| &task.steps) {
                play_step(&mut lists, step, &mut sent);
            }
            lists.kexec();
        }
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
            Op::Write { bytes, .. } => lists.write(&path, std::str::from_utf8(bytes).unwrap()).map(|()| 0),
            Op::ReadNumber { .. } => {
                lists.number = lists.trimmed.cast_signed();
                Ok(0)
            }
            Op::WriteFilled { text, .. } => {
                let filled = imalab_wire::filled(text, Some(lists.number), None).unwrap();
                lists.write(&path, &filled).map(|()| 0)
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
