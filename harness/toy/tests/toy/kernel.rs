//! A kernel that carries out a plan's program: its lists, the files that show them, the one that takes requests, and the TPM
//! that it extends. Each way in which it can go wrong is a [`Defect`].

use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::{Message, Op, Outcome, Piece, Slot, Step, TaskId, VERSION};
use nix::errno::Errno;
use serde_json::json;

use crate::dialect::{DROP, MOST};
use crate::tpm::Tpm;
use imalab_formats::ima::model::{File, ListFile};
use imalab_formats::ima::{AsciiLine, Bank, ByteOrder, Digest, Record, template_data, write_record};
use imalab_language::plan::{MarkAction, Plan};
use imalab_trace::{Event, Host, Trace, What};

/// Index of IMA's PCR (`CONFIG_IMA_MEASURE_PCR_IDX`).
const PCR: u32 = 10;

/// Bytes of a piece of data; small, so that lists come in several.
const PIECE: usize = 700;

/// How a kernel goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A request removes one record more than it says.
    RemovesOneMore,
    /// The last record but one before a request is extended and in no list any more.
    LosesOne,
    /// A request for more than there are removes what there is.
    TakesTooMany,
    /// A request for too large a number fails with another error than promised.
    OtherError,
    /// Two records change places in the list when a request is taken.
    SwapsTwo,
    /// The counter of records counts what was removed.
    CountsRemoved,
}

/// An open file, and how far it was read.
struct Open {
    file: File,
    at: usize,
}

/// The kernel while it runs.
pub(crate) struct Kernel<'p> {
    plan: &'p Plan,
    defect: Option<Defect>,
    trace: Vec<Event>,
    tpm: Tpm,
    current: Vec<Record>,
    measured: BTreeSet<Vec<u8>>,
    removed: usize,
    open: BTreeMap<Slot, Open>,
    now: u64,
    attempted: u64,
    frames: u64,
}

/// Runs a plan of one boot on a kernel with a defect, or on a sound one.
pub(crate) fn run(plan: &Plan, defect: Option<Defect>) -> Trace {
    let mut kernel = Kernel {
        plan,
        defect,
        trace: Vec::new(),
        tpm: Tpm::new(&plan.machine.banks),
        current: Vec::new(),
        measured: BTreeSet::new(),
        removed: 0,
        open: BTreeMap::new(),
        now: 1_000,
        attempted: 0,
        frames: 0,
    };
    kernel.see(What::Host(Host::Spawned { child: "qemu".to_owned(), pid: 1 }));
    kernel.see(What::Console("Linux version 7.3.4 (simulated)".to_owned()));
    kernel.append(record("boot_aggregate", b"boot"));
    let (release, token) = ("7.3.4".to_owned(), plan.program.token);
    kernel.say(Message::Hello { version: VERSION, token, boot: 0, release, at_ns: 1_000 });
    for (task, steps) in (0..).zip(plan.program.tasks.iter().map(|task| &task.steps)) {
        steps.iter().for_each(|step| kernel.step(task, step));
        kernel.say(Message::TaskEnded { task, status: 0 });
    }
    let last = plan.program.tasks.len() as TaskId;
    plan.program.finally.iter().for_each(|step| kernel.step(last, step));
    kernel.say(Message::Done { ops: kernel.attempted, frames: kernel.frames });
    kernel.see(What::Console("[    9.1] reboot: Power down".to_owned()));
    let data = json!({"guest": true, "reason": "guest-shutdown"});
    kernel.see(What::Qmp(json!({"event": "SHUTDOWN", "data": data})));
    kernel.see(What::Host(Host::Exited { child: "qemu".to_owned(), status: 0 }));
    kernel.trace.into()
}

/// The record of a file with this content.
fn record(name: &str, content: &[u8]) -> Record {
    let content = Digest::of(Bank::Sha256, &[content]);
    let digest = [b"sha256:\0".as_slice(), content.as_bytes()].concat();
    let data = template_data(&[&digest, &[name.as_bytes(), b"\0"].concat()], ByteOrder::Little);
    Record::new(Bank::Sha256, PCR, "ima-ng", data)
}

impl Kernel<'_> {
    fn see(&mut self, what: What) {
        let seq = self.trace.len() as u64;
        self.trace.push(Event { seq, at_ns: seq * 1_000, what });
    }

    fn say(&mut self, message: Message) {
        self.frames += 1;
        self.see(What::Guest(message));
    }

    /// Measures: extends, then appends, with the list's lock held.
    fn append(&mut self, record: Record) {
        if !self.measured.insert(record.data.clone()) {
            return;
        }
        let digests: Vec<Digest> =
            self.plan.machine.banks.iter().map(|bank| record.extend_digest(*bank)).collect();
        let exchange = self.tpm.extend(PCR, &digests);
        self.see(What::Tpm(exchange));
        self.current.push(record);
    }

    /// An operation that fails ends the step's attempts.
    fn step(&mut self, task: TaskId, step: &Step) {
        let mut failed = false;
        for (number, op) in (0..).zip(&step.ops) {
            let (mut outcome, mut data) = (Outcome::NotAttempted, Vec::new());
            let begin_ns = self.now;
            if !failed {
                self.attempted += 1;
                self.say(Message::OpStarted { task, step: step.id, op: number, at_ns: begin_ns });
                (outcome, data) = match self.call(op) {
                    Ok((value, data)) => (Outcome::Value(value as i64), data),
                    Err(errno) => (Outcome::Errno(errno as i32), Vec::new()),
                };
                failed = !matches!(outcome, Outcome::Value(_));
            }
            for (piece, bytes) in data.chunks(PIECE).enumerate() {
                let (offset, bytes) = ((piece * PIECE) as u64, bytes.to_vec());
                self.say(Message::Data(Piece { task, step: step.id, op: number, offset, bytes }));
            }
            self.now += 10;
            let end_ns = self.now;
            self.say(Message::OpDone { task, step: step.id, op: number, begin_ns, end_ns, outcome });
        }
    }

    fn call(&mut self, op: &Op) -> Result<(usize, Vec<u8>), Errno> {
        match op {
            Op::Measure { dir, name, salt, first, count } => {
                for number in *first..*first + *count {
                    let name = format!("{name}-{number}");
                    self.append(record(&format!("{dir}/{name}"), format!("{name} {salt}\n").as_bytes()));
                }
                Ok((*count as usize, Vec::new()))
            }
            Op::Open { slot, path, .. } => {
                let file = self.plan.interface.dialect().file(path);
                if matches!(file, File::Other) {
                    return Err(Errno::ENOENT);
                }
                self.open.insert(*slot, Open { file, at: 0 });
                Ok((0, Vec::new()))
            }
            Op::Read { slot, .. } => {
                let open = self.open.get(slot).ok_or(Errno::EBADF)?;
                let bytes = self.shows(open.file);
                let read = bytes.get(open.at..).unwrap_or_default().to_vec();
                self.open.entry(*slot).and_modify(|open| open.at = bytes.len());
                Ok((read.len(), read))
            }
            Op::Write { slot, bytes } => match self.open.get(slot).ok_or(Errno::EBADF)?.file {
                File::Own(name) if name == DROP.name => self.request(bytes),
                _ => Err(Errno::EINVAL),
            },
            Op::Close { slot } => {
                self.open.remove(slot).ok_or(Errno::EBADF)?;
                Ok((0, Vec::new()))
            }
            Op::Mark { number, .. } => {
                self.see(What::Pcrs(self.tpm.read(*number)));
                let quotes = |mark: &&imalab_language::plan::Mark| mark.number == *number;
                if self.plan.marks.iter().find(quotes).is_some_and(|mark| mark.does == MarkAction::Quote) {
                    let quote = self.tpm.quote(*number);
                    self.see(What::Quote(Box::new(quote)));
                }
                self.see(What::Tpm(Tpm::mark(*number)));
                Ok((0, Vec::new()))
            }
            op => panic!("not simulated: {op:?}"),
        }
    }

    /// What a file shows from its start.
    fn shows(&self, file: File) -> Vec<u8> {
        let counted = if self.defect == Some(Defect::CountsRemoved) { self.removed } else { 0 };
        match file {
            File::List(ListFile { ascii, bank, .. }) => self.view(ascii, bank),
            File::Count => format!("{}\n", self.current.len() + counted).into_bytes(),
            File::Violations => b"0\n".to_vec(),
            _ => Vec::new(),
        }
    }

    fn view(&self, ascii: bool, bank: Bank) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in self.current.iter().map(|record| record.in_view(bank)) {
            match ascii {
                true => bytes.extend(AsciiLine::of(&record, ByteOrder::Little).unwrap().to_bytes()),
                false => write_record(&mut bytes, &record, ByteOrder::Little).unwrap(),
            }
        }
        bytes
    }

    /// Removes the first records, as many as were asked for.
    fn request(&mut self, bytes: &[u8]) -> Result<(usize, Vec<u8>), Errno> {
        let asked: u64 =
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or(Errno::EINVAL)?;
        if asked > MOST {
            return Err(if self.defect == Some(Defect::OtherError) { Errno::EINVAL } else { Errno::EDOM });
        }
        let mut asked = asked as usize;
        if asked > self.current.len() {
            match self.defect {
                Some(Defect::TakesTooMany) => asked = self.current.len(),
                _ => return Err(Errno::ENOENT),
            }
        }
        match self.defect {
            Some(Defect::RemovesOneMore) => asked += 1,
            Some(Defect::LosesOne) => drop(self.current.remove(self.current.len() - 2)),
            Some(Defect::SwapsTwo) => {
                let last = self.current.len() - 1;
                self.current.swap(last, last - 1);
            }
            _ => {}
        }
        self.current.drain(..asked.min(self.current.len()));
        self.removed += asked;
        Ok((bytes.len(), Vec::new()))
    }
}
