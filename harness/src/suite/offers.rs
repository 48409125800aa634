//! What a kernel is said to offer and was not seen to: a failed run of its own, since what needs it is skipped.

use super::refusal::Refusal;
use imalab_check::outcome::{Check, CheckResult, Outcome, Reason, Verdict};
use imalab_language::capabilities::Capabilities;
use imalab_language::capability::Capability;
use imalab_language::finding::Offers;
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
    let names = lacking.iter().map(|capability| capability.name().to_owned());
    let lacks = Offers::Lacks {
        kernel: kernel.name.clone(),
        release: known.release.clone(),
        capabilities: names.clone().collect(),
    };
    let each = names.map(|capability| Offers::Lacking { kernel: kernel.name.clone(), capability }.into());
    Some(Refusal {
        outcome: Outcome::Failed,
        reason: Box::new(Reason::of(lacks)),
        checks: vec![CheckResult::new(Check::Offers, Verdict::Failed, each.collect())],
        console_tail: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use imalab_language::finding::Finding;
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
        let Finding::Offers(Offers::Lacks { release, capabilities, .. }) = &refusal.reason.finding else {
            panic!("{:?}", refusal.reason);
        };
        assert_eq!(
            (release.as_str(), &capabilities[..]),
            ("7.3.4", &["trim".to_owned(), "kexec-carry".to_owned()][..])
        );
        let [check] = refusal.checks.as_slice() else { panic!("{:?}", refusal.checks) };
        assert_eq!((check.check, check.verdict, check.findings.len()), (Check::Offers, Verdict::Failed, 2));
        let text = crate::report::words::finding(&check.findings[0]);
        assert!(text.contains("CONFIG_IMA_STAGING=y"), "{text}");

        known.have.extend(&kernel.offers);
        assert!(lacking(&kernel, &known).is_none());
        // Of a kernel that promises nothing nothing is expected.
        known.have.clear();
        assert!(lacking(&Kernel::new("image", "/nowhere"), &known).is_none());
    }
}
