//! How the machines of a suite come to their agents' first messages, and whether it makes no difference.

use super::queue::Queue;
use super::suite::Request;
use super::today;
use crate::report::terminal::word;
use imalab_check::outcome::{Boot, Check, Outcome, Reason, RunResult, Verdict};
use imalab_language::finding::Run;
use imalab_language::lane::Lane;
use imalab_language::plan::Plan;
use imalab_run::{Booted, Forks, Interrupts, RunContext, Scratch, run};
use imalab_schedule::draw;

/// Of so many runs that go on from a saved machine, about one is run from its kernel's image as well.
const SAMPLE: u64 = 50;

/// How often each is run at most until both have come to the same: what a race decides may differ by itself.
const TRIES: usize = 2;

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
        if request.lane != Lane::Free {
            return cold(format!("in the {} lane", request.lane));
        }
        let (forks, mut most) = (Forks::default(), None);
        for (plan, kernel, runs) in queue.machines() {
            let context = request.context(&request.kernels[kernel], None, scratch, interrupts);
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
                let rest = format!("cold where fewer than {} runs have a machine", imalab_run::WORTHWHILE);
                let reason =
                    format!("from saved machines; {rest}; the first run and 1 in {SAMPLE} both ways");
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
struct Told {
    outcome: Outcome,
    checks: Vec<(Check, Verdict)>,
}

impl Told {
    fn of(result: &RunResult) -> Told {
        let checks = result.checks.iter().map(|check| (check.check, check.verdict)).collect();
        Told { outcome: result.outcome, checks }
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
pub(super) fn cross_check(plan: &Plan, context: RunContext<'_>, result: &mut RunResult) {
    let (mut forks, mut colds) = (vec![Told::of(result)], Vec::new());
    let again = |context: RunContext<'_>, how: fn(&Booted) -> bool| {
        let ran = run(plan, context).ok().filter(|ran| how(&ran.booted))?;
        let mut again = result.clone();
        imalab_check::digest(plan, &ran.trace).judge(today()).put_into(&mut again);
        Some(Told::of(&again))
    };
    for _ in 0..TRIES {
        colds.extend(again(RunContext { forks: None, ..context }, |booted| *booted != Booted::Fork));
        if colds.iter().any(|cold| forks.contains(cold)) {
            result.cross_checked = true;
            return;
        }
        forks.extend(again(context, |booted| *booted == Booted::Fork));
        if colds.iter().any(|cold| forks.contains(cold)) {
            result.cross_checked = true;
            return;
        }
    }
    if context.interrupts.seen() {
        return;
    }
    let texts = |ends: &[Told]| ends.iter().map(Told::text).collect();
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
        let told = |outcome, checks: &[(Check, Verdict)]| Told { outcome, checks: checks.to_vec() }.text();
        assert_eq!(told(Outcome::Passed, &[(Check::Replay, Verdict::Passed)]), "passed");
        assert_eq!(told(Outcome::Failed, &[(Check::Replay, Verdict::Failed)]), "FAILED (replay)");
    }
}
