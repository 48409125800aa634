//! Why a run has its outcome, in words.

use imalab_check::outcome::{Check, During, Reason, Unlike};

/// The reason as a sentence of one line, with the checks beside it that failed.
pub(super) fn words(reason: &Reason) -> String {
    let Reason { finding, check, could_not_run, also, during, unlike } = reason;
    let how = if *could_not_run { " could not run" } else { "" };
    let check = check.map_or_else(String::new, |check| format!("{check}{how}: "));
    let finding = super::finding(finding);
    let unlike = unlike.as_ref().map_or_else(String::new, |why| format!("; {}", self::unlike(why)));
    format!("{}{check}{finding}{}{}{unlike}", before(during), after(during), self::also(also))
}

/// The same by codes, for a line whose reader finds the sentence elsewhere.
pub(super) fn short(reason: &Reason) -> String {
    let Reason { finding, check: _, could_not_run, also, during, unlike: _ } = reason;
    let how = if *could_not_run { "could not run: " } else { "" };
    format!("{}{how}{}{}{}", before(during), finding.code(), after(during), self::also(also))
}

fn before(during: &[During]) -> &'static str {
    if during.contains(&During::Probe) {
        "the kernel did not get through the probe of what it offers: "
    } else {
        ""
    }
}

fn after(during: &[During]) -> &'static str {
    if during.contains(&During::BetweenKernels) { ", between two kernels" } else { "" }
}

fn also(checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = checks.iter().map(|check| check.name()).collect();
    format!(" (also: {})", names.join(", "))
}

/// Why it is not what is known of the kernel.
pub(super) fn unlike(why: &Unlike) -> String {
    match why {
        Unlike::CouldNotRun { check } => {
            format!("this is not the known defect: check {check} could not run")
        }
        Unlike::OtherCheck { check } => {
            format!("this is not the known defect: it does not show in check {check}")
        }
        Unlike::OtherFinding { check, finding } => {
            format!("this is not the known defect: check {check} has {finding}, which is not how it shows")
        }
        Unlike::TooMany { check } => {
            format!("this is not the known defect: check {check} has more findings than can be compared")
        }
        Unlike::NotFound { check, finding } => {
            format!("this is not the known defect: check {check} does not have {finding}, in which it shows")
        }
        Unlike::Lives => "this is not the known defect: the kernel lives, and the defect kills it".to_owned(),
        Unlike::BeyondLimit => "this is not just the known limit".to_owned(),
    }
}
