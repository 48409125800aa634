//! What a kernel offers to take records out of its list.

use std::fmt;

use serde::Deserialize;

use imalab_logview::Form;

/// How a kernel names its files and what it is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Mainline since 7.2: `binary_runtime_measurements_sha1_staged` takes `A` and `D`, the original file a number.
    Upstream,
    /// The proposals of December 2025: `binary_runtime_measurements_staged_sha1` takes a number to stage so many records, and `D`.
    BankLast,
    /// No list is staged; the original file takes a number, by a descriptor that was opened for reading and writing.
    Trim,
    /// Records stay in the kernel for ever.
    ReadOnly,
}

/// How records are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// The whole list is staged, saved, deleted.
    Stage,
    /// The list is read, saved, and so many records are trimmed.
    Trim,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flavour::Stage => "stage",
            Flavour::Trim => "trim",
        })
    }
}

const UPSTREAM: &str = "binary_runtime_measurements_sha1_staged";
const BANK_LAST: &str = "binary_runtime_measurements_staged_sha1";
/// The link without a bank in its name, which kernels before 6.10 have alone.
const PLAIN: &str = "binary_runtime_measurements";

/// The files and requests of a kernel, as the keeper uses them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// What it is.
    pub interface: Interface,
    /// The current list, in the canonical form.
    pub current: String,
    /// The staged list.
    pub staged: Option<&'static str>,
    /// How records are taken out; `None`: they are not.
    pub flavour: Option<Flavour>,
}

/// The kernel has no way to do what the configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// No list at all.
    #[error("there is no measurement list: securityfs is not mounted, or the kernel has no IMA")]
    NoList,
    /// Not that way.
    #[error("`flavour = \"{0}\"`: this kernel has no way to do that")]
    Flavour(Flavour),
}

impl Files {
    /// Tells from names and permission bits what a kernel offers.
    ///
    /// # Errors
    ///
    /// [`NotOffered`].
    pub fn of(files: &[(String, u32)], wanted: Option<Flavour>) -> Result<Files, NotOffered> {
        let mode = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, mode)| *mode);
        let canonical = Form::CANONICAL.file_name();
        let (current, writable) = match (mode(&canonical), mode(PLAIN)) {
            (Some(mode), _) => (canonical, mode & 0o200 != 0),
            (None, Some(mode)) => (PLAIN.to_owned(), mode & 0o200 != 0),
            (None, None) => return Err(NotOffered::NoList),
        };
        let (interface, staged) = match (mode(UPSTREAM), mode(BANK_LAST)) {
            (Some(_), _) => (Interface::Upstream, Some(UPSTREAM)),
            (None, Some(_)) => (Interface::BankLast, Some(BANK_LAST)),
            (None, None) if writable => (Interface::Trim, None),
            (None, None) => (Interface::ReadOnly, None),
        };
        let offered: &[Flavour] = match interface {
            Interface::Upstream => &[Flavour::Stage, Flavour::Trim],
            Interface::BankLast => &[Flavour::Stage],
            Interface::Trim => &[Flavour::Trim],
            Interface::ReadOnly => &[],
        };
        let flavour = match wanted {
            Some(wanted) if !offered.contains(&wanted) => return Err(NotOffered::Flavour(wanted)),
            Some(wanted) => Some(wanted),
            None => offered.first().copied(),
        };
        Ok(Files { interface, current, staged, flavour })
    }

    /// What stages the whole list, written to the staged one.
    pub fn stage(&self) -> &'static [u8] {
        match self.interface {
            // `LONG_MAX` records: all that there are, in both proposals that have these files.
            Interface::BankLast => b"9223372036854775807\n",
            _ => b"A\n",
        }
    }

    /// What deletes the staged list, written to it.
    pub fn delete(&self) -> &'static [u8] {
        b"D\n"
    }

    /// What removes the first records of the current list, written to it.
    pub fn trim(&self, records: u64) -> Vec<u8> {
        format!("{records}\n").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_formats::Interface as Offered;
    use imalab_formats::ima::dialect::{Call, Dialect};
    use imalab_formats::ima::lists::Kind;
    use rstest::rstest;

    /// The folder of a kernel of that dialect.
    fn folder(dialect: &Dialect, writable: bool) -> Vec<(String, u32)> {
        let mode = if writable { 0o660 } else { 0o440 };
        [(Kind::Current, mode), (Kind::Staged, 0o660)]
            .into_iter()
            .filter_map(|(kind, mode)| {
                Some((dialect.file_name(kind, false, Some(imalab_formats::ima::Bank::Sha1))?, mode))
            })
            .collect()
    }

    fn written(calls: Option<&'static [Call]>) -> Vec<&'static str> {
        let written = |call: &Call| if let Call::Write(text) = call { Some(*text) } else { None };
        calls.unwrap_or_default().iter().filter_map(written).collect()
    }

    #[rstest]
    #[case(Offered::UPSTREAM, true, Interface::Upstream)]
    #[case(Offered::RFC_V2, false, Interface::BankLast)]
    #[case(Offered::TWO_COMMAND, false, Interface::BankLast)]
    #[case(Offered::TRANSACTION, true, Interface::Trim)]
    #[case(Offered::READ_ONLY, false, Interface::ReadOnly)]
    fn files_and_requests_are_those_of_the_dialect(
        #[case] offered: Offered,
        #[case] writable: bool,
        #[case] expected: Interface,
    ) {
        let dialect = offered.dialect();
        let files = Files::of(&folder(dialect, writable), None).unwrap();
        assert_eq!(files.interface, expected);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match files.flavour {
            Some(Flavour::Stage) => {
                let stages = [written(dialect.verbs.stage), vec!["9223372036854775807\n"]].concat();
                assert!(stages.contains(&text(files.stage()).as_str()), "{stages:?}");
                assert_eq!(written(dialect.verbs.delete), [text(files.delete())]);
            }
            Some(Flavour::Trim) => {
                assert_eq!(written(dialect.verbs.trim), ["{n}\n"]);
                assert_eq!(text(&files.trim(7)), "7\n");
            }
            None => assert!(!dialect.removes()),
        }
    }

    #[test]
    fn what_is_asked_for_and_not_offered_is_an_error() {
        let folder = folder(Offered::RFC_V2.dialect(), false);
        let error = Files::of(&folder, Some(Flavour::Trim)).unwrap_err();
        assert_eq!(error.to_string(), "`flavour = \"trim\"`: this kernel has no way to do that");
        assert_eq!(Files::of(&[("policy".into(), 0o600)], None), Err(NotOffered::NoList));
        let upstream = self::folder(Offered::UPSTREAM.dialect(), true);
        assert_eq!(Files::of(&upstream, Some(Flavour::Trim)).unwrap().flavour, Some(Flavour::Trim));
    }
}
