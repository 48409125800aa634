//! The form of a request of the proposals that never reached mainline, as `Documentation/security` of our own series has
//! it (`kernel-config/patches`).

use nix::errno::Errno;

use super::{Refusals, Request, Rule, Rules, Written};
use crate::plan::Interface;

/// Most bytes of a request: one less than `IMA_REQUEST_LEN` (`security/integrity/ima/ima_fs.c` of the series).
const LONGEST: usize = 23;

/// Reads a request. All that is wrong with it is collected.
pub(super) fn read(
    interface: Interface,
    rules: Rules,
    written: Written<'_>,
    refusals: &mut Refusals,
) -> Option<Request> {
    let length = match written {
        Written::Bytes(bytes) => bytes.len(),
        Written::Nowhere(length) => length,
    };
    if length > LONGEST && rules.holds(Rule::RequestLength) {
        refusals.add(Errno::EINVAL, Rule::RequestLength);
    }
    let Written::Bytes(bytes) = written else {
        let fault = if rules.holds(Rule::BadPointer) { Errno::EFAULT } else { Errno::EINVAL };
        refusals.add(fault, Rule::BadPointer);
        return None;
    };
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    match (interface, text) {
        (Interface::RfcV2, b"A") => Some(Request::StageAll),
        (Interface::RfcV2 | Interface::TwoCommand, b"D") => Some(Request::Delete),
        _ => number(interface, rules, text, refusals),
    }
}

/// A number alone, with a sign as `kstrtol` and `kstrtoul` take it.
fn number(interface: Interface, rules: Rules, text: &[u8], refusals: &mut Refusals) -> Option<Request> {
    let signed = interface == Interface::RfcV2;
    let (negative, digits) = match text {
        [b'-', digits @ ..] if signed => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let decimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !decimal {
        if rules.holds(Rule::NumberIsDecimal) {
            refusals.add(Errno::EINVAL, Rule::NumberIsDecimal);
        }
        // Of digits that are followed by something else there may be too many.
        let leading = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if leading >= 19 {
            refusals.add(Errno::ERANGE, Rule::NumberRange);
        }
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    let most = match (signed, negative) {
        (false, _) => u64::MAX,
        (true, false) => i64::MAX as u64,
        // The least of all numbers has no opposite.
        (true, true) => i64::MIN.unsigned_abs(),
    };
    let Some(value) = value.filter(|value| *value <= most) else {
        refusals.add(Errno::ERANGE, Rule::NumberRange);
        return None;
    };
    if value == 0 || value == i64::MIN.unsigned_abs() && negative {
        if rules.holds(Rule::AtLeastOne) {
            refusals.add(Errno::EINVAL, Rule::AtLeastOne);
        }
        return None;
    }
    Some(match (interface, negative, value == i64::MAX as u64) {
        (Interface::RfcV2, false, true) => Request::StageAll,
        (Interface::RfcV2, true, true) => Request::TrimAll,
        (Interface::RfcV2, false, false) => Request::StageFirst(value),
        (Interface::TwoCommand, ..) => Request::StageUpTo(value),
        _ => Request::Trim(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const LONG_MAX: &[u8] = b"9223372036854775807\n";

    fn asks(interface: Interface, written: Written<'_>) -> Result<Request, Vec<Errno>> {
        let mut refusals = Refusals::default();
        let request = read(interface, Rules::default(), written, &mut refusals);
        match (refusals.errnos(), request) {
            (errnos, Some(request)) if errnos.is_empty() => Ok(request),
            (errnos, _) => Err(errnos),
        }
    }

    #[rstest]
    #[case(Interface::RfcV2, b"A\n", Ok(Request::StageAll))]
    #[case(Interface::RfcV2, b"A", Ok(Request::StageAll))]
    #[case(Interface::RfcV2, b"D\n", Ok(Request::Delete))]
    #[case(Interface::RfcV2, b"7\n", Ok(Request::StageFirst(7)))]
    #[case(Interface::RfcV2, b"-7\n", Ok(Request::Trim(7)))]
    #[case(Interface::RfcV2, LONG_MAX, Ok(Request::StageAll))]
    #[case(Interface::RfcV2, b"-9223372036854775807\n", Ok(Request::TrimAll))]
    #[case(Interface::RfcV2, b"-9223372036854775808\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RfcV2, b"9223372036854775808\n", Err(vec![Errno::ERANGE]))]
    #[case(Interface::RfcV2, b"-0\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RfcV2, b"--1\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RfcV2, b"A \n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TwoCommand, b"A\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TwoCommand, b"-7\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TwoCommand, b"+7\n", Ok(Request::StageUpTo(7)))]
    #[case(Interface::TwoCommand, LONG_MAX, Ok(Request::StageUpTo(i64::MAX as u64)))]
    #[case(Interface::TwoCommand, b"18446744073709551616\n", Err(vec![Errno::ERANGE]))]
    #[case(Interface::Transaction, b"7\n", Ok(Request::Trim(7)))]
    #[case(Interface::Transaction, b"D\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::Transaction, b"", Err(vec![Errno::EINVAL]))]
    #[case(Interface::Transaction, b"000000000000000000000007\n", Err(vec![Errno::EINVAL]))]
    fn requests_are_read_as_promised(
        #[case] interface: Interface,
        #[case] bytes: &[u8],
        #[case] expected: Result<Request, Vec<Errno>>,
    ) {
        assert_eq!(asks(interface, Written::Bytes(bytes)), expected);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_of_its_own() {
        assert_eq!(asks(Interface::RfcV2, Written::Nowhere(2)), Err(vec![Errno::EFAULT]));
    }
}
