//! What a list is judged by.

use super::quoted::Quoted;
use imalab_formats::ima::{Bank, ByteOrder, Digest, PcrValues, Replay};

/// What records are judged by.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Bank whose file was read.
    pub view: Bank,
    /// Byte order of the list.
    pub order: ByteOrder,
    /// PCR values of a TPM, one bank each.
    pub targets: Vec<PcrValues>,
    /// What PCRs were before the first record, where that is not what a reset leaves; one bank each.
    pub starts: Vec<PcrValues>,
    /// What a quote attests to.
    pub quoted: Option<Quoted>,
    /// Banks other than SHA-1 were extended with the SHA-1 digest, padded with zeros.
    pub padded_sha1: bool,
}

impl Setup {
    pub(super) fn start(&self, bank: Bank, pcr: u32) -> Option<Digest> {
        self.starts.iter().find(|values| values.bank() == bank).and_then(|values| values.get(pcr))
    }

    pub(super) fn target(&self, bank: Bank, pcr: u32) -> Option<Digest> {
        self.targets.iter().find(|values| values.bank() == bank).and_then(|values| values.get(pcr))
    }

    /// The PCRs of a bank before the first record.
    pub(super) fn replay(&self, bank: Bank) -> Replay {
        let mut replay = Replay::new(bank);
        for (pcr, value) in
            self.starts.iter().filter(|values| values.bank() == bank).flat_map(PcrValues::iter)
        {
            replay.start_at(pcr, value);
        }
        replay
    }
}
