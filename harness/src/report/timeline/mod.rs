//! A run as a picture: a page in the run's folder with a lane for each task, the TPM, and the lists.

mod columns;
mod draw;
mod levels;
mod page;
#[cfg(test)]
mod tests;

pub use page::page;
