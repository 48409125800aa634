//! Bytes in fields: as they are in frames, as hexadecimal text in what people may read (a stored trace).

use serde::{Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    if to.is_human_readable() { hex::serde::serialize(bytes, to) } else { serde_bytes::serialize(bytes, to) }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    if from.is_human_readable() { hex::serde::deserialize(from) } else { serde_bytes::deserialize(from) }
}
