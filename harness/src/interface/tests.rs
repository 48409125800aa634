use std::collections::BTreeSet;

use imalab_wire::{Message, Outcome, Piece, Step};
use rstest::rstest;

use super::probe::{ProbeError, capabilities, first, second, with_second};
use super::*;

/// A kernel that the probe's program is played against, so far as the probe looks at it.
#[derive(Clone)]
struct Kernel {
    files: Vec<&'static str>,
    interface: Interface,
    trim: bool,
    htable: bool,
    flush: bool,
    policy: bool,
    records_policies: bool,
    tpm: bool,
    failslab: bool,
}

const UPSTREAM: Kernel = Kernel {
    files: Vec::new(),
    interface: Interface::Upstream,
    trim: true,
    htable: true,
    flush: false,
    policy: true,
    records_policies: true,
    tpm: true,
    failslab: true,
};

/// The lists of such a kernel.
struct Lists<'k> {
    kernel: &'k Kernel,
    current: u64,
    staged: u64,
    seen: BTreeSet<String>,
    policy: bool,
    records_policies: bool,
}

impl Lists<'_> {
    fn opens(&self, path: &str, writes: bool) -> bool {
        let name = path.rsplit('/').next().unwrap();
        match self.kernel.interface {
            Interface::Upstream if name.contains("_staged") => name.ends_with("_sha1_staged"),
            Interface::RfcV2 | Interface::TwoCommand if name.contains("_staged") => {
                name.ends_with("_staged_sha1")
            }
            Interface::RfcV2 | Interface::TwoCommand => !(writes && name.contains("_runtime_")),
            _ => {
                !name.contains("_staged")
                    && (self.kernel.tpm || path != TPM)
                    && (self.kernel.failslab || !path.contains("failslab"))
            }
        }
    }

    fn write(&mut self, path: &str, text: &str) -> bool {
        if path.ends_with("/policy") {
            self.policy = self.kernel.policy;
            self.records_policies |= self.kernel.records_policies && text.contains("label=ima_policy");
            self.current += u64::from(self.policy && self.records_policies);
            return self.policy;
        }
        let on_staged = path.contains("_staged");
        let number = text.trim_end().parse::<i64>().ok();
        match (self.kernel.interface, on_staged, number) {
            (Interface::Upstream | Interface::RfcV2, true, None) if text == "A\n" => {
                self.stage(u64::MAX, false)
            }
            (Interface::Upstream | Interface::RfcV2 | Interface::TwoCommand, true, None) if text == "D\n" => {
                let works = self.staged > 0;
                self.staged = 0;
                self.forget();
                works
            }
            (Interface::RfcV2, true, Some(number @ 1..)) => self.stage(number as u64, true),
            (Interface::TwoCommand, true, Some(number @ 1..)) => self.stage(number as u64, false),
            (Interface::RfcV2, true, Some(number)) => self.staged == 0 && self.trim(number.unsigned_abs()),
            (Interface::Upstream, false, Some(number)) => {
                self.kernel.trim && !self.kernel.flush && self.trim(number as u64)
            }
            (Interface::Transaction, false, Some(number)) => self.trim(number as u64),
            _ => false,
        }
    }

    fn stage(&mut self, count: u64, exactly: bool) -> bool {
        let works = self.staged == 0 && self.current > 0 && !(exactly && self.current < count);
        if works {
            self.staged = count.min(self.current);
            self.current -= self.staged;
        }
        works
    }

    fn trim(&mut self, count: u64) -> bool {
        let works = self.current >= count;
        if works {
            self.current -= count;
            self.forget();
        }
        works
    }

    fn forget(&mut self) {
        if self.kernel.flush {
            self.seen.clear();
        }
    }
}

/// Plays a program: what the agent would send on such a kernel.
fn play(kernel: &Kernel, steps: &[Step]) -> Vec<Message> {
    let mut sent = vec![Message::Hello {
        version: imalab_wire::VERSION,
        token: 1,
        boot: 0,
        release: "7.3.4".to_owned(),
        at_ns: 0,
    }];
    let mut lists = Lists {
        kernel,
        current: 1,
        staged: 0,
        seen: BTreeSet::new(),
        policy: false,
        records_policies: false,
    };
    for step in steps {
        let mut failed = false;
        let mut path = String::new();
        for (op, number) in step.ops.iter().zip(0..) {
            let mut data = Vec::new();
            let ok = !failed
                && match op {
                    Op::Open { path: opened, flags, .. } => {
                        path.clone_from(opened);
                        lists.opens(opened, flags & 3 != 0)
                    }
                    Op::List { .. } => {
                        data = kernel.files.join("\n").into_bytes();
                        !kernel.files.is_empty()
                    }
                    Op::Read { .. } => {
                        data = match path.rsplit('/').next().unwrap() {
                            "runtime_measurements_count" => format!("{}\n", lists.current).into_bytes(),
                            name if name.contains("_staged") => {
                                vec![0; usize::try_from(lists.staged).unwrap()]
                            }
                            _ => Vec::new(),
                        };
                        true
                    }
                    Op::Write { bytes, .. } => lists.write(&path, std::str::from_utf8(bytes).unwrap()),
                    Op::Measure { name, count, .. } => {
                        let new = lists.seen.insert(name.clone()) || !kernel.htable;
                        lists.current += if lists.policy && new { *count } else { 0 };
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

/// What a kernel lacks, other interfaces than its own apart.
fn lacking(kernel: &Kernel) -> Vec<&'static str> {
    let found = probed(kernel);
    assert_eq!(found.interface, kernel.interface);
    for interface in Capability::INTERFACES {
        assert_eq!(found.has(interface), interface.name() == kernel.interface.name());
    }
    assert!(!found.has(Capability::HashTable) || !found.has(Capability::NoHashTable));
    // What a kernel carries is asked in a boot of its own.
    let apart =
        [Capability::NoHashTable, Capability::KexecCarry, Capability::KexecLate, Capability::KexecRecords];
    let lacks =
        |one: &Capability| !found.has(*one) && !Capability::INTERFACES.contains(one) && !apart.contains(one);
    Capability::ALL.into_iter().filter(lacks).map(Capability::name).collect()
}

const FILES: [&str; 2] = ["binary_runtime_measurements", "binary_runtime_measurements_sha1"];
const NOTHING_REMOVES: [&str; 5] = ["staging", "trim", "flush-htable", "trim-while-staged", "exact-trim"];

#[rstest]
#[case::everything(Kernel { files: FILES.to_vec(), ..UPSTREAM }, &[])]
#[case::no_trim(
    Kernel { files: FILES.to_vec(), trim: false, ..UPSTREAM },
    &["trim", "trim-while-staged", "exact-trim"]
)]
#[case::rfc_v2(
    Kernel { files: FILES.to_vec(), interface: Interface::RfcV2, ..UPSTREAM },
    &["trim-while-staged"]
)]
#[case::two_command(
    Kernel { files: FILES.to_vec(), interface: Interface::TwoCommand, ..UPSTREAM },
    &["trim-while-staged", "exact-trim"]
)]
#[case::transaction(
    Kernel { files: FILES.to_vec(), interface: Interface::Transaction, ..UPSTREAM },
    &["staging", "trim-while-staged"]
)]
#[case::no_staging(
    Kernel { files: FILES.to_vec(), interface: Interface::ReadOnly, ..UPSTREAM },
    &NOTHING_REMOVES
)]
#[case::old(
    Kernel { files: vec![FILES[0]], interface: Interface::ReadOnly, ..UPSTREAM },
    &["bank-files", "staging", "trim", "flush-htable", "trim-while-staged", "exact-trim"]
)]
#[case::no_hash_table(
    Kernel { files: FILES.to_vec(), htable: false, ..UPSTREAM },
    &["hash-table", "flush-htable"]
)]
#[case::no_policy(
    Kernel { files: FILES.to_vec(), policy: false, ..UPSTREAM },
    &["policy", "policy-records", "hash-table", "trim", "flush-htable", "trim-while-staged", "exact-trim"]
)]
#[case::no_policy_records(
    Kernel { files: FILES.to_vec(), records_policies: false, ..UPSTREAM },
    &["policy-records"]
)]
#[case::no_tpm(
    Kernel { files: FILES.to_vec(), tpm: false, ..UPSTREAM },
    &["tpm"]
)]
#[case::no_failslab(
    Kernel { files: FILES.to_vec(), failslab: false, ..UPSTREAM },
    &["allocation-faults"]
)]
#[case::no_ima(
    Kernel { files: vec![], interface: Interface::ReadOnly, policy: false, ..UPSTREAM },
    &["ima", "policy", "policy-records", "bank-files", "hash-table", "staging", "trim", "flush-htable", "trim-while-staged", "exact-trim"]
)]
fn capabilities_are_what_was_seen_to_work(#[case] kernel: Kernel, #[case] lacks: &[&str]) {
    assert_eq!(lacking(&kernel), lacks);
}

#[rstest]
#[case::with_one(true, true, false)]
#[case::without(false, true, true)]
#[case::nobody_knows(false, false, false)]
fn no_hash_table_is_one_that_was_seen_to_suppress_nothing(
    #[case] htable: bool,
    #[case] policy: bool,
    #[case] expected: bool,
) {
    let kernel = Kernel { files: FILES.to_vec(), htable, policy, ..UPSTREAM };
    assert_eq!(probed(&kernel).has(Capability::NoHashTable), expected);
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

#[rstest]
#[case(Interface::RfcV2, true, "A\n", Some(Action::Stage))]
#[case(Interface::RfcV2, true, "A", Some(Action::Stage))]
#[case(Interface::RfcV2, true, "5\n", Some(Action::Stage))]
#[case(Interface::RfcV2, true, "-5\n", Some(Action::Trim { records: 5 }))]
#[case(Interface::RfcV2, true, "D\n", Some(Action::Delete))]
#[case(Interface::RfcV2, true, "0\n", None)]
#[case(Interface::RfcV2, true, "9223372036854775808\n", None)]
#[case(Interface::RfcV2, false, "5\n", None)]
#[case(Interface::TwoCommand, true, "5\n", Some(Action::Stage))]
#[case(Interface::TwoCommand, true, "18446744073709551615\n", Some(Action::Stage))]
#[case(Interface::TwoCommand, true, "D", Some(Action::Delete))]
#[case(Interface::TwoCommand, true, "-5\n", None)]
#[case(Interface::TwoCommand, true, "A\n", None)]
#[case(Interface::TwoCommand, false, "D\n", None)]
#[case(Interface::Transaction, false, "5\n", Some(Action::Trim { records: 5 }))]
#[case(Interface::Transaction, false, "0", None)]
#[case(Interface::Transaction, true, "5\n", None)]
fn requests_of_the_proposals_are_recognised(
    #[case] interface: Interface,
    #[case] staged: bool,
    #[case] text: &str,
    #[case] action: Option<Action>,
) {
    assert_eq!(adapter(interface).meaning(staged, text), action);
}

#[test]
fn the_bank_comes_last_in_the_names_of_the_proposals() {
    for interface in [Interface::RfcV2, Interface::TwoCommand] {
        let path = |form, bank, staged| adapter(interface).list(form, bank, staged).unwrap();
        assert!(
            path(Form::Ascii, Some(Bank::Sha384), true)
                .ends_with("/ascii_runtime_measurements_staged_sha384")
        );
        assert!(path(Form::Binary, None, true).ends_with("/binary_runtime_measurements_staged"));
        assert!(path(Form::Binary, Some(Bank::Sha1), false).ends_with("/binary_runtime_measurements_sha1"));
    }
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
