//! The form of a request of the proposals that never reached mainline, as `Documentation/security` of our own series has
//! it (`kernel-config/patches`).

use nix::errno::Errno;

use super::{File, Refusals, Rule, Rules, Written};
use crate::ima::dialect::{Form, Grammar, Number, Target};
use crate::ima::lists::{Mark, Request};

/// Whether a file is one of those.
pub(super) fn is_on(file: File, on: Target) -> bool {
    match file {
        File::List(list) => on == Target::List(list.list.kind),
        File::Own(name) => on == Target::Own(name),
        _ => false,
    }
}

/// Reads a request. All that is wrong with it is collected.
pub(super) fn read(
    grammar: &Grammar,
    rules: Rules,
    file: File,
    written: Written<'_>,
    refusals: &mut Refusals,
) -> Option<Request> {
    let length = match written {
        Written::Bytes(bytes) => bytes.len(),
        Written::Nowhere(length) => length,
    };
    if !grammar.length.contains(&length) && rules.holds(Rule::RequestLength) {
        refusals.add(Errno::EINVAL, Rule::RequestLength);
    }
    let Written::Bytes(bytes) = written else {
        let fault = if rules.holds(Rule::BadPointer) { Errno::EFAULT } else { Errno::EINVAL };
        refusals.add(fault, Rule::BadPointer);
        return None;
    };
    if grammar.newline_needed && !bytes.ends_with(b"\n") && rules.holds(Rule::RequestEndsInNewline) {
        refusals.add(Errno::EINVAL, Rule::RequestEndsInNewline);
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if let (Form::CompareAndTrim, Some(number)) = (grammar.form, &grammar.number) {
        if !is_on(file, number.on) {
            refusals.add(Errno::EINVAL, Rule::OriginalsAreReadOnly);
            return None;
        }
        return compare_and_trim(number, rules, bytes, refusals);
    }
    if grammar.form == Form::Command {
        return command(grammar, rules, file, text, refusals);
    }
    let verb = grammar.verbs.iter().find(|(_, word, _)| text == word.as_bytes());
    let (on, request) = match (verb, &grammar.number) {
        (Some((on, _, request)), _) => (*on, Some(*request)),
        (None, Some(of_number)) => (of_number.on, number(of_number, rules, text, refusals)),
        (None, None) => return None,
    };
    if !is_on(file, on) && rules.holds(Rule::OriginalsAreReadOnly) {
        refusals.add(Errno::EINVAL, Rule::OriginalsAreReadOnly);
    }
    request
}

/// The base of a number and its digits, where both are told by how it begins (`_parse_integer_fixup_radix`,
/// `lib/kstrtox.c`).
fn base(any: bool, digits: &[u8]) -> (u32, &[u8]) {
    match digits {
        [b'0', b'x' | b'X', rest @ ..] if any && !rest.is_empty() => (16, rest),
        [b'0', _, ..] if any => (8, digits),
        _ => (10, digits),
    }
}

/// `T:N`, of which a zero byte ends the latter.
fn compare_and_trim(of: &Number, rules: Rules, bytes: &[u8], refusals: &mut Refusals) -> Option<Request> {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let colon = text.iter().position(|byte| !byte.is_ascii_digit()).filter(|at| *at > 0 && text[*at] == b':');
    let Some(colon) = colon else {
        refusals.add(Errno::EINVAL, Rule::NumberIsDecimal);
        return None;
    };
    let (trimmed, rest) = (&text[..colon], &text[colon + 1..]);
    let digits = |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let trimmed = trimmed.iter().try_fold(0_u64, digits).filter(|trimmed| *trimmed <= i64::MAX as u64);
    let Some(trimmed) = trimmed else {
        refusals.add(of.beyond, Rule::NumberRange);
        return None;
    };
    let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
    let zero = rest.strip_prefix(b"+").unwrap_or(rest);
    if matches!(base(of.any_base, zero), (_, digits) if !digits.is_empty() && digits.iter().all(|digit| *digit == b'0'))
    {
        if !rules.holds(Rule::TrimOfNone) {
            refusals.add(Errno::EINVAL, Rule::TrimOfNone);
        }
        return Some(Request::TrimIf { trimmed, records: 0 });
    }
    match number(of, rules, rest, refusals)? {
        Request::Trim(records) => Some(Request::TrimIf { trimmed, records }),
        other => Some(other),
    }
}

/// Digits of a [command](Form::Command).
const DIGITS: usize = 20;

/// A word, a number, or `marker` and a number.
fn command(
    grammar: &Grammar,
    rules: Rules,
    file: File,
    text: &[u8],
    refusals: &mut Refusals,
) -> Option<Request> {
    let word = |(on, word, _): &&(Target, &str, Request)| is_on(file, *on) && text == word.as_bytes();
    if let Some((.., request)) = grammar.verbs.iter().find(word) {
        return Some(*request);
    }
    let (marker, digits) = match text.strip_prefix(b"marker ") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let of = grammar.number.as_ref().filter(|number| is_on(file, number.on));
    let Some(of) = of.filter(|_| digits.len() <= DIGITS && digits.iter().all(u8::is_ascii_digit)) else {
        refusals.add(Errno::EINVAL, Rule::NumberIsDecimal);
        return None;
    };
    match number(of, rules, digits, refusals)? {
        Request::Trim(number) if marker => Some(Request::TrimTo(Mark::Nth(number))),
        request => Some(request),
    }
}

/// A number alone, with a sign as `kstrtol` and `kstrtoul` take it.
fn number(of: &Number, rules: Rules, text: &[u8], refusals: &mut Refusals) -> Option<Request> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] if of.negative.is_some() => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (base, digits) = base(of.any_base, digits);
    let is_digit = |byte: &u8| char::from(*byte).is_digit(base);
    if digits.is_empty() || !digits.iter().all(is_digit) {
        if rules.holds(Rule::NumberIsDecimal) {
            refusals.add(Errno::EINVAL, Rule::NumberIsDecimal);
        }
        // Of digits that are followed by something else there may be too many.
        let leading = digits.iter().take_while(|byte| is_digit(byte)).count();
        if leading >= 16 {
            refusals.add(of.beyond, Rule::NumberRange);
        }
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(base.into())?.checked_add(char::from(*digit).to_digit(base)?.into())
    });
    // The least of all numbers has no opposite.
    let least = i64::MIN.unsigned_abs();
    let most = if negative { least } else { of.most };
    let Some(value) = value.filter(|value| *value <= most) else {
        refusals.add(of.beyond, Rule::NumberRange);
        return None;
    };
    if value == 0 || negative && value == least {
        if rules.holds(Rule::AtLeastOne) {
            refusals.add(Errno::EINVAL, Rule::AtLeastOne);
        }
        return None;
    }
    let all = of.most_is_all && value == i64::MAX as u64;
    Some(match of.negative.filter(|_| negative) {
        Some(_) if all => Request::TrimAll,
        Some(means) => means.request(value),
        None if all => Request::StageAll,
        None => of.positive.request(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interface;
    use crate::ima::Bank;
    use crate::ima::lists::ListId;
    use crate::ima::model::ListFile;
    use rstest::rstest;

    const LONG_MAX: &[u8] = b"9223372036854775807\n";

    fn asks(interface: Interface, written: Written<'_>) -> Result<Request, Vec<Errno>> {
        let mut refusals = Refusals::default();
        let dialect = interface.dialect();
        let list = if dialect.staged.is_some() { ListId::STAGED } else { ListId::CURRENT };
        let file = File::List(ListFile { ascii: false, bank: Bank::Sha1, list });
        let request = read(&dialect.grammar, Rules::default(), file, written, &mut refusals);
        match (refusals.errnos(), request) {
            (errnos, Some(request)) if errnos.is_empty() => Ok(request),
            (errnos, _) => Err(errnos),
        }
    }

    #[rstest]
    #[case(Interface::RFC_V2, b"A\n", Ok(Request::StageAll))]
    #[case(Interface::RFC_V2, b"A", Ok(Request::StageAll))]
    #[case(Interface::RFC_V2, b"D\n", Ok(Request::Delete))]
    #[case(Interface::RFC_V2, b"7\n", Ok(Request::StageFirst(7)))]
    #[case(Interface::RFC_V2, b"-7\n", Ok(Request::Trim(7)))]
    #[case(Interface::RFC_V2, LONG_MAX, Ok(Request::StageAll))]
    #[case(Interface::RFC_V2, b"-9223372036854775807\n", Ok(Request::TrimAll))]
    #[case(Interface::RFC_V2, b"-9223372036854775808\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2, b"9223372036854775808\n", Err(vec![Errno::ERANGE]))]
    #[case(Interface::RFC_V2, b"-0\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2, b"--1\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2, b"A \n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TWO_COMMAND, b"A\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TWO_COMMAND, b"-7\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TWO_COMMAND, b"+7\n", Ok(Request::StageUpTo(7)))]
    #[case(Interface::TWO_COMMAND, LONG_MAX, Ok(Request::StageUpTo(i64::MAX as u64)))]
    #[case(Interface::TWO_COMMAND, b"18446744073709551616\n", Err(vec![Errno::ERANGE]))]
    #[case(Interface::TRANSACTION, b"7\n", Ok(Request::Trim(7)))]
    #[case(Interface::TRANSACTION, b"D\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TRANSACTION, b"", Err(vec![Errno::EINVAL]))]
    #[case(Interface::TRANSACTION, b"000000000000000000000007\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2_POSTED, b"A", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2_POSTED, b"A\n", Ok(Request::StageAll))]
    #[case(Interface::RFC_V2_POSTED, b"0x10\n", Ok(Request::StageFirst(16)))]
    #[case(Interface::RFC_V2_POSTED, b"-010\n", Ok(Request::Trim(8)))]
    #[case(Interface::RFC_V2_POSTED, b"7", Err(vec![Errno::EINVAL]))]
    // Long enough, so that it is the newline that is missed.
    #[case(Interface::RFC_V2_POSTED, b"77", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2_POSTED, b"9223372036854775808\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2_POSTED, b"0x\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2, b"0x10\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::RFC_V2, b"010\n", Ok(Request::StageFirst(10)))]
    #[case(Interface::STAGING_V1_POSTED, b"-7\n", Err(vec![Errno::EINVAL]))]
    #[case(Interface::STAGING_V1_POSTED, b"7\n", Ok(Request::StageFirst(7)))]
    fn requests_are_read_as_promised(
        #[case] interface: Interface,
        #[case] bytes: &[u8],
        #[case] expected: Result<Request, Vec<Errno>>,
    ) {
        assert_eq!(asks(interface, Written::Bytes(bytes)), expected);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_of_its_own() {
        assert_eq!(asks(Interface::RFC_V2, Written::Nowhere(2)), Err(vec![Errno::EFAULT]));
    }
}
