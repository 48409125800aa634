//! Whether a QEMU can be trusted with the deterministic lane.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use imalab_schedule::{Order, SCHEMA, Strategy};

use crate::child::{self, ChildError, output_suffix};
use crate::command;
use crate::qmp::{Qmp, QmpError};

/// Versions of QEMU with which one seed was seen to give one run, on a busy host: `bench determinism`, `docs/lanes.md`.
pub const PROVED: [&str; 1] = ["7.2"];

/// How long QEMU may take to answer without a machine, on a host as loaded as they get.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the deterministic lane cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// No plugin was built.
    #[error("the deterministic lane needs imalab's plugin of QEMU, and {} is not there", .0.display())]
    NoPlugin(PathBuf),
    /// Nobody has seen that this QEMU is deterministic.
    #[error(
        "the deterministic lane was proved with QEMU {}, not with {version}: one seed might give several runs",
        PROVED.join(", ")
    )]
    NotProved {
        /// Its version.
        version: String,
    },
    /// It does not load the plugin.
    #[error("QEMU does not load imalab's plugin{}", output_suffix(.output))]
    NotLoaded {
        /// What it said.
        output: String,
    },
    /// It does not start.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// It starts and does not answer.
    #[error("{reason}{}", output_suffix(.output))]
    Monitor {
        /// What is wrong with its monitor.
        reason: QmpError,
        /// What it said.
        output: String,
    },
    /// Something for it could not be made.
    #[error("cannot make what the probe of QEMU needs")]
    Io(#[from] io::Error),
}

impl LaneError {
    /// What the user may do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoPlugin(_) => Some(
                "in a checkout, `cargo xtask` and `cargo build -p imalab-plugin` build it; --plugin names another place",
            ),
            Self::NotProved { .. } => Some("`--qemu` names another one; `--lane free` runs with any"),
            Self::NotLoaded { .. } => {
                Some("it has to be built with plugins and with the symbols of its program")
            }
            Self::Child(ChildError::Missing { .. }) => Some(crate::child::MISSING),
            Self::Child(_) | Self::Monitor { .. } | Self::Io(_) => None,
        }
    }
}

/// Starts QEMU without a machine, once bare and once with the plugin, and gives its version; `unproved`: one that nobody has
/// proved will do.
///
/// # Errors
/// [`LaneError`].
pub fn prove(qemu: &Path, plugin: &Path, unproved: bool) -> Result<String, LaneError> {
    if !plugin.is_file() {
        return Err(LaneError::NoPlugin(plugin.to_owned()));
    }
    let version = greeting(qemu, None)?;
    if !unproved && !is_proved(&version) {
        return Err(LaneError::NotProved { version });
    }
    let folder = tempfile::tempdir()?;
    let order = folder.path().join("order.json");
    let nothing = Order {
        schema: SCHEMA,
        points: Vec::new(),
        begin: None,
        waits: Vec::new(),
        tick: None,
        ends: Vec::new(),
        stop: None,
        from: None,
        strategy: Strategy::None,
        gate: None,
        watch: None,
        records: None,
        pins: None,
        coverage: false,
        report: folder.path().join("schedule.json"),
    };
    fs::write(&order, serde_json::to_vec(&nothing).map_err(io::Error::other)?)?;
    match greeting(qemu, Some(&command::plugin(plugin, &order))) {
        Err(LaneError::Monitor { reason: QmpError::Closed, output }) => Err(LaneError::NotLoaded { output }),
        other => other,
    }
}

fn is_proved(version: &str) -> bool {
    PROVED.iter().any(|proved| version.strip_prefix(proved).is_some_and(|rest| rest.starts_with('.')))
}

fn greeting(qemu: &Path, plugin: Option<&str>) -> Result<String, LaneError> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(qemu);
    command.args(["-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"]);
    command.args(["-accel", "tcg,thread=single", "-chardev"]);
    command.arg(format!("socket,id=qmp,fd={}", theirs.as_raw_fd()));
    command.args(["-mon", "chardev=qmp,mode=control"]);
    command.args(plugin.iter().flat_map(|value| ["-plugin", *value]));
    let child = child::spawn(command, vec![theirs.into()])?;
    let connected = Qmp::connect(ours, imalab_trace::channel().0, PATIENCE);
    // What it has to say is whole when it has ended.
    if connected.is_err() {
        let _ = child.wait(PATIENCE);
    }
    let output = child.output();
    let version = connected.map(|qmp| qmp.version().to_owned());
    child.kill();
    version.map_err(|reason| LaneError::Monitor { reason, output })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("7.2.22", true)]
    #[case("7.2.0", true)]
    #[case("7.20.0", false)]
    #[case("10.0.2", false)]
    #[case("17.2.0", false)]
    #[case("", false)]
    fn only_what_was_proved_is_trusted(#[case] version: &str, #[case] proved: bool) {
        assert_eq!(is_proved(version), proved);
    }

    #[test]
    fn a_plugin_that_is_not_there_is_told_before_qemu_is_asked() {
        let error = prove(Path::new("/nowhere/qemu"), Path::new("/nowhere/plugin.so"), true).unwrap_err();
        let told =
            "the deterministic lane needs imalab's plugin of QEMU, and /nowhere/plugin.so is not there";
        assert_eq!(error.to_string(), told);
    }

    #[test]
    fn a_version_that_was_not_proved_is_named() {
        let error = LaneError::NotProved { version: "10.0.2".into() };
        let told = "the deterministic lane was proved with QEMU 7.2, not with 10.0.2: one seed might give several runs";
        assert_eq!(error.to_string(), told);
    }
}
