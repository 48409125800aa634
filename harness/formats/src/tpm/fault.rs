//! What the tap does to TPM commands of the guest when a plan says so.

use serde::{Deserialize, Serialize};

/// Something that is to happen to commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Command code that it waits for.
    pub command: u32,
    /// Such commands that pass first.
    pub skip: u32,
    /// Such commands that it then happens to.
    pub times: u32,
    /// What happens.
    pub how: How,
}

/// What happens to a TPM command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The TPM never sees it, and the guest gets this response code.
    Answer {
        /// As TPM 2.0 Library Part 2, 6.6 has it.
        code: u32,
    },
    /// The guest gets no answer before it cancels the command.
    Lost {
        /// Whether the TPM carries it out.
        carried_out: bool,
    },
    /// The guest gets the answer so much later.
    Late {
        /// Milliseconds of host time.
        ms: u32,
        /// Whether the TPM carries it out before the wait instead of after it. After it, a command that the guest has
        /// cancelled meanwhile is not carried out at all.
        carried_out: bool,
    },
}
