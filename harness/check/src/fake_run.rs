//! A guest, its kernel and its TPM, made up: what tests sabotage.
//!
//! The lists are plain vectors that a test may change between two steps, so that each way in which a kernel could
//! go wrong is one line. Everything that a sound run shows is made from them: messages, extends, PCR values.

mod attest;
mod call;
mod dialects;
mod kexec;
mod verbs;
mod verdict;

use imalab_wire::{End, Message, Op, Outcome, Piece, Program, Setup, Step, Task, VERSION};
use serde_json::json;

use crate::evidence::IMA_PCR;
use crate::outcome::{Check, CheckResult};
use imalab_formats::ima::{Bank, ByteOrder, Digest, Record, template_data};
use imalab_language::plan::{
    Action, Budget, Expect, Fault, Form, How, Interface, Mark, MarkAction, Plan, PlannedStep, Reading, Shape,
};
use imalab_trace::{Event, Exchange, Host, Origin, PcrReading, PcrValue, Recording, Trace, What};

use imalab_formats::tpm::command;
use imalab_language::vocabulary::DEFAULT_POLICY;

pub(super) use call::{Done, list, path, read, show, value, write};
pub(super) use kexec::critical;
pub(super) use verdict::{TODAY, all, could_not_run, failed, has, is, not_applicable, passed, result};

/// Bytes of a piece of data; small, so that lists come in several.
const PIECE: usize = 700;
const TOKEN: u64 = 7;

/// A fake run, from the machine's start on.
pub(super) struct FakeRun {
    pub(super) plan: Plan,
    pub(super) trace: Trace,
    /// Takes the events instead of `trace` where they are to be recorded as a run's.
    pub(super) recording: Option<Recording>,
    /// The current list.
    pub(super) current: Vec<Record>,
    /// The staged list.
    pub(super) staged: Option<Vec<Record>>,
    /// What the kernel counts as violations.
    pub(super) violations: u64,
    /// What the counter of records shows too many.
    pub(super) count_off: u64,
    /// Changes what a reader of a view gets.
    pub(super) view: fn(Form, Bank, bool, Vec<u8>) -> Vec<u8>,
    /// Task that runs the next step.
    pub(super) task: u16,
    /// Guest time that an operation takes, nanoseconds.
    pub(super) takes: u64,
    /// Guest time.
    pub(super) now: u64,
    /// What the kernel counts.
    counts: kexec::Counts,
    /// Changes what a record of kexec says.
    pub(super) tell: fn(String) -> String,
    /// Boots before this one.
    pub(super) boot: u16,
    /// Resets of the TPM, as its quotes tell.
    pub(super) resets: u32,
    pcrs: Vec<Digest>,
    counter: u32,
    made: u64,
    frames: u64,
    attempted: u64,
}

/// The record of a file with the content that the agent writes to one of this name.
pub(super) fn record(name: &str) -> Record {
    let file = name.strip_prefix("/m/").unwrap_or(name);
    let content = Digest::of(Bank::Sha256, &[format!("{file} s\n").as_bytes()]);
    let digest = [b"sha256:\0".as_slice(), content.as_bytes()].concat();
    let data = template_data(&[&digest, &[name.as_bytes(), b"\0"].concat()], ByteOrder::Little);
    Record::new(Bank::Sha256, IMA_PCR, "ima-ng", data)
}

pub(super) fn violation(name: &str) -> Record {
    let mut record = record(name);
    record.digest.fill(0);
    record
}

/// Six records, a checkpoint that reads them, whatever a test does, and two more.
pub(super) fn story(sabotage: impl Fn(&mut FakeRun)) -> FakeRun {
    let mut fake = FakeRun::new();
    fake.measure(5);
    fake.checkpoint();
    sabotage(&mut fake);
    fake.measure(2);
    fake
}

impl FakeRun {
    /// Two banks, two tasks, and what the kernel measured before the agent started.
    pub(super) fn new() -> FakeRun {
        FakeRun::with_banks(&[Bank::Sha1, Bank::Sha256])
    }

    pub(super) fn with_banks(banks: &[Bank]) -> FakeRun {
        let task = |name: &str| Task {
            name: name.to_owned(),
            boot: 0,
            start: imalab_wire::Start::Boot,
            steps: Vec::new(),
        };
        let plan = Plan {
            scenario: "made/up".to_owned(),
            summary: "Made up.".to_owned(),
            parameters: Default::default(),
            seed: 1,
            interface: Interface::UPSTREAM,
            seen: Default::default(),
            machine: Shape { cpus: 1, memory_mib: 256, banks: banks.to_vec(), kernel_args: Vec::new() },
            hash_table: true,
            stock: true,
            program: Program {
                token: TOKEN,
                setup: Setup { policy: DEFAULT_POLICY.as_bytes().to_vec(), files: Vec::new() },
                tasks: vec![task("agent"), task("other")],
                finally: Vec::new(),
                end: End::PowerOff,
            },
            steps: Vec::new(),
            marks: Vec::new(),
            budget: Budget { silence_s: 10, total_s: 100 },
            holds: Vec::new(),
            known_defect: None,
            known_limit: None,
            kernel_says: Vec::new(),
        };
        let mut fake = FakeRun {
            plan,
            trace: Trace::default(),
            recording: None,
            current: Vec::new(),
            staged: None,
            violations: 0,
            count_off: 0,
            view: |_, _, _, bytes| bytes,
            task: 0,
            takes: 10,
            now: 1_000,
            counts: kexec::Counts::default(),
            tell: |text| text,
            boot: 0,
            pcrs: banks.iter().map(|bank| Digest::zero(*bank)).collect(),
            resets: 3,
            counter: 0,
            made: 0,
            frames: 0,
            attempted: 0,
        };
        fake.see(What::Host(Host::Spawned { child: "qemu".to_owned(), pid: 1 }));
        fake.console("Linux version 7.3.4 (made up)");
        fake.log(record("boot_aggregate"));
        fake.hello();
        fake
    }

    pub(super) fn hello(&mut self) {
        let (version, release) = (VERSION, "7.3.4".to_owned());
        self.frames = 0;
        self.attempted = 0;
        self.say(Message::Hello { version, token: TOKEN, boot: self.boot, release, at_ns: self.now });
    }

    pub(super) fn see(&mut self, what: What) {
        let event = |seq| Event { seq, at_ns: seq * 1_000, what };
        match &mut self.recording {
            Some(recording) => recording.push(event(recording.next())),
            None => {
                let seq = self.trace.events.len() as u64;
                self.trace.events.push(event(seq));
            }
        }
    }

    pub(super) fn say(&mut self, message: Message) {
        self.frames += 1;
        self.see(What::Guest(message));
    }

    pub(super) fn console(&mut self, line: &str) {
        self.see(What::Console(line.to_owned()));
    }

    /// Appends and extends, as the kernel does.
    pub(super) fn log(&mut self, record: Record) {
        self.extend(&record);
        self.count_in(&record);
        self.current.push(record);
    }

    /// Appends; what the kernel then sends to extend gets `code` from the tap and never reaches the TPM.
    pub(super) fn log_kept(&mut self, record: Record, code: u32) {
        self.arm(code);
        let before = self.trace.events.len();
        self.extend_with(
            record.pcr,
            self.plan.machine.banks.iter().map(|bank| record.extend_digest(*bank)).collect(),
            code,
        );
        for event in &mut self.trace.events[before..] {
            if let What::Tpm(exchange) = &mut event.what {
                exchange.origin = Origin::Kept;
            }
        }
        self.current.push(record);
    }

    /// Plans that the tap answers the next extend itself, and lets it.
    fn arm(&mut self, code: u32) {
        let (number, how) = (self.plan.marks.len() as u64 + 1, How::Answer { code });
        let fault = Fault { command: command::PCR_EXTEND, skip: 0, times: 1, how };
        let step = self.plan.steps.len() as u32;
        self.plan.marks.push(Mark { number, step, does: MarkAction::Arm(fault) });
        self.see(What::Host(Host::Fault { command: command::PCR_EXTEND, how }));
    }

    /// Extends without appending.
    pub(super) fn extend(&mut self, record: &Record) {
        let digests = self.plan.machine.banks.iter().map(|bank| record.extend_digest(*bank)).collect();
        self.extend_with(record.pcr, digests, 0);
    }

    /// Sends an extend which the TPM answers with `code`.
    pub(super) fn extend_with(&mut self, pcr: u32, digests: Vec<Digest>, code: u32) {
        let mut body = pcr.to_be_bytes().to_vec();
        // An authorization area with an empty password: TPM_RS_PW, no nonce, no attributes, no HMAC.
        body.extend_from_slice(&[0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&(digests.len() as u32).to_be_bytes());
        for digest in &digests {
            body.extend_from_slice(&digest.bank().tpm_alg().to_be_bytes());
            body.extend_from_slice(digest.as_bytes());
        }
        if code == 0 {
            for digest in &digests {
                self.counter += 1;
                let bank = self.plan.machine.banks.iter().position(|bank| *bank == digest.bank());
                if let (IMA_PCR, Some(bank)) = (pcr, bank) {
                    self.pcrs[bank].extend(digest);
                }
            }
        }
        self.tpm(Origin::Guest, 0x8002, 0x182, &body, code);
    }

    pub(super) fn tpm(&mut self, origin: Origin, tag: u16, code: u32, body: &[u8], answer: u32) {
        let frame = |tag: u16, code: u32, body: &[u8]| {
            let size = (10 + body.len()) as u32;
            [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
        };
        let (command, answer) = (frame(tag, code, body), frame(0x8001, answer, &[]));
        self.see(What::Tpm(Exchange { origin, locality: 0, command, answer, begin_ns: 0, end_ns: 0 }));
    }

    /// Plans a step and runs it. A failed operation ends the attempts.
    pub(super) fn step(&mut self, text: &str, action: Action, ops: Vec<Done>, reads: Vec<Reading>) -> usize {
        let (id, task) = (self.plan.steps.len() as u32, self.task);
        let step = Step { id, clock: None, ops: ops.iter().map(|(op, ..)| op.clone()).collect() };
        match self.plan.program.tasks.get_mut(usize::from(task)) {
            Some(task) => task.steps.push(step),
            None => self.plan.program.finally.push(step),
        }
        let mark = ops.iter().find_map(|(op, ..)| match op {
            Op::Mark { number, .. } => Some(*number),
            _ => None,
        });
        self.plan.steps.push(PlannedStep {
            id,
            task,
            text: text.to_owned(),
            line: id + 10,
            action,
            expect: Expect::Ok,
            reads,
            mark,
        });
        for (number, (op, outcome, data)) in (0..).zip(ops) {
            self.run(id, number, &op, outcome, &data);
        }
        id as usize
    }

    fn run(&mut self, step: u32, op: u16, what: &Op, outcome: Outcome, data: &[u8]) {
        let task = self.task;
        let begin_ns = self.now;
        if outcome != Outcome::NotAttempted {
            self.attempted += 1;
            self.say(Message::OpStarted { task, step, op, at_ns: begin_ns });
        }
        for (number, bytes) in data.chunks(PIECE).enumerate() {
            let (offset, bytes) = ((number * PIECE) as u64, bytes.to_vec());
            self.say(Message::Data(Piece { task, step, op, offset, bytes }));
        }
        if let Op::Mark { number, .. } = what {
            self.read_pcrs(*number);
            if self.plan.marks.iter().any(|mark| mark.number == *number && mark.does == MarkAction::Quote) {
                let quote = attest::quote(*number, &number.to_be_bytes(), self.values(), self.resets);
                self.see(What::Quote(Box::new(quote)));
            }
            self.tpm(Origin::Mark, 0x8001, imalab_wire::MARK_COMMAND, &number.to_be_bytes(), 0);
        }
        self.now += self.takes;
        let end_ns = self.now;
        self.say(Message::OpDone { task, step, op, begin_ns, end_ns, outcome });
    }

    /// Turns the end of the operation that was told last into its begin.
    fn begin_last(&mut self) {
        if let Some(Event { what: What::Guest(message), .. }) = self.trace.events.last_mut()
            && let Message::OpDone { task, step, op, begin_ns, .. } = *message
        {
            *message = Message::OpStarted { task, step, op, at_ns: begin_ns };
            self.attempted += 1;
        }
    }

    /// PCR 10 as it is now.
    pub(super) fn values(&self) -> Vec<PcrValue> {
        let value = |digest: &Digest| PcrValue { bank: digest.bank(), digest: digest.as_bytes().to_vec() };
        self.pcrs.iter().map(value).collect()
    }

    pub(super) fn read_pcrs(&mut self, mark: u64) {
        let (update_counter, values) = (self.counter, self.values());
        self.see(What::Pcrs(PcrReading { mark, update_counter, values }));
    }

    /// The records that the lists hold now, in the view of SHA-1.
    pub(super) fn records_of(&self) -> Vec<Record> {
        let staged = self.staged.iter().flatten();
        staged.chain(&self.current).map(|record| record.in_view(Bank::Sha1)).collect()
    }

    /// Ends the tasks and the run: a last checkpoint, the last message, power off.
    pub(super) fn finish(mut self) -> (Plan, Trace) {
        let tasks = (0..).zip(&self.plan.program.tasks).filter(|(_, task)| task.boot == self.boot);
        for task in tasks.map(|(task, _)| task).collect::<Vec<_>>() {
            self.say(Message::TaskEnded { task, status: 0 });
        }
        self.task = self.plan.program.tasks.len() as u16;
        self.checkpoint_with(true);
        self.power_off()
    }

    pub(super) fn power_off(mut self) -> (Plan, Trace) {
        let (ops, frames) = (self.attempted, self.frames);
        self.say(Message::Done { ops, frames });
        self.console("[    9.1] reboot: Power down");
        self.see(What::Qmp(
            json!({"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}),
        ));
        self.see(What::Host(Host::Exited { child: "qemu".to_owned(), status: 0 }));
        (self.plan, self.recording.map_or(self.trace, Recording::finish))
    }

    /// Ends the run and gives the result of one check.
    pub(super) fn verdict(self, check: Check) -> CheckResult {
        let (plan, trace) = self.finish();
        result(&plan, &trace, check)
    }
}
