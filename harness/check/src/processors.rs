//! What a machine's processors do, read from the text that QEMU's monitor gives of them.

/// How many CPUs were halted, waiting for an interrupt, and of how many there are registers.
#[must_use]
pub fn count(registers: &str) -> (usize, usize) {
    (registers.matches("HLT=1").count(), registers.matches("HLT=").count())
}

/// A halted processor, open to interrupts, that still has one in service, and its vector: nothing of its priority or below
/// gets through any more. Linux halts in no handler, and each of its handlers ends its interrupt, that of the timer before anything
/// else (`sysvec_apic_timer_interrupt`, `arch/x86/kernel/apic/apic.c`).
#[must_use]
pub fn unended(told: &str) -> Option<(usize, u8)> {
    let registers = told.split("CPU#").skip(1);
    let waits = |registers: &str| {
        let flags = registers.split_once("FL=").and_then(|(_, flags)| flags.get(..8));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags, 16).ok());
        registers.contains("HLT=1") && flags.is_some_and(|flags| flags & INTERRUPTS_ON != 0)
    };
    let controllers = told.split("dumping local APIC state for CPU").skip(1);
    let in_service = |controller: &str| {
        let line = controller.lines().find_map(|line| line.strip_prefix("ISR"))?;
        line.split_whitespace().find_map(|vector| vector.parse().ok())
    };
    registers.zip(controllers).enumerate().find_map(|(processor, (registers, controller))| {
        let vector = in_service(controller)?;
        waits(registers).then_some((processor, vector))
    })
}

/// `IF` of RFLAGS.
const INTERRUPTS_ON: u32 = 1 << 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(flags: &str, halted: u8, in_service: &str) -> String {
        let registers = |number: u8, flags: &str, halted: u8| {
            format!("CPU#{number}\r\nRIP=ffffffff81397163 RFL={flags} [---Z-P-] CPL=0 SMM=0 HLT={halted}\r\n")
        };
        let apic = |number: u8, isr: &str| {
            format!("dumping local APIC state for CPU {number} \r\n\r\nISR\t {isr}\r\nIRR\t 32 236 \r\n")
        };
        let registers = registers(0, "00000246", 1) + &registers(1, flags, halted);
        registers + &apic(0, "(none)") + &apic(1, in_service)
    }

    #[test]
    fn an_interrupt_that_was_never_ended_is_seen() {
        assert_eq!(unended(&told("00000246", 1, "236 ")), Some((1, 236)));
        // None in service, a handler that runs, and one that halts for good.
        assert_eq!(unended(&told("00000246", 1, "(none)")), None);
        assert_eq!(unended(&told("00000246", 0, "236 ")), None);
        assert_eq!(unended(&told("00000046", 1, "236 ")), None);
        assert_eq!(unended("QEMU's monitor did not answer"), None);
    }

    #[test]
    fn the_halted_ones_are_counted() {
        let told = "CPU#0\nRIP=1 RFL=246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\nCPU#1\nRIP=2 SMM=0 HLT=0\n";
        assert_eq!(count(told), (1, 2));
        assert_eq!(count("QEMU's monitor did not answer"), (0, 0));
    }
}
