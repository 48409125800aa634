//! Which kernel interface takes records out of the list.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kernel interface in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// No way to take records out of the list.
    ReadOnly,
    /// Mainline since Linux 7.2 without `CONFIG_IMA_STAGING`: its lists can be written, and nothing is to come of it.
    NoStaging,
    /// Mainline since Linux 7.2 (`Documentation/security/IMA-export-delete.rst`).
    Upstream,
    /// The staging RFC v2 of December 2025 (`kernel-config/patches/rfc-v2`).
    RfcV2,
    /// The two-command idea of December 2025 (`kernel-config/patches/two-command`).
    TwoCommand,
    /// The transaction idea of November 2023 (`kernel-config/patches/transaction`).
    Transaction,
    /// The first RFC of staging of December 2025, as posted.
    #[serde(rename = "staging-v1@posted")]
    StagingV1Posted,
    /// The second, as posted.
    #[serde(rename = "rfc-v2@posted")]
    RfcV2Posted,
    /// Version 3 of staging of March 2026, as posted.
    #[serde(rename = "v3@posted")]
    V3Posted,
    /// Version 4 of March 2026, as posted.
    #[serde(rename = "v4@posted")]
    V4Posted,
    /// Version 5 of April 2026, as posted.
    #[serde(rename = "v5@posted")]
    V5Posted,
}

impl Interface {
    /// Every one.
    pub const ALL: [Interface; 11] = [
        Interface::ReadOnly,
        Interface::NoStaging,
        Interface::Upstream,
        Interface::RfcV2,
        Interface::TwoCommand,
        Interface::Transaction,
        Interface::StagingV1Posted,
        Interface::RfcV2Posted,
        Interface::V3Posted,
        Interface::V4Posted,
        Interface::V5Posted,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Interface::ReadOnly => "read-only",
            Interface::NoStaging => "no-staging",
            Interface::Upstream => "upstream",
            Interface::RfcV2 => "rfc-v2",
            Interface::TwoCommand => "two-command",
            Interface::Transaction => "transaction",
            Interface::StagingV1Posted => "staging-v1@posted",
            Interface::RfcV2Posted => "rfc-v2@posted",
            Interface::V3Posted => "v3@posted",
            Interface::V4Posted => "v4@posted",
            Interface::V5Posted => "v5@posted",
        }
    }
}

/// A name that no interface has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no interface; there are {}", .0.escape_debug(), Interface::ALL.map(Interface::name).join(", "))]
pub struct NoInterface(String);

impl FromStr for Interface {
    type Err = NoInterface;

    fn from_str(name: &str) -> Result<Interface, NoInterface> {
        let named = |interface: &Interface| interface.name() == name;
        Interface::ALL.into_iter().find(named).ok_or_else(|| NoInterface(name.to_owned()))
    }
}
