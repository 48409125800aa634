//! Why a command to the monitor failed.

use std::io;
use std::io::ErrorKind;
use std::time::Duration;

/// Longest line that is taken from QEMU, in bytes. `query-qmp-schema`, its longest answer, is about 0.2 MB.
pub(super) const MAX_LINE: u64 = 4 * 1024 * 1024;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    /// No answer in time: QEMU is stopped, stuck, or the host is overloaded.
    #[error("QEMU's monitor did not answer `{command}` within {patience:?}")]
    Silent {
        /// What was asked (`greeting` at the start).
        command: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The connection ended, as it does when QEMU ends.
    #[error("QEMU's monitor closed the connection")]
    Closed,
    /// QEMU refused.
    #[error("QEMU refused `{command}`: {description} ({class})")]
    Refused {
        /// What was asked.
        command: String,
        /// QEMU's class of the error.
        class: String,
        /// QEMU's words.
        description: String,
    },
    /// A machine's state was not moved.
    #[error("QEMU could not move the machine's state: {0}")]
    NotMoved(String),
    /// What came is no QMP.
    #[error("QEMU's monitor sent something that is not QMP: {0}")]
    Malformed(String),
    /// A line of more than 4 MiB.
    #[error("QEMU's monitor sent a line longer than {MAX_LINE} bytes")]
    Oversized,
    /// The socket failed.
    #[error("QEMU's monitor cannot be reached: {0}")]
    Socket(String),
}

impl From<io::Error> for QmpError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Socket(error.to_string()),
        }
    }
}
