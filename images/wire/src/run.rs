//! Programs that are not the agent's own: how they are run and observed.

use serde::{Deserialize, Serialize};

use crate::ids::StepId;

/// Folder of the guest's root file system with the programs of the image, which a scenario names without a path.
pub const PROGRAMS: &str = "/programs";

/// Most observed calls of one start of a program. One that makes more is killed: what it does to the lists is then not known whole.
pub const MAX_OBSERVED: StepId = 20_000;

/// Most bytes of one request that are passed on. A longer one is not observed.
pub const MAX_REQUEST: usize = 16 * 1024;

/// Most bytes of a program's standard output that are passed on, and most of what it says in lines. One that prints more is killed.
pub const MAX_OUTPUT: u64 = 256 * 1024 * 1024;
/// As [`MAX_OUTPUT`], of standard error.
pub const MAX_SAID: u64 = 1024 * 1024;

/// How a program is run, and how it is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Absolute path of the program.
    pub path: String,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// Its environment, `NAME=VALUE` each, and nothing else.
    pub environment: Vec<String>,
    /// The user and group that it runs as; none: root.
    pub user: Option<u32>,
    /// Where it is killed, if anywhere.
    pub kill_at: Option<KillAt>,
    /// Folder whose files are observed.
    pub watch: String,
    /// How many of the tasks after the one that runs it stand for its processes and threads, as far as they use those files.
    pub processes: u16,
    /// First of the [`MAX_OBSERVED`] numbers that its observed calls get as steps.
    pub first_step: StepId,
}

/// At the end of which of its system calls a program is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillAt {
    /// Which, from 1, of all its processes.
    pub call: u64,
    /// Whether every call counts; else those that change a file, a folder, a lock or a list.
    pub every: bool,
}
