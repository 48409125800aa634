//! What a kernel was seen to offer, and what it did otherwise than promised.

mod finding;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(crate) use finding::promise;
pub use finding::{FindingCode, ProbeFinding};

use crate::capability::Capability;
use imalab_formats::Interface;
use imalab_formats::ima::dialect::Seen;

/// What it is called in [`Capabilities::behaviours`] that the current list opens for writing alone.
pub(crate) const OPENED: &str = "an original file is opened for writing";

/// What a kernel was seen to offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// `uname -r`.
    pub release: String,
    /// How records leave its list.
    pub interface: Interface,
    /// What it offers, whether or not it does it right.
    pub have: BTreeSet<Capability>,
    /// Names in its `ima` folder, with `st_mode`.
    pub files: BTreeMap<String, u32>,
    /// What came of what dialects are told apart by: what was done, and its errno or success.
    pub behaviours: BTreeMap<String, String>,
    /// Those of them by which a kernel is judged where its document is silent.
    #[serde(default)]
    pub seen: Seen,
    /// What it did otherwise than promised when it was asked.
    pub findings: Vec<ProbeFinding>,
}

impl Capabilities {
    /// Whether the kernel offers this, by what is there and what it takes: one that does it wrong offers it too, and has
    /// a [finding](Capabilities::findings).
    pub fn has(&self, capability: Capability) -> bool {
        self.have.contains(&capability)
    }

    /// The same kernel, held to what this interface promises.
    pub(crate) fn offering(mut self, interface: Interface) -> Capabilities {
        self.have.retain(|have| !have.is_of_dialects());
        // Without IMA there is nothing that anybody could promise.
        if self.has(Capability::Ima) {
            self.have.extend(Capability::of_dialect(interface.dialect()));
        }
        self.interface = interface;
        self
    }

    /// Whether its original list files opened for writing alone.
    pub(crate) fn opens_for_writing(&self) -> bool {
        self.behaviours.get(OPENED).is_some_and(|told| told == "success")
    }
}
