//! Known defects: a kernel's broken promise that a scenario shows, and the exact way it shows.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{ScenarioError, Source};
use super::fields::{self, Fields};
use super::grammar;
use super::node::{Kind, Node};
use crate::verdict::{CheckResult, Verdict};

/// A defect that a scenario is there to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDefect {
    /// Kernels that have it.
    pub kernels: KernelRange,
    /// The promise that it breaks, in the words of who made it.
    pub breaks: String,
    /// Where it was reported or is explained.
    pub link: Option<String>,
    /// The checks that find it, never empty.
    pub shows: Vec<Sign>,
}

/// How a defect shows in one check, or in the kernel's death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// The check that fails, or [`KERNEL_DIED`].
    pub check: String,
    /// Text that every finding of it has, or a line of the report with which the kernel dies.
    pub finding: String,
}

/// What a [`Sign`] names instead of a check when the kernel dies of the defect.
pub const KERNEL_DIED: &str = "kernel-died";

/// Kernels by version: from one on, before another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRange {
    /// First that belongs to it.
    pub from: Option<Version>,
    /// First that no longer does.
    pub before: Option<Version>,
}

/// The numbers at the start of a kernel's release: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32, pub u32);

/// What a scenario with a known defect has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Showing {
    /// The defect, and nothing but it.
    AsStated,
    /// Nothing: this kernel is mended, and the scenario can move.
    Gone,
    /// The kernel is not one that is said to have the defect: judge the run as any other.
    NotConcerned,
    /// Something else failed, or it failed in another way.
    Otherwise(String),
}

impl KnownDefect {
    /// Judges the checks of a run on a kernel with this release (`uname -r`).
    pub fn judge(&self, release: &str, checks: &[CheckResult]) -> Showing {
        if !self.kernels.concerns(release) {
            return Showing::NotConcerned;
        }
        let failed: Vec<_> = checks.iter().filter(|check| check.verdict.is_bad()).collect();
        if failed.is_empty() {
            return Showing::Gone;
        }
        for check in &failed {
            if check.verdict == Verdict::CouldNotRun {
                return Showing::Otherwise(format!("check {} could not run", check.check));
            }
            let Some(sign) = self.shows.iter().find(|sign| sign.check == check.check) else {
                return Showing::Otherwise(format!(
                    "check {} failed, and the defect shows in {}",
                    check.check,
                    self.checks()
                ));
            };
            if let Some(other) = check.findings.iter().find(|finding| !finding.contains(&sign.finding)) {
                return Showing::Otherwise(format!(
                    "`{other}` is not how the defect shows: `{}`",
                    sign.finding
                ));
            }
        }
        let silent = self.shows.iter().find(|sign| failed.iter().all(|check| check.check != sign.check));
        if let Some(silent) = silent {
            return Showing::Otherwise(match silent.check.as_str() {
                KERNEL_DIED => "the kernel lives, and the defect kills it".to_owned(),
                check => format!("check {check} passed, and the defect shows there too"),
            });
        }
        Showing::AsStated
    }

    /// Whether a kernel with this release that died with this report did so of the defect.
    ///
    /// The checks of such a run say nothing: all that the guest did not come to is missing.
    pub fn is_death(&self, release: &str, report: &[String]) -> bool {
        let concerned = self.kernels.concerns(release);
        let mut deaths = self.shows.iter().filter(|sign| sign.check == KERNEL_DIED);
        concerned && deaths.any(|sign| report.iter().any(|line| line.contains(&sign.finding)))
    }

    fn checks(&self) -> String {
        let name = |sign: &Sign| match sign.check.as_str() {
            KERNEL_DIED => "the kernel's death".to_owned(),
            check => format!("check {check}"),
        };
        let names: Vec<String> = self.shows.iter().map(name).collect();
        names.join(" and ")
    }
}

impl KernelRange {
    /// Whether a kernel of this release (`uname -r`) belongs to it. One without a version at its start does: a developer's
    /// build is what defects are looked for in.
    pub fn concerns(&self, release: &str) -> bool {
        Version::of_release(release).is_none_or(|version| self.contains(version))
    }

    /// Whether a version belongs to it.
    pub fn contains(&self, version: Version) -> bool {
        self.from.is_none_or(|from| from <= version) && self.before.is_none_or(|before| version < before)
    }
}

impl Version {
    /// The version at the start of a release such as `7.3.4-imalab`; what is absent counts as 0.
    pub fn of_release(release: &str) -> Option<Version> {
        let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
        let mut numbers = release[..end].split('.').filter(|part| !part.is_empty());
        let major = numbers.next()?.parse().ok()?;
        let mut next = || numbers.next().map_or(Some(0), |part| part.parse().ok());
        Some(Version(major, next()?, next()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Reads `known-defect:`.
pub(super) fn read(source: &Source, node: &Node) -> Result<KnownDefect, ScenarioError> {
    let fields = Fields::of(source, node, "known-defect", grammar::DEFECT)?;
    let kernels = kernels(source, fields.required("kernels")?)?;
    let breaks = fields.required("breaks")?;
    let shows = fields.required("shows")?;
    let shows = match &shows.kind {
        Kind::List(items) => items.iter().map(|item| sign(source, item)).collect::<Result<Vec<_>, _>>()?,
        _ => vec![sign(source, shows)?],
    };
    if shows.is_empty() {
        return Err(source.error(node.at, "`shows`: the list is empty"));
    }
    Ok(KnownDefect {
        kernels,
        breaks: fields::sentence(source, breaks, "breaks")?,
        link: fields.get("link").map(|node| fields::sentence(source, node, "link")).transpose()?,
        shows,
    })
}

/// Reads `kernels:`.
pub(super) fn kernels(source: &Source, node: &Node) -> Result<KernelRange, ScenarioError> {
    let range = Fields::of(source, node, "kernels", grammar::KERNELS)?;
    let version = |name: &str| -> Result<Option<Version>, ScenarioError> {
        let Some(node) = range.get(name) else { return Ok(None) };
        let text = fields::text(source, node, name)?;
        match Version::of_release(text) {
            Some(version) if text.chars().all(|c| c.is_ascii_digit() || c == '.') => Ok(Some(version)),
            _ => Err(source
                .error(node.at, format!("`{name}`: `{text}` is not a kernel's version"))
                .expected("up to three numbers with dots between, in quotes: \"7.2\"")),
        }
    };
    Ok(KernelRange { from: version("from")?, before: version("before")? })
}

fn sign(source: &Source, node: &Node) -> Result<Sign, ScenarioError> {
    let sign = Fields::of(source, node, "shows", grammar::SHOWS)?;
    let check = sign.word("check")?.unwrap_or_default();
    let finding = fields::text(source, sign.required("finding")?, "finding")?;
    Ok(Sign { check: check.to_owned(), finding: finding.to_owned() })
}
