//! Known limits: records that kernels are known to lose at a kexec, by how they are made.

use serde::{Deserialize, Serialize};

use super::defect::{self, KernelRange};
use super::error::{ScenarioError, Source};
use super::fields::{self, Fields};
use super::grammar;
use super::node::Node;

/// What kernels do not carry over a kexec, for a reason that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownLimit {
    /// Kernels that have it.
    pub kernels: KernelRange,
    /// What they do, and where.
    pub why: String,
    /// Where it is explained.
    pub link: Option<String>,
    /// Just what is lost.
    pub lost: Lost,
}

/// Records that a kexec loses: those at the end of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Which kexec, from 1.
    pub kexec: u16,
    /// How many records, staged ones counted; `None`: the whole list.
    pub records: Option<u64>,
}

/// Reads `known-limit:`; `None` where it says that nothing is lost.
pub(super) fn read(source: &Source, node: &Node) -> Result<Option<KnownLimit>, ScenarioError> {
    let fields = Fields::of(source, node, "known-limit", grammar::LIMIT)?;
    let kernels = defect::kernels(source, fields.required("kernels")?)?;
    let why = fields::sentence(source, fields.required("why")?, "why")?;
    let link = fields.get("link").map(|node| fields::sentence(source, node, "link")).transpose()?;
    let lost = Fields::of(source, fields.required("lost")?, "lost", grammar::LOST)?;
    lost.required("records")?;
    let records = lost.number("records")?;
    let kexec = lost.number("kexec")?.and_then(|kexec| u16::try_from(kexec).ok()).unwrap_or(1);
    let limit = KnownLimit { kernels, why, link, lost: Lost { kexec, records } };
    Ok((records != Some(0)).then_some(limit))
}
