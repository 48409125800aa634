//! How many records each list holds, as far as a scenario's steps tell before the run.

use crate::vocabulary::BOOT_RECORDS;
use crate::vocabulary::FLUSH;
use std::collections::BTreeMap;

use super::kernel_words::has_boot_policy;
use crate::scenario::{Attestation, Call, Expectation, File, Files, Leave, Records, Step, Verb, Way};
use crate::vocabulary::DEFAULT_POLICY;
use imalab_formats::ima::lists::{Length, ListId, Lists, Loss, Namespace, Part, Request};

/// Hooks that never see a file which is only opened for reading (`ima_match_rules` in
/// `security/integrity/ima/ima_policy.c`).
const OTHER_HOOKS: &[&str] =
    &["func=BPRM_CHECK", "func=MMAP_CHECK", "func=MODULE_CHECK", "func=POLICY_CHECK"];

/// The lists' lengths while a single task runs; `None` once they can no longer be known.
#[derive(Clone, Debug)]
pub(super) struct Count {
    lists: Lists<Length>,
    /// Most files measured under each name and salt.
    measured: BTreeMap<(String, String), u64>,
    /// Whether a file measured before is recorded no second time.
    suppresses: bool,
    /// Whether the policy is known to record each file of `measure` once, and nothing else.
    plain: bool,
    /// Whether the kernel measures by a policy of its own before that: how much is not known.
    booted: bool,
    /// The kernel that is loaded.
    next: Next,
}

/// What is known of the kernel that kexec goes on in.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    /// It is the running one.
    same: bool,
    /// It forgets the digests of what is deleted.
    flushes: bool,
    /// It measures by a policy of its own at first.
    booted: bool,
}

impl Count {
    /// `booted`: whether the kernel measures by a policy of its own until this one is loaded.
    pub(super) fn new(suppresses: bool, policy: &str, booted: bool) -> Count {
        let mut lists = Lists::new();
        lists.append(ListId::CURRENT, Length((!booted).then_some(BOOT_RECORDS)));
        let (measured, plain) = (BTreeMap::new(), is_plain(policy));
        Count { lists, measured, suppresses, plain, booted, next: Next::default() }
    }

    /// As at the start of a boot after one of which nothing is known.
    pub(super) fn unknown(suppresses: bool, policy: &str, booted: bool) -> Count {
        let mut count = Count::new(suppresses, policy, booted);
        count.lose();
        count
    }

    /// Records in the current list.
    pub(super) fn current(&self) -> Option<u64> {
        self.lists.get(ListId::CURRENT).0
    }

    /// Records in the staged list.
    pub(super) fn staged(&self) -> Option<u64> {
        self.lists.get(ListId::STAGED).0
    }

    /// Records that measuring these files will add.
    pub(super) fn new_records(&self, files: &Files, by: Way) -> Option<u64> {
        if !self.plain || by != Way::Open {
            return None;
        }
        match self.measured.get(&(files.name.clone(), files.salt.clone())) {
            None => Some(files.count),
            Some(before) if self.suppresses => Some(files.count.saturating_sub(*before)),
            Some(_) => None,
        }
    }

    /// Takes a step in.
    pub(super) fn step(&mut self, step: &Step) {
        if !step.expect.may_succeed() {
            return self.failed(&step.verb);
        }
        match &step.verb {
            Verb::Measure { files, by } => {
                let new = match step.expect {
                    Expectation::NewRecords(records) => Some(records),
                    _ => self.new_records(files, *by),
                };
                let before = self.measured.entry((files.name.clone(), files.salt.clone())).or_default();
                *before = (*before).max(files.count);
                self.grow(new);
            }
            // A violation is recorded beside the file it is about, and twice where both kinds are seen.
            Verb::Violate { .. } | Verb::LoadModule { .. } => self.grow(match step.expect {
                Expectation::NewRecords(records) => Some(records),
                _ => None,
            }),
            Verb::Stage => self.stage(),
            Verb::Delete => self.carry_out(Request::Delete),
            // What is refused is nothing that could be counted on.
            Verb::Trim { records: Records::Exactly(records) }
                if self.current().is_some_and(|current| current < *records) =>
            {
                *self.lists.get_mut(ListId::CURRENT) = Length(None);
            }
            Verb::Trim { records: Records::Exactly(records) } => self.carry_out(Request::Trim(*records)),
            Verb::Trim { records: Records::All } => self.carry_out(Request::TrimAll),
            // What is left is the aggregate, and what has come since.
            Verb::Snapshot { purges: true } => *self.lists.get_mut(ListId::CURRENT) = Length(Some(1)),
            Verb::Snapshot { purges: false } => self.grow(Some(1)),
            Verb::TrimTo { .. } | Verb::Attest(Attestation::Trim) => {
                *self.lists.get_mut(ListId::CURRENT) = Length(None)
            }
            Verb::Attest(Attestation::Stage) => {
                self.stage();
                self.carry_out(Request::Delete);
            }
            Verb::MarkLog => self.grow(Some(1)),
            Verb::LoadPolicy(_) => {
                self.plain = false;
                self.lose();
            }
            Verb::KexecLoad { kernel, args, .. } => {
                self.next = Next {
                    same: kernel == "same",
                    flushes: args.iter().any(|word| word == FLUSH),
                    booted: has_boot_policy(args),
                };
                if !self.plain {
                    self.lose();
                }
            }
            Verb::KexecExecute { by: Leave::Reboot } => self.next_boot(),
            Verb::KexecExecute { by: Leave::Panic } => {
                self.next_boot();
                self.lose();
            }
            // What is written may be any command, and what is opened may be measured.
            Verb::Call(call) if call.hands_over().is_some() => self.lose(),
            Verb::Call(Call::Open { file: File::Path(_), .. }) | Verb::View { file: File::Path(_) } => {
                self.lose()
            }
            _ => {}
        }
        if !step.expect.succeeds() && !harmless(&step.verb) {
            self.lose();
        }
    }

    /// What was staged and what was current is carried over, before the next boot's aggregate; it is not in the hash
    /// table there (`ima_restore_measurement_entry` in `security/integrity/ima/ima_queue.c`).
    fn next_boot(&mut self) {
        self.plain &= self.next.same;
        // The words of the running kernel's command line stay.
        self.suppresses &= !self.next.flushes;
        self.booted |= self.next.booted;
        self.lists.kexec(Loss::default());
        self.grow((self.plain && !self.booted).then_some(BOOT_RECORDS));
        self.measured.clear();
    }

    fn carry_out(&mut self, request: Request) {
        self.lists.carry_out(Namespace::INIT, request);
    }

    /// One that succeeds found nothing staged.
    fn stage(&mut self) {
        self.lists.take(ListId::STAGED, Part::All);
        self.carry_out(Request::StageAll);
    }

    fn grow(&mut self, new: Option<u64>) {
        self.lists.append(ListId::CURRENT, Length(new));
    }

    /// A verb that fails leaves the lists as they are, but for a measuring that stopped half-way.
    fn failed(&mut self, verb: &Verb) {
        if matches!(verb, Verb::Measure { .. } | Verb::Violate { .. } | Verb::LoadModule { .. }) {
            self.lose();
        }
    }

    fn lose(&mut self) {
        for list in [ListId::CURRENT, ListId::STAGED] {
            *self.lists.get_mut(list) = Length(None);
        }
    }
}

/// Whether a step changes no list, however it ends.
fn harmless(verb: &Verb) -> bool {
    let measures = matches!(verb, Verb::Measure { .. } | Verb::Violate { .. } | Verb::LoadModule { .. });
    !measures && !verb.asks_for_a_move()
}

/// Whether a policy records each file that is opened for reading, and nothing that a scenario does not measure.
fn is_plain(policy: &str) -> bool {
    let mut rules = policy.lines().map(str::trim).filter(|rule| !rule.is_empty() && !rule.starts_with('#'));
    let measures = policy.lines().any(|rule| rule.trim() == DEFAULT_POLICY.trim());
    let harmless =
        |rule: &str| OTHER_HOOKS.iter().any(|hook| rule.split_whitespace().any(|word| word == *hook));
    measures && rules.all(|rule| rule == DEFAULT_POLICY.trim() || harmless(rule))
}
