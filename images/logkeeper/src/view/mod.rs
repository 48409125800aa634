//! The view: a file system that shows what is on disk and in the kernel as the one log that old readers know, in place of the
//! kernel's own files.

mod files;
mod hold;
mod log;
mod mount;
mod serve;
mod wire;

pub(crate) use mount::KIND;

pub use hold::{DISCONNECTED, hold, let_go};
pub use log::Whole;
pub use serve::{End, ViewError, serve};
