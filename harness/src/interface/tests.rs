use imalab_wire::{Message, Outcome, Piece, Step};
use rstest::rstest;

use super::probe::{ProbeError, capabilities, first, second, with_second};
use super::*;

/// A kernel that the probe's program is played against, so far as the probe looks at it.
#[derive(Clone)]
struct Kernel {
    files: Vec<&'static str>,
    staging: bool,
    trim: bool,
    htable: bool,
    flush: bool,
    policy: bool,
    tpm: bool,
}

const UPSTREAM: Kernel = Kernel {
    files: Vec::new(),
    staging: true,
    trim: true,
    htable: true,
    flush: false,
    policy: true,
    tpm: true,
};

/// Plays a program: what the agent would send on such a kernel.
fn play(kernel: &Kernel, steps: &[Step]) -> Vec<Message> {
    let mut sent = vec![Message::Hello {
        version: imalab_wire::VERSION,
        token: 1,
        boot: 0,
        release: "7.3.4".to_owned(),
        at_ns: 0,
    }];
    let (mut current, mut staged, mut seen, mut policy) = (1_u64, 0_u64, false, false);
    for step in steps {
        let mut failed = false;
        let mut path = String::new();
        for (op, number) in step.ops.iter().zip(0..) {
            let mut data = Vec::new();
            let ok = match op {
                Op::Open { path: opened, .. } => {
                    path.clone_from(opened);
                    (kernel.staging || !opened.contains("_staged")) && (kernel.tpm || opened != TPM)
                }
                Op::List { .. } => {
                    data = kernel.files.join("\n").into_bytes();
                    !kernel.files.is_empty()
                }
                Op::Read { .. } => {
                    data = match path.rsplit('/').next().unwrap() {
                        "runtime_measurements_count" => format!("{current}\n").into_bytes(),
                        name if name.contains("_staged") => vec![0; usize::try_from(staged).unwrap()],
                        _ => Vec::new(),
                    };
                    true
                }
                Op::Write { bytes, .. } => match bytes.as_slice() {
                    b"A\n" => {
                        let works = current > 0;
                        (staged, current) = (current, 0);
                        works
                    }
                    b"D\n" => {
                        (staged, seen) = (0, seen && !kernel.flush);
                        true
                    }
                    b"1\n" => {
                        let works = kernel.trim && !kernel.flush && current > 0;
                        current -= u64::from(works);
                        works
                    }
                    _ => {
                        policy = kernel.policy;
                        policy
                    }
                },
                Op::Measure { count, .. } => {
                    current += if policy && !(seen && kernel.htable) { *count } else { 0 };
                    seen = true;
                    true
                }
                _ => true,
            };
            let outcome = match (failed, ok) {
                (true, _) => Outcome::NotAttempted,
                (false, true) => Outcome::Value(0),
                (false, false) => Outcome::Errno(22),
            };
            failed |= !ok;
            // Pieces of one byte, as the boundaries are the agent's choice.
            for (bytes, offset) in data.chunks(1).zip(0..) {
                let piece = Piece { task: 0, step: step.id, op: number, offset, bytes: bytes.to_vec() };
                sent.push(Message::Data(piece));
            }
            sent.push(Message::OpDone {
                task: 0,
                step: step.id,
                op: number,
                begin_ns: 0,
                end_ns: 0,
                outcome,
            });
        }
    }
    sent.push(Message::Done { ops: 0, frames: 0 });
    sent
}

fn probed(kernel: &Kernel) -> Capabilities {
    let boot = first();
    assert!(boot.kernel_args.is_empty());
    let found = capabilities(&play(kernel, &boot.program.tasks[0].steps)).unwrap();
    match second(&found) {
        None => found,
        Some(boot) => {
            assert_eq!(boot.kernel_args, ["ima_flush_htable"]);
            let flushes = Kernel { flush: kernel.htable, ..kernel.clone() };
            with_second(found, &play(&flushes, &boot.program.tasks[0].steps)).unwrap()
        }
    }
}

fn lacking(kernel: &Kernel) -> Vec<&'static str> {
    let found = probed(kernel);
    Capability::ALL.into_iter().filter(|one| !found.has(*one)).map(Capability::name).collect()
}

const FILES: [&str; 2] = ["binary_runtime_measurements", "binary_runtime_measurements_sha1"];

#[rstest]
#[case::everything(Kernel { files: FILES.to_vec(), ..UPSTREAM }, &[])]
#[case::no_staging(
    Kernel { files: FILES.to_vec(), staging: false, trim: false, ..UPSTREAM },
    &["staging", "trim", "flush-htable"]
)]
#[case::old(
    Kernel { files: vec![FILES[0]], staging: false, trim: false, ..UPSTREAM },
    &["bank-files", "staging", "trim", "flush-htable"]
)]
#[case::no_hash_table(
    Kernel { files: FILES.to_vec(), htable: false, ..UPSTREAM },
    &["hash-table", "flush-htable"]
)]
#[case::no_tpm(Kernel { files: FILES.to_vec(), tpm: false, ..UPSTREAM }, &["tpm"])]
#[case::no_policy(
    Kernel { files: FILES.to_vec(), policy: false, ..UPSTREAM },
    &["policy", "hash-table", "trim", "flush-htable"]
)]
#[case::no_ima(
    Kernel { files: vec![], staging: false, trim: false, policy: false, ..UPSTREAM },
    &["ima", "policy", "bank-files", "hash-table", "staging", "trim", "flush-htable"]
)]
fn capabilities_are_what_was_seen_to_work(#[case] kernel: Kernel, #[case] lacks: &[&str]) {
    assert_eq!(lacking(&kernel), lacks);
}

#[test]
fn a_boot_option_without_effect_is_no_capability() {
    let kernel = Kernel { files: FILES.to_vec(), ..UPSTREAM };
    let found = capabilities(&play(&kernel, &first().program.tasks[0].steps)).unwrap();
    let boot = second(&found).unwrap();
    // The kernel ignores the option, so its digests outlive the delete.
    let found = with_second(found, &play(&kernel, &boot.program.tasks[0].steps)).unwrap();
    assert!(!found.has(Capability::FlushHtable));
}

#[test]
fn a_probe_that_did_not_end_says_nothing() {
    let mut messages = play(&UPSTREAM, &first().program.tasks[0].steps);
    messages.pop();
    assert!(matches!(capabilities(&messages), Err(ProbeError::Unfinished(_))));
    messages.push(Message::Fault { text: "no console".to_owned() });
    messages.push(Message::Done { ops: 0, frames: 0 });
    assert_eq!(capabilities(&messages), Err(ProbeError::Unfinished("no console".to_owned())));
}

#[rstest]
#[case(true, "A\n", Some(Action::Stage))]
#[case(true, "D\n", Some(Action::Delete))]
#[case(false, "A\n", None)]
#[case(true, "A", None)]
#[case(true, "5\n", None)]
#[case(false, "5\n", Some(Action::Trim { records: 5 }))]
#[case(false, "0005\n", Some(Action::Trim { records: 5 }))]
#[case(false, "5\n\n", Some(Action::Trim { records: 5 }))]
#[case(false, "5\n\n\n", None)]
#[case(false, "5\0x\n", Some(Action::Trim { records: 5 }))]
#[case(false, "++5\n", None)]
#[case(false, "-5\n", None)]
#[case(false, "000000000000000000005\n", None)]
fn requests_are_recognised(#[case] staged: bool, #[case] text: &str, #[case] action: Option<Action>) {
    assert_eq!(adapter(Interface::Upstream).meaning(staged, text), action);
    assert_eq!(adapter(Interface::ReadOnly).meaning(staged, text), None);
}

#[test]
fn lists_are_named_as_the_kernel_names_them() {
    let upstream = adapter(Interface::Upstream);
    let path = |form, bank, staged| upstream.list(form, bank, staged).unwrap();
    assert_eq!(
        path(Form::Ascii, Some(Bank::Sha384), true),
        "/sys/kernel/security/integrity/ima/ascii_runtime_measurements_sha384_staged"
    );
    assert_eq!(
        path(Form::Binary, None, false),
        "/sys/kernel/security/integrity/ima/binary_runtime_measurements"
    );
    assert_eq!(adapter(Interface::ReadOnly).list(Form::Binary, None, true), None);
}
