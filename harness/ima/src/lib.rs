//! IMA's measurement list: records, their binary and ASCII forms, digests of each bank, replay.
//!
//! Pure, and small enough for a program in a guest: bytes become values and values become bytes.

mod ascii;
mod bank;
mod batch;
mod digest;
mod extend;
mod field;
mod read_error;
mod reader;
mod record;
mod replay;
mod template;
mod writer;

pub use ascii::{AsciiError, AsciiLine, AsciiProblem, AsciiReader, TextError};
pub use bank::{Bank, UnknownBank};
pub use batch::Batch;
pub use digest::{Digest, Hasher};
pub use field::{ByteOrder, DataError, Field, Fields};
pub use read_error::{Part, Problem, ReadError};
pub use reader::{DATA_MAX, LogReader, NAME_MAX, PCR_LIMIT, parse_log};
pub use record::{Record, RecordRef};
pub use replay::{Replay, matching_prefix, replay};
pub use template::{FieldKind, field_kind, format_of, is_known_template};
pub use writer::{template_data, write_record};
