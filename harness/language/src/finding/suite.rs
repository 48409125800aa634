//! What keeps a run from beginning, and what is said of a kernel as a whole.

use super::Phrasing;
use crate::capability::Capability;

findings! {
    /// Why a run did not begin.
    Skip {
        /// The kernel lacks capabilities that the scenario needs.
        "skip/lacks" Lacks { release: String, capabilities: Vec<String> }
        /// The scenario goes on in a kernel that was not given.
        "skip/no-kernel" NoKernel { kernel: String }
        /// The scenario has the TPM held, late or silent in host time, which no guest of the deterministic lane can see.
        "skip/host-time" HostTime {}
        /// The scenario holds tasks at places of the kernel's code, which only the deterministic lane can.
        "skip/holds-tasks" HoldsTasks {}
        /// The scenario kexecs into another kernel, whose code is not at the addresses that the deterministic lane knows.
        "skip/other-kernel" OtherKernel {}
    }
}

findings! {
    /// A kernel lacks a capability that `kernels.yaml` says it offers.
    Offers {
        /// Capabilities that the kernel must offer were not found; what needs them was skipped.
        "offers/lacks" Lacks { kernel: String, release: String, capabilities: Vec<String> }
        /// A capability that the kernel must offer was not found.
        "offers/lacking" Lacking { kernel: String, capability: String }
    }
}

findings! {
    /// A known defect or limit showed, or did not.
    Known {
        /// A known defect showed exactly as its scenario states.
        "known/defect-shown" DefectShown { breaks: String }
        /// A known limit showed exactly as its scenario says.
        "known/limit-shown" LimitShown { why: String }
        /// A known defect did not show, on a kernel that may have been fixed.
        "known/defect-not-present" DefectNotPresent { breaks: String }
        /// A known limit did not show, on a kernel that may have been fixed.
        "known/limit-not-present" LimitNotPresent { why: String }
        /// A stock kernel no longer has a known defect: update the scenario's range of kernels.
        "known/defect-gone" DefectGone { breaks: String }
        /// A stock kernel no longer has a known limit.
        "known/limit-gone" LimitGone { why: String }
    }
}

impl Skip {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, _: &dyn Phrasing) -> String {
        match self {
            Skip::Lacks { release, capabilities } => {
                let each: Vec<String> = capabilities
                    .iter()
                    .map(|name| met_by(name).map_or_else(|| name.clone(), |by| format!("{name} ({by})")))
                    .collect();
                format!("kernel {release} lacks {}", each.join("; "))
            }
            Skip::NoKernel { kernel } => {
                format!(
                    "the scenario kexecs into kernel {kernel}, which was not given (--kernel-image NAME=BZIMAGE)"
                )
            }
            Skip::HostTime {} => {
                "needs a hold in host time, which no guest of the deterministic lane can see".to_owned()
            }
            Skip::HoldsTasks {} => {
                "holds tasks at places of the kernel's code, which only `--lane deterministic` can".to_owned()
            }
            Skip::OtherKernel {} => {
                "kexecs into another kernel, whose code is not at the addresses that the deterministic lane knows"
                    .to_owned()
            }
        }
    }
}

impl Offers {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, _: &dyn Phrasing) -> String {
        match self {
            Offers::Lacks { kernel, release, capabilities } => format!(
                "kernel {kernel} ({release}) lacks {}, which it must offer; what needs that was skipped",
                capabilities.join(", ")
            ),
            Offers::Lacking { kernel, capability } => {
                let by = met_by(capability).map_or_else(String::new, |by| format!("; provided by: {by}"));
                format!("{capability}: expected of kernel {kernel}, not found by the probe{by}")
            }
        }
    }
}

impl Known {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, _: &dyn Phrasing) -> String {
        match self {
            Known::DefectShown { breaks } => format!("as stated: {breaks}"),
            Known::LimitShown { why } => format!("as stated: {why}"),
            Known::DefectNotPresent { breaks } => {
                format!("the known defect is not present in this kernel: {breaks}")
            }
            Known::LimitNotPresent { why } => format!("the known limit is not present in this kernel: {why}"),
            Known::DefectGone { breaks } => format!("the kernel seems fixed: it no longer breaks {breaks}"),
            Known::LimitGone { why } => {
                format!("the kernel no longer has the limit, nothing was lost: {why}")
            }
        }
    }
}

fn met_by(capability: &str) -> Option<&'static str> {
    Capability::all().find(|known| known.name() == capability).map(|known| known.met_by())
}
