//! The one place where observations get their sequence number.

use std::path::Path;
use std::time::{Duration, Instant};

use imalab_trace::{Event, Narrow, Receiver, Recording, Sender, Trace, What, channel};

/// Collects what all threads of a run send, in order of arrival.
pub struct Stream {
    sender: Sender,
    receiver: Receiver,
    start: Instant,
    recording: Recording,
}

/// No event came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet;

impl Stream {
    /// An empty stream whose clock starts at `start`. What is much goes into a file in `folder`.
    pub fn new(start: Instant, folder: &Path) -> Stream {
        let (sender, receiver) = channel();
        Stream { sender, receiver, start, recording: Recording::within(folder) }
    }

    /// A handle for one more observer.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// As [`Receiver::narrow`].
    pub fn narrow(&self) -> Narrow {
        self.receiver.narrow()
    }

    /// Adds an observation of the run itself.
    pub fn note(&mut self, what: What) {
        let at_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.recording.push(Event { seq: self.recording.next(), at_ns, what });
    }

    /// Takes over what another stream has of the same guest, at the times that it has there. Comes before all else.
    pub(super) fn go_on_from(&mut self, events: &[Event]) {
        for event in events {
            self.recording.push(Event { seq: self.recording.next(), ..event.clone() });
        }
    }

    /// Waits for the next observation, and lets `look` see it.
    ///
    /// # Errors
    /// When none came in time.
    pub fn next<T>(&mut self, patience: Duration, look: impl FnOnce(&What) -> T) -> Result<T, Quiet> {
        let what = self.receiver.recv_timeout(patience).map_err(|_| Quiet)?;
        let looked = look(&what);
        self.note(what);
        Ok(looked)
    }

    /// Takes what has been sent and not yet been taken.
    pub fn drain(&mut self) {
        while let Ok(what) = self.receiver.try_recv() {
            self.note(what);
        }
    }

    /// All that was observed.
    pub fn into_trace(self) -> Trace {
        self.recording.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_trace::Host;

    #[test]
    fn numbers_have_no_gap_whoever_sends() {
        let mut stream = Stream::new(Instant::now(), &std::env::temp_dir());
        let (first, second) = (stream.sender(), stream.sender());
        first.send(What::Console("one".into())).unwrap();
        second.send(What::Console("two".into())).unwrap();
        let one = |what: &What| *what == What::Console("one".into());
        assert!(stream.next(Duration::ZERO, one).unwrap());
        stream.note(What::Host(Host::Interrupted));
        first.send(What::Console("three".into())).unwrap();
        stream.drain();
        let trace = stream.into_trace();
        let events: Vec<_> = trace.notable().collect();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(events[3].what, What::Console("three".into()));
    }

    #[test]
    fn silence_is_told() {
        let mut stream = Stream::new(Instant::now(), &std::env::temp_dir());
        assert_eq!(stream.next(Duration::from_millis(1), |_| ()).unwrap_err(), Quiet);
    }
}
