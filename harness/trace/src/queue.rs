//! The way of observations from the threads that make them to the one that numbers them.
//!
//! It holds a bounded part of them. Whoever sends what the agent says or what crosses the tap waits until there is room, which
//! holds the guest up and nobody else; all others (the console, QEMU's monitor, the ends of children) never wait, so that
//! nothing of the harness waits for them in vain. How much of each a run takes at all is for [`limit`](super::limit).

use std::collections::VecDeque;
use std::sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::limit::{Charge, Flood, Meter, weight};
use super::{Host, What};

/// Bytes in the queue up to which the agent's messages are let in.
const ROOM: usize = 8 * 1024 * 1024;

/// The same for TPM commands: their guest waits with a limit, and is not to be held up by what the agent sends.
const ROOM_OF_TPM: usize = 24 * 1024 * 1024;

/// The other end is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes events any more")]
pub struct Closed;

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<What>,
    /// Weight of what is queued.
    weight: usize,
    meter: Meter,
    senders: usize,
    closed: bool,
    /// Nobody has to wait for room.
    wide: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue of observations.
#[must_use]
pub fn channel() -> (Sender, Receiver) {
    let shared = Arc::new(Shared::default());
    shared.lock().senders = 1;
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// Where an observer puts what it sees.
#[derive(Debug)]
pub struct Sender(Arc<Shared>);

/// Where observations come out, in the order in which they were put in.
#[derive(Debug)]
pub struct Receiver(Arc<Shared>);

/// As long as it is there, whoever observes the guest may have to wait for room.
#[derive(Debug)]
pub struct Narrow(Arc<Shared>);

impl Sender {
    /// Adds an observation, or drops it where its kind has used up its quota; the first time that is told in its place.
    ///
    /// # Errors
    /// When nobody will take it.
    pub fn send(&self, what: What) -> Result<(), Closed> {
        let room = match what {
            What::Guest(_) => ROOM,
            What::Tpm(_) => ROOM_OF_TPM,
            _ => usize::MAX,
        };
        let mut state = self.0.lock();
        while state.weight >= room && !state.wide && !state.closed {
            state = self.0.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(Closed);
        }
        let what = match state.meter.charge(&what) {
            Charge::Taken => what,
            Charge::Over(exceeded) => {
                What::Host(Host::Flooded { by: exceeded.flood, text: exceeded.to_string() })
            }
            Charge::Dropped => return Ok(()),
        };
        state.weight += weight(&what);
        state.queue.push_back(what);
        self.0.filled.notify_one();
        Ok(())
    }
}

impl Sender {
    /// Says that there is more of this than is taken, however it was counted, unless that is known.
    pub fn cut_off(&self, by: Flood, text: String) {
        let mut state = self.0.lock();
        if !state.closed && state.meter.close(by) {
            state.queue.push_back(What::Host(Host::Flooded { by, text }));
            state.weight += state.queue.back().map_or(0, weight);
            self.0.filled.notify_one();
        }
    }
}

impl Clone for Sender {
    fn clone(&self) -> Sender {
        self.0.lock().senders += 1;
        Sender(Arc::clone(&self.0))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
        self.0.filled.notify_all();
    }
}

impl Receiver {
    /// Waits for the next.
    ///
    /// # Errors
    /// When none will come.
    pub fn recv(&self) -> Result<What, RecvError> {
        self.next(None).map_err(|_| RecvError)
    }

    /// Waits for the next, at most so long.
    ///
    /// # Errors
    /// When none came.
    pub fn recv_timeout(&self, patience: Duration) -> Result<What, RecvTimeoutError> {
        self.next(Some(patience))
    }

    /// The next, if it is there.
    ///
    /// # Errors
    /// When it is not.
    pub fn try_recv(&self) -> Result<What, TryRecvError> {
        self.next(Some(Duration::ZERO)).map_err(|error| match error {
            RecvTimeoutError::Timeout => TryRecvError::Empty,
            RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// All that come, until no more will.
    pub fn iter(&self) -> impl Iterator<Item = What> {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// All that are there.
    pub fn try_iter(&self) -> impl Iterator<Item = What> {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    /// Nobody waits for room any more once what this gives is dropped: to be done when the guest is gone, or when nobody
    /// takes events.
    #[must_use]
    pub fn narrow(&self) -> Narrow {
        Narrow(Arc::clone(&self.0))
    }

    fn next(&self, patience: Option<Duration>) -> Result<What, RecvTimeoutError> {
        let until = patience.map(|patience| Instant::now().checked_add(patience));
        let mut state = self.0.lock();
        loop {
            if let Some(what) = state.queue.pop_front() {
                state.weight -= weight(&what);
                // What a burst has taken is given back.
                if state.queue.is_empty() && state.queue.capacity() > 4096 {
                    state.queue.shrink_to(1024);
                }
                self.0.emptied.notify_all();
                return Ok(what);
            }
            if state.senders == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            // A time that the clock cannot tell never comes.
            let left = until.flatten().map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.0.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Err(RecvTimeoutError::Timeout),
                Some(left) => {
                    self.0.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.queue = VecDeque::new();
        self.0.emptied.notify_all();
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        self.0.lock().wide = true;
        self.0.emptied.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use imalab_wire::{Message, Piece};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn data(bytes: usize) -> What {
        What::Guest(Message::Data(Piece { task: 0, step: 0, op: 0, offset: 0, bytes: vec![7; bytes] }))
    }

    fn line(text: &str) -> What {
        What::Console(text.into())
    }

    #[test]
    fn what_is_sent_comes_out_in_order_until_the_last_sender_is_gone() {
        let (first, taken) = channel();
        let second = first.clone();
        first.send(line("one")).unwrap();
        second.send(line("two")).unwrap();
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [line("one"), line("two")]);
        assert_eq!(taken.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(taken.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        second.send(line("three")).unwrap();
        drop((first, second));
        assert_eq!(taken.recv_timeout(LONG), Ok(line("three")));
        assert_eq!(taken.recv(), Err(RecvError));
        assert_eq!(taken.iter().count(), 0);
    }

    #[test]
    fn a_receiver_that_waits_is_woken() {
        let (sender, taken) = channel();
        let waiting = thread::spawn(move || taken.recv_timeout(Duration::MAX).unwrap());
        sender.send(line("one")).unwrap();
        assert_eq!(waiting.join().unwrap(), line("one"));
    }

    /// Sends data until it may not, and says how many were sent.
    fn flooding(sender: &Sender) -> (thread::JoinHandle<()>, Arc<AtomicUsize>) {
        let (sender, sent) = (sender.clone(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&sent);
        let thread = thread::spawn(move || {
            while counter.load(Ordering::SeqCst) < 4 * ROOM / 1024 && sender.send(data(1024)).is_ok() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        (thread, sent)
    }

    #[test]
    fn who_sends_faster_than_it_is_taken_waits_and_others_do_not() {
        let (sender, taken) = channel();
        let (flood, sent) = flooding(&sender);
        let mut count = 0;
        while !flood.is_finished() {
            // Never more than there is room for, and one that is just being added.
            assert!(sent.load(Ordering::SeqCst) <= count + ROOM / 1024 + 1);
            sender.send(line("")).unwrap();
            count += taken.try_iter().take(64).filter(|what| matches!(what, What::Guest(_))).count();
        }
        count += taken.try_iter().filter(|what| matches!(what, What::Guest(_))).count();
        assert_eq!(count, 4 * ROOM / 1024);
    }

    #[test]
    fn a_flood_that_nobody_takes_does_not_come_to_its_end() {
        let (sender, taken) = channel();
        let (flood, sent) = flooding(&sender);
        while sent.load(Ordering::SeqCst) < ROOM / 1024 / 2 {
            thread::yield_now();
        }
        // Four times as much would be sent in the time that this takes; no more of it is in memory than there is room for.
        for _ in 0..100 {
            thread::yield_now();
            assert!(!flood.is_finished());
            assert!(sent.load(Ordering::SeqCst) <= ROOM / 1024 + 1);
        }
        drop(taken);
        flood.join().unwrap();
    }

    #[test]
    fn nobody_waits_for_a_receiver_that_is_gone_or_takes_nothing_more() {
        let (sender, taken) = channel();
        let narrow = taken.narrow();
        let (flood, _) = flooding(&sender);
        drop(narrow);
        flood.join().unwrap();
        assert_eq!(taken.try_iter().count(), 4 * ROOM / 1024);

        let (sender, taken) = channel();
        let (flood, _) = flooding(&sender);
        drop(taken);
        flood.join().unwrap();
        assert_eq!(sender.send(line("")), Err(Closed));
    }

    #[test]
    fn a_flood_is_told_once_and_the_rest_of_it_dropped() {
        let (sender, taken) = channel();
        let count = Flood::Console.quota().count;
        for _ in 0..count + 9 {
            sender.send(line("")).unwrap();
        }
        sender.cut_off(Flood::Console, "more bytes".to_owned());
        let mut seen = taken.try_iter().skip(usize::try_from(count).unwrap());
        let text = "more than 200000 lines on its console".to_owned();
        assert_eq!(seen.next(), Some(What::Host(Host::Flooded { by: Flood::Console, text })));
        assert_eq!(seen.next(), None);

        sender.send(data(1)).unwrap();
        sender.cut_off(Flood::Messages, "more bytes".to_owned());
        sender.send(What::Guest(Message::Done { ops: 0, frames: 0 })).unwrap();
        let text = "more bytes".to_owned();
        let told = What::Host(Host::Flooded { by: Flood::Messages, text });
        assert_eq!(taken.try_iter().collect::<Vec<_>>(), [data(1), told]);
    }
}
