//! Strict reading of marshalled TPM structures (TPM 2.0 Library Part 1, 5.2: big-endian, no padding).

/// Why bytes are not the structure they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The structure ends too early.
    #[error("{field} at byte {at} needs {needed} bytes, {left} are left")]
    Short {
        /// Field that is cut.
        field: &'static str,
        /// Its offset in bytes.
        at: usize,
        /// Its length in bytes.
        needed: usize,
        /// Bytes that are left from `at` on.
        left: usize,
    },
    /// Something follows the structure.
    #[error("{extra} bytes too many from byte {at} on")]
    Trailing {
        /// Where the structure ended, in bytes.
        at: usize,
        /// How many bytes follow.
        extra: usize,
    },
    /// A field has a value that it must not have.
    #[error("{field} at byte {at}: expected {expected}, found {found:#x}")]
    Value {
        /// Field that is wrong.
        field: &'static str,
        /// Its offset in bytes.
        at: usize,
        /// What is allowed.
        expected: &'static str,
        /// What is there.
        found: u64,
    },
}

/// Reads one structure from its first byte to its last.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads these bytes from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// Offset of the next field, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next `needed` bytes, which the field has.
    pub fn take(&mut self, field: &'static str, needed: usize) -> Result<&'a [u8], Malformed> {
        let left = self.bytes.len() - self.at;
        let Some(taken) = self.bytes[self.at..].get(..needed) else {
            return Err(Malformed::Short { field, at: self.at, needed, left });
        };
        self.at += needed;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(field, N)?);
        Ok(array)
    }

    /// A byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// A big-endian number of 2 bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// A big-endian number of 4 bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// A big-endian number of 8 bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// A `TPM2B`: a 16-bit size and that many bytes.
    pub fn sized(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let size = self.u16(field)?;
        self.take(field, usize::from(size))
    }

    /// The error for the field that was just read, `width` bytes wide.
    pub fn wrong(
        &self,
        field: &'static str,
        width: usize,
        expected: &'static str,
        found: impl Into<u64>,
    ) -> Malformed {
        Malformed::Value { field, at: self.at - width, expected, found: found.into() }
    }

    /// A `TPML_PCR_SELECTION`: for each bank its algorithm and its bit map (bit n of byte m is PCR 8m + n).
    pub fn pcr_selections(&mut self) -> Result<Vec<(u16, Vec<u8>)>, Malformed> {
        let count = self.u32("PCR selection count")?;
        let mut selections = Vec::new();
        for _ in 0..count {
            let alg = self.u16("PCR selection hash")?;
            let size = self.u8("PCR selection size")?;
            selections.push((alg, self.take("PCR selection map", usize::from(size))?.to_vec()));
        }
        Ok(selections)
    }

    /// Ends the reading: nothing may be left.
    pub fn finish(self) -> Result<(), Malformed> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            extra => Err(Malformed::Trailing { at: self.at, extra }),
        }
    }
}
