//! What a file may be that is no measurement list as it was said to be one.

use std::io::Read;

use super::VerifyArgs;
use imalab_formats::ima::{Bank, ByteOrder, LogReader};

/// Bytes that are looked at.
const LOOK: u64 = 64 << 10;

/// First bytes of what was compressed.
const COMPRESSED: [(&[u8], &str); 4] =
    [(b"\x1f\x8b", "zcat"), (b"\xfd7zXZ\0", "xzcat"), (b"\x28\xb5\x2f\xfd", "zstdcat"), (b"BZh", "bzcat")];

/// What would help to read `start`, the first record of which is not well-formed.
pub(super) fn of(start: impl Read, args: &VerifyArgs) -> Option<String> {
    let mut bytes = Vec::new();
    start.take(LOOK).read_to_end(&mut bytes).ok()?;
    if let Some((_, tool)) = COMPRESSED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(format!(", which is compressed (`{tool} FILE | imalab verify --log -` …)"));
    }
    if is_ascii_list(&bytes) {
        return Some(
            ", which is the ASCII form: the binary one is in binary_runtime_measurements".to_owned(),
        );
    }
    let order = args.byte_order();
    let (other, flag) = match order {
        ByteOrder::Little => (ByteOrder::Big, "with `--big-endian` it is one"),
        ByteOrder::Big => (ByteOrder::Little, "without `--big-endian` it is one"),
    };
    let reads = |bank: Bank, order: ByteOrder| {
        matches!(LogReader::new(&*bytes, bank).byte_order(order).next_record(), Ok(Some(_)))
    };
    // A record of all zeros could be one in either order.
    if let Some(bank) = Bank::ALL.into_iter().find(|bank| reads(*bank, other)) {
        let view = if args.view.is_some_and(|view| view != bank) {
            format!(" and `--view {bank}`")
        } else {
            String::new()
        };
        return Some(format!(" ({flag}{view})"));
    }
    let view = args.view?;
    let fitting = Bank::ALL.into_iter().find(|bank| reads(*bank, order));
    let fitting = fitting.map_or(String::new(), |bank| format!("; it is that of bank {bank}"));
    Some(format!(", read as the file of bank {view} (see --view){fitting}"))
}

/// Whether the text begins as `ascii_runtime_measurements` does: PCR, template digest, template name
/// (`ima_ascii_measurements_show`, `security/integrity/ima/ima_fs.c`).
fn is_ascii_list(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (pcr, digest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_number = !pcr.is_empty() && pcr.len() < 3 && pcr.iter().all(u8::is_ascii_digit);
    is_number && digest.len() >= 40 && digest.iter().all(u8::is_ascii_hexdigit)
}
