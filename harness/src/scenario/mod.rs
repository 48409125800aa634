//! The scenario language: what a user writes, and errors that point at it.
