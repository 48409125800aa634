//! How long a run may take.

use super::types::Budget;
use crate::scenario::{Task, Verb};
use imalab_formats::tpm::fault::How;

/// Seconds without any message that still count as progress; the agent reports on long operations.
const SILENCE_S: u32 = 30;
/// For the first boot, and for all that a scenario does besides measuring.
const BASE_S: u32 = 120;
/// For each further boot.
const BOOT_S: u32 = 60;
/// For a command that gets no answer: `TPM2_DURATION_LONG` (`drivers/char/tpm/tpm.h`) and cancelling it.
const LOST_MS: u64 = 3_000;

/// That of tasks without `stress`, which has become steps with clocks.
pub(super) fn of(tasks: &[Task], files: u64) -> Budget {
    let boots = tasks.iter().map(|task| u32::from(task.boot)).max().unwrap_or(0);
    let waits: u64 = tasks.iter().flat_map(|task| &task.steps).map(|step| wait_ms(&step.verb)).sum();
    // A record costs a TPM command, a few milliseconds at most, and is read back a few times.
    let files = u32::try_from(files / 20).unwrap_or(u32::MAX);
    let waits = u32::try_from(waits.div_ceil(1000)).unwrap_or(u32::MAX);
    let total_s = BASE_S.saturating_add(BOOT_S * boots).saturating_add(files).saturating_add(waits);
    Budget { silence_s: SILENCE_S, total_s }
}

/// Milliseconds that a step makes something wait.
fn wait_ms(verb: &Verb) -> u64 {
    match verb {
        // The clock of a list that is kept together never runs out.
        Verb::Clock { ms, .. } if *ms != u32::MAX => u64::from(*ms),
        Verb::TpmFault(fault) => {
            let each = match fault.how {
                // Asked again after 20 ms, then twice that, and so on up to about 2.5 s (`tpm2_transmit`).
                How::Answer { .. } | How::Lost { .. } => LOST_MS,
                How::Late { ms, .. } => u64::from(ms),
            };
            each * u64::from(fault.times.min(100))
        }
        _ => 0,
    }
}
