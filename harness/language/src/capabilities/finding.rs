//! What a probe found wrong: a kernel took what it was asked for, and gave something else than was promised.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Probe};
use crate::verdict::Outcome;
use imalab_formats::ima::model::Rule;

/// What is wrong, by a name that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingCode {
    /// The kernel did not get through one boot of the probe.
    BootNotSurvived,
    /// It has files of staged records, and no interface that is known takes a request on them.
    UnknownInterface,
    /// The TPM's device is there and cannot be opened.
    TpmUnusable,
    /// A counter that is there cannot be read.
    CounterUnreadable,
    /// A file could not be created or opened to be measured.
    FileNotMade,
    /// A policy was loaded and other records came than it asks for.
    PolicyNotFollowed,
    /// A policy that is loaded made more records than one.
    PolicyRecordedOften,
    /// A file that was measured before was recorded again, or some of them were.
    DoublesRecorded,
    /// A request to stage was refused.
    StageRefused,
    /// Staging left records in the current list.
    StageCount,
    /// The staged list cannot be read.
    SaveRefused,
    /// The staged list is not what the current one was.
    SaveDiffers,
    /// A request to delete was refused.
    DeleteRefused,
    /// The counter is wrong after a delete.
    DeleteCount,
    /// A request to trim was refused.
    TrimRefused,
    /// A trim removed more or fewer records than it was asked for.
    TrimCount,
    /// Trimming more records than there are was taken.
    TrimTooManyTaken,
    /// Trimming was refused while records were staged.
    TrimWhileStagedRefused,
    /// Trimming was taken while records were staged.
    TrimWhileStagedTaken,
    /// The kernel does not know the boot option `ima_flush_htable`.
    FlushUnknown,
    /// The boot option is known, and digests of removed records stay.
    FlushIgnored,
    /// Digests of staged records are dropped at another time than is promised.
    FlushedOtherwise,
    /// A number of some form is taken or refused otherwise than is promised.
    NumberForm,
    /// A request was taken when measuring was suspended.
    SuspendedTaken,
    /// It was refused with another error.
    SuspendedError,
    /// Loading a kernel to go on in was refused.
    KexecRefused,
    /// Of the list that was carried over records are missing, or there are too many.
    KexecCarriesOther,
}

impl FindingCode {
    /// Its name.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("{self:?}"))
    }
}

/// One thing that a probe found wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFinding {
    /// What is wrong.
    pub code: FindingCode,
    /// What the kernel was asked for.
    pub asked: String,
    /// What was promised.
    pub expected: String,
    /// What came.
    pub found: String,
    /// Whose promise it is, in their words.
    pub promise: String,
    /// What it makes of the probe: failed, or how the boot ended.
    pub outcome: Outcome,
    /// Last lines of the console of a boot that was not survived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub console_tail: Vec<String>,
}

impl ProbeFinding {
    pub(crate) fn new(
        code: FindingCode,
        asked: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        promise: impl Into<String>,
    ) -> ProbeFinding {
        ProbeFinding {
            code,
            asked: asked.into(),
            expected: expected.into(),
            found: found.into(),
            promise: promise.into(),
            outcome: Outcome::Failed,
            console_tail: Vec::new(),
        }
    }

    /// A boot in which the kernel died or made no progress.
    pub fn not_survived(
        boot: &str,
        outcome: Outcome,
        reason: &str,
        console_tail: Vec<String>,
    ) -> ProbeFinding {
        ProbeFinding {
            outcome,
            console_tail,
            ..ProbeFinding::new(
                FindingCode::BootNotSurvived,
                format!("the boot that asks for {boot}"),
                "its end",
                reason,
                "a kernel does not die of what it is asked for (imalab's own words)",
            )
        }
    }
}

/// A rule in a finding's words.
pub(crate) fn promise(rule: Rule) -> String {
    format!("{} ({})", rule.promise(), rule.source())
}

impl ProbeFinding {
    /// The same as a finding of the check `probe`.
    pub fn finding(&self) -> Finding {
        let ProbeFinding { code, asked, expected, found, promise, .. } = self.clone();
        Probe::Found { kind: code.name(), asked, expected, found, promise }.into()
    }
}

impl fmt::Display for ProbeFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProbeFinding { asked, expected, found, promise, .. } = self;
        let code = self.code.name();
        write!(f, "{code}: {asked}: expected {expected}, found {found}; promised: {promise}")
    }
}
