//! What goes to a TPM and comes back: commands and their names, faults that a plan orders, quotes and their verification.

pub mod command;
pub mod fault;
pub mod message;
pub mod quote;
pub mod response;
pub mod unmarshal;
