//! What a run's report says of its checks: each sentence once.

use super::words;
use imalab_check::outcome::{CheckResult, RunResult};
use imalab_language::finding::Finding;
use imalab_print::printable;

/// Whether a report says the finding that is the reason elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is said where the reason is.
    Said,
    /// It is said here, first of all.
    Unsaid,
}

/// The checks that failed, that of the reason first, each with the lines of what it found.
pub(super) fn failed(run: &RunResult, reason: Reason) -> Vec<(&CheckResult, Vec<String>)> {
    let of = run.reason.as_ref().and_then(|reason| Some((reason.check?, &reason.finding)));
    let mut checks: Vec<&CheckResult> = run.checks.iter().filter(|check| check.verdict.is_bad()).collect();
    checks.sort_by_key(|check| of.is_none_or(|(first, _)| first != check.check));
    let lines = |check: &CheckResult| {
        let mut findings: Vec<&Finding> = check.findings.iter().collect();
        if let (Reason::Said, Some((first, said))) = (reason, of)
            && first == check.check
            && let Some(at) = findings.iter().position(|finding| *finding == said)
        {
            findings.remove(at);
        }
        let more = (check.more > 0).then(|| format!("and {} more", check.more));
        findings.into_iter().map(line).chain(more).collect()
    };
    checks.into_iter().map(|check| (check, lines(check))).collect()
}

/// A finding with its code, without the check's name before it.
pub(super) fn line(finding: &Finding) -> String {
    let code = finding.code();
    let short = code.split_once('/').map_or(code, |(_, short)| short);
    format!("{short}: {}", printable(&words::finding(finding)))
}

/// Why a run has its outcome, as a sentence that is safe to show; empty when there is nothing to say.
pub(super) fn reason(run: &RunResult) -> String {
    run.reason.as_ref().map_or_else(String::new, |reason| printable(&words::reason(reason)).into_owned())
}

/// Why a run with a check that failed is not what is known of its kernel.
pub(super) fn unlike(run: &RunResult) -> Option<String> {
    let reason = run.reason.as_ref().filter(|reason| reason.check.is_some())?;
    reason.unlike.as_ref().map(|why| printable(&words::unlike(why)).into_owned())
}

/// What a check that passed says, or why one does not apply.
pub(super) fn remarks(check: &CheckResult) -> Vec<String> {
    let findings = check.findings.iter().map(words::finding);
    let facts = check.facts.iter().map(words::fact);
    findings.chain(facts).map(|text| printable(&text).into_owned()).collect()
}
