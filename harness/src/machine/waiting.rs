//! How long a process was kept waiting for a processor: time for which it cannot be blamed.

use std::fs;
use std::time::Duration;

/// The longest that one thread of process `pid` has been ready to run without running, since it began; none where the
/// kernel does not tell (`CONFIG_SCHED_INFO`, `Documentation/scheduler/sched-stats.rst`).
#[must_use]
pub fn longest(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    // A thread that ends meanwhile has no file any more.
    let texts =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    texts.filter_map(|text| waited(&text)).max()
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
    }
}
