//! What ends a run before its checks say anything: a dead kernel, a hang, trouble of the surroundings.

use super::{Holder, Phrasing, Waiter};

findings! {
    /// The guest's kernel died.
    KernelDied {
        /// It panicked. `function` is where, `called_from` the first function of IMA below it, `functions` the whole call trace.
        "kernel-died/panic" Panic {
            line: String, function: Option<String>, called_from: Option<String>, functions: Vec<String>,
        }
        /// A fault in the kernel.
        "kernel-died/oops" Oops {
            line: String, function: Option<String>, called_from: Option<String>, functions: Vec<String>,
        }
        /// It ran into a `BUG()`.
        "kernel-died/bug" Bug {
            line: String, function: Option<String>, called_from: Option<String>, functions: Vec<String>,
        }
        /// It reported a panic to QEMU, and printed none.
        "kernel-died/told-of-a-panic" ToldOfAPanic {}
        /// QEMU says that it panicked.
        "kernel-died/panicked" Panicked {}
        /// The guest reset without any message.
        "kernel-died/reset" Reset {}
        /// No kernel booted after the panic that the scenario requested.
        "kernel-died/no-kernel-after-panic" NoKernelAfterPanic {}
    }
}

findings! {
    /// What ended a run before its checks could judge it.
    Run {
        /// A signal ended it.
        "run/interrupted" Interrupted {}
        /// The guest sent more than a run takes.
        "run/flooded" Flooded { limit: String }
        /// The kernel reports that a task or a CPU hangs: where, and the likely holder of what the task waits for.
        "run/hangs" Hangs {
            line: String, task: Option<String>, scenario_task: Option<String>, function: Option<String>,
            called_from: Option<String>, lock: Option<String>, holder: Option<Holder>, waiters: Vec<Waiter>,
        }
        /// Nothing happened for too long. `agent_error`: the agent's error before that.
        "run/no-progress" NoProgress {
            deadline: String, agent_error: Option<String>, idle: Option<u64>, processors: Option<u64>, waiters: Vec<Waiter>,
        }
        /// QEMU lost the end of an interrupt: a halted CPU has this vector in service.
        "run/interrupt-lost" InterruptLost { processor: u64, vector: u8 }
        /// A kernel gave up on its TPM, and no measurement of the host explains it.
        "run/tpm-given-up" TpmGivenUp { line: String }
        /// The host was too busy: the TPM's answer was late, or a process of the machine waited for a CPU.
        "run/host-busy" HostBusy {
            line: String, waited_ms: Option<u64>, within_ms: Option<u64>, answer_ms: Option<u64>,
        }
        /// The agent was lost: it never said hello, or its last message never came.
        "run/agent-lost" AgentLost { said_hello: bool, powered_off: bool, tpm_given_up: Option<String> }
        /// The agent could not do something.
        "run/agent-error" AgentError { error: String }
        /// The agent's stream cannot be decoded.
        "run/bad-frame" BadFrame { error: String }
        /// QEMU or swtpm ended, before `needed_by` (`qemu` or `guest`) was done with it.
        "run/child-ended" ChildEnded {
            child: String, status: i32, needed_by: Option<String>, last_words: Vec<String>,
        }
        /// A signal from outside killed QEMU.
        "run/qemu-killed" QemuKilled {}
        /// The TPM or its tap failed.
        "run/tpm-trouble" TpmTrouble { error: String }
        /// The run's infrastructure failed.
        "run/trouble" Trouble { error: String }
        /// The machine could not be started.
        "run/not-started" NotStarted { error: String, hint: Option<String> }
        /// In the deterministic lane, the schedule is unknown of a run that otherwise passed, or of the run that counts points.
        "run/schedule-unknown" ScheduleUnknown { error: String }
        /// In the deterministic lane, a task could not be held as the scenario asks for. `held`: what came of it.
        "run/not-ordered" NotOrdered { scenario_line: u64, task: String, place: String, awaits: String, held: String }
        /// A fork and the same run booted cold ended differently, each run twice.
        "run/forks-differ" ForksDiffer { fork: Vec<String>, cold: Vec<String> }
        /// imalab itself failed.
        "run/imalab-failed" ImalabFailed { error: String }
    }
}

impl KernelDied {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, _: &dyn Phrasing) -> String {
        match self {
            KernelDied::Panic { line, function, called_from, functions: _ }
            | KernelDied::Oops { line, function, called_from, functions: _ }
            | KernelDied::Bug { line, function, called_from, functions: _ } => {
                format!("{line}{}", place(function.as_deref(), called_from.as_deref()))
            }
            KernelDied::ToldOfAPanic {} => "the guest reported a panic to QEMU".to_owned(),
            KernelDied::Panicked {} => "the guest panicked".to_owned(),
            KernelDied::Reset {} => "the guest reset without any message".to_owned(),
            KernelDied::NoKernelAfterPanic {} => {
                "no kernel booted after the panic that the scenario requested".to_owned()
            }
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
fn held(phrase: &dyn Phrasing, holder: &Holder) -> String {
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
            format!("; likely holder: {}{does}", phrase.both_names(task, scenario_task.as_deref()))
        }
        ("itself", _) => ", which it likely holds itself".to_owned(),
        _ => ", whose holder is not found".to_owned(),
    }
}

/// What came of a hold, as a sentence goes on.
fn how_held(held: &str) -> &'static str {
    match held {
        "not-set" => "and the step that says so was not come to",
        "not-reached" => "and did not come there",
        "never-came" => "which never happened",
        "stuck" => "and all others waited meanwhile",
        "last-one" => "and no other processor would have run",
        _ => "and was not",
    }
}

impl Run {
    /// What was found, as a sentence of one line.
    pub(super) fn words(&self, phrase: &dyn Phrasing) -> String {
        match self {
            Run::Interrupted {} => "interrupted".to_owned(),
            Run::Flooded { limit } => format!("the guest flooded the run: {limit}"),
            Run::Hangs { line, task: None, function, called_from, waiters: others, .. } => {
                let place = place(function.as_deref(), called_from.as_deref());
                format!("the kernel hangs: {line}{place}{}", phrase.waiters(others))
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
                let holder = holder.as_ref().map_or_else(String::new, |holder| held(phrase, holder));
                format!("the kernel hangs: {line}; it{own} waits{at}{lock}{holder}{}", phrase.waiters(others))
            }
            Run::NoProgress { deadline, agent_error, idle, processors, waiters: others } => {
                let first =
                    agent_error.as_ref().map_or_else(String::new, |error| format!("agent: {error}; then "));
                let processors = match (idle, processors) {
                    (Some(idle), Some(all)) => {
                        format!(", {idle} of {} idle", phrase.count(*all, "CPU"))
                    }
                    _ => String::new(),
                };
                format!("{first}{deadline}{processors}{}", phrase.waiters(others))
            }
            Run::InterruptLost { processor, vector } => format!(
                "QEMU lost the end of an interrupt: CPU {processor} is halted with vector {vector} in service, \
                 which blocks all vectors of its priority or below"
            ),
            Run::TpmGivenUp { line } => {
                format!("the kernel gave up on its TPM ({line}), and no measurement of the host explains it")
            }
            Run::HostBusy { line, waited_ms, within_ms, answer_ms } => {
                let proof = match (waited_ms, within_ms, answer_ms) {
                    (Some(waited), Some(within), _) => {
                        format!("QEMU, swtpm or imalab waited {waited} ms of {within} ms for a CPU")
                    }
                    (_, _, Some(answer)) => format!("swtpm took {answer} ms to answer"),
                    _ => "no measurement explains it".to_owned(),
                };
                format!("the host was too busy: the kernel says \"{line}\"; {proof}")
            }
            Run::AgentLost { said_hello, powered_off, tpm_given_up } => {
                let first = tpm_given_up.as_ref().map_or_else(String::new, |line| {
                    format!(
                        "the kernel gave up on its TPM ({line}), and no measurement of the host explains it; "
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
            Run::QemuKilled {} => "QEMU was killed by a signal from outside".to_owned(),
            Run::TpmTrouble { error } => format!("TPM: {error}"),
            Run::Trouble { error } => error.clone(),
            Run::NotStarted { error, hint } => match hint {
                Some(hint) => format!("{error} ({hint})"),
                None => error.clone(),
            },
            Run::NotOrdered { scenario_line, task, place, awaits, held } => {
                format!(
                    "could not be ordered (line {scenario_line}): `{task}` was to be held at {place} until {awaits}, {}",
                    how_held(held)
                )
            }
            Run::ScheduleUnknown { error } => format!("the run's schedule is not known: {error}"),
            Run::ForksDiffer { fork, cold } => {
                let all = |ends: &[String]| match ends {
                    [] => "no outcome".to_owned(),
                    ends => ends.join(" and "),
                };
                format!(
                    "the fork and the cold boot ended differently: saved: {}, booted: {}",
                    all(fork),
                    all(cold)
                )
            }
            Run::ImalabFailed { error } => format!("imalab itself failed; this is a bug in imalab: {error}"),
        }
    }
}
