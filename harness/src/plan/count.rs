//! How many records each list holds, as far as a scenario's steps tell before the run.

use std::collections::BTreeMap;

use crate::scenario::{Call, Expectation, File, Records, Step, Verb};

/// Records that a kernel puts in the list before anything is measured: the boot aggregate, which is always the
/// first entry (`ima_init` in `security/integrity/ima/ima_init.c`).
pub const BOOT_RECORDS: u64 = 1;

/// The lists' lengths while a single task runs; `None` once they can no longer be known.
#[derive(Clone, Debug)]
pub(super) struct Count {
    current: Option<u64>,
    staged: Option<u64>,
    /// Most files measured under each name and salt.
    measured: BTreeMap<(String, String), u64>,
    /// Whether a file measured before is recorded no second time.
    suppresses: bool,
}

impl Count {
    pub(super) fn new(suppresses: bool) -> Count {
        Count { current: Some(BOOT_RECORDS), staged: Some(0), measured: BTreeMap::new(), suppresses }
    }

    /// Records in the current list.
    pub(super) fn current(&self) -> Option<u64> {
        self.current
    }

    /// Records in the staged list.
    pub(super) fn staged(&self) -> Option<u64> {
        self.staged
    }

    /// Records that measuring these files will add.
    pub(super) fn new_records(&self, files: u64, name: &str, salt: &str) -> Option<u64> {
        match self.measured.get(&(name.to_owned(), salt.to_owned())) {
            None => Some(files),
            Some(before) if self.suppresses => Some(files.saturating_sub(*before)),
            Some(_) => None,
        }
    }

    /// Takes a step in.
    pub(super) fn step(&mut self, step: &Step) {
        let certain = match step.expect {
            Expectation::Errno(_) => return self.failed(&step.verb),
            Expectation::Any => false,
            _ => true,
        };
        match &step.verb {
            Verb::Measure { files, name, salt } => {
                let new = match step.expect {
                    Expectation::NewRecords(records) => Some(records),
                    _ => self.new_records(*files, name, salt),
                };
                let before = self.measured.entry((name.clone(), salt.clone())).or_default();
                *before = (*before).max(*files);
                self.current = self.current.zip(new).map(|(current, new)| current + new);
            }
            Verb::Stage => {
                self.staged = self.current;
                self.current = Some(0);
            }
            Verb::Delete => self.staged = Some(0),
            Verb::Trim { records } => {
                self.current = match records {
                    Records::Exactly(records) => {
                        self.current.and_then(|current| current.checked_sub(*records))
                    }
                    Records::All => Some(0),
                }
            }
            // What is written may be any command, and what is opened may be measured.
            Verb::Call(Call::Write { .. } | Call::Open { file: File::Path(_), .. })
            | Verb::View { file: File::Path(_) } => self.lose(),
            _ => {}
        }
        if !certain && !matches!(step.verb, Verb::Save | Verb::View { .. } | Verb::Call(_)) {
            self.lose();
        }
    }

    /// A verb that fails leaves the lists as they are, but for a measuring that stopped half-way.
    fn failed(&mut self, verb: &Verb) {
        if matches!(verb, Verb::Measure { .. }) {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.current = None;
        self.staged = None;
    }
}
