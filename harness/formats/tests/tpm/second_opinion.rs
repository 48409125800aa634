//! Another reader of TPM commands, `tpm2-protocol`, on what is most rested on: an extend as Linux sends it (`tpm2_pcr_extend`).

use imalab_formats::ima::Bank;
use imalab_formats::tpm::command::{Command, parse};
use proptest::prelude::*;
use tpm2_protocol::data::TpmtHa;
use tpm2_protocol::frame::{TpmCommand, TpmPcrExtendCommand};

use super::{extend, message};

/// The PCR, and the algorithm of each digest, as the other reader has them; none of what it refuses.
fn theirs(bytes: &[u8]) -> Option<(u32, Vec<u16>)> {
    let command = TpmCommand::cast(bytes).ok()?;
    let pcr = u32::from_be_bytes(command.handles().ok()?.try_into().ok()?);
    let extend = command.unmarshal::<TpmPcrExtendCommand>().ok()?;
    Some((pcr, extend.digests.iter().map(|digest: &TpmtHa| digest.hash_alg as u16).collect()))
}

fn ours(bytes: &[u8]) -> Option<(u32, Vec<u16>)> {
    match parse(bytes) {
        Ok(Command::PcrExtend { pcr, digests }) => Some((pcr, digests.iter().map(|(alg, _)| *alg).collect())),
        _ => None,
    }
}

fn digests() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    proptest::sample::subsequence(Bank::ALL.to_vec(), 1..=Bank::ALL.len()).prop_map(|banks| {
        banks
            .into_iter()
            .map(|bank| (bank.tpm_alg(), vec![bank.digest_size() as u8; bank.digest_size()]))
            .collect()
    })
}

proptest! {
    #[test]
    fn both_read_the_same_extend(pcr in 0u32..24, digests in digests()) {
        let bytes = extend(pcr, &digests);
        let expected = (pcr, digests.iter().map(|(alg, _)| *alg).collect());
        prop_assert_eq!(ours(&bytes), Some(expected));
        prop_assert_eq!(ours(&bytes), theirs(&bytes));
    }

    /// Cut off or made longer, with a length that fits the lie.
    #[test]
    fn both_refuse_the_same_extends(digests in digests(), cut in 10usize..300, more in 0usize..3) {
        let whole = extend(10, &digests);
        let body = &whole[10..cut.clamp(10, whole.len())];
        let bytes = message(0x8002, 0x182, &[body, &vec![0; more]].concat());
        prop_assert_eq!(ours(&bytes), theirs(&bytes));
    }
}
