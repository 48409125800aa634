//! What a guest answered to the questions of a probe.

use std::collections::{BTreeMap, BTreeSet};

use imalab_wire::{Message, Outcome, StepId};

use super::ProbeError;

/// What each step gave, by its number.
pub(super) struct Answers {
    pub(super) release: String,
    failed: BTreeMap<StepId, i32>,
    done: BTreeSet<StepId>,
    data: BTreeMap<(StepId, u16), Vec<u8>>,
}

impl Answers {
    /// Takes a boot's messages in.
    ///
    /// # Errors
    /// When the guest did not send its last message, or says that the agent failed.
    pub(super) fn read(messages: &[Message]) -> Result<Answers, ProbeError> {
        let mut answers = Answers {
            release: String::new(),
            failed: BTreeMap::new(),
            done: BTreeSet::new(),
            data: BTreeMap::new(),
        };
        let mut ended = false;
        for message in messages {
            match message {
                Message::Hello { release, .. } => answers.release.clone_from(release),
                Message::OpDone { step, outcome, .. } => {
                    answers.done.insert(*step);
                    match outcome {
                        Outcome::Value(_) => {}
                        Outcome::Errno(errno) => {
                            answers.failed.entry(*step).or_insert(*errno);
                        }
                        Outcome::NotAttempted => {
                            answers.failed.entry(*step).or_insert(0);
                        }
                    }
                }
                Message::Data(piece) => {
                    answers.data.entry((piece.step, piece.op)).or_default().extend_from_slice(&piece.bytes);
                }
                Message::Fault { text } => return Err(ProbeError::Unfinished(text.clone())),
                Message::Done { .. } => ended = true,
                Message::TaskStarted { .. }
                | Message::OpStarted { .. }
                | Message::Progress { .. }
                | Message::ReleaseHold { .. }
                | Message::FoundAsleep { .. }
                | Message::Observed(_)
                | Message::Unobserved { .. }
                | Message::Said { .. }
                | Message::TaskEnded { .. }
                | Message::Waiting => {}
            }
        }
        if !ended {
            return Err(ProbeError::Unfinished("the guest's last message is missing".to_owned()));
        }
        Ok(answers)
    }

    /// Whether a step was carried out and each of its operations succeeded.
    pub(super) fn ok(&self, step: StepId) -> bool {
        self.done.contains(&step) && !self.failed.contains_key(&step)
    }

    /// The error of a step that failed.
    pub(super) fn errno(&self, step: StepId) -> Option<i32> {
        self.failed.get(&step).copied()
    }

    /// How a step ended, in a finding's words.
    pub(super) fn told(&self, step: StepId) -> String {
        match self.errno(step) {
            Some(errno) => nix::errno::Errno::from_raw(errno).to_string(),
            None if self.done.contains(&step) => "success".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    pub(super) fn bytes(&self, step: StepId, op: u16) -> &[u8] {
        self.data.get(&(step, op)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn text(&self, step: StepId, op: u16) -> String {
        String::from_utf8_lossy(self.bytes(step, op)).into_owned()
    }

    /// The counter that a step read.
    pub(super) fn count(&self, step: StepId) -> Option<u64> {
        self.ok(step).then(|| self.text(step, 1).trim().parse().ok()).flatten()
    }
}

/// By how much a counter grew.
pub(super) fn grown(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    to?.checked_sub(from?)
}

/// A counter in a finding's words.
pub(super) fn counted(count: Option<u64>) -> String {
    count.map_or_else(|| "no count".to_owned(), |count| format!("a count of {count}"))
}
