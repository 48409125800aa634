use std::collections::BTreeSet;

use rstest::rstest;

use super::*;
use crate::ima::Bank;
use crate::ima::file::{File, ListFile};
use crate::ima::lists::{ListId, Mark, Request};

#[test]
fn each_has_a_name_and_says_whose_promises_it_has() {
    let (mut names, mut documents) = (BTreeSet::new(), BTreeSet::new());
    for interface in Interface::KNOWN {
        let dialect = interface.dialect();
        assert!(names.insert(dialect.name) && documents.insert(dialect.document), "{interface:?}");
        assert_eq!(interface.name().parse(), Ok(*interface));
        // What serde writes is the name.
        assert_eq!(serde_json::to_value(interface).unwrap(), interface.name());
        assert_eq!(serde_json::from_value::<Interface>(interface.name().into()).unwrap(), *interface);
    }
    assert!(serde_json::from_value::<Interface>("nobody".into()).is_err());
    assert!(
        "nobody".parse::<Interface>().unwrap_err().to_string().contains("read-only, no-staging, upstream")
    );
}

/// What each write of a verb asks for, on the file that is open then.
fn asks(dialect: &Dialect, calls: Option<Calls>) -> Vec<Option<Request>> {
    let (mut file, mut open, mut asks) = (None, false, Vec::new());
    for call in calls.unwrap_or_default() {
        let mut write = |text: &str| {
            asks.push(file.and_then(|file| dialect.request(file, text.as_bytes())));
        };
        match call {
            Call::Open(of, _) => {
                assert!(!open && dialect.target_name(*of).is_some());
                file = Some(match *of {
                    Target::List(of) => {
                        File::List(ListFile { ascii: false, bank: Bank::Sha1, list: ListId::of(of) })
                    }
                    Target::Own(name) => File::Own(name),
                });
                open = true;
            }
            Call::Write(text) => {
                let known = [("{n}", "5"), ("{found}", "5"), ("{number}", "7"), ("{mark}", "marker 2")];
                write(
                    &known.iter().fold((*text).to_owned(), |text, (name, value)| text.replace(name, value)),
                );
            }
            Call::Read | Call::Find | Call::Number => assert!(open),
            Call::Close => open = false,
        }
    }
    assert!(!open, "{} leaves a file open", dialect.name);
    asks
}

/// What verbs write is read as what they are for.
#[test]
fn each_understands_itself() {
    for interface in Interface::KNOWN {
        let dialect = interface.dialect();
        let verbs = &dialect.verbs;
        for asked in asks(dialect, verbs.stage) {
            assert!(asked.is_some_and(Request::stages_all), "{interface:?}: {asked:?}");
        }
        for asked in asks(dialect, verbs.delete) {
            assert_eq!(asked, Some(Request::Delete), "{interface:?}");
        }
        assert!(asks(dialect, verbs.save).is_empty());
        for trims in [verbs.trim, verbs.trim_found] {
            let trimmed: Vec<_> = asks(dialect, trims).into_iter().map(Option::unwrap).collect();
            let right = match &trimmed[..] {
                [] => trims.is_none(),
                [Request::Trim(5) | Request::TrimIf { trimmed: 7, records: 5 }] => true,
                [Request::StageFirst(5) | Request::StageUpTo(5), Request::Delete] => true,
                [Request::StageAll, Request::DeleteFirst(5)] => true,
                _ => false,
            };
            assert!(right, "{interface:?}: {trimmed:?}");
        }
        for asked in asks(dialect, verbs.trim_to) {
            assert_eq!(asked, Some(Request::TrimTo(Mark::Nth(2))), "{interface:?}");
        }
        for asked in asks(dialect, verbs.mark) {
            assert_eq!(asked, Some(Request::MarkLog), "{interface:?}");
        }
        for asked in asks(dialect, verbs.purge) {
            assert_eq!(asked, Some(Request::Purge), "{interface:?}");
        }
        assert!(asks(dialect, verbs.snapshot).is_empty());
        let marks = verbs.trim_to.is_some() || verbs.snapshot.is_some();
        assert_eq!(marks, dialect.mark.is_some(), "{interface:?}");
        assert_eq!(dialect.removes(), [verbs.stage, verbs.trim, verbs.purge].iter().any(Option::is_some));
        let staging = [verbs.stage, verbs.save, verbs.delete].map(|verb| verb.is_some());
        assert!(staging == [true; 3] || staging == [false; 3], "{interface:?}");
        assert_eq!(dialect.staged.is_some(), staging[0], "{interface:?}");
    }
}

#[rstest]
#[case(Interface::UPSTREAM, false, "+5\n", Some(Request::Trim(5)))]
#[case(Interface::UPSTREAM, false, "5\n\n", Some(Request::Trim(5)))]
#[case(Interface::UPSTREAM, false, "5\0x\n", Some(Request::Trim(5)))]
#[case(Interface::UPSTREAM, false, "-5\n", None)]
#[case(Interface::UPSTREAM, false, "0\n", None)]
#[case(Interface::UPSTREAM, true, "5\n", None)]
#[case(Interface::RFC_V2, true, "-5", Some(Request::Trim(5)))]
#[case(Interface::RFC_V2, true, "010", Some(Request::StageFirst(10)))]
#[case(Interface::RFC_V2, true, "9223372036854775808", None)]
#[case(Interface::RFC_V2_POSTED, true, "0x10\n", Some(Request::StageFirst(16)))]
#[case(Interface::RFC_V2_POSTED, true, "-010\n", Some(Request::Trim(8)))]
#[case(Interface::RFC_V2_POSTED, true, "09\n", None)]
#[case(Interface::TWO_COMMAND, true, "18446744073709551615", Some(Request::StageUpTo(u64::MAX)))]
#[case(Interface::TRANSACTION, true, "5", None)]
#[case(Interface::NO_STAGING, false, "5\n", Some(Request::Trim(5)))]
#[case(Interface::NO_STAGING, true, "D\n", None)]
#[case(Interface::READ_ONLY, false, "5\n", None)]
fn requests(
    #[case] interface: Interface,
    #[case] staged: bool,
    #[case] text: &str,
    #[case] asks: Option<Request>,
) {
    let list = if staged { ListId::STAGED } else { ListId::CURRENT };
    let file = File::List(ListFile { ascii: false, bank: Bank::Sha1, list });
    assert_eq!(interface.dialect().request(file, text.as_bytes()), asks);
}

const MOST: &str = "18446744073709551615";

#[rstest]
#[case(Interface::TRIM_LOG_V3_POSTED, "ima_trim_log", "5\n", Some(Request::Trim(5)))]
#[case(Interface::TRIM_LOG_V3_POSTED, "ima_trim_log", "7:5", None)]
#[case(Interface::TRIM_LOG, "ima_trim_log", "7:5", Some(Request::TrimIf { trimmed: 7, records: 5 }))]
#[case(Interface::TRIM_LOG, "ima_trim_log", "0:+0x10\n", Some(Request::TrimIf { trimmed: 0, records: 16 }))]
#[case(Interface::TRIM_LOG, "ima_trim_log", "0:010", Some(Request::TrimIf { trimmed: 0, records: 8 }))]
#[case(Interface::TRIM_LOG, "ima_trim_log", "0:1\0:", Some(Request::TrimIf { trimmed: 0, records: 1 }))]
#[case(Interface::TRIM_LOG, "ima_trim_log", "0:0\n", Some(Request::TrimIf { trimmed: 0, records: 0 }))]
#[case(Interface::TRIM_LOG, "ima_trim_log", "0:00", Some(Request::TrimIf { trimmed: 0, records: 0 }))]
#[case::no_total(Interface::TRIM_LOG, "ima_trim_log", ":5", None)]
#[case::no_number(Interface::TRIM_LOG, "ima_trim_log", "7:", None)]
#[case::neither(Interface::TRIM_LOG, "ima_trim_log", "7", None)]
#[case::signed(Interface::TRIM_LOG, "ima_trim_log", "+7:5", None)]
#[case::less_than_none(Interface::TRIM_LOG, "ima_trim_log", "7:-5", None)]
#[case::two_ends(Interface::TRIM_LOG, "ima_trim_log", "7:5\n\n", None)]
#[case::no_octal(Interface::TRIM_LOG, "ima_trim_log", "7:09", None)]
#[case::too_large(Interface::TRIM_LOG, "ima_trim_log", "9223372036854775808:1", None)]
#[case::too_long(Interface::TRIM_LOG, "ima_trim_log", "0:0000000000000000000000000000001", None)]
#[case::of_another(Interface::LOG_DIGEST, "ima_trim_log", "7:5", None)]
#[case(Interface::LOG_DIGEST, "trim", "5\n", Some(Request::Trim(5)))]
#[case(Interface::LOG_DIGEST, "trim", MOST, Some(Request::Trim(u64::MAX)))]
#[case(Interface::LOG_DIGEST, "trim", "first", Some(Request::TrimTo(Mark::First)))]
#[case(Interface::LOG_DIGEST, "trim", "last\n", Some(Request::TrimTo(Mark::Last)))]
#[case(Interface::LOG_DIGEST, "trim", "marker 12", Some(Request::TrimTo(Mark::Nth(12))))]
#[case::one(Interface::LOG_DIGEST, "trim", "1", Some(Request::Trim(1)))]
#[case::plus(Interface::LOG_DIGEST, "trim", "+5", None)]
#[case::none(Interface::LOG_DIGEST, "trim", "0", None)]
#[case::marker_alone(Interface::LOG_DIGEST, "trim", "marker", None)]
#[case::no_marker(Interface::LOG_DIGEST, "trim", "marker 0", None)]
#[case::digits(Interface::LOG_DIGEST, "trim", "000000000000000000001", None)]
#[case::word_and_more(Interface::LOG_DIGEST, "trim", "last 1", None)]
#[case(Interface::LOG_DIGEST, "log_digest", "1\n", Some(Request::MarkLog))]
#[case::not_there(Interface::LOG_DIGEST, "log_digest", "last", None)]
#[case::two(Interface::LOG_DIGEST, "log_digest", "2", None)]
fn requests_of_files_beside_the_lists(
    #[case] interface: Interface,
    #[case] name: &'static str,
    #[case] text: &str,
    #[case] asks: Option<Request>,
) {
    assert_eq!(interface.dialect().request(File::Own(name), text.as_bytes()), asks);
}

/// Of those with the same files, no two have the same signs: each can be told from the others.
#[test]
fn each_is_told_from_those_with_the_same_files() {
    for (at, interface) in Interface::KNOWN.iter().enumerate() {
        for other in &Interface::KNOWN[at + 1..] {
            let (one, two) = (interface.dialect(), other.dialect());
            if !one.removes() || !two.removes() || (one.staged, one.own_files) != (two.staged, two.own_files)
            {
                continue;
            }
            let same_modes = match (one.identity.originals_writable, two.identity.originals_writable) {
                (Some(one), Some(two)) => one == two,
                _ => true,
            };
            let same_words = one.verbs == two.verbs;
            let same_signs = one.identity.signs == two.identity.signs;
            assert!(!(same_modes && same_words && same_signs), "{interface:?} and {other:?}");
        }
    }
}
