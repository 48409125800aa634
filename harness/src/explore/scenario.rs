//! The scenario of what was found, as the ordinary suite runs it.

use super::sign::{Sign, promise};
use imalab_check::outcome::{Check, CheckResult, Outcome, Reason};
use imalab_explore::Head;
use imalab_language::finding::{Finding, GROUPS};

/// What its scenario says beside its steps.
pub(super) fn head(
    sign: &Sign,
    reason: Option<&Reason>,
    checks: &[CheckResult],
    release: &str,
    preemptions: usize,
    told: &str,
) -> Head {
    let finding = reason.map(|reason| &reason.finding);
    let promise = finding.map_or_else(|| unnamed(sign), promised);
    let mut comment = vec![
        format!("Found by `imalab explore` on {release}: {told}"),
        match preemptions {
            0 => "It needs no preemption: any schedule shows it.".to_owned(),
            many => format!("It needs a schedule, that of its bundle: {many} of its preemptions matter."),
        },
        "Whether it is the kernel's defect is not known yet. If it is, this stays:".to_owned(),
        "known-defect:".to_owned(),
        format!("  kernels: {{from: \"{}\"}}", version(release)),
        format!("  breaks: {}", serde_json::Value::from(promise.as_str())),
        "  shows:".to_owned(),
    ];
    comment.extend(shows(sign, checks).into_iter().map(|sign| format!("    - {sign}")));
    Head { comment, summary: format!("Made by the explorer; {sign}."), promise }
}

/// The numbers at the begin of a release.
fn version(release: &str) -> &str {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    release[..end].trim_end_matches('.')
}

fn unnamed(sign: &Sign) -> String {
    format!("imalab: no run ends so ({sign})")
}

/// The promise that a finding says is broken, with who made it.
fn promised(finding: &Finding) -> String {
    if let Some(promise) = promise(finding) {
        let words = match promise.quoted {
            Some(quoted) => format!("\"{quoted}\""),
            None => format!("{} (imalab's words)", promise.says),
        };
        return format!("{}: {words}", promise.source);
    }
    let code = finding.code();
    let prefix = code.split('/').next().unwrap_or(code);
    let group = GROUPS.iter().find(|group| group.prefix == prefix);
    let about = group.map_or("", |group| group.about.trim());
    format!("imalab, {prefix}: what no kernel may show. {about}")
}

/// How it shows, as `known-defect` has it.
fn shows(sign: &Sign, checks: &[CheckResult]) -> Vec<String> {
    if sign.outcome == Outcome::KernelDied {
        let code =
            sign.code.as_deref().and_then(|code| code.split_once('/')).map_or("oops", |(_, code)| code);
        let with = sign
            .function
            .as_ref()
            .map_or_else(String::new, |function| format!(", with: {{functions: {function}}}"));
        return vec![format!("{{check: kernel-died, code: {code}{with}}}")];
    }
    let mut all = Vec::new();
    for result in checks.iter().filter(|result| result.verdict.is_bad() && result.check != Check::Offers) {
        for finding in &result.findings {
            let code = finding.code().split_once('/').map_or(finding.code(), |(_, code)| code);
            let line = format!("{{check: {}, code: {code}}}", result.check);
            if !all.contains(&line) {
                all.push(line);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use imalab_explore::{Actor, Phase, Program, Step, render};
    use imalab_language::finding::{KernelDied, KernelHealth};
    use imalab_language::scenario;
    use imalab_language::verdict::Verdict;

    use super::*;

    fn program() -> Program {
        let phases = vec![Phase { acts: vec![vec![Step::Measure { files: 3 }]] }];
        Program { cpus: 2, flush: false, policy_records: false, actors: vec![Actor::Process], phases }
    }

    /// The scenario with the comment's `known-defect` in force.
    fn in_force(head: &Head) -> String {
        let mut known = head.clone();
        known.comment.clear();
        let begin = head.comment.iter().position(|line| line == "known-defect:").unwrap();
        format!("{}{}\n", render(&program(), &known).text, head.comment[begin..].join("\n"))
    }

    #[test]
    fn what_it_breaks_and_how_it_shows_is_a_scenario() {
        let finding: Finding = KernelHealth::NoShutdown {}.into();
        let checks = [CheckResult::new(Check::KernelHealth, Verdict::Failed, vec![finding.clone()])];
        let reason = Reason::of(finding);
        let sign = Sign {
            outcome: Outcome::Failed,
            code: Some("kernel-health/no-shutdown".to_owned()),
            rule: None,
            function: None,
        };
        let head = head(&sign, Some(&reason), &checks, "7.3.4-imalab", 2, "it \"said\" so");
        let read = scenario::parse("it", "it.yaml", &render(&program(), &head).text).unwrap();
        assert!(read.promise.starts_with("imalab, kernel-health: what no kernel may show. A complaint"));
        assert_eq!(read.known_defect, None);
        let known = scenario::parse("it", "it.yaml", &in_force(&head)).unwrap().known_defect.unwrap();
        assert_eq!(known.kernels.from.unwrap().to_string(), "7.3.4");
        assert_eq!(known.shows[0].check, Some(Check::KernelHealth));
        assert!(known.shows[0].finding.matches(&reason.finding));
    }

    #[test]
    fn a_death_is_known_by_its_function() {
        let functions = vec!["ima_x".to_owned()];
        let function = Some("ima_x".to_owned());
        let finding = KernelDied::Oops {
            line: String::new(),
            function: function.clone(),
            called_from: None,
            functions,
        };
        let reason = Reason::of(finding);
        let code = Some("kernel-died/oops".to_owned());
        let sign = Sign { outcome: Outcome::KernelDied, code, rule: None, function };
        let head = head(&sign, Some(&reason), &[], "7.3.4", 0, "");
        let known = scenario::parse("it", "it.yaml", &in_force(&head)).unwrap().known_defect.unwrap();
        assert!(known.is_death("7.3.4", &reason.finding));
    }
}
