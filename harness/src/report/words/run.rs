//! What ended a run before its checks say anything, in words.

use super::parts::{both_names, count, waiters};
use imalab_language::finding::{Holder, KernelDied, Run};

pub(super) fn kernel_died(finding: &KernelDied) -> String {
    match finding {
        KernelDied::Panic { line, function, called_from, functions: _ }
        | KernelDied::Oops { line, function, called_from, functions: _ }
        | KernelDied::Bug { line, function, called_from, functions: _ } => {
            format!("{line}{}", place(function.as_deref(), called_from.as_deref()))
        }
        KernelDied::ToldOfAPanic {} => "the guest told QEMU of a panic".to_owned(),
        KernelDied::Panicked {} => "the guest panicked".to_owned(),
        KernelDied::Reset {} => "the guest reset itself without a word".to_owned(),
        KernelDied::NoKernelAfterPanic {} => {
            "no kernel came after the panic that the scenario asked for".to_owned()
        }
    }
}

/// Where the kernel was, as a sentence goes on.
fn place(function: Option<&str>, called_from: Option<&str>) -> String {
    match (function, called_from) {
        (Some(function), Some(caller)) => format!(", in {function}, called from {caller}"),
        (Some(function), None) => format!(", in {function}"),
        (None, _) => String::new(),
    }
}

/// Who holds a lock, as a sentence goes on.
fn held(holder: &Holder) -> String {
    let Holder { who, task, scenario_task, does, function } = holder;
    let does = match (does.as_str(), function) {
        ("waits", Some(function)) => format!(", which waits in {function}"),
        ("waits", None) => ", which waits too".to_owned(),
        ("runs", Some(function)) => format!(", which runs in {function}"),
        ("is-not-blocked", _) => ", which is not blocked".to_owned(),
        _ => String::new(),
    };
    match (who.as_str(), task) {
        ("task", Some(task)) => {
            format!("; likely holder: {}{does}", both_names(task, scenario_task.as_deref()))
        }
        ("itself", _) => ", which it likely holds itself".to_owned(),
        _ => ", whose holder is not found".to_owned(),
    }
}

pub(super) fn words(finding: &Run) -> String {
    match finding {
        Run::Interrupted {} => "interrupted".to_owned(),
        Run::Flooded { limit } => format!("the guest flooded the run: {limit}"),
        Run::Hangs { line, task: None, function, called_from, waiters: others, .. } => {
            let place = place(function.as_deref(), called_from.as_deref());
            format!("the kernel hangs: {line}{place}{}", waiters(others))
        }
        Run::Hangs {
            line,
            task: Some(_),
            scenario_task,
            function,
            called_from: _,
            lock,
            holder,
            waiters: others,
        } => {
            let own = scenario_task.as_ref().map_or_else(String::new, |name| format!(" (task {name})"));
            let at = function.as_ref().map_or_else(String::new, |function| format!(" in {function}"));
            let lock = lock.as_ref().map_or_else(String::new, |lock| format!(" for a {lock}"));
            let holder = holder.as_ref().map_or_else(String::new, held);
            format!("the kernel hangs: {line}; it{own} waits{at}{lock}{holder}{}", waiters(others))
        }
        Run::NoProgress { deadline, agent_error, idle, processors, waiters: others } => {
            let first =
                agent_error.as_ref().map_or_else(String::new, |error| format!("agent: {error}; then "));
            let processors = match (idle, processors) {
                (Some(idle), Some(all)) => format!(", {idle} of {} idle", count(*all, "processor")),
                _ => String::new(),
            };
            format!("{first}{deadline}{processors}{}", waiters(others))
        }
        Run::InterruptLost { processor, vector } => format!(
            "QEMU lost the end of an interrupt: processor {processor} is halted with vector {vector} in service, so none of \
             its priority or below gets through any more"
        ),
        Run::TpmGivenUp { line } => {
            format!("the kernel gave its TPM up ({line}), and nothing that was measured of the host says why")
        }
        Run::HostBusy { line, waited_ms, within_ms, answer_ms } => {
            let proof = match (waited_ms, within_ms, answer_ms) {
                (Some(waited), Some(within), _) => {
                    format!("QEMU, swtpm or imalab waited {waited} ms of {within} ms for a processor")
                }
                (_, _, Some(answer)) => format!("swtpm took {answer} ms for an answer"),
                _ => "nothing that was measured says why".to_owned(),
            };
            format!("the host was too busy: the kernel says \"{line}\"; {proof}")
        }
        Run::AgentLost { said_hello, powered_off, tpm_given_up } => {
            let first = tpm_given_up.as_ref().map_or_else(String::new, |line| {
                format!(
                    "the kernel gave its TPM up ({line}), and nothing that was measured of the host says why; "
                )
            });
            let lost = if *said_hello {
                "the agent's last message never came"
            } else {
                "the agent never said hello"
            };
            let off = if *powered_off { ", and the guest powered itself off" } else { "" };
            format!("{first}{lost}{off}")
        }
        Run::AgentError { error } => format!("agent: {error}"),
        Run::BadFrame { error } => format!("the agent's stream cannot be decoded: {error}"),
        Run::ChildEnded { child, status, needed_by, last_words } => {
            let needed = match needed_by.as_deref() {
                Some("qemu") => " before QEMU was done with it",
                Some(_) => " before the guest was done",
                None => "",
            };
            let words = match last_words.is_empty() {
                true => String::new(),
                false => format!(", its last words: {}", last_words.join(" / ")),
            };
            format!("{child} ended with status {status}{needed}{words}")
        }
        Run::QemuKilled {} => "QEMU was ended by a signal from outside".to_owned(),
        Run::TpmTrouble { error } => format!("TPM: {error}"),
        Run::Trouble { error } => error.clone(),
        Run::NotStarted { error, hint } => match hint {
            Some(hint) => format!("{error} ({hint})"),
            None => error.clone(),
        },
        Run::ScheduleUnknown { error } => format!("the run's schedule is not known: {error}"),
        Run::ForksDiffer { fork, cold } => {
            let all = |ends: &[String]| match ends {
                [] => "no outcome".to_owned(),
                ends => ends.join(" and "),
            };
            format!(
                "from a saved machine the run ended otherwise than after a boot: saved: {}, booted: {}",
                all(fork),
                all(cold)
            )
        }
        Run::ImalabFailed { error } => format!("imalab itself failed, which is a defect of it: {error}"),
    }
}
