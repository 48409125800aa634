//! The accelerator: KVM where it really runs one, else QEMU's translator (TCG).
//!
//! `/dev/kvm` can open and answer its API version and still never run a guest (nested without the right
//! to, or filtered by a sandbox). So a guest that does what a kernel does first is run, with a deadline.

mod cache;
mod probe;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use probe::{Probe, run as probe};

/// An accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// The processor itself, through Linux's KVM.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accel {
    /// The frequency in MHz of the time stamp counter that a guest has to be told: the host's, under TCG. KVM tells it.
    #[must_use]
    pub fn tsc_mhz(self) -> Option<u32> {
        match self {
            Self::Kvm => None,
            Self::Tcg => super::tsc::host_mhz(),
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

impl std::str::FromStr for Accel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            other => Err(format!("unknown accelerator `{other}`, expected `kvm` or `tcg`")),
        }
    }
}

/// The accelerator, and why it is that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Which.
    pub accel: Accel,
    /// Why, as a clause for the report.
    pub reason: String,
}

/// How long the probe's guest may take. It takes about 0.1 s where KVM works.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Chooses the accelerator: the one `asked` for, else KVM if it runs a guest, else TCG.
///
/// What the probe found is kept in `cache_dir` until the host boots again or `qemu` changes. Without a cache
/// (it cannot be read or written) it is probed anew; no failure of the cache is one of the choice.
#[must_use]
pub fn choose(asked: Option<Accel>, qemu: &Path, cache_dir: &Path) -> Choice {
    if let Some(accel) = asked {
        return Choice { accel, reason: "asked for".into() };
    }
    // Rights may change while the host is up, so this is no part of what is kept.
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/kvm") {
        return Choice { accel: Accel::Tcg, reason: format!("/dev/kvm does not open: {error}") };
    }
    let key = cache::Key::of(qemu);
    if let Some(key) = &key
        && let Some(choice) = cache::load(cache_dir, key)
    {
        return choice;
    }
    let choice = match probe(qemu, Accel::Kvm, PATIENCE) {
        Probe::Runs => Choice { accel: Accel::Kvm, reason: "it ran the probe's guest".into() },
        Probe::Fails(reason) => Choice { accel: Accel::Tcg, reason: format!("/dev/kvm opens, but {reason}") },
    };
    if let Some(key) = key {
        cache::store(cache_dir, &key, &choice);
    }
    choice
}
