//! What a kernel is said to offer and was not seen to: a failed run of its own, since what needs it is skipped.

use super::suite::Refusal;
use imalab_check::outcome::{CheckResult, Outcome, Verdict};
use imalab_language::interface::{Capabilities, Capability};
use imalab_run::Kernel;

/// Name of that run among scenarios.
pub(super) const RUN: &str = "kernel/offers";

/// Why the suite fails on `kernel`, if it lacks anything that it must offer.
pub(super) fn lacking(kernel: &Kernel, known: &Capabilities) -> Option<Refusal> {
    let lacking: Vec<Capability> =
        kernel.offers.iter().copied().filter(|capability| !known.has(*capability)).collect();
    if lacking.is_empty() {
        return None;
    }
    let names: Vec<&str> = lacking.iter().map(|capability| capability.name()).collect();
    let findings = lacking.iter().map(|capability| {
        format!(
            "{capability}: expected of kernel {}, not found when it was asked; what would meet it: {}",
            kernel.name,
            capability.met_by()
        )
    });
    Some(Refusal {
        outcome: Outcome::Failed,
        reason: format!(
            "kernel {} lacks {}, which it must offer; what needs that was skipped",
            known.release,
            names.join(", ")
        ),
        checks: vec![CheckResult::new("offers", Verdict::Failed, findings.collect())],
        console_tail: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use imalab_language::plan::Interface;

    #[test]
    fn what_is_promised_and_lacking_is_a_failure_with_its_own_reason() {
        let kernel = Kernel {
            offers: BTreeSet::from([Capability::Staging, Capability::Trim, Capability::KexecCarry]),
            ..Kernel::new("mainline", "/nowhere")
        };
        let mut known = Capabilities {
            release: "7.3.4".to_owned(),
            interface: Interface::UPSTREAM,
            have: BTreeSet::from([Capability::Staging]),
            files: Default::default(),
            behaviours: Default::default(),
            seen: Default::default(),
            findings: Vec::new(),
        };
        let refusal = lacking(&kernel, &known).unwrap();
        assert_eq!(refusal.outcome, Outcome::Failed);
        assert!(
            refusal.reason.starts_with("kernel 7.3.4 lacks trim, kexec-carry, which it must offer"),
            "{}",
            refusal.reason
        );
        let [check] = refusal.checks.as_slice() else { panic!("{:?}", refusal.checks) };
        assert_eq!(
            (check.check.as_str(), check.verdict, check.findings.len()),
            ("offers", Verdict::Failed, 2)
        );
        assert!(check.findings[0].contains("CONFIG_IMA_STAGING=y"), "{:?}", check.findings);

        known.have.extend(&kernel.offers);
        assert!(lacking(&kernel, &known).is_none());
        // Of a kernel that promises nothing nothing is expected.
        known.have.clear();
        assert!(lacking(&Kernel::new("image", "/nowhere"), &known).is_none());
    }
}
