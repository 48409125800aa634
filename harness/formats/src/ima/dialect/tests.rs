use std::collections::BTreeSet;

use rstest::rstest;

use super::*;
use crate::ima::Bank;
use crate::ima::lists::{ListId, Request};
use crate::ima::model::ListFile;

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
                assert!(!open && dialect.file_name(*of, false, Some(Bank::Sha1)).is_some());
                file = Some(ListFile { ascii: false, bank: Bank::Sha1, list: ListId::of(*of) });
                open = true;
            }
            Call::Write(text) => write(&text.replace("{n}", "5")),
            Call::WriteFound => write("5\n"),
            Call::Read | Call::Find => assert!(open),
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
                [Request::Trim(5)] => true,
                [Request::StageFirst(5) | Request::StageUpTo(5), Request::Delete] => true,
                [Request::StageAll, Request::DeleteFirst(5)] => true,
                _ => false,
            };
            assert!(right, "{interface:?}: {trimmed:?}");
        }
        assert_eq!(dialect.removes(), [verbs.stage, verbs.trim].iter().any(Option::is_some));
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
    let file = ListFile { ascii: false, bank: Bank::Sha1, list };
    assert_eq!(interface.dialect().request(file, text.as_bytes()), asks);
}

/// Of those with the same files, no two have the same signs: each can be told from the others.
#[test]
fn each_is_told_from_those_with_the_same_files() {
    for (at, interface) in Interface::KNOWN.iter().enumerate() {
        for other in &Interface::KNOWN[at + 1..] {
            let (one, two) = (interface.dialect(), other.dialect());
            if !one.removes() || !two.removes() || one.staged != two.staged {
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
