//! What the tap saw: the guest's extends in the order in which the TPM took them.

use std::collections::BTreeSet;

use super::extends::{Chosen, Extend, Extends};
use super::{Oddities, Oddity};
use imalab_formats::ima::{Bank, Digest};
use imalab_formats::tpm::command::{self, Command};
use imalab_language::finding;
use imalab_trace::{Exchange, Origin};

/// The PCR that IMA extends unless a rule of its policy names another (`CONFIG_IMA_MEASURE_PCR_IDX`).
pub(crate) const IMA_PCR: u32 = 10;

/// `TPM_RC_RETRY` (TPM 2.0 Library Part 2, 6.6.3): the kernel sends the command again after a pause that doubles
/// (`tpm_transmit`, `drivers/char/tpm/tpm-interface.c`).
const RC_RETRY: u32 = 0x922;

/// `TPM_SU_CLEAR` (TPM 2.0 Library Part 2, 6.10).
const STARTUP_CLEAR: u16 = 0;

/// An extend that the TPM, or the tap in its place, refused.
#[derive(Clone, Debug)]
pub(crate) struct FailedExtend {
    /// The extend.
    pub(crate) extend: Extend,
    /// Its response code; 0 when the answer could not be read.
    pub(crate) code: u32,
}

/// What the tap saw of the guest.
#[derive(Debug)]
pub(crate) struct Tap {
    /// Extends of any PCR that succeeded, the firmware's among them, and those that were kept.
    pub(crate) attempts: Extends,
    /// Places of extends that the tap kept from the TPM, as the plan says, and that the guest did not send again: their records
    /// are in the list and not in the PCR. The kernel appends before it extends and takes nothing back
    /// (`ima_add_template_entry`, `security/integrity/ima/ima_queue.c`).
    pub(crate) kept: BTreeSet<usize>,
    /// Extends that did not.
    pub(crate) failed: Vec<FailedExtend>,
    /// PCRs that the guest changed otherwise than by extends: of which values is not followed.
    pub(crate) changed: BTreeSet<u32>,
    /// TPM commands of the guest, marks not counted.
    pub(crate) commands: u64,
    /// Commands that came by the harness's port and changed a PCR: how many, and the first. No list explains that PCR.
    pub(crate) foreign: Option<(u64, String)>,
}

/// Picks the guest's extends out of what the tap saw.
pub(super) struct Digester<'a> {
    banks: &'a [Bank],
    tap: Tap,
    /// Digests of the extend before, when the kernel was asked to send it again.
    retried: Option<Box<[Option<Digest>]>>,
    /// Why not all of it is kept, once that has happened.
    trouble: Option<String>,
}

/// Refused extends that are kept; a kernel gives up long before.
const MOST_REFUSED: usize = 10_000;

impl<'a> Digester<'a> {
    pub(super) fn new(banks: &'a [Bank]) -> Digester<'a> {
        let attempts = Extends::new(banks);
        let (kept, changed) = (BTreeSet::new(), BTreeSet::new());
        let tap = Tap { attempts, kept, failed: Vec::new(), changed, commands: 0, foreign: None };
        Digester { banks, tap, retried: None, trouble: None }
    }

    /// Takes the next exchange.
    pub(super) fn exchange(&mut self, seq: u64, exchange: &Exchange, oddities: &mut Oddities) {
        if !matches!(exchange.origin, Origin::Guest | Origin::Kept) {
            return self.foreign(seq, exchange);
        }
        self.tap.commands += 1;
        let code = command::response_code(&exchange.answer).ok();
        let command = match command::parse(&exchange.command) {
            Ok(command) => command,
            // The guest may send nonsense as long as the TPM does not take it for an extend.
            Err(why) => {
                if code == Some(0) && command::command_code(&exchange.command) == Some(command::PCR_EXTEND) {
                    oddities.push(Oddity::MalformedExtend { seq, why: why.to_string() });
                }
                return;
            }
        };
        if let Command::PcrExtend { pcr, digests } = command {
            let extend = sort(seq, pcr, &digests, self.banks);
            if self.retried.take().is_some_and(|digests| digests == extend.digests) {
                // It was the last.
                self.tap.kept.pop_last();
                self.tap.attempts.pop();
            }
            if exchange.origin == Origin::Kept {
                self.retried = (code == Some(RC_RETRY)).then(|| extend.digests.clone());
                self.tap.kept.insert(self.tap.attempts.len());
                self.attempt(extend);
                return;
            }
            match code {
                Some(0) => self.attempt(extend),
                _ if self.tap.failed.len() < MOST_REFUSED => {
                    self.tap.failed.push(FailedExtend { extend, code: code.unwrap_or_default() });
                }
                // Said once: no check passes on what is left.
                _ => {
                    self.trouble.get_or_insert_with(|| {
                        format!(
                            "more than {MOST_REFUSED} extends of the guest were refused; the rest was not kept"
                        )
                    });
                }
            }
        } else if code == Some(0) {
            self.tap.meddling(seq, &command, oddities);
        }
    }

    /// Takes a command that is not the guest's.
    fn foreign(&mut self, seq: u64, exchange: &Exchange) {
        let Some(command) = command::changes_pcr(&exchange.command) else { return };
        if command::response_code(&exchange.answer) == Ok(0) {
            let first = || format!("event {seq}: {command} came through the harness's own port");
            self.tap.foreign.get_or_insert_with(|| (0, first())).0 += 1;
        }
    }

    fn attempt(&mut self, extend: Extend) {
        if let Err(why) = self.tap.attempts.push(extend) {
            self.trouble.get_or_insert(why);
        }
    }

    /// All that the tap saw, and why not all of it is kept, where it is not.
    pub(super) fn finish(self) -> (Tap, Option<String>) {
        (self.tap, self.trouble)
    }
}

fn sort(seq: u64, pcr: u32, digests: &[(u16, Vec<u8>)], banks: &[Bank]) -> Extend {
    let mut sorted: Box<[Option<Digest>]> = banks.iter().map(|_| None).collect();
    let mut foreign = Vec::new();
    for (alg, bytes) in digests {
        let place = banks.iter().position(|bank| bank.tpm_alg() == *alg);
        match place.and_then(|at| Some((at, Digest::from_bytes(banks[at], bytes)?))) {
            Some((at, digest)) if sorted[at].is_none() => sorted[at] = Some(digest),
            // A second digest for one bank is none of the machine's either.
            _ => foreign.push(*alg),
        }
    }
    Extend { seq, pcr, digests: sorted, foreign }
}

impl Tap {
    /// Why no list explains the TPM's PCRs, when the guest was not alone in changing them.
    pub(crate) fn not_alone(&self) -> Option<finding::Evidence> {
        let (count, first) = self.foreign.as_ref()?;
        let (command, more) = (first.clone(), count.saturating_sub(1));
        Some(finding::Evidence::PcrNotTheGuests { command, more })
    }

    /// Places of the attempts that reached the TPM.
    pub(crate) fn reached(&self) -> impl Iterator<Item = usize> {
        (0..self.attempts.len()).filter(|at| !self.kept.contains(at))
    }

    /// The extends of this PCR that reached the TPM.
    pub(crate) fn extends_of(&self, pcr: u32) -> Chosen<'_> {
        self.attempts.at(self.reached().filter(|at| self.attempts.pcr(*at) == Some(pcr)))
    }

    /// Commands that change PCR 10 and that IMA never sends: the records cannot explain the PCR after them.
    fn meddling(&mut self, seq: u64, command: &Command, oddities: &mut Oddities) {
        if let Command::PcrEvent { pcr, .. }
        | Command::EventSequenceComplete { pcr }
        | Command::PcrReset { pcr } = command
        {
            self.changed.insert(*pcr);
        }
        let extended = self.reached().any(|at| self.attempts.pcr(at) == Some(IMA_PCR));
        let (command, when) = match command {
            Command::PcrEvent { pcr: IMA_PCR, .. } => ("TPM2_PCR_Event for PCR 10", ""),
            Command::EventSequenceComplete { pcr: IMA_PCR } => ("TPM2_EventSequenceComplete for PCR 10", ""),
            Command::PcrReset { pcr: IMA_PCR } => ("TPM2_PCR_Reset for PCR 10", ""),
            Command::Startup { kind: STARTUP_CLEAR } if extended => {
                ("TPM2_Startup(CLEAR)", " after it had extended PCR 10: the TPM was reset")
            }
            _ => return,
        };
        oddities.push(Oddity::Meddling { seq, command, when });
    }
}
