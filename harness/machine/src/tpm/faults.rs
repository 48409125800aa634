//! The faults that wait for TPM commands of the guest.

use std::collections::VecDeque;

use imalab_formats::tpm::fault::{Fault, How};

/// The faults that are armed, in the order in which they were.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<Fault>);

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push_back(fault);
        }
    }

    /// What happens to the next command of this code: the first fault that waits for such ones decides.
    pub(super) fn next(&mut self, command: u32) -> Option<How> {
        let at = self.0.iter().position(|fault| fault.command == command)?;
        let fault = &mut self.0[at];
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        let how = fault.how;
        fault.times -= 1;
        if fault.times == 0 {
            self.0.remove(at);
        }
        Some(how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: How = How::Answer { code: 0x922 };
    const LOST: How = How::Lost { carried_out: true };

    fn armed(faults: &[Fault]) -> Faults {
        let mut armed = Faults::default();
        faults.iter().for_each(|fault| armed.arm(*fault));
        armed
    }

    #[test]
    fn a_fault_skips_and_then_happens_so_often() {
        let mut faults = armed(&[Fault { command: 7, skip: 2, times: 2, how: RETRY }]);
        let seen: Vec<_> = (0..6).map(|_| faults.next(7)).collect();
        assert_eq!(seen, [None, None, Some(RETRY), Some(RETRY), None, None]);
    }

    #[test]
    fn other_commands_pass_and_do_not_count() {
        let mut faults = armed(&[Fault { command: 7, skip: 1, times: 1, how: RETRY }]);
        assert_eq!(
            [faults.next(8), faults.next(7), faults.next(8), faults.next(7)],
            [None, None, None, Some(RETRY)]
        );
    }

    #[test]
    fn the_first_that_was_armed_comes_first() {
        let fault = |how| Fault { command: 7, skip: 0, times: 1, how };
        let mut faults = armed(&[fault(LOST), Fault { times: 0, ..fault(RETRY) }, fault(RETRY)]);
        assert_eq!([faults.next(7), faults.next(7), faults.next(7)], [Some(LOST), Some(RETRY), None]);
    }
}
