//! How long a process was kept waiting for a processor: time for which it cannot be blamed.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::time::{Duration, Instant};

/// What each thread of a process has been ready to run without running since it began, by its number.
type Threads = BTreeMap<u32, Duration>;

/// The longest that one thread of process `pid` has been ready to run without running, since it began; none where the
/// kernel does not tell (`CONFIG_SCHED_INFO`, `Documentation/scheduler/sched-stats.rst`).
#[must_use]
pub fn longest(pid: u32) -> Option<Duration> {
    threads(pid).into_values().max()
}

fn threads(pid: u32) -> Threads {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/task")) else { return Threads::new() };
    // A thread that ends meanwhile has no file any more.
    let of = |thread: fs::DirEntry| {
        let number = thread.file_name().to_str()?.parse().ok()?;
        Some((number, waited(&fs::read_to_string(thread.path().join("schedstat")).ok()?)?))
    };
    folder.flatten().filter_map(of).collect()
}

/// The second number of `/proc/PID/task/TID/schedstat`, in nanoseconds.
fn waited(schedstat: &str) -> Option<Duration> {
    let mut numbers = schedstat.split_ascii_whitespace().map(str::parse::<u64>);
    let (Some(Ok(_ran)), Some(Ok(waited)), Some(Ok(_slices))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return None;
    };
    Some(Duration::from_nanos(waited))
}

/// How much the host kept from a processor what a guest needs, in some time: the measure of the host's guilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostDelay {
    /// The longest that one thread of QEMU or swtpm, or the one of imalab between them, was ready and did not run, or that imalab's timers
    /// came too late.
    pub longest: Duration,
    /// Within so long.
    pub within: Duration,
}

/// Samples that are kept, one a second: more than any kernel waits for its TPM (`TPM2_DURATION_DEFAULT`, 120 s,
/// `drivers/char/tpm/tpm.h`).
const SAMPLES: usize = 180;
/// Time between two samples.
pub const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Sample {
    at: Instant,
    threads: Threads,
    /// By how much our own timers have been late, in all.
    late: Duration,
}

/// Watches how long processes wait for a processor.
///
/// What the host of this host takes away shows in no `schedstat`: it shows in our own timers.
#[derive(Debug)]
pub struct DelaySampler {
    pids: Vec<u32>,
    /// A thread of this process.
    own: Option<u32>,
    samples: VecDeque<Sample>,
    late: Duration,
}

impl DelaySampler {
    /// Watches these processes from now on.
    #[must_use]
    pub fn new(pids: Vec<u32>) -> DelaySampler {
        let mut sampler = DelaySampler { pids, own: None, samples: VecDeque::new(), late: Duration::ZERO };
        sampler.sample(Instant::now());
        sampler
    }

    /// Watches this thread of the process itself too.
    pub fn also(&mut self, own: Option<u32>) {
        self.own = own;
    }

    /// Takes a sample unless the last is younger than [`INTERVAL`].
    pub fn sample_if_due(&mut self, now: Instant) {
        let is_due = |last: &Sample| now.saturating_duration_since(last.at) >= INTERVAL;
        if self.samples.back().is_none_or(is_due) {
            self.sample(now);
        }
    }

    /// A timer of ours came so much too late.
    pub fn late(&mut self, late: Duration) {
        self.late += late;
    }

    fn sample(&mut self, at: Instant) {
        let mut threads: Threads = self.pids.iter().flat_map(|pid| threads(*pid)).collect();
        let of_own = |thread: u32| {
            let path = format!("/proc/{}/task/{thread}/schedstat", std::process::id());
            Some((thread, waited(&fs::read_to_string(path).ok()?)?))
        };
        threads.extend(self.own.and_then(of_own));
        self.push(Sample { at, threads, late: self.late });
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// How much was kept from a processor since that moment, or since the last sample before it.
    pub fn since(&mut self, moment: Instant) -> HostDelay {
        let now = Instant::now();
        self.sample(now);
        self.between(moment)
    }

    /// From the last sample that is not younger than `moment` to the newest.
    fn between(&self, moment: Instant) -> HostDelay {
        let first = self.samples.iter().rev().find(|sample| sample.at <= moment);
        let (Some(first), Some(last)) = (first.or(self.samples.front()), self.samples.back()) else {
            return HostDelay { longest: Duration::ZERO, within: Duration::ZERO };
        };
        let before = |thread| first.threads.get(thread).copied().unwrap_or_default();
        let of_threads = last.threads.iter().map(|(thread, waited)| waited.saturating_sub(before(thread)));
        let longest = of_threads.chain([last.late.saturating_sub(first.late)]).max().unwrap_or_default();
        HostDelay { longest, within: last.at.saturating_duration_since(first.at) }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("183745 66550 12\n", Some(66_550))]
    #[case("0 0 0\n", Some(0))]
    #[case("", None)]
    #[case("1 2\n", None)]
    #[case("1 x 3\n", None)]
    fn the_second_number_is_the_time(#[case] text: &str, #[case] nanos: Option<u64>) {
        assert_eq!(waited(text), nanos.map(Duration::from_nanos));
    }

    #[test]
    fn a_process_that_is_not_there_has_not_waited() {
        assert_eq!(longest(u32::MAX), None);
        let mut sampler = DelaySampler::new(vec![u32::MAX]);
        assert_eq!(sampler.since(Instant::now()).longest, Duration::ZERO);
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[rstest]
    // Each thread for itself: 2 s of one and 3 s of another are not 5 s, nor is what came before.
    #[case::since_the_start(0, 4, 30)]
    #[case::since_a_moment(15, 3, 20)]
    #[case::since_a_sample(20, 1, 10)]
    #[case::ours_are_late_too(29, 1, 10)]
    fn what_was_kept_is_of_one_thread_and_of_the_time_asked_for(
        #[case] since: u64,
        #[case] longest: u64,
        #[case] within: u64,
    ) {
        let start = Instant::now();
        let mut sampler =
            DelaySampler { pids: Vec::new(), own: None, samples: VecDeque::new(), late: Duration::ZERO };
        for (at, one, other, late) in [(0, 7, 0, 0), (10, 8, 1, 0), (20, 9, 3, 0), (30, 9, 4, 1)] {
            let threads = Threads::from([(1, seconds(one)), (2, seconds(other))]);
            sampler.push(Sample { at: start + seconds(at), threads, late: seconds(late) });
        }
        let kept = sampler.between(start + seconds(since));
        assert_eq!(kept, HostDelay { longest: seconds(longest), within: seconds(within) });
    }

    #[test]
    fn a_thread_of_ours_is_watched_by_its_number() {
        let own = nix::unistd::gettid().as_raw().unsigned_abs();
        let mut sampler = DelaySampler::new(Vec::new());
        assert!(sampler.samples.iter().all(|sample| sample.threads.is_empty()));
        sampler.also(Some(own));
        sampler.since(Instant::now());
        let last = sampler.samples.back().unwrap();
        assert_eq!(last.threads.keys().copied().collect::<Vec<_>>(), [own]);
        sampler.also(Some(u32::MAX));
        sampler.since(Instant::now());
        assert!(sampler.samples.back().unwrap().threads.is_empty(), "it is gone");
    }

    #[test]
    fn samples_are_bounded() {
        let start = Instant::now();
        let mut sampler = DelaySampler::new(Vec::new());
        for second in 0..1_000 {
            sampler.sample_if_due(start + seconds(second));
        }
        assert_eq!(sampler.samples.len(), SAMPLES);
    }
}
