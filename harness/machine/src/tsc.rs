//! The frequency of the host's time stamp counter, which a guest under TCG reads as its own.
//!
//! QEMU without a counter of instructions lets the guest's RDTSC read the host's (`cpu_get_host_ticks`), and shows no
//! CPUID leaf that tells its frequency. The guest then measures it, at boot and within milliseconds, against devices
//! that the host emulates: one was seen whose time ran 51 times as fast, with a PIT on a busy host, and without a PIT
//! each one's ran 1.3 to 1.5 times as fast, as it measures over some microseconds alone (`pit_hpet_ptimer_calibrate_cpu`,
//! `arch/x86/kernel/tsc.c`). So the guest is told.

use std::sync::OnceLock;
use std::time::Duration;

/// MHz of the host's counter, measured once a process; none on a host without one.
pub(super) fn host_mhz() -> Option<u32> {
    static MHZ: OnceLock<Option<u32>> = OnceLock::new();
    *MHZ.get_or_init(measure)
}

/// `ticks` in `time` as a frequency in MHz, if a processor of today can have it. Whole ones: two measurements agree, and
/// the kernel refines what it was told while it runs (`tsc_refine_calibration_work`).
fn mhz(ticks: u64, time: Duration) -> Option<u32> {
    let nanos = time.as_nanos();
    let mhz = (u128::from(ticks) * 1000 + nanos / 2).checked_div(nanos)?;
    u32::try_from(mhz).ok().filter(|mhz| (100..=20_000).contains(mhz))
}

#[cfg(target_arch = "x86_64")]
fn measure() -> Option<u32> {
    use std::thread;
    use std::time::Instant;

    /// A reading of both clocks, and how far apart they may be.
    fn reading() -> (Duration, Instant, u64) {
        let before = Instant::now();
        #[expect(unsafe_code, reason = "no safe wrapper; reads a register")]
        let ticks = unsafe { std::arch::x86_64::_rdtsc() };
        (before.elapsed(), before, ticks)
    }
    // A processor that is taken away between the two readings spoils one of them, hardly all.
    let best = || (0..16).map(|_| reading()).min_by_key(|reading| reading.0);
    let (_, begin, first) = best()?;
    thread::sleep(Duration::from_millis(20));
    let (_, end, last) = best()?;
    mhz(last.checked_sub(first)?, end.duration_since(begin))
}

#[cfg(not(target_arch = "x86_64"))]
fn measure() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_is_ticks_by_time() {
        assert_eq!(mhz(52_000_990, Duration::from_millis(20)), Some(2600));
        assert_eq!(mhz(51_989_000, Duration::from_millis(20)), Some(2599));
    }

    #[test]
    fn what_no_processor_has_is_none() {
        assert_eq!(mhz(5, Duration::ZERO), None);
        assert_eq!(mhz(5, Duration::from_millis(20)), None);
        assert_eq!(mhz(u64::MAX, Duration::from_millis(20)), None);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn this_host_has_one_and_it_stays() {
        let first = measure().unwrap();
        assert!(measure().unwrap().abs_diff(first) <= first / 100, "{first} MHz");
    }
}
