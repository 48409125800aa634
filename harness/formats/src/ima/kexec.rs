//! The measurement list as kexec carries it into the next kernel.

use std::io::{self, Read};

use super::{Bank, ByteOrder, LogReader};

/// Bytes in front of the records.
const HEADER: usize = 24;

/// What stands in front of a carried list: `struct ima_kexec_hdr`, `security/integrity/ima/ima.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KexecHeader {
    /// Bytes of header and records together; what follows in the segment is unused.
    pub buffer_size: u64,
    /// How many records follow.
    pub count: u64,
}

/// A segment that does not begin as a carried list does.
#[derive(Debug, thiserror::Error)]
pub enum KexecError {
    /// The segment ends inside the header, or could not be read.
    #[error("cannot read the header of a carried list, {HEADER} bytes")]
    Io(#[source] io::Error),
    /// Another form of the list.
    #[error("expected version 1 of the carried list, found {0}")]
    Version(u16),
    /// The size cannot be.
    #[error("expected a carried list of at least {HEADER} bytes, found {0}")]
    Size(u64),
}

impl KexecHeader {
    /// Reads the header, and returns the reader of the records after it, which ends where they end.
    ///
    /// The records have SHA-1 digests (`ima_measurements_show` without a file). Whether there are `count` of
    /// them is for the caller to see.
    ///
    /// # Errors
    ///
    /// [`KexecError`] when this is not the header of version 1, the only one that kernels up to 7.3 know.
    pub fn read<R: Read>(
        mut source: R,
        order: ByteOrder,
    ) -> Result<(KexecHeader, LogReader<io::Take<R>>), KexecError> {
        let mut bytes = [0; HEADER];
        source.read_exact(&mut bytes).map_err(KexecError::Io)?;
        let [v0, v1, _, _, _, _, _, _, rest @ ..] = bytes;
        let (size, count) = rest.split_at(8);
        let version = match order {
            ByteOrder::Little => u16::from_le_bytes([v0, v1]),
            ByteOrder::Big => u16::from_be_bytes([v0, v1]),
        };
        if version != 1 {
            return Err(KexecError::Version(version));
        }
        let header = KexecHeader { buffer_size: order.u64(size), count: order.u64(count) };
        let records =
            header.buffer_size.checked_sub(HEADER as u64).ok_or(KexecError::Size(header.buffer_size))?;
        Ok((header, LogReader::new(source.take(records), Bank::Sha1).byte_order(order)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Generator, Mix, Record, write_record};
    use super::*;
    use rstest::rstest;

    fn segment(version: u16, size: Option<u64>) -> (Vec<Record>, Vec<u8>) {
        let records: Vec<Record> = Generator::new(1, Mix::Templates).take(3).collect();
        let mut list = Vec::new();
        for record in &records {
            write_record(&mut list, record, ByteOrder::Little).unwrap();
        }
        let mut segment = vec![0; 8];
        segment[..2].copy_from_slice(&version.to_le_bytes());
        segment.extend(size.unwrap_or(24 + list.len() as u64).to_le_bytes());
        segment.extend(3u64.to_le_bytes());
        segment.extend(list);
        segment.extend([0; 100]);
        (records, segment)
    }

    #[test]
    fn the_records_end_where_the_header_says() {
        let (records, segment) = segment(1, None);
        let (header, reader) = KexecHeader::read(&*segment, ByteOrder::Little).unwrap();
        assert_eq!(header.count, 3);
        assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), records);
    }

    #[rstest]
    #[case::version(segment(2, None).1, "expected version 1 of the carried list, found 2")]
    #[case::size(segment(1, Some(23)).1, "expected a carried list of at least 24 bytes, found 23")]
    #[case::short(vec![1; 23], "cannot read the header of a carried list, 24 bytes")]
    fn other_segments_are_refused(#[case] segment: Vec<u8>, #[case] message: &str) {
        let error = KexecHeader::read(&*segment, ByteOrder::Little).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}
