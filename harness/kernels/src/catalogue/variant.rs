//! Variants: any kernel of the catalogue with a few fragments besides, named `KERNEL+VARIANT`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Entry;

/// What a kernel has or lacks besides.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Variant {
    /// Fragments under `kernel-config/fragments`, over those of the kernel.
    pub fragments: Vec<String>,
    /// Capabilities that the kernel has besides.
    #[serde(default)]
    pub offers: Vec<String>,
    /// Capabilities of the kernel that it no longer has.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Kernels whose variant belongs to all kernels: `--all-kernels` and the workflow run it.
    #[serde(default)]
    pub all_kernels: Vec<String>,
    /// What a reader should know about it.
    #[serde(default)]
    pub notes: String,
}

impl Variant {
    /// `entry`, varied.
    fn of(&self, entry: &Entry) -> Entry {
        let mut varied = entry.clone();
        varied.fragments.extend(self.fragments.iter().cloned());
        varied.offers.retain(|offered| !self.lacks.contains(offered));
        for offered in &self.offers {
            if !varied.offers.contains(offered) {
                varied.offers.push(offered.clone());
            }
        }
        varied.only_by_name = None;
        varied.notes = format!("{}; {}", entry.notes, self.notes);
        varied
    }
}

/// The kernel that `name` stands for: an entry, or one followed by variants, each after a `+`.
///
/// An entry may have `+` in its own name, so the longest that fits is taken.
pub(crate) fn find(
    name: &str,
    kernels: &BTreeMap<String, Entry>,
    variants: &BTreeMap<String, Variant>,
) -> Option<Entry> {
    if let Some(entry) = kernels.get(name) {
        return Some(entry.clone());
    }
    let (rest, last) = name.rsplit_once('+')?;
    let variant = variants.get(last)?;
    // Twice the same says no more than once, and would have two names for one kernel.
    if rest.split('+').any(|part| part == last) {
        return None;
    }
    Some(variant.of(&find(rest, kernels, variants)?))
}
