//! The form of a request: what bytes written to a list ask for, before the lists are looked at.

use nix::errno::Errno;

use super::proposal::{self, is_on};
use super::{File, Refusals, Rule, Rules, Written};
use crate::ima::dialect::{Dialect, Form, Grammar};
use crate::ima::lists::Request;

impl Dialect {
    /// What writing these bytes to a file asks for, when the kernel takes it as it should.
    pub fn request(&self, file: File, bytes: &[u8]) -> Option<Request> {
        match file {
            File::List(list) => self.file_name(list.list.kind, list.ascii, Some(list.bank)).map(|_| ())?,
            File::Own(name) => self.own_file(name).map(|_| ())?,
            _ => return None,
        }
        let mut refusals = Refusals::default();
        let request =
            read(&self.grammar, Rules::default(), file, Written::Bytes(bytes), false, &mut refusals)?;
        refusals.first().is_none().then_some(request)
    }
}

/// Reads a request of an interface that takes any.
pub(super) fn read(
    grammar: &Grammar,
    rules: Rules,
    file: File,
    written: Written<'_>,
    flush: bool,
    refusals: &mut Refusals,
) -> Option<Request> {
    match grammar.form {
        Form::String => string(grammar, rules, file, written, flush, refusals),
        Form::Anything => anything(grammar, rules, file, written, refusals),
        Form::Word | Form::CompareAndTrim | Form::Command => {
            proposal::read(grammar, rules, file, written, refusals)
        }
    }
}

/// Any bytes: they are not looked at, wherever they are.
fn anything(
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
    if rules.holds(Rule::RequestLength) && !grammar.length.contains(&length) {
        refusals.add(Errno::EINVAL, Rule::RequestLength);
    }
    grammar.verbs.iter().find(|(on, ..)| is_on(file, *on)).map(|(.., request)| *request)
}

/// Reads a request as mainline does. All that is wrong with it is collected: which of several errors a request with
/// several faults gets is promised nowhere.
fn string(
    grammar: &Grammar,
    rules: Rules,
    file: File,
    written: Written<'_>,
    flush: bool,
    refusals: &mut Refusals,
) -> Option<Request> {
    let length = match written {
        Written::Bytes(bytes) => bytes.len(),
        Written::Nowhere(length) => length,
    };
    if rules.holds(Rule::RequestLength) && !grammar.length.contains(&length) {
        refusals.add(Errno::EINVAL, Rule::RequestLength);
    }
    let Written::Bytes(bytes) = written else {
        refusals
            .add(if rules.holds(Rule::BadPointer) { Errno::EFAULT } else { Errno::EINVAL }, Rule::BadPointer);
        return None;
    };
    if !bytes.ends_with(b"\n") && rules.holds(Rule::RequestEndsInNewline) {
        refusals.add(Errno::EINVAL, Rule::RequestEndsInNewline);
    }
    // A string: its last byte is the newline, and a zero byte ends it before.
    let text = bytes.split_last().map_or(&[][..], |(_, text)| text);
    let verb = grammar.verbs.iter().find(|(_, word, _)| bytes.starts_with(word.as_bytes()));
    if let Some((on, word, request)) = verb {
        if text.len() > word.len() && rules.holds(Rule::VerbAlone) {
            refusals.add(Errno::EINVAL, Rule::VerbAlone);
        }
        if !is_on(file, *on) && rules.holds(Rule::VerbsOnStagedFiles) {
            refusals.add(Errno::EINVAL, Rule::VerbsOnStagedFiles);
        }
        Some(*request)
    } else {
        let of_number = grammar.number.as_ref()?;
        let records = number(rules, text, of_number.beyond, refusals);
        if !is_on(file, of_number.on) && rules.holds(Rule::NumbersOnOriginalFiles) {
            refusals.add(Errno::EINVAL, Rule::NumbersOnOriginalFiles);
        }
        if flush && of_number.not_with_flush && rules.holds(Rule::FlushRefusesTrim) {
            refusals.add(Errno::EINVAL, Rule::FlushRefusesTrim);
        }
        if records == 0 && rules.holds(Rule::AtLeastOne) {
            refusals.add(Errno::EINVAL, Rule::AtLeastOne);
        }
        Some(of_number.positive.request(records))
    }
}

/// As `kstrtoul` reads it in base 10: a plus sign, digits, one newline. 1 for what is no number, so that 0 stands for
/// the number alone.
fn number(rules: Rules, text: &[u8], beyond: Errno, refusals: &mut Refusals) -> u64 {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = match text.strip_prefix(b"+") {
        Some(_) if !rules.holds(Rule::PlusSign) => {
            refusals.add(Errno::EINVAL, Rule::PlusSign);
            return 1;
        }
        Some(digits) => digits,
        None => text,
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if (digits.is_empty() || !matches!(rest, [] | b"\n")) && rules.holds(Rule::NumberIsDecimal) {
        refusals.add(Errno::EINVAL, Rule::NumberIsDecimal);
    }
    let value = digits
        .iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    match value {
        None if rules.holds(Rule::NumberRange) => {
            refusals.add(beyond, Rule::NumberRange);
            1
        }
        None => u64::MAX,
        Some(_) if digits.is_empty() => 1,
        Some(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interface;
    use crate::ima::Bank;
    use crate::ima::lists::ListId;
    use crate::ima::model::ListFile;
    use rstest::rstest;

    fn read(staged: bool, written: Written<'_>, flush: bool) -> Result<Request, Vec<Errno>> {
        let list = if staged { ListId::STAGED } else { ListId::CURRENT };
        let file = File::List(ListFile { ascii: false, bank: Bank::Sha1, list });
        let mut refusals = Refusals::default();
        let grammar = &Interface::UPSTREAM.dialect().grammar;
        let request = super::read(grammar, Rules::default(), file, written, flush, &mut refusals);
        match (refusals.errnos(), request) {
            (errnos, Some(request)) if errnos.is_empty() => Ok(request),
            (errnos, _) => Err(errnos),
        }
    }

    #[rstest]
    #[case(true, b"A\n", Ok(Request::StageAll))]
    #[case(true, b"D\n", Ok(Request::Delete))]
    #[case(false, b"7\n", Ok(Request::Trim(7)))]
    #[case(false, b"+7\n", Ok(Request::Trim(7)))]
    #[case(false, b"0000000000000000007\n", Ok(Request::Trim(7)))]
    #[case(false, b"18446744073709551615\n", Ok(Request::Trim(u64::MAX)))]
    #[case::kstrtoul_takes_a_newline_of_its_own(false, b"7\n\n", Ok(Request::Trim(7)))]
    #[case::a_zero_byte_ends_a_string(false, b"7\0x\n", Ok(Request::Trim(7)))]
    #[case(true, b"A", Err(vec![Errno::EINVAL]))]
    #[case(true, b"AA\n", Err(vec![Errno::EINVAL]))]
    #[case(true, b"7\n", Err(vec![Errno::EINVAL]))]
    #[case(false, b"A\n", Err(vec![Errno::EINVAL]))]
    #[case(false, b"", Err(vec![Errno::EINVAL]))]
    #[case(false, b"\n\n", Err(vec![Errno::EINVAL]))]
    #[case(false, b"-1\n", Err(vec![Errno::EINVAL]))]
    #[case(false, b"++1\n", Err(vec![Errno::EINVAL]))]
    #[case(false, b"1 \n", Err(vec![Errno::EINVAL]))]
    #[case(false, b"0\n", Err(vec![Errno::EINVAL]))]
    #[case(false, b"18446744073709551616\n", Err(vec![Errno::ERANGE]))]
    #[case::both_are_wrong_with_it(false, b"99999999999999999999x\n", Err(vec![Errno::EINVAL, Errno::ERANGE]))]
    fn requests_are_read_as_promised(
        #[case] staged: bool,
        #[case] bytes: &[u8],
        #[case] expected: Result<Request, Vec<Errno>>,
    ) {
        assert_eq!(read(staged, Written::Bytes(bytes), false), expected);
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_of_its_own() {
        assert_eq!(read(true, Written::Nowhere(2), false), Err(vec![Errno::EFAULT]));
        assert_eq!(read(true, Written::Nowhere(99), false), Err(vec![Errno::EFAULT, Errno::EINVAL]));
    }

    #[test]
    fn flushing_leaves_no_number_to_be_asked_for() {
        assert_eq!(read(false, Written::Bytes(b"1\n"), true), Err(vec![Errno::EINVAL]));
        assert_eq!(read(true, Written::Bytes(b"D\n"), true), Ok(Request::Delete));
    }
}
