//! What a kernel was seen to do where its document is silent.

use std::borrow::Cow;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{Dialect, Form, Grammar, Number};

/// What a kernel was seen to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seen {
    /// In which form it takes numbers; `None` where that was not asked, or no number is taken at all.
    pub numbers: Option<NumberForm>,
}

/// In which form numbers are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NumberForm {
    /// Whether a newline has to follow.
    pub newline_needed: bool,
    /// Whether `0x` and a leading zero count, as `kstrtol` takes them in base 0.
    pub any_base: bool,
    /// The largest one.
    pub most: u64,
    /// The error number that a larger one gives.
    pub beyond: i32,
}

impl Dialect {
    /// This, with what a kernel was seen to do in place of what is said nowhere. What is promised stays: where the kernel does
    /// otherwise, that is a finding.
    pub fn as_seen(&'static self, seen: Seen) -> Cow<'static, Dialect> {
        let (Some(form), false, Some(number)) =
            (seen.numbers, self.grammar.form_is_promised, &self.grammar.number)
        else {
            return Cow::Borrowed(self);
        };
        let number = Number {
            any_base: form.any_base,
            most: form.most,
            beyond: Errno::from_raw(form.beyond),
            ..number.clone()
        };
        let grammar = Grammar {
            newline_needed: form.newline_needed,
            // Mainline's reading of a string knows no base and no request without a newline.
            form: match self.grammar.form {
                Form::String if !form.newline_needed || form.any_base => Form::Word,
                form => form,
            },
            // A digit alone is one byte.
            length: (*self.grammar.length.start()).min(if form.newline_needed { 2 } else { 1 })
                ..=*self.grammar.length.end(),
            number: Some(number),
            ..self.grammar.clone()
        };
        Cow::Owned(Dialect { grammar, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::Interface;

    const OWN: NumberForm = NumberForm {
        newline_needed: false,
        any_base: true,
        most: i64::MAX as u64,
        beyond: Errno::EINVAL as i32,
    };

    #[rstest]
    #[case::silent(Interface::V4_POSTED, true)]
    #[case::silent_too(Interface::STAGING_V1_POSTED, true)]
    #[case::promised(Interface::RFC_V2_POSTED, false)]
    #[case::mainline(Interface::UPSTREAM, false)]
    #[case::our_own(Interface::TWO_COMMAND, false)]
    #[case::takes_none(Interface::READ_ONLY, false)]
    fn what_is_seen_holds_where_nothing_is_promised(#[case] interface: Interface, #[case] is_taken: bool) {
        let dialect = interface.dialect().as_seen(Seen { numbers: Some(OWN) });
        let form = |dialect: &Dialect| {
            let number = dialect.grammar.number.as_ref()?;
            Some((dialect.grammar.newline_needed, number.any_base, number.most, number.beyond))
        };
        let own = Some((OWN.newline_needed, OWN.any_base, OWN.most, Errno::EINVAL));
        assert_eq!(form(&dialect) == own, is_taken, "{dialect:?}");
        assert!(!is_taken || dialect.grammar.length.contains(&1));
        let unseen = interface.dialect().as_seen(Seen::default());
        assert_eq!(form(&unseen), form(interface.dialect()));
    }
}
