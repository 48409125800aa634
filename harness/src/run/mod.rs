//! Drives one plan on a machine and collects its trace.
