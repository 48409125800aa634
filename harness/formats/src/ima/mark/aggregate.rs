//! `snapshot_aggregate`: the values of all PCRs at one point of the log (`IMA-snapshot.rst` of the series).

use super::{MarkError, Rest};

/// PCRs of a bank (`TPM2_PLATFORM_PCR`, `include/linux/tpm.h`).
pub const MOST_PCRS: usize = 24;

/// What such a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// How many were recorded since cold boot, this one included.
    pub count: u64,
    /// The banks, in the order of the text.
    pub banks: Vec<Vec<Item>>,
}

/// One PCR of one bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The kernel's name of the bank's hash algorithm.
    pub algorithm: String,
    /// Its number.
    pub pcr: u32,
    /// Its value.
    pub value: Vec<u8>,
}

impl Aggregate {
    /// Takes a text apart.
    ///
    /// # Errors
    ///
    /// The first byte that is not as it should be.
    pub fn parse(text: &[u8]) -> Result<Aggregate, MarkError> {
        let mut rest = Rest::new(text);
        rest.words("Snapshot_Attempt_Count=")?;
        let count = rest.number()?;
        rest.words(";")?;
        let mut banks = Vec::new();
        while !rest.is_done() {
            banks.push(bank(&mut rest)?);
        }
        Ok(Aggregate { count, banks })
    }

    /// The value of a PCR in a bank.
    pub fn value(&self, algorithm: &str, pcr: u32) -> Option<&[u8]> {
        let item = self.banks.iter().flatten().find(|item| item.algorithm == algorithm && item.pcr == pcr);
        item.map(|item| item.value.as_slice())
    }
}

/// All PCRs of a bank, in their order.
fn bank(rest: &mut Rest<'_>) -> Result<Vec<Item>, MarkError> {
    let mut items: Vec<Item> = Vec::new();
    loop {
        let at = rest.error("the bank's own algorithm");
        let algorithm = rest.algorithm()?.to_owned();
        if items.first().is_some_and(|first| first.algorithm != algorithm) {
            return Err(at);
        }
        rest.words(":PCR")?;
        let at = rest.error("the next PCR of the bank");
        let pcr = rest.number()?;
        if usize::try_from(pcr) != Ok(items.len()) || items.len() >= MOST_PCRS {
            return Err(at);
        }
        rest.words(":")?;
        let at = rest.error("a value as long as the others of the bank");
        let value = rest.hex()?;
        if items.first().is_some_and(|first| first.value.len() != value.len()) {
            return Err(at);
        }
        // A bank has 24.
        items.push(Item { algorithm, pcr: items.len() as u32, value });
        if rest.left().starts_with(b",") {
            rest.words(",")?;
        } else {
            rest.words(";")?;
            return Ok(items);
        }
    }
}
