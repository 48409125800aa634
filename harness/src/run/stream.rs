//! The one place where observations get their sequence number.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::event::{Event, Trace, What};

/// Collects what all threads of a run send, in order of arrival.
pub struct Stream {
    sender: Sender<What>,
    receiver: Receiver<What>,
    start: Instant,
    trace: Trace,
}

/// No event came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet;

impl Stream {
    /// An empty stream whose clock starts at `start`.
    pub fn new(start: Instant) -> Stream {
        let (sender, receiver) = channel();
        Stream { sender, receiver, start, trace: Trace::default() }
    }

    /// A handle for one more observer.
    pub fn sender(&self) -> Sender<What> {
        self.sender.clone()
    }

    /// Adds an observation of the run itself.
    pub fn note(&mut self, what: What) -> &Event {
        let seq = self.trace.events.len() as u64;
        let at_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.trace.events.push(Event { seq, at_ns, what });
        &self.trace.events[self.trace.events.len() - 1]
    }

    /// Waits for the next observation.
    ///
    /// # Errors
    /// When none came in time.
    pub fn next(&mut self, patience: Duration) -> Result<&Event, Quiet> {
        self.receiver.recv_timeout(patience).map(|what| self.note(what)).map_err(|_| Quiet)
    }

    /// Takes what has been sent and not yet been taken.
    pub fn drain(&mut self) {
        while let Ok(what) = self.receiver.try_recv() {
            self.note(what);
        }
    }

    /// All that was observed.
    pub fn into_trace(self) -> Trace {
        self.trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Host;

    #[test]
    fn numbers_have_no_gap_whoever_sends() {
        let mut stream = Stream::new(Instant::now());
        let (first, second) = (stream.sender(), stream.sender());
        first.send(What::Console("one".into())).unwrap();
        second.send(What::Console("two".into())).unwrap();
        assert_eq!(stream.next(Duration::ZERO).unwrap().seq, 0);
        stream.note(What::Host(Host::Interrupted));
        first.send(What::Console("three".into())).unwrap();
        stream.drain();
        let events = stream.into_trace().events;
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(events[3].what, What::Console("three".into()));
    }

    #[test]
    fn silence_is_told() {
        let mut stream = Stream::new(Instant::now());
        assert_eq!(stream.next(Duration::from_millis(1)).unwrap_err(), Quiet);
    }
}
