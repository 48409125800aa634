//! How the machines of a suite come to their agents' first messages, and whether it makes no difference.

use super::queue::Queue;
use super::request::Request;
use super::today;
use crate::report::terminal::word;
use imalab_check::outcome::{Boot, Check, Outcome, Reason, RunResult, Verdict};
use imalab_language::finding::Run;
use imalab_language::lane::Lane;
use imalab_language::plan::Plan;
use imalab_run::{Booted, Forks, Interrupts, RunContext, Scratch, Seeded, run};
use imalab_schedule::{Strategy, draw};

/// Of so many runs that go on from a saved machine, about one is run from its kernel's image as well.
const SAMPLE: u64 = 50;

/// How often each is run at most until both have come to the same: what a race decides may differ by itself.
const TRIES: u64 = 2;

/// What was decided for a suite.
pub(super) struct Boots {
    pub(super) how: Boot,
    /// Why so, or when otherwise.
    pub(super) reason: String,
    forks: Option<Forks>,
}

impl Boots {
    /// Decides it for the runs of `queue`; saves the machine that most of them have, and tries it.
    pub(super) fn of(
        request: &Request<'_>,
        queue: &Queue<'_>,
        scratch: &Scratch,
        interrupts: &Interrupts,
    ) -> Boots {
        let cold = |reason: String| Boots { how: Boot::Cold, reason, forks: None };
        if request.boot == Boot::Cold {
            return cold("asked for".to_owned());
        }
        let (forks, mut most) = (Forks::default(), None);
        for (plan, kernel, runs) in queue.machines() {
            let context = request.machine_context(&request.kernels[kernel], None, scratch, interrupts);
            let expected = forks.expect(&plan, context, runs);
            if most.as_ref().is_none_or(|(most, _, _)| expected > *most) {
                most = Some((expected, plan, context));
            }
        }
        let proved = match most {
            None => Err("no run has a machine".to_owned()),
            Some((_, plan, context)) => forks.prove(&plan, context),
        };
        match proved {
            Err(why) => cold(why),
            Ok(()) => {
                let reason = match request.lane {
                    Lane::Deterministic => format!(
                        "from saved machines; the first run and 1 in {SAMPLE} also without preemptions, both ways"
                    ),
                    Lane::Free | Lane::Directed => format!(
                        "from saved machines; cold where fewer than {} runs have a machine; the first run and 1 in {SAMPLE} \
                         both ways",
                        imalab_run::WORTHWHILE
                    ),
                };
                Boots { how: Boot::Fork, reason, forks: Some(forks) }
            }
        }
    }

    /// Saved machines, if any are used.
    pub(super) fn forks(&self) -> Option<&Forks> {
        self.forks.as_ref()
    }
}

/// Whether the run at this place is run from its kernel's image as well.
pub(super) fn is_sampled(seed: u64, place: u64) -> bool {
    draw(seed, place).is_multiple_of(SAMPLE)
}

/// What two runs of one plan have in common where nothing but the boot differs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdicts {
    outcome: Outcome,
    checks: Vec<(Check, Verdict)>,
}

impl Verdicts {
    fn of(result: &RunResult) -> Verdicts {
        let checks = result.checks.iter().map(|check| (check.check, check.verdict)).collect();
        Verdicts { outcome: result.outcome, checks }
    }

    fn text(&self) -> String {
        let spoke = |verdict| matches!(verdict, Verdict::Failed | Verdict::CouldNotRun);
        let others = self.checks.iter().filter(|(_, verdict)| spoke(*verdict));
        let others: Vec<&str> = others.map(|(check, _)| check.name()).collect();
        match others.as_slice() {
            [] => word(self.outcome).to_owned(),
            others => format!("{} ({})", word(self.outcome), others.join(", ")),
        }
    }
}

/// Runs `plan` from its kernel's image too, and makes `result`, of a run that went on from a saved machine, one of the
/// infrastructure when the two differ: in their outcome, or in the verdict of any check.
///
/// In the deterministic lane a schedule means something else in the other, so that both are run without preemptions.
pub(super) fn cross_check(plan: &Plan, context: RunContext<'_>, result: &mut RunResult) {
    let again = |forks: Option<&Forks>, attempt: u64| {
        let seeded = context.seeded.map(|seeded| Seeded {
            // Each try is another one.
            seed: seeded.seed.wrapping_add(attempt),
            strategy: &Strategy::None,
            ..seeded
        });
        let ran = run(plan, RunContext { forks, seeded, ..context }).ok()?;
        if (ran.booted == Booted::Fork) != forks.is_some() {
            return None;
        }
        let mut again = result.clone();
        imalab_check::digest(&imalab_check::with_observed(plan, &ran.trace), &ran.trace)
            .judge(today())
            .put_into(&mut again);
        Some(Verdicts::of(&again))
    };
    let (mut forks, mut colds) = (Vec::new(), Vec::new());
    let same = |forks: &[Verdicts], colds: &[Verdicts]| colds.iter().any(|cold| forks.contains(cold));
    for attempt in 0..TRIES {
        match context.seeded {
            None if attempt == 0 => forks.push(Verdicts::of(result)),
            _ => forks.extend(again(context.forks, attempt)),
        }
        if !same(&forks, &colds) {
            colds.extend(again(None, attempt));
        }
        if same(&forks, &colds) {
            result.cross_checked = true;
            return;
        }
    }
    if context.interrupts.seen() {
        return;
    }
    let texts = |ends: &[Verdicts]| ends.iter().map(Verdicts::text).collect();
    result.outcome = Outcome::Infra;
    result.reason = Some(Reason::of(Run::ForksDiffer { fork: texts(&forks), cold: texts(&colds) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_in_fifty_is_sampled_and_the_seed_says_which() {
        let sampled = |seed| (0..10_000).filter(|place| is_sampled(seed, *place)).collect::<Vec<_>>();
        for seed in 0..5 {
            let count = sampled(seed).len();
            assert!((150..250).contains(&count), "{count}");
        }
        assert_eq!(sampled(7), sampled(7));
        assert_ne!(sampled(7), sampled(8));
    }

    #[test]
    fn an_end_is_told_with_the_checks_that_spoke() {
        let told =
            |outcome, checks: &[(Check, Verdict)]| Verdicts { outcome, checks: checks.to_vec() }.text();
        assert_eq!(told(Outcome::Passed, &[(Check::Replay, Verdict::Passed)]), "passed");
        assert_eq!(told(Outcome::Failed, &[(Check::Replay, Verdict::Failed)]), "FAILED (replay)");
    }
}
