//! Many runs: asks kernels what they offer, queues, runs, judges and stores.

mod ask;
mod boot;
mod covered;
mod dispatch;
mod offers;
mod one_run;
mod partition;
mod probe;
mod probe_findings;
mod queue;
mod refusal;
mod request;
mod seeded;
mod store;
#[expect(clippy::module_inception, reason = "the suite itself")]
mod suite;

use std::time::SystemTime;

use chrono::{DateTime, NaiveDate, Utc};

pub use covered::Cover;
pub use one_run::course;
pub use partition::{NoPartition, Partition};
pub use probe::{AskError, capabilities};
pub use queue::{MAX_RUNS, QueueError};
pub use request::Request;
pub use seeded::{DEFAULT_WAY, SeededLane, keep_beside_the_trace, note as note_schedule};
pub use store::Store;
pub use suite::{DryRun, dry_run, suite};

/// The day (UTC) on which a run is judged: entries of the allow list end on some day.
pub fn today() -> NaiveDate {
    DateTime::<Utc>::from(SystemTime::now()).date_naive()
}
