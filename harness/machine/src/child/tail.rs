//! What a child printed: the last part of it, for the message when it fails.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much of a child's output is kept, in bytes. QEMU's and swtpm's complaints are a few lines.
const KEPT: usize = 16 * 1024;

/// The last [`KEPT`] bytes of a stream, filled by a thread of its own.
#[derive(Clone, Default)]
pub(super) struct Tail(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    ended: bool,
}

impl Tail {
    /// Drains `stream` until it ends.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn drain(mut stream: impl Read + Send + 'static) -> std::io::Result<Self> {
        let tail = Self::default();
        let writer = tail.clone();
        std::thread::Builder::new().name("child-output".into()).spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => writer.keep(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            writer.lock().ended = true;
            writer.0.1.notify_all();
        })?;
        Ok(tail)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.bytes.extend(bytes);
        let excess = state.bytes.len().saturating_sub(KEPT);
        state.bytes.drain(..excess);
    }

    /// The text, after the stream has ended or `patience` is over.
    pub(super) fn text(&self, patience: Duration) -> String {
        let state = self.lock();
        let (state, _) = self
            .0
            .1
            .wait_timeout_while(state, patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = state.bytes.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_of_a_long_output() {
        let mut long = vec![b'x'; 3 * KEPT];
        long.extend(b"the reason\n");
        let tail = Tail::drain(std::io::Cursor::new(long)).unwrap();
        let text = tail.text(Duration::from_secs(60));
        assert_eq!(text.len(), KEPT);
        assert!(text.ends_with("xthe reason\n"));
    }

    #[test]
    fn does_not_wait_for_a_stream_that_stays_open() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let tail = Tail::drain(reader).unwrap();
        assert_eq!(tail.text(Duration::ZERO), "");
    }
}
