//! What a kernel refuses once it has begun to leave.

use imalab_wire::{Op, Outcome};
use nix::errno::Errno;

use crate::evidence::{Evidence, Moment};
use crate::findings::Findings;
use imalab_formats::ima::dialect::Late;
use imalab_language::finding::{Fact, Kexec};
use imalab_language::plan::Action;

/// A request to change the lists, with its end.
struct Request {
    step: usize,
    begin: Moment,
    end: Moment,
    refused: bool,
}

/// A refusal because measuring is suspended comes only once a kexec has begun, and after it nothing is staged, deleted or
/// trimmed in that boot: else records would be both carried and taken out, or neither.
///
/// That a refused request changed nothing, and one that was granted did, is seen by what was carried.
pub(super) fn check(evidence: &Evidence<'_>, findings: &mut Findings) {
    let suspended = evidence.plan.dialect().suspended;
    let requests: Vec<Request> = evidence
        .steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| {
            let late = match step.planned.action {
                Action::Stage => suspended.stage,
                Action::Delete => suspended.delete,
                Action::Trim { .. } | Action::TrimTo | Action::TrimFound => suspended.trim,
                _ => return None,
            };
            // Another error may be for another reason.
            let Late::With(refusal) = late else { return None };
            let ended = step.write()?.ended?;
            let refused = match ended.outcome {
                Outcome::Value(_) => false,
                Outcome::Errno(errno) if Errno::from_raw(errno) == refusal => true,
                Outcome::Errno(_) | Outcome::NotAttempted => return None,
            };
            Some(Request { step: at, begin: ended.begin, end: ended.end, refused })
        })
        .collect();
    let refused: Vec<&Request> = requests.iter().filter(|request| request.refused).collect();
    for request in &refused {
        if !left(evidence, request.end) {
            findings.finding(Kexec::RefusedEarly { step: evidence.step(request.step) });
        }
    }
    for granted in requests.iter().filter(|request| !request.refused) {
        let before = refused
            .iter()
            .find(|refused| refused.begin.boot == granted.begin.boot && refused.end < granted.begin);
        if let Some(before) = before {
            let (step, refused) = (evidence.step(granted.step), evidence.step(before.step));
            findings.finding(Kexec::GrantedLate { step, refused });
        }
    }
    if !refused.is_empty() {
        findings.fact(Fact::RefusedWhileSuspended { requests: refused.len() as u64 });
    }
}

/// Whether a kexec of the same boot had begun by then. One that fails late leaves measuring suspended.
fn left(evidence: &Evidence<'_>, by: Moment) -> bool {
    evidence.steps.iter().any(|step| {
        let ops = step.ops.iter().zip(&step.seen);
        ops.filter(|(op, _)| matches!(op, Op::KexecExecute))
            .any(|(_, seen)| seen.started.is_some_and(|at| at.boot == by.boot && at < by))
    })
}
