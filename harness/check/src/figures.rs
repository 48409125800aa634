//! How long what other processes do is held up by a staging, a delete, a trim or a snapshot: few numbers and a histogram each.
//!
//! Times are the guest's own, right before and right after each system call. They never decide a verdict: on a shared host
//! they say how the kernel's time grows, and not how long it takes.

use serde::{Deserialize, Serialize};

/// Who was held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Held {
    /// Somebody whose file was measured: one record at most.
    Append,
    /// A reader of a list.
    Read,
    /// Somebody who opened a list or was refused it.
    Open,
    /// The writer itself.
    Writer,
}

/// What it was held up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum By {
    /// No change of a list overlapped it.
    Nothing,
    /// A staging.
    Stage,
    /// A delete.
    Delete,
    /// A trim, or the removal of what a snapshot showed.
    Trim,
    /// A snapshot: all PCRs are read and recorded while nothing else can be.
    Snapshot,
}

impl Held {
    /// All of them.
    pub const ALL: [Held; 4] = [Held::Append, Held::Read, Held::Open, Held::Writer];

    /// As in the results.
    pub fn name(self) -> &'static str {
        match self {
            Held::Append => "append",
            Held::Read => "read",
            Held::Open => "open",
            Held::Writer => "writer",
        }
    }
}

impl By {
    /// All of them.
    pub const ALL: [By; 5] = [By::Nothing, By::Stage, By::Delete, By::Trim, By::Snapshot];

    /// As in the results.
    pub fn name(self) -> &'static str {
        match self {
            By::Nothing => "nothing",
            By::Stage => "stage",
            By::Delete => "delete",
            By::Trim => "trim",
            By::Snapshot => "snapshot",
        }
    }
}

/// The times of one kind of operation while one kind of change went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// Whose times.
    pub held: Held,
    /// What overlapped them.
    pub by: By,
    /// Operations.
    pub count: u64,
    /// Half of them took no longer, guest microseconds.
    pub median_us: u64,
    /// The longest, guest microseconds.
    pub max_us: u64,
    /// Operations by time: bucket 0 below 2 microseconds, bucket n from 2^n to below 2^(n+1).
    pub buckets: Vec<u64>,
}

impl Latency {
    /// Sums up times in nanoseconds; none of no times.
    pub fn of(held: Held, by: By, mut times_ns: Vec<u64>) -> Option<Latency> {
        times_ns.sort_unstable();
        let (median, max) = (*times_ns.get((times_ns.len().max(1) - 1) / 2)?, *times_ns.last()?);
        let mut buckets = Vec::new();
        for ns in &times_ns {
            let bucket = (ns / 1000).max(1).ilog2() as usize;
            if buckets.len() <= bucket {
                buckets.resize(bucket + 1, 0);
            }
            buckets[bucket] += 1;
        }
        let count = times_ns.len() as u64;
        Some(Latency { held, by, count, median_us: median / 1000, max_us: max / 1000, buckets })
    }

    /// Both together; the median is that of the larger one, since single times are gone.
    #[must_use]
    pub fn with(mut self, other: &Latency) -> Latency {
        if other.count > self.count {
            self.median_us = other.median_us;
        }
        self.count = self.count.saturating_add(other.count);
        self.max_us = self.max_us.max(other.max_us);
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket = bucket.saturating_add(*more);
        }
        self
    }
}

/// What a change of a list did to the kernel's memory, by the guest's own account (`SUnreclaim` of `/proc/meminfo`: slabs
/// that cannot be reclaimed, where records live). Whatever else the kernel did meanwhile is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Freed {
    /// A delete or a trim.
    pub by: By,
    /// Records that it removed.
    pub records: u64,
    /// Kibibytes fewer after it than before it.
    pub kib: i64,
}

/// Exponent `b` of the power `y = a * x^b` that fits the points best (least squares of the logarithms); none of fewer than
/// two different sizes, or where a value is not positive.
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    if points.iter().any(|(x, y)| *x <= 0.0 || *y <= 0.0) {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let n = logs.len() as f64;
    let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let spread: f64 = logs.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    (spread > f64::EPSILON).then(|| logs.iter().map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / spread)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn times_fall_into_buckets_of_doubling_width() {
        let times = vec![900, 1_999, 2_000, 3_999, 4_000, 1_000_000];
        let latency = Latency::of(Held::Append, By::Stage, times).unwrap();
        assert_eq!((latency.count, latency.median_us, latency.max_us), (6, 2, 1000));
        assert_eq!(latency.buckets, [2, 2, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(Latency::of(Held::Append, By::Stage, Vec::new()), None);
    }

    #[test]
    fn two_runs_add_up() {
        let one = Latency::of(Held::Read, By::Trim, vec![1_000]).unwrap();
        let two = Latency::of(Held::Read, By::Trim, vec![8_000, 9_000]).unwrap();
        let both = one.with(&two);
        assert_eq!((both.count, both.median_us, both.max_us), (3, 8, 9));
        assert_eq!(both.buckets, [1, 0, 0, 2]);
    }

    #[rstest]
    #[case(&[(10.0, 5.0), (100.0, 5.0), (1000.0, 5.0)], Some(0.0))]
    #[case(&[(10.0, 20.0), (100.0, 200.0)], Some(1.0))]
    #[case(&[(10.0, 1.0), (100.0, 100.0)], Some(2.0))]
    #[case(&[(10.0, 1.0), (10.0, 2.0)], None)]
    #[case(&[(10.0, 1.0), (100.0, 0.0)], None)]
    #[case(&[], None)]
    fn growth_is_the_slope_between_logarithms(#[case] points: &[(f64, f64)], #[case] expected: Option<f64>) {
        let found = exponent(points);
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-9, "{found:?}");
    }
}
