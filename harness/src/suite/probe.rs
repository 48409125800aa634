//! What a kernel can do: asked once by booting it, then remembered for as long as kernel and image are the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::today;
use crate::report::words;
use imalab_check::judge::{self, Judgement};
use imalab_check::outcome::Outcome;
use imalab_files::atomic;
use imalab_formats::ima::Bank;
use imalab_language::capabilities::{Capabilities, ProbeFinding};
use imalab_language::plan::{Budget, Interface, Parameters, Plan, Shape};
use imalab_language::probe::{self, Boot, ProbeError};
use imalab_run::{Ran, RunContext, RunError, run};
use imalab_trace::{Trace, Unreadable, What};

/// Why nothing is known about a kernel.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A machine could not be started.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The kernel did not get through the probe.
    #[error("the kernel did not complete the probe of its capabilities: {}", why(judgement))]
    Guest {
        /// What became of it.
        judgement: Box<Judgement>,
        /// Last lines of its console.
        console_tail: Vec<String>,
    },
    /// The probe's answers say nothing.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Kernel or image cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What the guest said cannot be read back.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Banks of the machine on which a kernel is asked; scenarios choose their own.
const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];

/// Budget of one boot: it measures a few files.
const BUDGET: Budget = Budget { silence_s: 10, total_s: 60 };

/// Asks the kernel of `context` with these words on its command line, and holds it to these promises where any are given;
/// or remembers what an earlier call below `cache` was told. `booting` is called before the first boot, where one is needed.
///
/// # Errors
/// [`AskError`].
pub fn capabilities(
    context: RunContext<'_>,
    kernel_args: &[String],
    promises: Option<Interface>,
    cache: &Path,
    booting: &mut dyn FnMut(),
) -> Result<Capabilities, AskError> {
    let folder = cache.join("capabilities");
    let path = folder.join(format!("{}.json", key(context, kernel_args, promises)?));
    // What is there and cannot be read is asked anew: an older imalab may have written it.
    if let Some(known) = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
        return Ok(known);
    }
    booting();
    let mut found = probe::capabilities(&messages(&ask(context, kernel_args, probe::first())?)?)?;
    // What a boot that was not survived says is not remembered: another time it may be.
    let mut survived = true;
    found = match probe::requests(&found, promises).map(|boot| ask(context, kernel_args, boot)) {
        None => probe::with_requests(found, None, promises)?,
        Some(asked) => match survive(asked, "the removal of records")? {
            Ok(trace) => probe::with_requests(found, Some(&messages(&trace)?), promises)?,
            Err(finding) => {
                survived = false;
                found.findings.push(*finding);
                probe::without_requests(found, promises)
            }
        },
    };
    if let Some(boot) = probe::second(&found) {
        found = match survive(ask(context, kernel_args, boot), "ima_flush_htable")? {
            Ok(trace) => probe::with_second(found, &messages(&trace)?, &console(&trace))?,
            Err(finding) => {
                survived = false;
                found.findings.push(*finding);
                probe::without_second(found)
            }
        };
    }
    if let Some(boot) = probe::third(&found) {
        found = match survive(ask(context, kernel_args, boot), "a kexec")? {
            Ok(trace) => probe::with_third(found, &messages(&trace)?)?,
            Err(finding) => {
                survived = false;
                found.findings.push(*finding);
                probe::without_third(found)
            }
        };
    }
    if let Some(boot) = probe::fourth(&found) {
        found = match survive(ask(context, kernel_args, boot), "requests when measuring is suspended")? {
            Ok(trace) => probe::with_fourth(found, &messages(&trace)?)?,
            Err(finding) => {
                survived = false;
                found.findings.push(*finding);
                found
            }
        };
    }
    if !survived {
        return Ok(found);
    }
    // Where it cannot be remembered, the next call asks again.
    if let (Ok(()), Ok(text)) = (fs::create_dir_all(&folder), serde_json::to_vec_pretty(&found)) {
        let _ = atomic::write(&path, &text);
    }
    Ok(found)
}

/// A boot of which the kernel died condemns what needs it, and is a finding; what else keeps it from its end says
/// nothing of the kernel.
fn survive(asked: Result<Trace, AskError>, boot: &str) -> Result<Result<Trace, Box<ProbeFinding>>, AskError> {
    match asked {
        Ok(trace) => Ok(Ok(trace)),
        Err(AskError::Guest { judgement, console_tail }) if is_its_own(judgement.outcome) => {
            let reason = why(&judgement);
            let outcome = judgement.outcome;
            Ok(Err(Box::new(ProbeFinding::not_survived(boot, outcome, &reason, console_tail))))
        }
        Err(error) => Err(error),
    }
}

/// Why a boot did not come to its end, in words.
fn why(judgement: &Judgement) -> String {
    judgement.reason.as_ref().map_or_else(String::new, words::reason)
}

fn console(trace: &Trace) -> Vec<String> {
    let line = |what: &What| match what {
        What::Console(line) => Some(line.clone()),
        _ => None,
    };
    trace.notable().filter_map(|event| line(&event.what)).collect()
}

/// Whether a run with this outcome says something of the kernel, and not of the host alone.
fn is_its_own(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::KernelDied | Outcome::Timeout | Outcome::Failed)
}

/// Same kernel, same command line, same image, same questions: same answers.
fn key(
    context: RunContext<'_>,
    kernel_args: &[String],
    promises: Option<Interface>,
) -> Result<String, AskError> {
    let mut hash = Sha256::new();
    for path in [context.kernel, context.initramfs] {
        let bytes = fs::read(path).map_err(|source| AskError::Read { path: path.to_owned(), source })?;
        hash.update(Sha256::digest(&bytes));
    }
    hash.update(format!("{}{:?}{:?}", probe::questions(promises), kernel_args, env!("CARGO_PKG_VERSION")));
    Ok(hex::encode(hash.finalize()))
}

fn ask(context: RunContext<'_>, kernel_args: &[String], boot: Boot) -> Result<Trace, AskError> {
    let mut plan = plan(boot);
    plan.machine.kernel_args.extend_from_slice(kernel_args);
    let Ran { trace, .. } = run(&plan, context)?;
    let judgement = judge::of(&plan, &trace, &[], today());
    if judgement.outcome == Outcome::Passed {
        return Ok(trace);
    }
    let console_tail = imalab_run::console_tail(&trace);
    Err(AskError::Guest { judgement: Box::new(judgement), console_tail })
}

fn plan(boot: Boot) -> Plan {
    Plan {
        scenario: "probe".to_owned(),
        summary: "What the kernel can do.".to_owned(),
        parameters: Parameters::new(),
        seed: 0,
        interface: Interface::READ_ONLY,
        seen: Default::default(),
        machine: Shape { cpus: 1, memory_mib: 256, banks: BANKS.to_vec(), kernel_args: boot.kernel_args },
        hash_table: true,
        stock: true,
        program: boot.program,
        steps: Vec::new(),
        marks: boot.marks,
        budget: BUDGET,
        holds: Vec::new(),
        known_defect: None,
        known_limit: None,
        kernel_says: Vec::new(),
    }
}

fn messages(trace: &Trace) -> Result<Vec<imalab_wire::Message>, AskError> {
    let mut messages = Vec::new();
    for seen in trace.iter() {
        if let What::Guest(message) = &seen?.event().what {
            messages.push(message.clone());
        }
    }
    Ok(messages)
}
