//! What a kernel can do, as scenarios ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::finding::ProbeFinding;
use crate::plan::Interface;
use imalab_formats::ima::dialect::{Dialect, Seen};

/// One thing that a scenario can need of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Has no way to remove records that anybody promises.
    NoStaging,
    /// Takes mainline's requests.
    Upstream,
    /// Takes those of the staging RFC v2.
    RfcV2,
    /// Takes two commands.
    TwoCommand,
    /// Takes the commit of a transaction.
    Transaction,
}

impl Capability {
    /// Every one.
    pub const ALL: [Capability; 23] = [
        Capability::Ima,
        Capability::Tpm,
        Capability::Policy,
        Capability::PolicyRecords,
        Capability::BankFiles,
        Capability::HashTable,
        Capability::NoHashTable,
        Capability::Staging,
        Capability::Trim,
        Capability::FlushHtable,
        Capability::TrimWhileStaged,
        Capability::ExactTrim,
        Capability::Kexec,
        Capability::KexecCarry,
        Capability::KexecLate,
        Capability::KexecRecords,
        Capability::CrashKernel,
        Capability::AllocationFaults,
        Capability::NoStaging,
        Capability::Upstream,
        Capability::RfcV2,
        Capability::TwoCommand,
        Capability::Transaction,
    ];

    /// Those that are an interface of their own.
    pub const INTERFACES: [Capability; 5] = [
        Capability::NoStaging,
        Capability::Upstream,
        Capability::RfcV2,
        Capability::TwoCommand,
        Capability::Transaction,
    ];

    /// Those that follow from the dialect that a kernel speaks.
    fn of_dialect(dialect: &Dialect) -> BTreeSet<Capability> {
        let interface = match dialect.interface {
            Interface::ReadOnly | Interface::NoStaging => Some(Capability::NoStaging),
            Interface::Upstream => Some(Capability::Upstream),
            Interface::RfcV2 => Some(Capability::RfcV2),
            Interface::TwoCommand => Some(Capability::TwoCommand),
            Interface::Transaction => Some(Capability::Transaction),
            // What is spelled out is in the words of others.
            Interface::StagingV1Posted
            | Interface::RfcV2Posted
            | Interface::V3Posted
            | Interface::V4Posted
            | Interface::V5Posted => None,
        };
        let (stages, trims) = (dialect.stage.is_some(), dialect.trim.is_some());
        let has = [
            (stages, Capability::Staging),
            (trims, Capability::Trim),
            (stages && trims && dialect.trims_while_staged == Some(true), Capability::TrimWhileStaged),
            (trims && dialect.exact_trim, Capability::ExactTrim),
        ];
        has.into_iter().filter_map(|(has, capability)| has.then_some(capability)).chain(interface).collect()
    }

    /// Its name in `needs:`.
    pub const fn name(self) -> &'static str {
        match self {
            Capability::Ima => "ima",
            Capability::Tpm => "tpm",
            Capability::Policy => "policy",
            Capability::PolicyRecords => "policy-records",
            Capability::BankFiles => "bank-files",
            Capability::HashTable => "hash-table",
            Capability::NoHashTable => "no-hash-table",
            Capability::Staging => "staging",
            Capability::Trim => "trim",
            Capability::FlushHtable => "flush-htable",
            Capability::TrimWhileStaged => "trim-while-staged",
            Capability::ExactTrim => "exact-trim",
            Capability::Kexec => "kexec",
            Capability::KexecCarry => "kexec-carry",
            Capability::KexecLate => "kexec-late",
            Capability::KexecRecords => "kexec-records",
            Capability::CrashKernel => "crash-kernel",
            Capability::AllocationFaults => "allocation-faults",
            Capability::NoStaging => Interface::NoStaging.name(),
            Capability::Upstream => Interface::Upstream.name(),
            Capability::RfcV2 => Interface::RfcV2.name(),
            Capability::TwoCommand => Interface::TwoCommand.name(),
            Capability::Transaction => Interface::Transaction.name(),
        }
    }

    /// What would meet it; options are those of Linux 7.3's `security/integrity/ima/Kconfig` and of the drivers.
    pub fn met_by(self) -> &'static str {
        match self {
            Capability::Ima => "CONFIG_IMA=y and CONFIG_SECURITYFS=y",
            Capability::Tpm => "CONFIG_TCG_TPM=y and CONFIG_TCG_TIS=y",
            Capability::Policy => "CONFIG_IMA=y, CONFIG_TMPFS=y, and no policy that must be signed",
            Capability::PolicyRecords => {
                "a kernel with critical data of the label ima_policy, Linux 7.3 or newer"
            }
            Capability::BankFiles => "a kernel with binary_runtime_measurements_<bank> files",
            Capability::HashTable => "CONFIG_IMA_DISABLE_HTABLE not set",
            Capability::NoHashTable => "CONFIG_IMA_DISABLE_HTABLE=y",
            Capability::Staging => "CONFIG_IMA_STAGING=y, Linux 7.2 or newer or with the series staging",
            Capability::Trim => "CONFIG_IMA_STAGING=y, Linux 7.2 or newer or with one of our series",
            Capability::FlushHtable => {
                "what removes records, Linux 7.2 or newer or with one of our series, and CONFIG_IMA_DISABLE_HTABLE \
                 not set"
            }
            Capability::TrimWhileStaged | Capability::Upstream => "CONFIG_IMA_STAGING=y, Linux 7.2 or newer",
            Capability::ExactTrim => {
                "CONFIG_IMA_STAGING=y, Linux 7.2 or newer or with the series rfc-v2 or transaction"
            }
            Capability::NoStaging => {
                "CONFIG_IMA_STAGING not set, or a kernel from before Linux 7.2 with none of our series"
            }
            Capability::Kexec => "CONFIG_KEXEC_FILE=y",
            Capability::KexecCarry => "CONFIG_IMA_KEXEC=y and CONFIG_KEXEC_FILE=y",
            Capability::KexecLate => "CONFIG_IMA_KEXEC=y, Linux 6.12 of Debian, or newer",
            Capability::KexecRecords => "CONFIG_IMA_KEXEC=y, Linux 7.2 or newer",
            Capability::CrashKernel => "CONFIG_CRASH_DUMP=y, CONFIG_MAGIC_SYSRQ=y and CONFIG_KEXEC_FILE=y",
            Capability::AllocationFaults => "CONFIG_FAILSLAB=y and CONFIG_FAULT_INJECTION_DEBUG_FS=y",
            Capability::RfcV2 => "CONFIG_IMA_STAGING=y and the series rfc-v2",
            Capability::TwoCommand => "CONFIG_IMA_STAGING=y and the series two-command",
            Capability::Transaction => "CONFIG_IMA_LIST_TRANSACTION=y and the series transaction",
        }
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(name: &str) -> Result<Capability, String> {
        Capability::ALL.into_iter().find(|capability| capability.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Capability::ALL.into_iter().map(Capability::name).collect();
            format!("`{}` is no capability; there are {}", name.escape_debug(), names.join(", "))
        })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What it is called in [`Capabilities::behaviours`] that the current list opens for writing alone.
pub(super) const OPENED: &str = "an original file is opened for writing";

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
    pub(super) fn offering(mut self, interface: Interface) -> Capabilities {
        for of in Interface::ALL {
            self.have.retain(|have| !Capability::of_dialect(of.dialect()).contains(have));
        }
        self.have.extend(Capability::of_dialect(interface.dialect()));
        // Without IMA there is nothing that anybody could promise.
        if !self.has(Capability::Ima) {
            self.have.remove(&Capability::NoStaging);
        }
        self.interface = interface;
        self
    }

    /// Whether its original list files opened for writing alone.
    pub(super) fn opens_for_writing(&self) -> bool {
        self.behaviours.get(OPENED).is_some_and(|told| told == "success")
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
    }

    #[derive(Deserialize)]
    struct Entry {
        offers: Vec<String>,
    }

    #[test]
    fn what_the_kernels_of_the_catalogue_offer_are_capabilities_and_each_is_offered_by_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config/kernels.yaml");
        let catalogue: Catalogue = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut offered = BTreeSet::new();
        for (kernel, entry) in &catalogue.kernels {
            let names: BTreeSet<&String> = entry.offers.iter().collect();
            assert_eq!(names.len(), entry.offers.len(), "{kernel} offers something twice");
            for name in names {
                offered
                    .insert(name.parse::<Capability>().unwrap_or_else(|error| panic!("{kernel}: {error}")));
            }
        }
        assert_eq!(offered, Capability::ALL.into_iter().collect());
    }
}
