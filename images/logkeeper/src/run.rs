//! The keeper as a process: looks, rotates, says how it is, and goes when it is told to.

use std::time::Instant;

use imalab_logkeeper::{
    Config, Files, Keeper, Machine, Problem, Signals, Step, SystemCalls, Triggers, Waiting, holders_of_lists,
    holders_of_lock, kexec_is_loaded, notify,
};
use nix::poll::PollTimeout;

use crate::Failure;

/// Runs until a signal ends it, or shards are damaged.
pub(crate) fn run(config: &Config) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    let mut machine = Machine::keep(config)?;
    let lock = machine.lock_path();
    let files = Files::of(&machine.list_files().map_err(Failure::Lists)?, config.flavour)?;
    match files.flavour {
        Some(flavour) => say(&format!("records are taken out by {flavour}")),
        None => say("this kernel has no way to take records out: they stay where they are"),
    }
    let mut keeper = Keeper::new(machine, files, config.settings());
    let mut triggers =
        Triggers::new(config.every_records, config.every_seconds, config.before_kexec, Instant::now());
    let (mut ready, mut said) = (false, String::new());
    loop {
        let ending = signals.end();
        let asked = signals.take_now();
        let loaded = kexec_is_loaded();
        // A kernel that does not say how many it has may have some.
        let count = keeper.system().count().unwrap_or(1);
        let due = triggers.due(count, loaded, Instant::now());
        // Whoever is about to go on in another kernel carries less.
        let last_chance = ending && loaded && config.before_kexec;
        let step = keeper.step(due || asked || last_chance);
        if asked && matches!(step, Ok(Step::Waiting(_)) | Err(_)) {
            signals.ask_again();
        }
        if let Ok(step) = &step {
            if !ready && keeper.settled() {
                ready = true;
                let tpm = if keeper.pcr_matches() { "the TPM agrees" } else { "the TPM does not agree" };
                let (records, next) = (keeper.after().place.records, keeper.generation());
                say(&format!("ready: {records} records are in shards, the next shard is {next}, {tpm}"));
                tell("READY=1\n");
            }
            if due && (*step == Step::Nothing || matches!(step, Step::Kept { .. }) && !keeper.behind()) {
                triggers.taken(Instant::now());
            }
        }
        let behind = matches!(step, Ok(Step::Kept { .. })) && keeper.behind();
        let state = match step {
            Ok(Step::Nothing) => String::new(),
            Ok(Step::Kept { records }) => {
                say(&format!("kept {records} records in shard {}", keeper.generation().saturating_sub(1)));
                String::new()
            }
            Ok(Step::Waiting(waiting)) => waits_for(waiting, &lock),
            Err(problem) if !problem.passes() => return Err(problem.into()),
            Err(Problem::Undecided) => String::new(),
            Err(problem) => problem.to_string(),
        };
        if state != said && !state.is_empty() {
            say(&state);
        }
        if state != said {
            tell(&format!("STATUS={state}\n"));
            said = state;
        }
        tell("WATCHDOG=1\n");
        if behind {
            // What came since is looked at before anything is waited for.
            continue;
        }
        if ending {
            tell("STOPPING=1\n");
            say("ends");
            return Ok(());
        }
        let next_look = PollTimeout::try_from(config.look_seconds.saturating_mul(1000));
        signals.wait(None, next_look.unwrap_or(PollTimeout::MAX));
    }
}

/// What is waited for, and because of whom.
fn waits_for(waiting: Waiting, lock: &std::path::Path) -> String {
    let holders = match waiting {
        Waiting::Busy => holders_of_lists(),
        Waiting::Readers => holders_of_lock(lock),
        Waiting::Suspended => Vec::new(),
    };
    if holders.is_empty() {
        return waiting.to_string();
    }
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    format!("{waiting}: {}", names.join(", "))
}

fn say(text: &str) {
    eprintln!("logkeeper: {text}");
}

fn tell(state: &str) {
    // A manager that does not listen is no reason to stop.
    let _ = notify(state);
}
