//! The one place where observations get their sequence number.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::event::{Event, Trace, What};

/// Collects what all threads of a run send, in order of arrival.
pub struct Stream {
    sender: Option<Sender<What>>,
    receiver: Receiver<What>,
    start: Instant,
    trace: Trace,
}

/// Why no event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// The time is over.
    TimedOut,
    /// Every sender is gone: nothing can come any more.
    Ended,
}

impl Stream {
    /// An empty stream whose clock starts at `start`.
    pub fn new(start: Instant) -> Stream {
        let (sender, receiver) = channel();
        Stream { sender: Some(sender), receiver, start, trace: Trace::default() }
    }

    /// A handle for one more observer.
    pub fn sender(&self) -> Option<Sender<What>> {
        self.sender.clone()
    }

    /// Gives no more handles, so that the stream ends when the observers are gone.
    pub fn close(&mut self) {
        self.sender = None;
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
    /// When none came in time, or none can come.
    pub fn next(&mut self, patience: Duration) -> Result<&Event, Quiet> {
        match self.receiver.recv_timeout(patience) {
            Ok(what) => Ok(self.note(what)),
            Err(RecvTimeoutError::Timeout) => Err(Quiet::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(Quiet::Ended),
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
    fn numbers_have_no_gap_and_the_stream_ends_with_its_observers() {
        let mut stream = Stream::new(Instant::now());
        let first = stream.sender().unwrap();
        let second = first.clone();
        stream.close();
        first.send(What::Console("one".into())).unwrap();
        second.send(What::Console("two".into())).unwrap();
        drop((first, second));
        assert_eq!(stream.next(Duration::ZERO).unwrap().seq, 0);
        assert_eq!(stream.next(Duration::ZERO).unwrap().seq, 1);
        assert_eq!(stream.next(Duration::from_secs(60)).unwrap_err(), Quiet::Ended);
        stream.note(What::Host(Host::Interrupted));
        let seqs: Vec<u64> = stream.into_trace().events.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [0, 1, 2]);
    }

    #[test]
    fn silence_is_not_an_end() {
        let mut stream = Stream::new(Instant::now());
        assert_eq!(stream.next(Duration::from_millis(1)).unwrap_err(), Quiet::TimedOut);
    }
}
