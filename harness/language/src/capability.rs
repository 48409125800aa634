//! What a kernel can do, as scenarios ask for it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use imalab_formats::Interface;
use imalab_formats::ima::dialect::{Dialect, Words};

/// One thing that a scenario can need of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Has a measurement list.
    Ima,
    /// Drives the machine's TPM.
    Tpm,
    /// Takes a policy from user space and measures by it.
    Policy,
    /// Records each policy that is loaded, as critical data.
    PolicyRecords,
    /// Has a measurement file for each bank.
    BankFiles,
    /// Records a file that is measured again only once.
    HashTable,
    /// Records it each time.
    NoHashTable,
    /// Stages the list and deletes what is staged.
    Staging,
    /// Removes the first records of the list.
    Trim,
    /// With `ima_flush_htable`, forgets what was deleted.
    FlushHtable,
    /// Removes first records of the current list while others are staged.
    TrimWhileStaged,
    /// Removes no record when asked for more than there are.
    ExactTrim,
    /// Divides the log by records of its own, and removes what is before one.
    LogMarks,
    /// Divides it by opening a file that then shows what came before.
    Snapshots,
    /// Can go on in another kernel.
    Kexec,
    /// Carries the list over when it does.
    KexecCarry,
    /// Copies the list for the next kernel when that one is executed, not when it is loaded.
    KexecLate,
    /// Can go on in another kernel when it panics.
    CrashKernel,
    /// Records kexec as critical data, and measures nothing any more once the list is copied.
    KexecRecords,
    /// Fails allocations on request.
    AllocationFaults,
    /// Takes requests in the words of one interface.
    Words(Words),
}

/// The name of each capability, and what would meet it; options are those of Linux 7.3's `security/integrity/ima/Kconfig` and
/// of the drivers.
macro_rules! named {
    ($($capability:ident = $name:literal: $met_by:expr;)+) => {
        impl Capability {
            /// Every one but the [words](Capability::Words) of interfaces.
            const COMMON: &[Capability] = &[$(Capability::$capability),+];

            /// Its name in `needs:`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Capability::$capability => $name,)+
                    Capability::Words(words) => words.name,
                }
            }

            /// What would meet it.
            pub const fn met_by(self) -> &'static str {
                match self {
                    $(Capability::$capability => $met_by,)+
                    Capability::Words(words) => words.met_by,
                }
            }
        }
    };
}

named! {
    Ima = "ima": "CONFIG_IMA=y and CONFIG_SECURITYFS=y";
    Tpm = "tpm": "CONFIG_TCG_TPM=y and CONFIG_TCG_TIS=y";
    Policy = "policy": "CONFIG_IMA=y, CONFIG_TMPFS=y, and no policy that must be signed";
    PolicyRecords = "policy-records": "a kernel with critical data of the label ima_policy, Linux 7.3 or newer";
    BankFiles = "bank-files": "a kernel with binary_runtime_measurements_<bank> files";
    HashTable = "hash-table": "CONFIG_IMA_DISABLE_HTABLE not set";
    NoHashTable = "no-hash-table": "CONFIG_IMA_DISABLE_HTABLE=y";
    Staging = "staging": "CONFIG_IMA_STAGING=y, Linux 7.2 or newer or with the series staging";
    Trim = "trim": "CONFIG_IMA_STAGING=y, Linux 7.2 or newer or with one of our series";
    FlushHtable = "flush-htable":
        "what removes records, Linux 7.2 or newer or with one of our series, and CONFIG_IMA_DISABLE_HTABLE not set";
    TrimWhileStaged = "trim-while-staged": "CONFIG_IMA_STAGING=y, Linux 7.2 or newer";
    ExactTrim = "exact-trim":
        "CONFIG_IMA_STAGING=y, Linux 7.2 or newer or with one of our series but two-command";
    LogMarks = "log-marks": "CONFIG_IMA_LOG_DIGEST=y, CONFIG_IMA_LOG_TRIM=y and the series log-digest and log-trim";
    Snapshots = "snapshots": "CONFIG_IMA_SNAPSHOT=y and the series snapshot";
    Kexec = "kexec": "CONFIG_KEXEC_FILE=y";
    KexecCarry = "kexec-carry": "CONFIG_IMA_KEXEC=y and CONFIG_KEXEC_FILE=y";
    KexecLate = "kexec-late": "CONFIG_IMA_KEXEC=y, Linux 6.12 of Debian, or newer";
    KexecRecords = "kexec-records": "CONFIG_IMA_KEXEC=y, Linux 7.2 or newer";
    CrashKernel = "crash-kernel": "CONFIG_CRASH_DUMP=y, CONFIG_MAGIC_SYSRQ=y and CONFIG_KEXEC_FILE=y";
    AllocationFaults = "allocation-faults": "CONFIG_FAILSLAB=y and CONFIG_FAULT_INJECTION_DEBUG_FS=y";
}

impl Capability {
    /// Mainline's words: those of what a scenario spells out, unless it names others.
    pub const MAINLINE: Option<Capability> = match Interface::UPSTREAM.dialect().words {
        Some(words) => Some(Capability::Words(words)),
        None => None,
    };

    /// Every one: the words of each interface that is known come last.
    pub fn all() -> impl Iterator<Item = Capability> {
        let mut all = Capability::COMMON.to_vec();
        for words in Interface::KNOWN.iter().filter_map(|interface| interface.dialect().words) {
            if !all.contains(&Capability::Words(words)) {
                all.push(Capability::Words(words));
            }
        }
        all.into_iter()
    }

    /// The names of all.
    pub(crate) fn names() -> &'static [&'static str] {
        static NAMES: LazyLock<Vec<&str>> =
            LazyLock::new(|| Capability::all().map(Capability::name).collect());
        &NAMES
    }

    /// Interfaces in whose words a scenario with these needs spells requests out: mainline, unless it names others.
    pub(crate) fn spoken(needs: &BTreeSet<Capability>) -> Vec<Interface> {
        let named: BTreeSet<Capability> = needs.iter().copied().filter(|need| need.is_words()).collect();
        let words = if named.is_empty() { Capability::MAINLINE.into_iter().collect() } else { named };
        let speaks = |interface: &Interface| {
            interface.dialect().words.is_some_and(|own| words.contains(&Capability::Words(own)))
        };
        Interface::KNOWN.iter().copied().filter(speaks).collect()
    }

    /// Whether it stands for the words of an interface.
    pub fn is_words(self) -> bool {
        matches!(self, Capability::Words(_))
    }

    /// Those that follow from the dialect that a kernel speaks.
    pub(crate) fn of_dialect(dialect: &Dialect) -> impl Iterator<Item = Capability> {
        let (stages, trims) = (dialect.verbs.stage.is_some(), dialect.verbs.trim.is_some());
        let has = [
            (stages, Capability::Staging),
            (trims, Capability::Trim),
            (stages && trims && dialect.trims_while_staged == Some(true), Capability::TrimWhileStaged),
            (trims && dialect.exact_trim, Capability::ExactTrim),
            (dialect.verbs.mark.is_some() && dialect.verbs.trim_to.is_some(), Capability::LogMarks),
            (dialect.verbs.snapshot.is_some(), Capability::Snapshots),
        ];
        let has = has.into_iter().filter_map(|(has, capability)| has.then_some(capability));
        has.chain(dialect.words.map(Capability::Words))
    }

    /// Whether it follows from a dialect, and from nothing else that a probe sees.
    pub(crate) fn is_of_dialects(self) -> bool {
        let of_verbs = [
            Capability::Staging,
            Capability::Trim,
            Capability::TrimWhileStaged,
            Capability::ExactTrim,
            Capability::LogMarks,
            Capability::Snapshots,
        ];
        self.is_words() || of_verbs.contains(&self)
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(name: &str) -> Result<Capability, String> {
        Capability::all().find(|capability| capability.name() == name).ok_or_else(|| {
            let names = Capability::names().join(", ");
            format!("`{}` is not a capability; there are {names}", name.escape_debug())
        })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Capability, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Catalogue {
        kernels: BTreeMap<String, Entry>,
        variants: BTreeMap<String, Entry>,
    }

    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        offers: Vec<String>,
        #[serde(default)]
        lacks: Vec<String>,
    }

    #[test]
    fn what_the_kernels_of_the_catalogue_offer_are_capabilities_and_each_is_offered_by_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config/kernels.yaml");
        let catalogue: Catalogue = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut offered = BTreeSet::new();
        for (kernel, entry) in catalogue.kernels.iter().chain(&catalogue.variants) {
            for name in &entry.lacks {
                name.parse::<Capability>().unwrap_or_else(|error| panic!("{kernel}: {error}"));
            }
            let names: BTreeSet<&String> = entry.offers.iter().collect();
            assert_eq!(names.len(), entry.offers.len(), "{kernel} offers something twice");
            for name in names {
                offered
                    .insert(name.parse::<Capability>().unwrap_or_else(|error| panic!("{kernel}: {error}")));
            }
        }
        assert_eq!(offered, Capability::all().collect());
    }
}
