//! Whether a kernel goes on in itself, with its list, and records that it does.

use std::collections::BTreeMap;

use imalab_wire::{End, Message, Op, Outcome, Program, Setup, Start, Step, StepId, Task};
use nix::fcntl::OFlag;

use super::super::{Capabilities, Capability, IMA};
use super::{Boot, SLOT, count, look, measure};
use crate::machine::initramfs::SAME;
use crate::scenario::DEFAULT_POLICY;

/// Records loads and executions, where the kernel has such records.
const RECORDS: &str = "measure func=CRITICAL_DATA label=ima_kexec\n";

/// Steps, and their numbers.
#[derive(Clone, Copy)]
enum Ask {
    Policy,
    Measure,
    CountBefore,
    Load,
    CountLoaded,
    MeasureLate,
    CountLate,
    Execute,
    CountCarried,
}

/// The boot that goes on in a second one, when the kernel seems able to.
pub fn third(found: &Capabilities) -> Option<Boot> {
    (found.has(Capability::Kexec) && found.has(Capability::Policy)).then(boot)
}

pub(super) fn boot() -> Boot {
    use Ask::*;
    let task = |boot: u16, asks: &[Ask]| Task {
        name: "probe".to_owned(),
        boot,
        start: Start::Boot,
        steps: asks.iter().map(|ask| Step { id: *ask as StepId, clock: None, ops: ops(*ask) }).collect(),
    };
    Boot {
        kernel_args: Vec::new(),
        program: Program {
            token: u64::from_be_bytes(*b"imakexec"),
            setup: Setup::default(),
            tasks: vec![
                task(0, &[Policy, Measure, CountBefore, Load, CountLoaded, MeasureLate, CountLate, Execute]),
                task(1, &[CountCarried]),
            ],
            finally: Vec::new(),
            end: End::PowerOff,
        },
    }
}

fn ops(ask: Ask) -> Vec<Op> {
    match ask {
        Ask::Policy => {
            let rule = |rule: &str| Op::Write { slot: SLOT, bytes: rule.as_bytes().to_vec() };
            let open = look(&format!("{IMA}/policy"), OFlag::O_WRONLY);
            vec![open, rule(DEFAULT_POLICY), rule(RECORDS), Op::Close { slot: SLOT }]
        }
        Ask::Measure => vec![measure("kexec".to_owned())],
        Ask::MeasureLate => vec![measure("late".to_owned())],
        Ask::CountBefore | Ask::CountLoaded | Ask::CountLate | Ask::CountCarried => count(),
        Ask::Load => vec![Op::KexecLoad { kernel: SAME.to_owned(), args: String::new(), flags: 0 }],
        Ask::Execute => vec![Op::KexecExecute],
    }
}

/// What is taken for granted when the guest died on its way or never came back: all of it. What needs it then runs, and
/// shows how the kernel dies; skipped it would look like a kernel that was built without.
pub fn without_third(mut found: Capabilities) -> Capabilities {
    found.have.extend([
        Capability::Kexec,
        Capability::KexecCarry,
        Capability::KexecLate,
        Capability::KexecRecords,
    ]);
    found
}

/// What that boot's messages add.
pub fn with_third(mut found: Capabilities, messages: &[Message]) -> Capabilities {
    let mut failed = BTreeMap::new();
    let mut texts: BTreeMap<StepId, Vec<u8>> = BTreeMap::new();
    let mut boots = 0;
    for message in messages {
        match message {
            Message::Hello { .. } => boots += 1,
            Message::OpDone { step, outcome, .. } => {
                *failed.entry(*step).or_insert(false) |= !matches!(outcome, Outcome::Value(_));
            }
            Message::Data(piece) => texts.entry(piece.step).or_default().extend_from_slice(&piece.bytes),
            _ => {}
        }
    }
    let counted = |ask: Ask| {
        let step = ask as StepId;
        let text = texts.get(&step).filter(|_| failed.get(&step) == Some(&false))?;
        String::from_utf8_lossy(text).trim().parse::<u64>().ok()
    };
    if failed.get(&(Ask::Load as StepId)) != Some(&false) || boots != 2 {
        found.have.remove(&Capability::Kexec);
        return found;
    }
    let (before, loaded) = (counted(Ask::CountBefore), counted(Ask::CountLoaded));
    let carried = counted(Ask::CountCarried);
    let records = super::grown(before, loaded) == Some(1);
    // Beside the second kernel's own boot aggregate, and the record of the execution.
    let own = 1 + u64::from(records);
    // Not how many: a kernel that carries a list and loses some of it has what scenarios need to show that.
    let more = |than: Option<u64>| carried.zip(than).is_some_and(|(carried, than)| carried > than + own);
    // A copy made at the load has nothing that came after it.
    let late = more(before);
    found.have.extend(more(Some(0)).then_some(Capability::KexecCarry));
    found.have.extend(late.then_some(Capability::KexecLate));
    found.have.extend((late && records).then_some(Capability::KexecRecords));
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;
    use crate::plan::Interface;

    fn hello(boot: u16) -> Message {
        Message::Hello {
            version: imalab_wire::VERSION,
            token: 1,
            boot,
            release: "7.3.4".to_owned(),
            at_ns: 0,
        }
    }

    fn counted(ask: Ask, count: u64) -> [Message; 2] {
        let (step, bytes) = (ask as StepId, format!("{count}\n").into_bytes());
        let piece = imalab_wire::Piece { task: 0, step, op: 1, offset: 0, bytes };
        [Message::Data(piece), done(ask, Outcome::Value(3))]
    }

    fn done(ask: Ask, outcome: Outcome) -> Message {
        Message::OpDone { task: 0, step: ask as StepId, op: 0, begin_ns: 0, end_ns: 0, outcome }
    }

    #[rstest]
    #[case::records_and_carries(&[4, 5, 8, 10], Some(Outcome::Value(0)), "kexec kexec-carry kexec-late kexec-records")]
    #[case::carries(&[4, 4, 7, 8], Some(Outcome::Value(0)), "kexec kexec-carry kexec-late")]
    #[case::carries_what_was_there_at_the_load(&[4, 4, 7, 5], Some(Outcome::Value(0)), "kexec kexec-carry")]
    #[case::does_not_carry(&[4, 5, 8, 1], Some(Outcome::Value(0)), "kexec")]
    #[case::loses_one(&[4, 5, 8, 9], Some(Outcome::Value(0)), "kexec kexec-carry kexec-late kexec-records")]
    #[case::loses_the_first(&[4, 4, 7, 7], Some(Outcome::Value(0)), "kexec kexec-carry kexec-late")]
    #[case::loses_one_of_the_copy(&[4, 4, 7, 4], Some(Outcome::Value(0)), "kexec kexec-carry")]
    #[case::doubles_one(&[4, 4, 7, 9], Some(Outcome::Value(0)), "kexec kexec-carry kexec-late")]
    #[case::does_not_come_back(&[4, 5, 8], Some(Outcome::Value(0)), "")]
    #[case::does_not_load(&[4, 4, 7], Some(Outcome::Errno(38)), "")]
    #[case::says_nothing(&[], None, "")]
    fn what_a_kernel_does_is_what_it_can(
        #[case] counts: &[u64],
        #[case] load: Option<Outcome>,
        #[case] expected: &str,
    ) {
        let mut messages = vec![hello(0)];
        messages.extend(load.map(|load| done(Ask::Load, load)));
        let asks = [Ask::CountBefore, Ask::CountLoaded, Ask::CountLate, Ask::CountCarried];
        for (ask, count) in asks.into_iter().zip(counts) {
            if matches!(ask, Ask::CountCarried) {
                messages.push(hello(1));
            }
            messages.extend(counted(ask, *count));
        }
        let found = Capabilities {
            release: "7.3.4".to_owned(),
            interface: Interface::Upstream,
            have: BTreeSet::from([Capability::Kexec, Capability::Policy]),
            files: BTreeSet::new(),
        };
        assert!(third(&found).is_some());
        let found = with_third(found, &messages);
        let names: Vec<&str> =
            found.have.iter().filter(|have| **have != Capability::Policy).map(|have| have.name()).collect();
        assert_eq!(names.join(" "), expected);
        assert_eq!(third(&found).is_some(), !expected.is_empty());
    }

    #[test]
    fn a_kernel_that_does_not_come_back_lacks_nothing() {
        let found = Capabilities {
            release: "7.3.4".to_owned(),
            interface: Interface::Upstream,
            have: BTreeSet::from([Capability::Kexec, Capability::Policy]),
            files: BTreeSet::new(),
        };
        let late = [Capability::KexecCarry, Capability::KexecLate, Capability::KexecRecords];
        assert!(late.into_iter().all(|capability| without_third(found.clone()).has(capability)));
    }
}
