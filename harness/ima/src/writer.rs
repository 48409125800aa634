//! Writes the binary form of the measurement list.

use std::io::{self, Write};

use super::field::ByteOrder;
use super::record::RecordRef;
use super::template;

/// Writes one record as `binary_runtime_measurements*` has it (`ima_measurements_show`,
/// `security/integrity/ima/ima_fs.c`).
///
/// What [`LogReader`](super::LogReader) read comes out as the same bytes. The data are written as they are;
/// `order` is that of the lengths around them.
///
/// # Errors
///
/// Those of `out`; [`io::ErrorKind::InvalidInput`] for a name or data of more than 4 GiB.
pub fn write_record<'a>(
    out: &mut impl Write,
    record: impl Into<RecordRef<'a>>,
    order: ByteOrder,
) -> io::Result<()> {
    let record = record.into();
    out.write_all(&order.bytes(record.pcr))?;
    out.write_all(record.digest)?;
    out.write_all(&order.bytes(length(record.template.as_bytes())?))?;
    out.write_all(record.template.as_bytes())?;
    if record.template != template::LEGACY {
        out.write_all(&order.bytes(length(record.data)?))?;
    }
    out.write_all(record.data)
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Builds template data: each field's length in front of it, as every template but `ima` has them.
///
/// A field of more than 4 GiB cannot be told in the form; its length is cut to 32 bits.
pub fn template_data(fields: &[&[u8]], order: ByteOrder) -> Vec<u8> {
    let mut data = Vec::new();
    for field in fields {
        data.extend_from_slice(&order.bytes(field.len() as u32));
        data.extend_from_slice(field);
    }
    data
}
