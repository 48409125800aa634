//! TPM commands as they come over the wire, read by us and by another.

mod command;
mod second_opinion;

/// A command or an answer with a right length.
fn message(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let length = 10 + body.len() as u32;
    [&tag.to_be_bytes()[..], &length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

/// TPM2_PCR_Extend with an empty password, as Linux sends it (`tpm2_pcr_extend`).
fn extend(pcr: u32, digests: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = pcr.to_be_bytes().to_vec();
    body.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
    body.extend((digests.len() as u32).to_be_bytes());
    for (alg, digest) in digests {
        body.extend(alg.to_be_bytes());
        body.extend(digest);
    }
    message(0x8002, 0x182, &body)
}
