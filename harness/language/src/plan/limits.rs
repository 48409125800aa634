//! What a plan may ask of a host. One that was made here stays within; one that somebody else stored may not.

use super::Plan;

/// Most vCPUs, and MiB of memory, as a scenario may ask for.
const CPUS: u8 = 64;
const MEMORY_MIB: u32 = 65_536;
/// Longest silence and longest run in seconds: some times those of ten million records.
const SILENCE_S: u32 = 3_600;
const TOTAL_S: u32 = 2_000_000;
/// Most bytes of what is put onto a kernel's command line (`COMMAND_LINE_SIZE` of x86).
const COMMAND_LINE: usize = 2_048;

/// Why no host should carry a plan out.
pub(super) fn unreasonable(plan: &Plan) -> Option<String> {
    let (machine, budget) = (&plan.machine, &plan.budget);
    let words: usize = machine.kernel_args.iter().map(|word| word.len() + 1).sum();
    let acts = machine.kernel_args.iter().any(|word| word.chars().any(char::is_control));
    let wrong = [
        (machine.cpus == 0 || machine.cpus > CPUS, format!("{} processors", machine.cpus)),
        (
            machine.memory_mib == 0 || machine.memory_mib > MEMORY_MIB,
            format!("{} MiB of memory", machine.memory_mib),
        ),
        (machine.banks.is_empty(), "no PCR bank".to_owned()),
        (budget.silence_s > SILENCE_S, format!("{} s of silence", budget.silence_s)),
        (budget.total_s > TOTAL_S, format!("{} s for a run", budget.total_s)),
        (words > COMMAND_LINE, format!("{words} bytes on the kernel's command line")),
        (acts, "control characters on the kernel's command line".to_owned()),
    ];
    wrong.into_iter().find_map(|(is, what)| is.then_some(what))
}
