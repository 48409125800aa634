//! One measurement log out of many pieces: shards on disk, and the records that are still in the kernel.
//!
//! A *shard* is a file of records that were taken out of the kernel, written once. The pieces together are the log of a machine
//! since its last cold boot; [`Log`] reads it at any byte, in each form that a kernel shows. A byte of it never moves: offsets
//! count from the first record after the cold boot, wherever that record is kept now.
//!
//! Pure: what reads files, and from where, is the caller's ([`ReadAt`]).

mod form;
mod judge;
mod log;
mod place;
mod segment;
mod shard;
mod source;

pub use form::Form;
pub use judge::{Candidate, Evidence, Judgement};
pub use log::{Broken, Gap, Log};
pub use place::{Place, Position};
pub use segment::Segment;
pub use shard::{Damage, Header, NotRecords, Sealed, Shard, ShardName, seal};
pub use source::ReadAt;
