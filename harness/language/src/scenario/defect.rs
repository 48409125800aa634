//! Known defects: a kernel's broken promise that a scenario shows, and the exact way it shows.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{ScenarioError, Source};
use super::fields::{self, Fields};
use super::grammar;
use super::node::{Kind, Node};
use crate::finding::{Entry, Finding, GROUPS, Pattern};
use crate::verdict::{Check, CheckResult, Unlike, Verdict};

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
    /// The check that fails; none when the kernel dies.
    pub check: Option<Check>,
    /// Which of its findings it has, or of which code the death is.
    pub finding: Pattern,
}

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
    Otherwise(Unlike),
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
        for result in &failed {
            if let Some(unlike) = self.unlike(result) {
                return Showing::Otherwise(unlike);
            }
        }
        for sign in &self.shows {
            let Some(check) = sign.check else { return Showing::Otherwise(Unlike::Lives) };
            let of_check = failed.iter().filter(|result| result.check == check);
            if !of_check.flat_map(|result| &result.findings).any(|finding| sign.finding.matches(finding)) {
                let finding = sign.finding.code.clone().unwrap_or_default();
                return Showing::Otherwise(Unlike::NotFound { check, finding });
            }
        }
        Showing::AsStated
    }

    /// Why a check that failed is not the defect, if it is not.
    fn unlike(&self, result: &CheckResult) -> Option<Unlike> {
        let check = result.check;
        if result.verdict == Verdict::CouldNotRun {
            return Some(Unlike::CouldNotRun { check });
        }
        let signs: Vec<&Sign> = self.shows.iter().filter(|sign| sign.check == Some(check)).collect();
        if signs.is_empty() {
            return Some(Unlike::OtherCheck { check });
        }
        if result.more > 0 {
            return Some(Unlike::TooMany { check });
        }
        let stated = |finding: &&Finding| signs.iter().any(|sign| sign.finding.matches(finding));
        let other = result.findings.iter().find(|finding| !stated(finding))?;
        Some(Unlike::OtherFinding { check, finding: other.code().to_owned() })
    }

    /// Whether a kernel with this release that died like this did so of the defect.
    ///
    /// The checks of such a run say nothing: all that the guest did not come to is missing.
    pub fn is_death(&self, release: &str, death: &Finding) -> bool {
        let mut deaths = self.shows.iter().filter(|sign| sign.check.is_none());
        self.kernels.concerns(release) && deaths.any(|sign| sign.finding.matches(death))
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
    let name = sign.word("check")?.unwrap_or_default();
    let check = Check::INVARIANTS.into_iter().find(|check| check.name() == name);
    let group = GROUPS.iter().find(|group| group.prefix == name);
    let codes = group.map_or(&[][..], |group| group.codes);
    let code = match sign.get("code") {
        Some(node) => Some(code(source, node, name, codes)?),
        // A kernel dies of a defect in more ways than one.
        None if check.is_none() => None,
        None => {
            let missing = source.error(node.at, "shows: `code` is missing");
            return Err(missing.one_of("", codes.iter().map(short).collect::<Vec<_>>()));
        }
    };
    let among = code.as_ref().map_or(codes, std::slice::from_ref);
    let with = match sign.get("with") {
        Some(node) => with(source, node, among)?,
        None => Map::new(),
    };
    let code = code.map(|entry| entry.name.to_owned());
    Ok(Sign { check, finding: Pattern { code, with } })
}

/// A code without what stands before its slash.
pub(super) fn short(entry: &Entry) -> &'static str {
    entry.name.split_once('/').map_or(entry.name, |(_, short)| short)
}

/// A code of a check, as it is called there.
fn code(source: &Source, node: &Node, check: &str, codes: &[Entry]) -> Result<Entry, ScenarioError> {
    let given = fields::text(source, node, "code")?;
    codes.iter().copied().find(|entry| short(entry) == given).ok_or_else(|| {
        source
            .error(node.at, format!("check {check} has no finding `{given}`"))
            .one_of(given, codes.iter().map(short).collect::<Vec<_>>())
    })
}

/// Fields of a finding that has one of these codes.
fn with(source: &Source, node: &Node, codes: &[Entry]) -> Result<Map<String, Value>, ScenarioError> {
    let known: Vec<(&str, &[&str])> = codes.iter().flat_map(|entry| entry.fields).copied().collect();
    let Kind::Map(entries) = &node.kind else {
        return Err(source.error(node.at, format!("`with`: expected a map, found {}", node.found())));
    };
    let mut fields = Map::new();
    for (key, value) in entries {
        let Some((_, inner)) = known.iter().find(|(name, _)| *name == key.name) else {
            return Err(source
                .error(key.at, format!("the finding has no field `{}`", key.name))
                .one_of(&key.name, known.iter().map(|(name, _)| *name)));
        };
        if let Kind::Map(entries) = &value.kind
            && let Some((key, _)) = entries.iter().find(|(key, _)| !inner.contains(&key.name.as_str()))
        {
            return Err(source
                .error(key.at, format!("the field has no field `{}` of its own", key.name))
                .one_of(&key.name, inner.iter().copied()));
        }
        fields.insert(key.name.clone(), value.json());
    }
    Ok(fields)
}
