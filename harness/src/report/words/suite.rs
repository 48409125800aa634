//! What is said of a kernel as a whole, in words.

use imalab_language::finding::{Known, Offers, Skip};
use imalab_language::interface::Capability;

pub(super) fn skip(finding: &Skip) -> String {
    match finding {
        Skip::Lacks { release, capabilities } => {
            let each: Vec<String> = capabilities
                .iter()
                .map(|name| met_by(name).map_or_else(|| name.clone(), |by| format!("{name} ({by})")))
                .collect();
            format!("kernel {release} lacks {}", each.join("; "))
        }
        Skip::NoKernel { kernel } => {
            format!(
                "no kernel is called {kernel}, in which the scenario goes on (--kernel-image NAME=BZIMAGE)"
            )
        }
        Skip::HostTime {} => {
            "needs a hold in host time, which no guest of the deterministic lane can see".to_owned()
        }
        Skip::OtherKernel {} => {
            "goes on in another kernel, whose code is at other addresses than the deterministic lane knows"
                .to_owned()
        }
    }
}

pub(super) fn offers(finding: &Offers) -> String {
    match finding {
        Offers::Lacks { kernel, release, capabilities } => format!(
            "kernel {kernel} ({release}) lacks {}, which it must offer; what needs that was skipped",
            capabilities.join(", ")
        ),
        Offers::Lacking { kernel, capability } => {
            let by = met_by(capability).map_or_else(String::new, |by| format!("; what would meet it: {by}"));
            format!("{capability}: expected of kernel {kernel}, not found when it was asked{by}")
        }
    }
}

pub(super) fn known(finding: &Known) -> String {
    match finding {
        Known::DefectShown { breaks } => format!("as stated: {breaks}"),
        Known::LimitShown { why } => format!("as stated: {why}"),
        Known::DefectNotPresent { breaks } => {
            format!("the known defect is not present in this kernel: {breaks}")
        }
        Known::LimitNotPresent { why } => format!("the known limit is not present in this kernel: {why}"),
        Known::DefectGone { breaks } => format!("the kernel seems mended: it no longer breaks {breaks}"),
        Known::LimitGone { why } => format!("the kernel no longer has the limit, nothing was lost: {why}"),
    }
}

fn met_by(capability: &str) -> Option<&'static str> {
    Capability::all().find(|known| known.name() == capability).map(|known| known.met_by())
}
