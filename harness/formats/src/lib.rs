//! What the field's formats are: measurement lists and their replay, TPM commands and quotes, what a
//! kernel reports on its console when something is wrong, and the reference model of the
//! kernel interfaces.
//!
//! Pure: bytes become values and values become bytes. Nothing here starts a process or needs a system library.

pub mod ima;
pub mod splat;
pub mod tpm;

pub use ima::dialect::{Interface, NoInterface};
