//! What two runs have in common that show the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use imalab_check::outcome::{Outcome, RunResult};
use imalab_language::finding::{Finding, KernelDied};

/// By what a failure is known again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sign {
    /// What became of the run.
    pub outcome: Outcome,
    /// The code of the finding that says it most directly.
    pub code: Option<String>,
    /// The rule of the reference model that it breaks, if it is one of these.
    #[serde(default)]
    pub rule: Option<String>,
    /// Where the kernel died.
    pub function: Option<String>,
}

impl Sign {
    /// That of a run.
    pub fn of(result: &RunResult) -> Sign {
        let finding = result.reason.as_ref().map(|reason| &reason.finding);
        let function = match finding {
            Some(Finding::KernelDied(
                KernelDied::Panic { function, called_from, .. }
                | KernelDied::Oops { function, called_from, .. }
                | KernelDied::Bug { function, called_from, .. },
            )) => called_from.as_ref().or(function.as_ref()).cloned(),
            _ => None,
        };
        Sign {
            outcome: result.outcome,
            code: finding.map(|finding| finding.code().to_owned()),
            rule: finding.and_then(promise).map(|promise| promise.rule),
            function,
        }
    }

    /// A name for a scenario that shows it: letters, digits and hyphens.
    pub fn name(&self) -> String {
        let parts = [self.code.as_deref(), self.rule.as_deref(), self.function.as_deref()];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join("-");
        let text: String =
            text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [] => "failure".to_owned(),
            parts => parts.join("-"),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_deref().unwrap_or("no finding"))?;
        for (what, part) in [("of the rule", &self.rule), ("in", &self.function)] {
            if let Some(part) = part {
                write!(f, " {what} {part}")?;
            }
        }
        Ok(())
    }
}

/// The promise that a finding says is broken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Promised {
    /// The rule.
    pub(super) rule: String,
    /// In the words of imalab.
    pub(super) says: String,
    /// In those of who made it.
    pub(super) quoted: Option<String>,
    /// Who made it.
    pub(super) source: String,
}

pub(super) fn promise(finding: &Finding) -> Option<Promised> {
    let fields = serde_json::to_value(finding).ok()?;
    serde_json::from_value(fields.get("promise")?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use imalab_language::verdict::Reason;

    use super::*;

    fn died(function: &str) -> RunResult {
        let function = Some(function.to_owned());
        let finding =
            KernelDied::Oops { line: "BUG".to_owned(), function, called_from: None, functions: vec![] };
        let reason = Some(Reason::of(finding));
        RunResult { outcome: Outcome::KernelDied, reason, ..crate::report::fake_result(0) }
    }

    #[test]
    fn a_death_is_told_from_another_by_its_function() {
        let one = Sign::of(&died("ima_queue_delete_partial"));
        assert_ne!(one, Sign::of(&died("ima_measurements_show")));
        assert_eq!(one, Sign::of(&died("ima_queue_delete_partial")));
        assert_eq!(one.name(), "kernel-died-oops-ima-queue-delete-partial");
        assert_eq!(one.to_string(), "kernel-died/oops in ima_queue_delete_partial");
    }

    #[test]
    fn whatever_has_no_finding_has_a_name() {
        let sign = Sign::of(&RunResult { reason: None, ..died("x") });
        assert_eq!((sign.name().as_str(), sign.to_string().as_str()), ("failure", "no finding"));
    }
}
