//! What each kernel offers, before its runs; a run whose kernel cannot say ends before it begins.

use super::probe::{self, AskError};
use super::refusal::{Refusal, not_started};
use super::request::Request;
use crate::event::{Listener, SuiteEvent};
use crate::report;
use imalab_check::outcome::{During, Outcome, Reason};
use imalab_language::capabilities::Capabilities;
use imalab_language::finding::Run;
use imalab_run::{Interrupts, Kernel, Scratch};

/// Asks each kernel what it offers.
pub(super) fn probe_all(
    request: &Request<'_>,
    scratch: &Scratch,
    interrupts: &Interrupts,
    listener: &mut dyn Listener,
) -> Vec<Result<Capabilities, Refusal>> {
    let probe = |kernel: &Kernel| {
        let name = kernel.name.as_str();
        let mut booting = || listener.event(SuiteEvent::ProbeStarted { kernel: name });
        let context = request.context(kernel, None, scratch, interrupts);
        let known = probe::capabilities(
            context,
            &request.kernel_args,
            request.promises,
            &request.cache,
            &mut booting,
        );
        let known = known.map_err(refusal);
        let answer = known.as_ref().map_err(|refusal| (refusal.outcome, &*refusal.reason));
        listener.event(SuiteEvent::Probed { kernel: name, answer });
        known
    };
    request.kernels.iter().map(probe).collect()
}

fn refusal(error: AskError) -> Refusal {
    match error {
        AskError::Guest { judgement, console_tail } => {
            let outcome = judgement.outcome;
            // What was judged without a reason passed, and that is no error.
            let reason = judgement.reason.unwrap_or_else(|| Reason::of(Run::Interrupted {}));
            let during = [&[During::Probe][..], &reason.during].concat();
            let reason = Box::new(Reason { during, ..reason });
            Refusal { outcome, reason, checks: Vec::new(), console_tail }
        }
        AskError::Run(error) => Refusal::new(Outcome::Infra, not_started(&error)),
        error => {
            let error = report::chain(&error);
            Refusal::new(Outcome::Infra, Run::NotStarted { error, hint: None })
        }
    }
}
