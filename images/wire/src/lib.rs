//! The messages that the harness and the agent exchange: one program in, many frames out.
//!
//! The harness hands a [`Program`] over before the guest runs; the agent carries it out and only sends
//! [`Message`]s, each in a [`frame`] with version, sequence number and checksum, the last of which is
//! [`Message::Done`]. Neither side trusts the other's lengths.

mod bytes;
pub mod frame;
mod ids;
pub mod kernels;
mod message;
mod program;
mod run;

pub use ids::{Slot, StepId, TaskId};
pub use message::{Message, Observed, Outcome, Piece};
pub use program::{End, File, KEXEC_FILE_ON_CRASH, Op, Program, Setup, Start, Step, Task, Violation, filled};
pub use run::{KillAt, MAX_OBSERVED, MAX_OUTPUT, MAX_REQUEST, MAX_SAID, PROGRAMS, Run};

/// Version of the program and of every frame; both sides refuse any other.
pub const VERSION: u16 = 8;

/// fw_cfg item that holds the program, postcard-encoded behind a [`frame`] header of its own.
pub const PROGRAM_ITEM: &str = "opt/imalab/program";

/// Bytes that follow the program in fw_cfg where the machine was restored: for the kernel's random numbers, which would
/// else go on alike in all machines of one saved state.
pub const SEED: usize = 32;

/// Name of the virtio-serial port on which the agent sends.
pub const PORT: &str = "imalab.0";

/// Word of the kernel's command line that says which boot of the program this is: `imalab.boot=1`. Without it, it is 0.
pub const BOOT_WORD: &str = "imalab.boot";

/// What a word of [`Op::KexecLoad`]'s `args` begins with that is no word for the next kernel: after `=` stands one of the
/// running kernel's command line that the next one does not get.
pub const WITHOUT_WORD: &str = "imalab.without";

/// Folder of the guest's root file system with the kernels that [`Op::KexecLoad`] names.
pub const KERNELS: &str = "/kernels";

/// Option of `prctl(2)` by which [`Op::Tell`] tells: none that a kernel knows (`include/uapi/linux/prctl.h`), and so refused with `EINVAL`.
pub const TELL: i32 = 0x494d_414c;

/// Argument with which the agent, as PID 1, does nothing but power off: what a boot costs without the agent.
/// The kernel hands PID 1 all that its command line has after `--` (`init/main.c`, `start_kernel` and
/// `set_init_arg`), so that this is known before anything is mounted.
pub const POWER_OFF_ARGUMENT: &str = "power-off";

/// Command code of the *mark*: a vendor command (bit 29 set, TPM 2.0 Library Part 2, 8.9) that no TPM
/// implements and that the tap answers itself, after the harness has done its own commands. While it does,
/// the kernel waits for the TPM, so nothing is extended in between: a mark is a point in TPM order.
///
/// The command is a 10-byte header (tag `TPM_ST_NO_SESSIONS`, size 18, this code) and a big-endian u64, the
/// mark's number. The kernel allows commands that it does not know `TPM2_DURATION_DEFAULT`, two minutes
/// (`drivers/char/tpm/tpm2-cmd.c`).
pub const MARK_COMMAND: u32 = 0x2000_494d;
