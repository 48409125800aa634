//! The PCR banks of a TPM: made exactly what a scenario wants, before the machine starts.
//!
//! `TPM2_PCR_Allocate` (TPM 2.0 Library Part 3, 22.5) takes effect at the next TPM Reset, which for swtpm is one
//! more INIT on its control channel: no second process and no tool.

use std::collections::BTreeSet;

use super::control::{self, ControlError};
use super::frame;
use super::link::{Link, LinkError};
use imalab_formats::ima::Bank;
use imalab_formats::tpm::command::name;
use imalab_formats::tpm::unmarshal::{Malformed, Reader};

const CC_PCR_ALLOCATE: u32 = 0x12b;
const CC_STARTUP: u32 = 0x144;
const CC_SHUTDOWN: u32 = 0x145;
const CC_GET_CAPABILITY: u32 = 0x17a;
const CAP_PCRS: u32 = 5;
const RH_PLATFORM: u32 = 0x4000_000c;
const RS_PW: u32 = 0x4000_0009;
const SU_CLEAR: u16 = 0;

/// Bytes of a PCR bit map: 24 PCRs (TCG PC Client Platform TPM Profile, 4.6).
const MAP: usize = 3;

/// Why the banks are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum BanksError {
    /// No bank at all was asked for.
    #[error("at least one PCR bank is needed")]
    None,
    /// The TPM has no such hash.
    #[error("this TPM cannot have a {0} bank")]
    Unsupported(Bank),
    /// The banks after allocation are others.
    #[error("PCR banks: expected {}, found {}", names(expected), algs(found))]
    Differ {
        /// Banks that were asked for.
        expected: BTreeSet<Bank>,
        /// `TPM_ALG_ID` of the active ones.
        found: BTreeSet<u16>,
    },
    /// The TPM refused a command.
    #[error("{} answered {code:#x}", name(*command).unwrap_or("TPM command"))]
    Refused {
        /// Its command code.
        command: u32,
        /// Its response code.
        code: u32,
    },
    /// `TPM2_PCR_Allocate` succeeded but allocated nothing.
    #[error("the TPM has no room for the banks: {needed} bytes needed, {available} available")]
    NoRoom {
        /// Bytes needed.
        needed: u32,
        /// Bytes available.
        available: u32,
    },
    /// An answer cannot be read.
    #[error("answer to {}: {source}", name(*command).unwrap_or("TPM command"))]
    Answer {
        /// The command code.
        command: u32,
        /// Why.
        source: Malformed,
    },
    /// swtpm gave no answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// swtpm could not be restarted.
    #[error(transparent)]
    Control(#[from] ControlError),
}

fn names(banks: &BTreeSet<Bank>) -> String {
    banks.iter().map(|bank| bank.name()).collect::<Vec<_>>().join(", ")
}

fn algs(algs: &BTreeSet<u16>) -> String {
    let name = |&alg| Bank::from_tpm_alg(alg).map_or(format!("{alg:#06x}"), |bank| bank.name().to_owned());
    algs.iter().map(name).collect::<Vec<_>>().join(", ")
}

impl Link {
    /// Makes `wanted` the active PCR banks, verifies it by `TPM2_GetCapability(TPM_CAP_PCRS)`, and leaves the TPM
    /// stopped, as QEMU expects it.
    pub fn set_banks(&self, wanted: &[Bank]) -> Result<(), BanksError> {
        let wanted: BTreeSet<Bank> = wanted.iter().copied().collect();
        if wanted.is_empty() {
            return Err(BanksError::None);
        }
        let all: BTreeSet<u16> = wanted.iter().map(|bank| bank.tpm_alg()).collect();
        self.restart()?;
        let mut banks = self.banks()?;
        if active(&banks) != all {
            if let Some(&missing) =
                wanted.iter().find(|bank| !banks.iter().any(|(alg, _)| *alg == bank.tpm_alg()))
            {
                return Err(BanksError::Unsupported(missing));
            }
            self.allocate(&banks, &all)?;
            self.shut_down()?;
            self.restart()?;
            banks = self.banks()?;
        }
        let found = active(&banks);
        let complete = banks.iter().all(|(_, map)| map.iter().all(|&byte| byte == 0) || is_full(map));
        if found != all || !complete {
            return Err(BanksError::Differ { expected: wanted, found });
        }
        self.shut_down()?;
        self.command(control::STOP, &[])?;
        Ok(())
    }

    /// A power cycle and `TPM2_Startup(CLEAR)`.
    fn restart(&self) -> Result<(), BanksError> {
        self.command(control::INIT, &[0; 4])?;
        self.execute(frame::bare(CC_STARTUP, &SU_CLEAR.to_be_bytes())).map(drop)
    }

    fn shut_down(&self) -> Result<(), BanksError> {
        self.execute(frame::bare(CC_SHUTDOWN, &SU_CLEAR.to_be_bytes())).map(drop)
    }

    /// Every bank that the TPM has an implementation for, with its map of PCRs.
    fn banks(&self) -> Result<Vec<(u16, Vec<u8>)>, BanksError> {
        let ask = [CAP_PCRS, 0, 1].map(u32::to_be_bytes).concat();
        let answer = self.execute(frame::bare(CC_GET_CAPABILITY, &ask))?;
        read_banks(&answer).map_err(|source| BanksError::Answer { command: CC_GET_CAPABILITY, source })
    }

    fn allocate(&self, banks: &[(u16, Vec<u8>)], wanted: &BTreeSet<u16>) -> Result<(), BanksError> {
        let answer = self.execute(allocate(banks, wanted))?;
        let read = |answer| {
            let mut reader = Reader::new(answer);
            reader.take("header", frame::HEADER)?;
            reader.u32("parameter size")?;
            let done = reader.u8("allocationSuccess")?;
            reader.u32("maxPCR")?;
            Ok((done, reader.u32("sizeNeeded")?, reader.u32("sizeAvailable")?))
        };
        match read(&answer).map_err(|source| BanksError::Answer { command: CC_PCR_ALLOCATE, source })? {
            (1, _, _) => Ok(()),
            (_, needed, available) => Err(BanksError::NoRoom { needed, available }),
        }
    }

    fn execute(&self, command: Vec<u8>) -> Result<Vec<u8>, BanksError> {
        let answer = self.lock().exchange(0, &command)?;
        match frame::code(&answer) {
            Some(frame::RC_SUCCESS) => Ok(answer),
            code => Err(BanksError::Refused {
                command: frame::code(&command).unwrap_or_default(),
                code: code.unwrap_or_default(),
            }),
        }
    }
}

fn is_full(map: &[u8]) -> bool {
    map.len() >= MAP && map[..MAP].iter().all(|&byte| byte == 0xff)
}

fn active(banks: &[(u16, Vec<u8>)]) -> BTreeSet<u16> {
    banks.iter().filter(|(_, map)| map.iter().any(|&byte| byte != 0)).map(|&(alg, _)| alg).collect()
}

/// Reads an answer to `TPM2_GetCapability(TPM_CAP_PCRS)`.
fn read_banks(answer: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, Malformed> {
    let mut reader = Reader::new(answer);
    reader.take("header", frame::HEADER)?;
    reader.u8("moreData")?;
    let capability = reader.u32("capability")?;
    if capability != CAP_PCRS {
        return Err(reader.wrong("capability", 4, "TPM_CAP_PCRS", capability));
    }
    let banks = reader.pcr_selections()?;
    reader.finish()?;
    Ok(banks)
}

/// `TPM2_PCR_Allocate` with the (empty) platform password. Banks that are not mentioned stay as they are, so all
/// are.
fn allocate(banks: &[(u16, Vec<u8>)], wanted: &BTreeSet<u16>) -> Vec<u8> {
    let mut body = RH_PLATFORM.to_be_bytes().to_vec();
    // authorizationSize; handle, empty nonce, attributes, empty password (Part 1, 18.6).
    body.extend(9u32.to_be_bytes());
    body.extend(RS_PW.to_be_bytes());
    body.extend([0; 5]);
    body.extend((banks.len() as u32).to_be_bytes());
    for (alg, _) in banks {
        body.extend(alg.to_be_bytes());
        body.push(MAP as u8);
        body.extend([if wanted.contains(alg) { 0xff } else { 0 }; MAP]);
    }
    frame::with_sessions(CC_PCR_ALLOCATE, &body)
}
