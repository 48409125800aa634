//! Forwards commands to the TPM and puts what happened into the stream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Sink, Trouble};
use crate::tpm::frame;
use crate::tpm::link::Link;
use imalab_formats::tpm::command::{command_code, name};
use imalab_trace::{Exchange, Host, Origin, What};

pub(super) struct Recorder {
    link: Link,
    epoch: Instant,
    sink: Sink,
    closing: AtomicBool,
    /// When swtpm got the command that it has not answered yet.
    asked: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Recorder {
    pub(super) fn new(link: Link, epoch: Instant, sink: Sink) -> Self {
        Recorder { link, epoch, sink, closing: AtomicBool::new(false), asked: Mutex::default() }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Cuts the link because the machine is over. What fails from now on fails for that reason and is no event.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.link.cut();
    }

    /// Host nanoseconds since the machine was started; 584 years fit.
    pub(super) fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Sends `command` to the TPM and returns the answer, `TPM_RC_FAILURE` when there is none.
    ///
    /// The exchange is recorded while nobody else can reach the TPM: the stream has the TPM's order.
    pub(super) fn forward(&self, origin: Origin, locality: u8, begin_ns: u64, command: Vec<u8>) -> Vec<u8> {
        let mut tpm = self.link.lock();
        self.set_asked(Some(Instant::now()));
        let answered = tpm.exchange(locality, &command);
        self.set_asked(None);
        let answer = match answered {
            Ok(answer) => answer,
            Err(_) if self.closing.load(Ordering::SeqCst) => return frame::bare_answer(frame::RC_FAILURE),
            Err(source) => {
                if !source.is_repeat() {
                    let code = command_code(&command).unwrap_or_default();
                    let command = name(code).map_or_else(|| format!("command {code:#x}"), str::to_owned);
                    self.trouble(&Trouble::NoAnswer { command, source });
                }
                frame::bare_answer(frame::RC_FAILURE)
            }
        };
        self.exchange(origin, locality, begin_ns, command, &answer);
        answer
    }

    fn set_asked(&self, asked: Option<Instant>) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
    }

    /// How long swtpm has owed an answer.
    pub(super) fn owed(&self) -> Option<Duration> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).map(|asked| asked.elapsed())
    }

    /// Records a command with the answer that its sender is about to get.
    pub(super) fn exchange(
        &self,
        origin: Origin,
        locality: u8,
        begin_ns: u64,
        command: Vec<u8>,
        answer: &[u8],
    ) {
        let answer = answer.to_vec();
        let end_ns = self.now();
        (self.sink)(What::Tpm(Exchange { origin, locality, command, answer, begin_ns, end_ns }));
    }

    /// Puts something else that the tap did into the stream.
    pub(super) fn note(&self, what: What) {
        (self.sink)(what);
    }

    pub(super) fn trouble(&self, trouble: &Trouble) {
        if !self.closing.load(Ordering::SeqCst) {
            (self.sink)(What::Host(Host::TpmTrouble { text: trouble.to_string() }));
        }
    }
}
