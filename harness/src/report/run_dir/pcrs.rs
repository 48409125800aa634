//! PCR values in the form that `evmctl ima_measurement --pcrs <bank>,FILE` reads.

use std::fmt::Write as _;

use imalab_trace::PcrValue;

/// The PCR that IMA extends (`CONFIG_IMA_MEASURE_PCR_IDX`, 10 unless configured otherwise).
const IMA_PCR: usize = 10;

/// The file's text: lines `PCR-nn:HEX` from 00 on.
///
/// The form is that of the kernel's TPM 1.2 attribute `pcrs`. evmctl (`read_one_bank` of ima-evm-utils 1.4) takes a line only
/// when its number is the next one, so 00 to 09 must be there; it compares none that the log does not extend. Its line
/// buffer has room for the longest digest without a blank before it.
pub fn pcrs_text(value: &PcrValue) -> String {
    let mut text = format!(
        "# {}: PCR {IMA_PCR} as read from the TPM. The ones before it were not read: zeros keep their places.\n",
        value.bank
    );
    let zeros = vec![0; value.bank.digest_size()];
    for number in 0..=IMA_PCR {
        let digest = if number == IMA_PCR { &value.digest } else { &zeros };
        let _ = writeln!(text, "PCR-{number:02}:{}", hex::encode_upper(digest));
    }
    text
}
