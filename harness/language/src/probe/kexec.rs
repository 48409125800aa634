//! Whether a kernel goes on in itself, with its list, and records that it does.

use imalab_wire::{End, Message, Op, Program, Setup, Start, Step, StepId, Task};
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::answers::{Answers, counted as counted_as, grown};
use super::{Boot, ProbeError, SLOT, count, look, measure};
use crate::capabilities::{Capabilities, FindingCode, ProbeFinding};
use crate::capability::Capability;
use crate::interface::IMA;
use crate::vocabulary::DEFAULT_POLICY;
use imalab_wire::kernels::SAME;

/// Records loads and executions, where the kernel has such records.
const RECORDS: &str = "measure func=CRITICAL_DATA label=ima_kexec\n";

/// What `kexec_file_load(2)` gives in a kernel without it, one that is locked down, and one that wants a signature
/// (`kimage_validate_signature`, `kernel/kexec_file.c`; `verify_pefile_signature`).
const ABSENT: [Errno; 6] =
    [Errno::ENOSYS, Errno::EPERM, Errno::ENODATA, Errno::ENOKEY, Errno::EKEYREJECTED, Errno::EKEYEXPIRED];

/// What `CONFIG_IMA_KEXEC` is there for.
const CARRIED: &str = "\"the IMA measurement list of the running kernel must be saved and restored on boot\" \
     (CONFIG_IMA_KEXEC, security/integrity/ima/Kconfig)";

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
        marks: Vec::new(),
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
///
/// # Errors
///
/// As [`super::capabilities`].
pub fn with_third(mut found: Capabilities, messages: &[Message]) -> Result<Capabilities, ProbeError> {
    let answers = Answers::read(messages)?;
    let load = Ask::Load as StepId;
    if !answers.ok(load) {
        // A kernel built without the call, or one that is locked down, says so.
        let absent = answers.errno(load).is_some_and(|errno| ABSENT.iter().any(|one| *one as i32 == errno));
        if absent {
            found.have.remove(&Capability::Kexec);
            return Ok(found);
        }
        found.findings.push(ProbeFinding::new(
            FindingCode::KexecRefused,
            "load this kernel by kexec_file_load",
            "success, or an error that the call does not exist or is not permitted",
            answers.told(load),
            "kexec_file_load(2)",
        ));
        return Ok(without_third(found));
    }
    let counted = |ask: Ask| answers.count(ask as StepId);
    let (before, loaded, late) =
        (counted(Ask::CountBefore), counted(Ask::CountLoaded), counted(Ask::CountLate));
    let carried = counted(Ask::CountCarried);
    let records = grown(before, loaded).is_some_and(|records| records > 0);
    // Beside the second kernel's own boot aggregate, and the record of the execution.
    let own = 1 + u64::from(records);
    let more = |than: Option<u64>| carried.zip(than).is_some_and(|(carried, than)| carried > than + own);
    // A copy made at the load has nothing that came after it. Kernels with records of kexec never make it there.
    let copied_late = records || more(before);
    // The kernel that records kexec is built to carry the list, and so it does, or should.
    let carries = records || more(Some(0));
    found.have.extend(carries.then_some(Capability::KexecCarry));
    found.have.extend((carries && copied_late).then_some(Capability::KexecLate));
    found.have.extend(records.then_some(Capability::KexecRecords));
    // Not only whether, but how many: what scenarios need to show it they have.
    let expected = if copied_late { late } else { loaded }.map(|count| count + own);
    // A counter that never could be read is a finding of its own.
    if carries && carried != expected || before.is_some() && carried.is_none() {
        found.findings.push(ProbeFinding::new(
            FindingCode::KexecCarriesOther,
            "kexec into this kernel, with its list",
            counted_as(expected),
            counted_as(carried),
            CARRIED,
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use imalab_wire::Outcome;
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

    const ALL: &str = "kexec kexec-carry kexec-late kexec-records";
    const LATE: &str = "kexec kexec-carry kexec-late";

    #[rstest]
    #[case::records_and_carries(&[4, 5, 8, 10], Outcome::Value(0), ALL, "")]
    #[case::carries(&[4, 4, 7, 8], Outcome::Value(0), LATE, "")]
    #[case::carries_what_was_there_at_the_load(&[4, 4, 7, 5], Outcome::Value(0), "kexec kexec-carry", "")]
    #[case::is_built_to_carry_nothing(&[4, 4, 7, 1], Outcome::Value(0), "kexec", "")]
    #[case::does_not_carry(&[4, 5, 8, 1], Outcome::Value(0), ALL, "kexec-carries-other")]
    #[case::loses_one(&[4, 5, 8, 9], Outcome::Value(0), ALL, "kexec-carries-other")]
    #[case::loses_the_first(&[4, 4, 7, 7], Outcome::Value(0), LATE, "kexec-carries-other")]
    #[case::loses_one_of_the_copy(&[4, 4, 7, 4], Outcome::Value(0), "kexec kexec-carry", "kexec-carries-other")]
    #[case::doubles_one(&[4, 4, 7, 9], Outcome::Value(0), LATE, "kexec-carries-other")]
    #[case::copies_early_though_it_records(&[4, 5, 8, 6], Outcome::Value(0), ALL, "kexec-carries-other")]
    #[case::has_no_counter_then(&[4, 5, 8], Outcome::Value(0), ALL, "kexec-carries-other")]
    #[case::is_built_without(&[4, 4, 7], Outcome::Errno(38), "", "")]
    #[case::refuses(&[4, 4, 7], Outcome::Errno(22), ALL, "kexec-refused")]
    fn what_a_kernel_does_is_what_it_can(
        #[case] counts: &[u64],
        #[case] load: Outcome,
        #[case] expected: &str,
        #[case] code: &str,
    ) {
        let mut messages = vec![hello(0), done(Ask::Load, load)];
        let asks = [Ask::CountBefore, Ask::CountLoaded, Ask::CountLate, Ask::CountCarried];
        for (ask, count) in asks.into_iter().zip(counts) {
            if matches!(ask, Ask::CountCarried) {
                messages.push(hello(1));
            }
            messages.extend(counted(ask, *count));
        }
        messages.push(Message::Done { ops: 0, frames: 0 });
        let found = Capabilities {
            release: "7.3.4".to_owned(),
            interface: Interface::UPSTREAM,
            have: BTreeSet::from([Capability::Kexec, Capability::Policy]),
            files: Default::default(),
            behaviours: Default::default(),
            seen: Default::default(),
            findings: Vec::new(),
        };
        assert!(third(&found).is_some());
        let found = with_third(found, &messages).unwrap();
        let names: Vec<&str> =
            found.have.iter().filter(|have| **have != Capability::Policy).map(|have| have.name()).collect();
        assert_eq!(names.join(" "), expected);
        let codes: Vec<String> = found.findings.iter().map(|finding| finding.code.name()).collect();
        assert_eq!(codes.join(" "), code);
        assert_eq!(third(&found).is_some(), !expected.is_empty());
    }

    #[test]
    fn a_kernel_that_does_not_come_back_lacks_nothing() {
        let found = Capabilities {
            release: "7.3.4".to_owned(),
            interface: Interface::UPSTREAM,
            have: BTreeSet::from([Capability::Kexec, Capability::Policy]),
            files: Default::default(),
            behaviours: Default::default(),
            seen: Default::default(),
            findings: Vec::new(),
        };
        let late = [Capability::KexecCarry, Capability::KexecLate, Capability::KexecRecords];
        assert!(late.into_iter().all(|capability| without_third(found.clone()).has(capability)));
    }
}
