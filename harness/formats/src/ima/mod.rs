//! IMA's measurement list: records, their binary and ASCII forms, replay.

mod ascii;
mod bank;
mod batch;
pub mod dialect;
mod digest;
mod extend;
mod field;
mod generate;
mod kexec;
pub mod lists;
pub mod model;
mod pcr_file;
mod pcr_selection;
mod read_error;
mod reader;
mod record;
mod replay;
mod template;
mod writer;

pub use ascii::{AsciiError, AsciiLine, AsciiProblem, AsciiReader, TextError};
pub use bank::{Bank, UnknownBank};
pub use batch::Batch;
pub use digest::Digest;
pub use field::{ByteOrder, DataError, Field, Fields};
pub use generate::{Generator, Mix, generate_log};
pub use kexec::{KexecError, KexecHeader};
pub use pcr_file::{PcrFileError, PcrHint, PcrValues};
pub use pcr_selection::{PcrSelection, SelectionError};
pub use read_error::{Part, Problem, ReadError};
pub use reader::{DATA_MAX, LogReader, NAME_MAX, PCR_LIMIT, parse_log};
pub use record::{Record, RecordRef};
pub use replay::{Replay, matching_prefix, replay};
pub use template::{FieldKind, field_kind, format_of, is_known_template};
pub use writer::{template_data, write_record};
