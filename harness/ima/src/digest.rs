//! A digest of one bank, on the stack.

use std::fmt;

use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::{Bank, extend};

/// Bytes of the largest digest that a [`Bank`] has.
const LARGEST: usize = 64;

/// A digest of one bank: a template digest, a PCR value, the result of an extend.
///
/// It lies on the stack, so that replaying a list allocates nothing per record.
#[derive(Clone, Copy, Eq)]
pub struct Digest {
    bank: Bank,
    /// Bytes past the bank's digest size stay zero.
    bytes: [u8; LARGEST],
}

impl PartialEq for Digest {
    /// Looks at eight bytes first: while a prefix is searched nearly all comparisons end there, without a call.
    fn eq(&self, other: &Digest) -> bool {
        self.bank == other.bank && self.bytes[..8] == other.bytes[..8] && self.bytes == other.bytes
    }
}

impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bank.hash(state);
        self.as_bytes().hash(state);
    }
}

impl Digest {
    /// All bytes zero: the value of PCR 0 to 15 after a reset, and the template digest of a violation.
    pub fn zero(bank: Bank) -> Digest {
        Digest { bank, bytes: [0; LARGEST] }
    }

    /// All bytes 0xff: what the kernel extends for a violation (`ima_init_digests`,
    /// `security/integrity/ima/ima_queue.c`).
    pub fn ones(bank: Bank) -> Digest {
        let mut digest = Digest::zero(bank);
        digest.bytes[..bank.digest_size()].fill(0xff);
        digest
    }

    /// These bytes as a digest of `bank`; `None` when they are not of the bank's digest size.
    pub fn from_bytes(bank: Bank, bytes: &[u8]) -> Option<Digest> {
        (bytes.len() == bank.digest_size()).then(|| {
            let mut digest = Digest::zero(bank);
            digest.bytes[..bytes.len()].copy_from_slice(bytes);
            digest
        })
    }

    /// The hash of `bank` over `parts`, one after the other.
    pub fn of(bank: Bank, parts: &[&[u8]]) -> Digest {
        let mut digest = Digest::zero(bank);
        let out = &mut digest.bytes;
        match bank {
            Bank::Sha1 => hash::<Sha1>(parts, out),
            Bank::Sha256 => hash::<Sha256>(parts, out),
            Bank::Sha384 => hash::<Sha384>(parts, out),
            Bank::Sha512 => hash::<Sha512>(parts, out),
        }
        digest
    }

    /// These bytes, padded with zeros to the size of a digest of `bank`, or cut to it.
    #[must_use]
    pub fn padded_to(&self, bank: Bank) -> Digest {
        let mut digest = Digest::zero(bank);
        let size = self.bank.digest_size().min(bank.digest_size());
        digest.bytes[..size].copy_from_slice(&self.bytes[..size]);
        digest
    }

    /// Makes of this PCR value the one that follows when `with` is extended (TPM 2.0 Library Part 1, 17.3:
    /// `PCRnew = H(PCRold || digest)`). Both are of one bank; when they are not, the bank of `self` hashes both
    /// as they are.
    pub fn extend(&mut self, with: &Digest) {
        match (self.bank, with.bank) {
            (Bank::Sha1, Bank::Sha1) => extend::extend_sha1(&mut self.bytes, &with.bytes),
            (Bank::Sha256, Bank::Sha256) => extend::extend_sha256(&mut self.bytes, &with.bytes),
            (bank, _) => *self = Digest::of(bank, &[self.as_bytes(), with.as_bytes()]),
        }
    }

    /// The bank.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// The bytes, as many as the bank's digest has.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.bank.digest_size()]
    }
}

/// The hash of a bank over what comes bit by bit.
#[derive(Clone, Debug)]
pub struct Hasher {
    bank: Bank,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// Over nothing yet.
    pub fn new(bank: Bank) -> Hasher {
        let state = match bank {
            Bank::Sha1 => State::Sha1(Sha1::default()),
            Bank::Sha256 => State::Sha256(Sha256::default()),
            Bank::Sha384 => State::Sha384(Sha384::default()),
            Bank::Sha512 => State::Sha512(Sha512::default()),
        };
        Hasher { bank, state }
    }

    /// The bank.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// Takes what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        match &mut self.state {
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The hash of all that came.
    pub fn digest(&self) -> Digest {
        use sha2::Digest as _;
        let mut digest = Digest::zero(self.bank);
        let out = &mut digest.bytes[..self.bank.digest_size()];
        match self.state.clone() {
            State::Sha1(state) => out.copy_from_slice(&state.finalize()),
            State::Sha256(state) => out.copy_from_slice(&state.finalize()),
            State::Sha384(state) => out.copy_from_slice(&state.finalize()),
            State::Sha512(state) => out.copy_from_slice(&state.finalize()),
        }
        digest
    }
}

fn hash<D: sha2::Digest>(parts: &[&[u8]], out: &mut [u8; LARGEST]) {
    let mut hasher = D::new();
    for part in parts {
        hasher.update(part);
    }
    let result = hasher.finalize();
    out[..result.len()].copy_from_slice(&result);
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Digest {
    /// Lower-case hexadecimal, without the bank.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.bank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // The empty message's digests, FIPS 180-4 example values.
    #[rstest]
    #[case(Bank::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709")]
    #[case(Bank::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    #[case(
        Bank::Sha384,
        "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"
    )]
    #[case(
        Bank::Sha512,
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    )]
    fn each_bank_has_its_hash(#[case] bank: Bank, #[case] empty: &str) {
        assert_eq!(Digest::of(bank, &[]).to_string(), empty);
        assert_eq!(Digest::of(bank, &[b"ab", b"c"]), Digest::of(bank, &[b"abc"]));
        let mut hasher = Hasher::new(bank);
        assert_eq!(hasher.digest().to_string(), empty);
        [&b"ab"[..], b"c"].iter().for_each(|part| hasher.update(part));
        assert_eq!(hasher.digest(), Digest::of(bank, &[b"abc"]));
        assert_eq!(Digest::ones(bank).as_bytes(), vec![0xff; bank.digest_size()]);
        assert_eq!(Digest::from_bytes(bank, &[0; 19]), None);
        let mut value = Digest::of(bank, &[b"old"]);
        value.extend(&Digest::of(bank, &[b"event"]));
        let both = [Digest::of(bank, &[b"old"]), Digest::of(bank, &[b"event"])];
        assert_eq!(value, Digest::of(bank, &[both[0].as_bytes(), both[1].as_bytes()]));
    }
}
