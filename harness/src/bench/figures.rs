//! Few numbers that stand for many.

use std::fmt;
use std::fs;

use serde::Serialize;

/// Least, middle and greatest of several values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Half of the values are not above it.
    pub median: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

impl Figures {
    /// Those of `values`; none of no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Figures> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let low = values[(values.len() - 1) / 2];
        Some(Figures { median: (low + values[middle]) / 2.0, min, max })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(1);
        write!(f, "{:>9.places$} {:>9.places$} {:>9.places$}", self.median, self.min, self.max)
    }
}

/// Processors of this host and how much they had to do in the last minute: figures mean little without it.
pub fn host() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown");
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!("host: {processors} processors, load {load}; imalab: {profile} profile")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[2.0], 2.0, 2.0, 2.0)]
    #[case(&[3.0, 1.0, 2.0], 2.0, 1.0, 3.0)]
    #[case(&[4.0, 1.0, 2.0, 3.0], 2.5, 1.0, 4.0)]
    fn the_middle_and_the_ends(
        #[case] values: &[f64],
        #[case] median: f64,
        #[case] min: f64,
        #[case] max: f64,
    ) {
        assert_eq!(Figures::of(values.iter().copied()), Some(Figures { median, min, max }));
    }

    #[test]
    fn nothing_has_no_middle() {
        assert_eq!(Figures::of([]), None);
    }
}
