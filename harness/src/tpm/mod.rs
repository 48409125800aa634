//! The TPM: swtpm, the tap before it, the harness's own commands, quotes.
