//! What the plugin tells.

use serde::{Deserialize, Serialize};

use crate::{Choice, Coverage, Does, PinReport, SCHEMA};

/// The oldest version that can still be read: what came later may be missing.
const OLDEST: u32 = 1;

/// A processor that did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preemption {
    /// Number of the point.
    pub event: u64,
    /// What became of it.
    pub does: Does,
    /// Which processor.
    pub cpu: u32,
    /// Where it was.
    pub address: u64,
    /// Instructions that all processors together had executed.
    pub instructions: u64,
    /// Whether its task had the mutex that was watched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mutex: bool,
    /// How many records the lists had, where the kernel counts them so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
}

/// How many records the lists have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// The current one.
    pub current: u64,
    /// The staged one.
    pub staged: u64,
}

/// How a schedule ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The guest came to one of the addresses where it ends.
    Reached,
    /// QEMU ended first: what the guest did last depends on the host.
    Cut,
}

/// What was decided, and a hash of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// SHA-256, in hexadecimal digits, of what the machine went on from, every point (processor, address, instructions so far,
    /// whether it was preempted), each of the TPM's commands (processor, instructions so far) and the end.
    pub hash: String,
    /// Name of the saved machine that this one went on from; `None`: it booted.
    #[serde(default)]
    pub from: Option<String>,
    /// How it ended.
    pub end: End,
    /// How many points there were.
    pub events: u64,
    /// TPM commands at the gate.
    pub tpm_commands: u64,
    /// Instructions that all processors together executed.
    pub instructions: u64,
    /// Holds that ended because of the time that they took, by the ticks of those that ran.
    pub expired: u64,
    /// All that were preempted or held, in order.
    pub preemptions: Vec<Preemption>,
    /// How many more there were than are kept: such a schedule cannot be had again by its list.
    #[serde(default)]
    pub left_out: u64,
    /// The holds of the mutex that was watched, the first some thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<MutexHold>,
    /// Tasks that were to be held at places of the kernel's code, in the order of the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinReport>,
    /// What the run came to, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// What is wrong with a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It is not one.
    #[error("not a report of a schedule: {0}")]
    Json(#[from] serde_json::Error),
    /// It is one of another version.
    #[error("the report is of version {0}, this is {SCHEMA}: harness and plugin were not built together")]
    Schema(u32),
}

impl Report {
    /// The list that gives this schedule again.
    #[must_use]
    pub fn choices(&self) -> Vec<Choice> {
        self.preemptions.iter().map(|one| Choice { event: one.event, does: one.does }).collect()
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn parse(text: &[u8]) -> Result<Report, ReportError> {
        let report: Report = serde_json::from_slice(text)?;
        if (OLDEST..=SCHEMA).contains(&report.schema) {
            Ok(report)
        } else {
            Err(ReportError::Schema(report.schema))
        }
    }
}

/// A hold of the mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutexHold {
    /// Where it was asked for: the address after the call.
    pub at: u64,
    /// Appends so far.
    pub appends: u64,
    /// Instructions of all processors from when it was asked for to when it was there.
    pub waited: u64,
    /// Instructions of all processors from then on to when it was given back.
    pub held: u64,
    /// Blocks of IMA's code that the holder's processor began meanwhile, the first one included: what else ran, and how often it
    /// was preempted, adds none.
    pub blocks: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_of_the_version_before_can_be_read() {
        let text = |schema: u32| {
            format!(
                r#"{{"schema":{schema},"hash":"aa","end":"reached","events":1,"tpm_commands":1,"instructions":9,"expired":0,"preemptions":[]}}"#
            )
        };
        assert_eq!(Report::parse(text(1).as_bytes()).unwrap().from, None);
        for other in [0, SCHEMA + 1] {
            assert!(matches!(Report::parse(text(other).as_bytes()), Err(ReportError::Schema(_))), "{other}");
        }
    }
}
