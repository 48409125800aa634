//! Whether one seed gives one run, however busy the host is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::figures::Figures;
use crate::report::run_dir::{CONSOLE, LOG, TRACE};
use crate::report::trace::{self, TraceError};
use crate::report::words;
use imalab_check::outcome::RunResult;
use imalab_trace::{Origin, Trace, What};

/// What of a run has to be the same whenever it is repeated, as hashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Print {
    /// Every decision, with the instructions up to it.
    pub schedule: String,
    /// Every byte that the guest printed, with its kernel's times.
    pub console: String,
    /// Every command that the guest gave its TPM, and the answers.
    pub tpm: String,
    /// The whole measurement list.
    pub list: String,
    /// Every message of the agent, with its times.
    pub agent: String,
}

/// Why a run left no prints.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// It has no folder or no schedule.
    #[error("run {repeat} ended without a schedule: {reason}")]
    None {
        /// Which repetition.
        repeat: u32,
        /// What became of it.
        reason: String,
    },
    /// A file of it cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Its trace cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// An event of its trace cannot be.
    #[error("an event of run {repeat} cannot be read back")]
    Event {
        /// Which repetition.
        repeat: u32,
    },
}

impl Print {
    /// The prints of a run that was kept.
    ///
    /// # Errors
    /// [`PrintError`].
    pub fn of(run: &RunResult) -> Result<Print, PrintError> {
        let (Some(dir), Some(schedule)) = (&run.dir, &run.schedule_hash) else {
            let reason = run.reason.as_ref().map(words::reason).unwrap_or_default();
            return Err(PrintError::None { repeat: run.repeat, reason });
        };
        let trace = trace::read(&dir.join(TRACE))?;
        let (tpm, agent) = hashes(&trace).ok_or(PrintError::Event { repeat: run.repeat })?;
        Ok(Print {
            schedule: schedule.clone(),
            console: hash_of(&dir.join(CONSOLE))?,
            tpm,
            list: hash_of(&dir.join(LOG))?,
            agent,
        })
    }

    fn parts(&self) -> [(&'static str, &str); 5] {
        [
            ("schedule", &self.schedule),
            ("console", &self.console),
            ("TPM", &self.tpm),
            ("list", &self.list),
            ("agent", &self.agent),
        ]
    }
}

fn hash_of(path: &Path) -> Result<String, PrintError> {
    let bytes =
        fs::read(path).map_err(|source| PrintError::Read { path: path.display().to_string(), source })?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

/// Hashes of the guest's TPM commands and of the agent's messages; the harness's own commands are none of the guest's.
fn hashes(trace: &Trace) -> Option<(String, String)> {
    let (mut tpm, mut agent) = (Sha256::new(), Sha256::new());
    let part = |hash: &mut Sha256, bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for seen in trace.iter() {
        match &seen.ok()?.event().what {
            What::Tpm(exchange) if exchange.origin == Origin::Guest => {
                part(&mut tpm, &exchange.command);
                part(&mut tpm, &exchange.answer);
            }
            What::Guest(message) => part(&mut agent, &serde_json::to_vec(message).ok()?),
            _ => {}
        }
    }
    Some((hex::encode(tpm.finalize()), hex::encode(agent.finalize())))
}

/// What a repetition left, or why nothing, and its milliseconds.
pub type Repetition = (Result<Print, String>, u64);

/// What became of one seed's repetitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Determinism {
    /// The seed.
    pub seed: u64,
    /// How often it was run.
    pub repeats: usize,
    /// How often each run came; one of them when the lane keeps its word.
    pub runs: Vec<(Print, usize)>,
    /// Why the others left nothing to compare: each is a run of its own.
    pub without: Vec<String>,
    /// Seconds of the host that each took; none of no run.
    pub seconds: Option<Figures>,
}

impl Determinism {
    /// Sorts the repetitions of `seed`, each with its milliseconds.
    pub fn of(seed: u64, runs: Vec<Repetition>) -> Determinism {
        let repeats = runs.len();
        let seconds = Figures::of(runs.iter().map(|(_, ms)| *ms as f64 / 1000.0));
        let (mut counts, mut without) = (BTreeMap::new(), Vec::new());
        for (print, _) in runs {
            match print {
                Ok(print) => *counts.entry(print).or_default() += 1,
                Err(why) => without.push(why),
            }
        }
        Determinism { seed, repeats, runs: counts.into_iter().collect(), without, seconds }
    }

    /// Whether all were the same. None at all proves nothing.
    pub fn holds(&self) -> bool {
        self.runs.len() == 1 && self.without.is_empty()
    }

    /// A line each.
    pub fn lines(&self) -> Vec<String> {
        let most = self.runs.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let mut lines = vec![format!("seed {}: {most} of {} runs are identical", self.seed, self.repeats)];
        let parts = self.runs.first().map_or(0, |(print, _)| print.parts().len());
        for part in 0..parts {
            let values: BTreeSet<&str> = self.runs.iter().map(|(print, _)| print.parts()[part].1).collect();
            let name = self.runs[0].0.parts()[part].0;
            lines.push(match values.iter().next() {
                Some(only) if values.len() == 1 => format!("  {name:<9} {}", &only[..only.len().min(16)]),
                _ => format!("  {name:<9} {} different ones", values.len()),
            });
        }
        lines.extend(self.without.iter().map(|why| format!("  {why}")));
        if let Some(Figures { median, min, max }) = self.seconds {
            lines.push(format!("  each took {median:.1} s, {min:.1} to {max:.1} s"));
        }
        lines
    }
}

/// Keeps every processor of the host busy until dropped.
pub struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many threads that do nothing but run.
    pub fn start(threads: usize) -> Load {
        let over = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..threads).map(spin).collect();
        Load { over, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use imalab_trace::{Event, Exchange};

    use super::*;

    fn print(schedule: &str, tpm: &str) -> Print {
        let [console, list, agent] = ["c0", "10", "a0"].map(str::to_owned);
        Print { schedule: schedule.into(), console, tpm: tpm.into(), list, agent }
    }

    #[test]
    fn one_run_is_enough_to_break_the_word() {
        let of = |runs: &[Result<Print, String>]| {
            Determinism::of(7, runs.iter().map(|print| (print.clone(), 1000)).collect())
        };
        let same = [Ok(print("aa", "bb")), Ok(print("aa", "bb"))];
        let kept = of(&same);
        assert!(kept.holds());
        assert_eq!(kept.lines()[0], "seed 7: 2 of 2 runs are identical");
        let other = of(&[&same[..], &[Ok(print("aa", "bc"))]].concat());
        assert!(!other.holds());
        let lines = other.lines();
        assert_eq!(lines[0], "seed 7: 2 of 3 runs are identical");
        assert_eq!(lines[1], "  schedule  aa");
        assert_eq!(lines[3], "  TPM       2 different ones");
        let cut = of(&[&same[..], &[Err("run 3 ended without a schedule".to_owned())]].concat());
        assert!(!cut.holds());
        assert!(cut.lines().contains(&"  run 3 ended without a schedule".to_owned()));
        assert!(!of(&[]).holds());
    }

    #[test]
    fn what_the_harness_asks_the_tpm_is_none_of_the_guests() {
        let event = |origin, answer: &[u8]| Event {
            seq: 0,
            at_ns: 0,
            what: What::Tpm(Exchange {
                origin,
                locality: 0,
                command: vec![1],
                answer: answer.to_vec(),
                begin_ns: 0,
                end_ns: 0,
            }),
        };
        let of = |events: Vec<Event>| hashes(&events.into()).unwrap().0;
        let guest = of(vec![event(Origin::Guest, &[2])]);
        assert_eq!(of(vec![event(Origin::Guest, &[2]), event(Origin::Harness, &[9])]), guest);
        assert_ne!(of(vec![event(Origin::Guest, &[3])]), guest);
    }
}
