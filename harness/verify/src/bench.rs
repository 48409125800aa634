//! Hands the records of a list to several judges, each in a thread of its own.
//!
//! Extending a PCR is a chain that cannot be shared out, but each bank is a chain of its own. Records go round in
//! batches, of which only a few exist at a time: memory does not grow with the list.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use imalab_formats::ima::{Batch, LogReader, ReadError};

use super::judge::Judge;

/// Batches that may wait for a judge.
const WAITING: usize = 4;

/// Judges at work.
pub(super) struct Bench<'scope> {
    judges: Vec<(SyncSender<Arc<Batch>>, ScopedJoinHandle<'scope, Judge>)>,
    /// The batches that go round.
    batches: Vec<Arc<Batch>>,
}

impl<'scope> Bench<'scope> {
    /// Gives each judge a thread.
    pub(super) fn seat<'env>(judges: Vec<Judge>, scope: &'scope Scope<'scope, 'env>) -> Bench<'scope> {
        let seat = |judge: Judge| {
            let (sender, receiver) = sync_channel(WAITING);
            (sender, scope.spawn(move || preside(judge, receiver)))
        };
        Bench { judges: judges.into_iter().map(seat).collect(), batches: Vec::new() }
    }

    /// Shows every judge the records of a list.
    pub(super) fn hear(&mut self, mut reader: LogReader<impl Read>) -> Result<(), ReadError> {
        loop {
            let mut batch = self.free_batch();
            if !reader.next_batch(&mut batch)? {
                return Ok(());
            }
            let batch = Arc::new(batch);
            for (sender, _) in &self.judges {
                // A judge that takes no more has panicked, which `rise` passes on.
                let _ = sender.send(Arc::clone(&batch));
            }
            self.batches.push(batch);
        }
    }

    /// A batch that all judges are done with, or a new one.
    ///
    /// There are never more than those that wait for the slowest judge, the one it is at and the one being filled.
    fn free_batch(&mut self) -> Batch {
        let free = self.batches.iter().position(|batch| Arc::strong_count(batch) == 1);
        free.and_then(|index| Arc::into_inner(self.batches.swap_remove(index))).unwrap_or_default()
    }

    /// Waits for the judges to have seen all; a panic in one goes on in the caller.
    pub(super) fn rise(self) -> Vec<Judge> {
        self.judges
            .into_iter()
            .map(|(sender, thread)| {
                drop(sender);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    }
}

fn preside(mut judge: Judge, batches: Receiver<Arc<Batch>>) -> Judge {
    for batch in batches {
        for (record, offset) in batch.records() {
            judge.record(record, offset);
        }
    }
    judge
}
