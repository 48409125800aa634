//! When it is time to take records.

use std::time::{Duration, Instant};

/// Watches for the moments that a configuration names.
#[derive(Debug)]
pub struct Triggers {
    every_records: u64,
    every: Option<Duration>,
    before_kexec: bool,
    last: Instant,
    /// Whether a kernel is loaded.
    loaded: bool,
    /// Whether records were taken for it.
    taken_for: bool,
}

impl Triggers {
    /// From `now` on; 0 records or seconds: not for that reason.
    pub fn new(every_records: u64, every_seconds: u64, before_kexec: bool, now: Instant) -> Triggers {
        let every = (every_seconds > 0).then(|| Duration::from_secs(every_seconds));
        Triggers { every_records, every, before_kexec, last: now, loaded: false, taken_for: false }
    }

    /// Whether it is time, with so many records in the kernel, and a kernel loaded to go on in or not.
    pub fn due(&mut self, records: u64, loaded: bool, now: Instant) -> bool {
        // Once for each kernel that is loaded: another one has to be unloaded first, or is seen to replace it by no sign.
        self.loaded = loaded;
        self.taken_for &= loaded;
        let newly = loaded && !self.taken_for && self.before_kexec;
        let enough = self.every_records > 0 && records >= self.every_records;
        let late = self.every.is_some_and(|every| now.duration_since(self.last) >= every);
        records > 0 && (newly || enough || late)
    }

    /// Records were taken, or there were none.
    pub fn taken(&mut self, now: Instant) {
        self.last = now;
        self.taken_for = self.loaded;
    }
}

/// Whether a kernel is loaded that a kexec would go on in.
pub fn kexec_is_loaded() -> bool {
    std::fs::read("/sys/kernel/kexec_loaded").is_ok_and(|text| text.first() == Some(&b'1'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn by_number_by_time_and_before_a_kexec() {
        let start = Instant::now();
        let mut triggers = Triggers::new(100, 60, true, start);
        assert!(!triggers.due(99, false, start));
        assert!(triggers.due(100, false, start));
        assert!(!triggers.due(1, false, at(start, 59)));
        assert!(triggers.due(1, false, at(start, 60)));
        triggers.taken(at(start, 60));
        assert!(!triggers.due(1, false, at(start, 61)));
        assert!(triggers.due(1, true, at(start, 62)), "a kernel was loaded");
        triggers.taken(at(start, 62));
        assert!(!triggers.due(1, true, at(start, 63)), "the same one");
        assert!(!triggers.due(1, false, at(start, 64)));
        assert!(triggers.due(1, true, at(start, 65)));
    }

    #[test]
    fn a_kernel_that_was_loaded_is_a_reason_until_records_were_taken() {
        let start = Instant::now();
        let mut triggers = Triggers::new(0, 0, true, start);
        assert!(!triggers.due(0, true, start), "there are none yet");
        for second in 1..4 {
            assert!(
                triggers.due(1, true, at(start, second)),
                "somebody had the list open at second {second}"
            );
        }
        triggers.taken(at(start, 4));
        assert!(!triggers.due(1, true, at(start, 5)));
    }

    #[test]
    fn what_is_switched_off_is_no_reason_and_nothing_is_never_taken() {
        let start = Instant::now();
        let mut never = Triggers::new(0, 0, false, start);
        assert!(!never.due(1_000_000, true, at(start, 1_000_000)));
        let mut always = Triggers::new(1, 1, true, start);
        assert!(!always.due(0, true, at(start, 10)));
    }
}
