//! Deadlines that follow progress: a run may take long as long as something happens.
//!
//! Pure: the clock's value is always passed in.

use std::time::{Duration, Instant};

use super::accel::Accel;
use imalab_formats::splat::{self, Kind};
use imalab_trace::{Host, What};

/// How long a run may be without progress, and altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Longest time between two events.
    pub quiet: Duration,
    /// Longest time of all, however much happens.
    pub cap: Duration,
}

/// What makes a guest slower than the one that a budget was written for: KVM, plain kernel, idle host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowness {
    /// The accelerator.
    pub accel: Accel,
    /// KASAN, KCSAN, lockdep and the like.
    pub sanitizer: bool,
    /// Runnable tasks for each processor of the host, see [`Slowness::host_load`]; 1 where what a guest has to wait for
    /// them is known and excused ([`Deadline::excuse`]).
    pub load: f64,
}

/// TCG needs about ten host instructions for a guest's.
const TCG: f64 = 10.0;
/// KCSAN and generic KASAN with lockdep slow a kernel down two to four times.
const SANITIZER: f64 = 4.0;
/// An overloaded host excuses no more than this.
const MAX_LOAD: f64 = 8.0;

impl Slowness {
    /// Runnable tasks per processor from `/proc/loadavg`'s text: its one-minute average; 1 when it makes no
    /// sense.
    #[must_use]
    pub fn host_load(loadavg: &str, processors: usize) -> f64 {
        let load: f64 = loadavg.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(1.0);
        #[expect(clippy::cast_precision_loss, reason = "no host has 2^52 processors")]
        let each = load / processors.max(1) as f64;
        if each.is_finite() { each.max(1.0) } else { 1.0 }
    }

    fn factor(self) -> f64 {
        let accel = match self.accel {
            Accel::Kvm => 1.0,
            Accel::Tcg => TCG,
        };
        let sanitizer = if self.sanitizer { SANITIZER } else { 1.0 };
        let load = if self.load.is_nan() { 1.0 } else { self.load.clamp(1.0, MAX_LOAD) };
        accel * sanitizer * load
    }
}

impl Budget {
    /// The same budget for a slower guest.
    #[must_use]
    pub fn scaled(self, slowness: Slowness) -> Self {
        let factor = slowness.factor();
        let longer = |budget: Duration| {
            Duration::try_from_secs_f64(budget.as_secs_f64() * factor).unwrap_or(Duration::MAX)
        };
        Self { quiet: longer(self.quiet), cap: longer(self.cap) }
    }
}

/// Which budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nothing happened for [`Budget::quiet`].
    Quiet(Duration),
    /// [`Budget::cap`] is reached.
    Cap(Duration),
}

impl std::fmt::Display for Expired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quiet(budget) => write!(f, "nothing happened for {:.1} s", budget.as_secs_f64()),
            Self::Cap(budget) => write!(f, "not over after {:.1} s", budget.as_secs_f64()),
        }
    }
}

/// Tells what shows that the guest gets on from what does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// The console's last word was of something that does not get on.
    complains: bool,
}

impl Progress {
    /// Whether this observation shows that the guest gets on. Our own doings and QEMU's notices do not, nor does a kernel
    /// that tells that something of it hangs: whatever the console says from there on is taken for its report, until the
    /// agent or the TPM is heard of.
    pub fn is_made_by(&mut self, what: &What) -> bool {
        match what {
            What::Guest(_) | What::Tpm(_) => self.complains = false,
            What::Console(line) => {
                self.complains |= splat::recognise(line).is_some_and(Kind::is_stall);
                return !self.complains;
            }
            What::Host(Host::Spawned { .. }) => {}
            What::Pcrs(_) | What::Quote(_) | What::Qmp(_) | What::Host(_) => return false,
        }
        true
    }
}

/// A running deadline.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    budget: Budget,
    began: Instant,
    progressed: Instant,
}

impl Deadline {
    /// Both budgets begin at `now`.
    #[must_use]
    pub fn new(budget: Budget, now: Instant) -> Self {
        Self { budget, began: now, progressed: now }
    }

    /// Something happened at `now`: the quiet budget begins anew. The cap does not.
    pub fn progress(&mut self, now: Instant) {
        self.progressed = self.progressed.max(now);
    }

    /// For so long the guest could do nothing, since it had no processor: no budget counts that.
    pub fn excuse(&mut self, kept: Duration) {
        self.began += kept;
        self.progressed += kept;
    }

    /// Which budget is used up at `now`, if any.
    #[must_use]
    pub fn expired(&self, now: Instant) -> Option<Expired> {
        if now.saturating_duration_since(self.began) >= self.budget.cap {
            Some(Expired::Cap(self.budget.cap))
        } else if now.saturating_duration_since(self.progressed) >= self.budget.quiet {
            Some(Expired::Quiet(self.budget.quiet))
        } else {
            None
        }
    }

    /// How long to wait for the next event before asking again; zero when expired.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        let cap = self.budget.cap.saturating_sub(now.saturating_duration_since(self.began));
        let quiet = self.budget.quiet.saturating_sub(now.saturating_duration_since(self.progressed));
        cap.min(quiet)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BUDGET: Budget = Budget { quiet: Duration::from_secs(10), cap: Duration::from_secs(25) };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn quiet_expires_and_progress_puts_it_off_until_the_cap() {
        let start = Instant::now();
        let mut deadline = Deadline::new(BUDGET, start);
        assert_eq!(deadline.left(start), BUDGET.quiet);
        assert_eq!(deadline.expired(at(start, 9)), None);
        assert_eq!(deadline.expired(at(start, 10)), Some(Expired::Quiet(BUDGET.quiet)));

        deadline.progress(at(start, 9));
        assert_eq!(deadline.expired(at(start, 18)), None);
        assert_eq!(deadline.left(at(start, 18)), Duration::from_secs(1));
        deadline.progress(at(start, 18));
        assert_eq!(deadline.left(at(start, 18)), Duration::from_secs(7), "the cap is nearer");
        deadline.progress(at(start, 24));
        assert_eq!(deadline.expired(at(start, 24)), None);
        assert_eq!(deadline.expired(at(start, 25)), Some(Expired::Cap(BUDGET.cap)));
        assert_eq!(deadline.left(at(start, 99)), Duration::ZERO);
    }

    #[test]
    fn what_the_guest_had_no_processor_for_does_not_count() {
        let start = Instant::now();
        let mut deadline = Deadline::new(BUDGET, start);
        deadline.excuse(Duration::from_secs(4));
        assert_eq!(deadline.expired(at(start, 13)), None);
        assert_eq!(deadline.expired(at(start, 14)), Some(Expired::Quiet(BUDGET.quiet)));
        deadline.progress(at(start, 20));
        assert_eq!(deadline.expired(at(start, 28)), None);
        assert_eq!(deadline.expired(at(start, 29)), Some(Expired::Cap(BUDGET.cap)));
    }

    #[test]
    fn a_late_report_of_earlier_progress_takes_nothing_back() {
        let start = Instant::now();
        let mut deadline = Deadline::new(BUDGET, at(start, 5));
        deadline.progress(start);
        assert_eq!(deadline.left(at(start, 5)), BUDGET.quiet);
        assert_eq!(deadline.expired(start), None, "a clock before the beginning");
    }

    #[test]
    fn a_kernel_that_tells_of_a_hang_does_not_get_on_by_that() {
        let line = |text: &str| What::Console(text.to_owned());
        let mut progress = Progress::default();
        assert!(progress.is_made_by(&line("[    1.0] random: crng init done")));
        for report in [
            "[   91.1] INFO: task agent:72 blocked for more than 30 seconds.",
            "[   91.2]       Not tainted 7.3.4 #1",
            "[   91.3] \"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.",
        ] {
            assert!(!progress.is_made_by(&line(report)), "{report}");
        }
        let released = What::Guest(imalab_wire::Message::ReleaseHold { task: 0, hold: 1 });
        assert!(progress.is_made_by(&released));
        assert!(progress.is_made_by(&line("[   92.0] reboot: Power down")));
        assert!(!progress.is_made_by(&What::Host(Host::Interrupted)));
    }

    #[rstest]
    #[case::as_written(Accel::Kvm, false, 1.0, 10)]
    #[case::tcg(Accel::Tcg, false, 1.0, 100)]
    #[case::sanitizer(Accel::Kvm, true, 1.0, 40)]
    #[case::all(Accel::Tcg, true, 2.0, 800)]
    #[case::idle_host_shortens_nothing(Accel::Kvm, false, 0.1, 10)]
    #[case::load_is_bounded(Accel::Kvm, false, 1000.0, 80)]
    #[case::infinite(Accel::Kvm, false, f64::INFINITY, 80)]
    #[case::nonsense(Accel::Kvm, false, f64::NAN, 10)]
    fn scales(#[case] accel: Accel, #[case] sanitizer: bool, #[case] load: f64, #[case] seconds: u64) {
        let scaled = BUDGET.scaled(Slowness { accel, sanitizer, load });
        assert_eq!(scaled.quiet, Duration::from_secs(seconds));
        assert_eq!(scaled.cap, Duration::from_secs(seconds).mul_f64(2.5));
    }

    #[test]
    fn a_budget_without_end_stays_so() {
        let endless = Budget { quiet: Duration::MAX, cap: Duration::MAX };
        let slow = Slowness { accel: Accel::Tcg, sanitizer: true, load: 8.0 };
        assert_eq!(endless.scaled(slow), endless);
        let start = Instant::now();
        assert_eq!(Deadline::new(endless, start).expired(at(start, 1_000_000)), None);
    }

    #[rstest]
    #[case::idle("0.42 1.65 0.99 1/99 1234\n", 2, 1.0)]
    #[case::busy("19.11 15.69 9.20 20/300 1\n", 2, 9.555)]
    #[case::no_processors("3.00 1 1", 0, 3.0)]
    #[case::empty("", 2, 1.0)]
    #[case::nonsense("NaN", 2, 1.0)]
    fn reads_the_load(#[case] text: &str, #[case] processors: usize, #[case] expected: f64) {
        assert!((Slowness::host_load(text, processors) - expected).abs() < 1e-9);
    }
}
