//! In which form numbers are taken: whether a newline is needed, in which base, and up to which.

use imalab_wire::{Op, StepId};
use nix::errno::Errno;

use super::answers::Answers;
use super::requests::{place, words_of};
use super::{FILES, SLOT, count, look, measure};
use crate::capabilities::{Capabilities, FindingCode, ProbeFinding};
use crate::interface::{adapter, flags};
use crate::vocabulary::Form as FileForm;
use imalab_formats::Interface;
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{Call, Dialect, Means, Number, NumberForm, Target};
use imalab_formats::ima::lists::{ListId, Request};
use imalab_formats::ima::model::{File, ListFile};

/// A number as it is written. Each is asked for when the list has more records than it removes in any base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As any document writes it: what is asked of a kernel that refuses it says nothing of the others.
    Plain,
    WithoutNewline,
    Hexadecimal,
    /// 10, or 8.
    LeadingZero,
    BeyondSigned,
    BeyondUnsigned,
}

const ALL: [Form; 6] = [
    Form::Plain,
    Form::WithoutNewline,
    Form::Hexadecimal,
    Form::LeadingZero,
    Form::BeyondSigned,
    Form::BeyondUnsigned,
];

/// What is done for each form, in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Measure,
    CountBefore,
    Write,
    CountAfter,
    /// Deletes what it staged.
    Settle,
}

const PARTS: [Part; 5] = [Part::Measure, Part::CountBefore, Part::Write, Part::CountAfter, Part::Settle];

/// More than there are steps of the verbs.
const FIRST: StepId = 10_000;

fn id(interface: Interface, form: Form, part: Part) -> StepId {
    FIRST + (place(words_of(interface)) * 8 + form as StepId) * 8 + part as StepId
}

impl Form {
    fn text(self) -> &'static str {
        match self {
            Form::Plain => "1\n",
            Form::WithoutNewline => "1",
            Form::Hexadecimal => "0x2\n",
            Form::LeadingZero => "010\n",
            Form::BeyondSigned => "9223372036854775808\n",
            Form::BeyondUnsigned => "18446744073709551616\n",
        }
    }

    /// Files that are measured before it.
    fn files(self) -> u64 {
        if self == Form::LeadingZero { 4 * FILES } else { FILES }
    }

    /// What it is called in [`Capabilities::behaviours`].
    fn told(self) -> String {
        format!("{:?} is written for a number", self.text())
    }
}

/// The numbers that a dialect's lists take by themselves.
fn number(dialect: &Dialect) -> Option<&Number> {
    dialect.grammar.number.as_ref().filter(|number| matches!(number.on, Target::List(_)))
}

/// The steps, where the dialect has numbers.
pub(super) fn steps(interface: Interface) -> Vec<(StepId, Vec<Op>)> {
    let dialect = interface.dialect();
    let Some(number) = number(dialect).filter(|_| dialect.removes()) else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    for form in ALL {
        for part in PARTS {
            steps.push((id(interface, form, part), ops(interface, number, form, part)));
        }
    }
    steps
}

fn ops(interface: Interface, number: &Number, form: Form, part: Part) -> Vec<Op> {
    match part {
        Part::Measure => {
            let name = format!("form-{}-{}", interface.name(), form as u8);
            let mut measure = measure(name);
            if let Op::Measure { count, .. } = &mut measure {
                *count = form.files();
            }
            vec![measure]
        }
        Part::CountBefore | Part::CountAfter => count(),
        Part::Write => write(interface, number, form.text()).unwrap_or_default(),
        Part::Settle => adapter(interface).delete(SLOT).map(|operations| operations.ops).unwrap_or_default(),
    }
}

/// A number by itself, to a file that is opened as for a trim.
fn write(interface: Interface, number: &Number, text: &str) -> Option<Vec<Op>> {
    let verbs = &interface.dialect().verbs;
    let path = adapter(interface).list(FileForm::Binary, Some(Bank::Sha1), number.on == Target::STAGED)?;
    let access = verbs.trim?.iter().rev().find_map(|call| match call {
        Call::Open(of, access) if *of == number.on => Some(*access),
        _ => None,
    })?;
    let write = |text: &str| Op::Write { slot: SLOT, bytes: text.into() };
    let mut ops = vec![look(&path, flags(access))];
    // What a number deletes has to be staged first.
    if number.positive == Means::DeleteFirst {
        ops.extend(verbs.stage?.iter().filter_map(|call| match call {
            Call::Write(text) => Some(write(text)),
            _ => None,
        }));
    }
    ops.extend([write(text), Op::Close { slot: SLOT }]);
    Some(ops)
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It was taken, and so many records left the current list; `None` where the counter says nothing.
    Taken(Option<u64>),
    /// It was read, and there were not as many records.
    TooMany,
    /// It was refused.
    Refused(Errno),
    /// Nobody knows.
    Nothing,
}

impl Came {
    fn told(self) -> String {
        match self {
            Came::Taken(Some(records)) => format!("success, and {records} records fewer in the current list"),
            Came::Taken(None) => "success, and a counter that grew or was not read".to_owned(),
            Came::TooMany => Errno::ENOENT.to_string(),
            Came::Refused(errno) => errno.to_string(),
            Came::Nothing => "nothing".to_owned(),
        }
    }
}

struct Asked<'a> {
    answers: &'a Answers,
    interface: Interface,
    dialect: &'a Dialect,
    number: &'a Number,
}

impl Asked<'_> {
    fn count(&self, form: Form, part: Part) -> Option<u64> {
        self.answers.count(id(self.interface, form, part))
    }

    fn came(&self, form: Form) -> Came {
        let step = id(self.interface, form, Part::Write);
        if self.answers.ok(step) {
            let (before, after) = (self.count(form, Part::CountBefore), self.count(form, Part::CountAfter));
            return Came::Taken(before.zip(after).and_then(|(before, after)| before.checked_sub(after)));
        }
        match self.answers.errno(step) {
            Some(errno) if errno == Errno::ENOENT as i32 => Came::TooMany,
            Some(errno) if errno != 0 => Came::Refused(Errno::from_raw(errno)),
            _ => Came::Nothing,
        }
    }

    /// What is promised of a form, in a list of so many records.
    fn promised(&self, form: Form, records: u64) -> Came {
        let Target::List(of) = self.number.on else { return Came::Nothing };
        let file = File::List(ListFile { ascii: false, bank: Bank::Sha1, list: ListId::of(of) });
        match self.dialect.request(file, form.text().as_bytes()) {
            Some(Request::StageUpTo(number)) => Came::Taken(Some(number.min(records))),
            Some(Request::StageFirst(number) | Request::Trim(number) | Request::DeleteFirst(number)) => {
                if number > records {
                    Came::TooMany
                } else {
                    Came::Taken(Some(number))
                }
            }
            Some(Request::StageAll | Request::TrimAll | Request::Delete) => Came::Taken(Some(records)),
            Some(Request::TrimIf { .. } | Request::TrimTo(_) | Request::Purge | Request::MarkLog) => {
                Came::Nothing
            }
            None if [Form::BeyondSigned, Form::BeyondUnsigned].contains(&form) => {
                Came::Refused(self.number.beyond)
            }
            None => Came::Refused(Errno::EINVAL),
        }
    }

    /// Whether a number as any document writes it does what it should: else others tell nothing.
    fn takes_numbers(&self) -> bool {
        self.came(Form::Plain) == Came::Taken(Some(1))
    }

    fn seen(&self) -> NumberForm {
        let refusal = |form| match self.came(form) {
            Came::Refused(errno @ (Errno::EINVAL | Errno::ERANGE)) => Some(errno as i32),
            _ => None,
        };
        let (signed, unsigned) = (refusal(Form::BeyondSigned), refusal(Form::BeyondUnsigned));
        let (most, beyond) = match signed {
            Some(errno) => (i64::MAX as u64, errno),
            None => (u64::MAX, unsigned.unwrap_or(self.number.beyond as i32)),
        };
        NumberForm {
            newline_needed: !matches!(self.came(Form::WithoutNewline), Came::Taken(_)),
            any_base: matches!(self.came(Form::Hexadecimal), Came::Taken(_)),
            most,
            beyond,
        }
    }

    fn finding(&self, form: Form) -> Option<ProbeFinding> {
        let came = self.came(form);
        let records = self.count(form, Part::CountBefore)?;
        let expected = self.promised(form, records);
        // Whether all are taken where there are not as many is no question of the number's form.
        let is_read = expected == Came::TooMany && matches!(came, Came::Taken(_));
        (came != expected && !is_read && came != Came::Nothing).then(|| {
            ProbeFinding::new(
                FindingCode::NumberForm,
                format!("write {:?} for a number of records, of {records}", form.text()),
                expected.told(),
                came.told(),
                format!("{} (imalab's own words of {})", self.words(form), self.dialect.document),
            )
        })
    }

    fn words(&self, form: Form) -> String {
        let number = self.number;
        match form {
            Form::Plain => "a number of records is a request".to_owned(),
            Form::WithoutNewline if self.dialect.grammar.newline_needed => {
                "a request ends in a newline".to_owned()
            }
            Form::WithoutNewline => "a request may lack its newline".to_owned(),
            Form::Hexadecimal | Form::LeadingZero if number.any_base => {
                "0x and a leading zero tell a number's base".to_owned()
            }
            Form::Hexadecimal | Form::LeadingZero => "a number is decimal".to_owned(),
            Form::BeyondSigned | Form::BeyondUnsigned => {
                format!("a number is {} at most, else {}", number.most, number.beyond)
            }
        }
    }
}

/// Takes in what the answers say of them.
pub(super) fn take(found: &mut Capabilities, answers: &Answers) {
    let dialect = found.interface.dialect();
    let Some(number) = number(dialect) else { return };
    let asked = Asked { answers, interface: found.interface, dialect, number };
    for form in ALL {
        let came = asked.came(form);
        if came != Came::Nothing {
            found.behaviours.insert(form.told(), came.told());
        }
    }
    if !asked.takes_numbers() {
        // Where something else says that requests do not work, that is told.
        let told = !found.findings.is_empty();
        found.findings.extend(asked.finding(Form::Plain).filter(|_| !told));
        return;
    }
    found.seen.numbers = Some(asked.seen());
    if dialect.grammar.form_is_promised {
        found.findings.extend(ALL.into_iter().filter_map(|form| asked.finding(form)));
    }
}
