//! What a run's steps did and what became of each, for those who compare kernels and judge nothing.

use imalab_wire::{Op, Outcome};

use super::evidence::{Evidence, StepSeen};
use super::subjects::errno_name;

/// One step of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSummary {
    /// Name of the task that took it.
    pub task: String,
    /// Its boot, from 0.
    pub boot: u16,
    /// What it did, in the plan's words.
    pub text: String,
    /// The system calls that were made, in order, by name; a file that was read to its end is one.
    pub calls: Vec<&'static str>,
    /// The call that failed and its error, if one did.
    pub failed: Option<(&'static str, String)>,
    /// Records of the list that it read last.
    pub records: Option<u64>,
}

impl StepSummary {
    /// Requests to the kernel among its calls.
    pub fn requests(&self) -> usize {
        self.calls.iter().filter(|call| **call == WRITE).count()
    }

    /// What became of it, in a few words.
    pub fn end(&self) -> String {
        match (&self.failed, self.records) {
            (Some((call, error)), _) => format!("{error} from {call}"),
            (None, Some(records)) => format!("{records} records"),
            (None, None) => "done".to_owned(),
        }
    }
}

/// How a write to a list is called.
const WRITE: &str = "write";

/// The steps that the scenario names, of all tasks, in the order in which they began.
pub(super) fn of_all(evidence: &Evidence<'_>) -> Vec<StepSummary> {
    let mut steps: Vec<_> = evidence
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.planned.line != 0)
        .filter_map(|(at, step)| Some((step.span()?.0, at, step)))
        .collect();
    steps.sort_by_key(|(begin, at, _)| (*begin, *at));
    steps.into_iter().map(|(_, at, step)| of(evidence, at, step)).collect()
}

fn of(evidence: &Evidence<'_>, at: usize, step: &StepSeen<'_>) -> StepSummary {
    let task = evidence.plan.program.tasks.get(usize::from(step.planned.task));
    let mut summary = StepSummary {
        task: task.map(|task| task.name.clone()).unwrap_or_default(),
        boot: task.map_or(0, |task| task.boot),
        text: step.planned.text.clone(),
        calls: Vec::new(),
        failed: None,
        records: evidence.lists_of(at).last().map(|list| list.count as u64),
    };
    for (op, seen) in step.ops.iter().zip(&step.seen) {
        let call = name(op);
        match seen.outcome() {
            Some(Outcome::NotAttempted) => continue,
            Some(Outcome::Errno(errno)) => summary.failed = Some((call, errno_name(errno))),
            Some(Outcome::Value(_)) | None => {}
        }
        summary.calls.push(call);
    }
    summary
}

/// The system call of an operation on a file; what else an agent does is no call on a list.
fn name(op: &Op) -> &'static str {
    match op {
        Op::Open { .. } => "open",
        Op::Read { .. } | Op::ReadNumber { .. } | Op::FindQuoted { .. } => "read",
        Op::Write { .. } | Op::WriteFound { .. } | Op::WriteFilled { .. } => WRITE,
        Op::Close { .. } => "close",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;
    use crate::fake_run::FakeRun;

    #[test]
    fn steps_are_summed_up_with_their_calls_and_what_they_read() {
        let mut fake = FakeRun::new();
        fake.measure(4);
        fake.stage();
        fake.save();
        fake.delete();
        let (plan, trace) = fake.finish();
        let steps = digest(&plan, &trace).steps();
        let of = |text: &str| steps.iter().find(|step| step.text.contains(text)).unwrap();
        assert_eq!(of("stage").requests(), 1);
        assert_eq!(of("stage").end(), "done");
        assert_eq!(of("save").end(), "5 records");
        assert_eq!((of("save").requests(), of("delete").requests()), (0, 1));
        let refused = StepSummary { failed: Some(("open", "EBUSY".to_owned())), ..of("save").clone() };
        assert_eq!(refused.end(), "EBUSY from open");
    }
}
