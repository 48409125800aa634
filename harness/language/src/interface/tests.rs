use nix::errno::Errno;
use rstest::rstest;

use super::*;
use crate::vocabulary::{Action, Form};
use imalab_formats::Interface;
use imalab_formats::ima::Bank;

fn meaning(interface: Interface, staged: bool, text: &str) -> Option<Action> {
    let file = crate::scenario::File::List { form: Form::Binary, bank: None, staged };
    let adapter = adapter(interface);
    adapter.meaning(file.in_model().unwrap(), text.as_bytes())
}

#[rstest]
#[case(true, "A\n", Some(Action::Stage))]
#[case(true, "D\n", Some(Action::Delete))]
#[case(false, "A\n", None)]
#[case(true, "A", None)]
#[case(true, "5\n", None)]
#[case(false, "5\n", Some(Action::Trim { records: 5 }))]
#[case(false, "0005\n", Some(Action::Trim { records: 5 }))]
#[case(false, "5\n\n", Some(Action::Trim { records: 5 }))]
#[case(false, "5\n\n\n", None)]
#[case(false, "5\0x\n", Some(Action::Trim { records: 5 }))]
#[case(false, "++5\n", None)]
#[case(false, "-5\n", None)]
#[case(false, "000000000000000000005\n", None)]
fn requests_are_recognised(#[case] staged: bool, #[case] text: &str, #[case] action: Option<Action>) {
    assert_eq!(meaning(Interface::UPSTREAM, staged, text), action);
    assert_eq!(meaning(Interface::READ_ONLY, staged, text), None);
}

#[rstest]
#[case(Interface::RFC_V2, true, "A\n", Some(Action::Stage))]
#[case(Interface::RFC_V2, true, "A", Some(Action::Stage))]
#[case(Interface::RFC_V2, true, "5\n", Some(Action::Stage))]
#[case(Interface::RFC_V2, true, "-5\n", Some(Action::Trim { records: 5 }))]
#[case(Interface::RFC_V2, true, "D\n", Some(Action::Delete))]
#[case(Interface::RFC_V2, true, "0\n", None)]
#[case(Interface::RFC_V2, true, "9223372036854775808\n", None)]
#[case(Interface::RFC_V2, false, "5\n", None)]
#[case(Interface::TWO_COMMAND, true, "5\n", Some(Action::Stage))]
#[case(Interface::TWO_COMMAND, true, "18446744073709551615\n", Some(Action::Stage))]
#[case(Interface::TWO_COMMAND, true, "D", Some(Action::Delete))]
#[case(Interface::TWO_COMMAND, true, "-5\n", None)]
#[case(Interface::TWO_COMMAND, true, "A\n", None)]
#[case(Interface::TWO_COMMAND, false, "D\n", None)]
#[case(Interface::TRANSACTION, false, "5\n", Some(Action::Trim { records: 5 }))]
#[case(Interface::TRANSACTION, false, "0", None)]
#[case(Interface::TRANSACTION, true, "5\n", None)]
fn requests_of_the_proposals_are_recognised(
    #[case] interface: Interface,
    #[case] staged: bool,
    #[case] text: &str,
    #[case] action: Option<Action>,
) {
    assert_eq!(meaning(interface, staged, text), action);
}

/// Some say with an error that nothing is staged: whoever reads all files, as each checkpoint does, is to get over that.
#[rstest]
#[case(Interface::RFC_V2_POSTED, true, Some(Errno::ENOENT as i32))]
#[case(Interface::RFC_V2_POSTED, false, None)]
#[case(Interface::UPSTREAM, true, None)]
fn nothing_staged_is_no_error_whatever_the_kernel_says(
    #[case] interface: Interface,
    #[case] staged: bool,
    #[case] expected: Option<i32>,
) {
    let of = Observed::List { form: Form::Binary, bank: Bank::Sha1, staged };
    let path = adapter(interface).list(Form::Binary, Some(Bank::Sha1), staged).unwrap();
    let ops = adapter(interface).read(0, path, of).ops;
    let read = ops.iter().find_map(|op| match op {
        Op::Read { nothing, .. } => Some(*nothing),
        _ => None,
    });
    assert_eq!(read, Some(expected));
}

#[test]
fn the_bank_comes_last_in_the_names_of_the_proposals() {
    for interface in [Interface::RFC_V2, Interface::TWO_COMMAND] {
        let path = |form, bank, staged| adapter(interface).list(form, bank, staged).unwrap();
        assert!(
            path(Form::Ascii, Some(Bank::Sha384), true)
                .ends_with("/ascii_runtime_measurements_staged_sha384")
        );
        assert!(path(Form::Binary, None, true).ends_with("/binary_runtime_measurements_staged"));
        assert!(path(Form::Binary, Some(Bank::Sha1), false).ends_with("/binary_runtime_measurements_sha1"));
    }
}

#[test]
fn lists_are_named_as_the_kernel_names_them() {
    let upstream = adapter(Interface::UPSTREAM);
    let path = |form, bank, staged| upstream.list(form, bank, staged).unwrap();
    assert_eq!(
        path(Form::Ascii, Some(Bank::Sha384), true),
        "/sys/kernel/security/integrity/ima/ascii_runtime_measurements_sha384_staged"
    );
    assert_eq!(
        path(Form::Binary, None, false),
        "/sys/kernel/security/integrity/ima/binary_runtime_measurements"
    );
    assert_eq!(adapter(Interface::READ_ONLY).list(Form::Binary, None, true), None);
}

/// What is written, and to which file, in a few letters.
fn words(operations: Option<Operations>) -> String {
    let mut told = Vec::new();
    for op in operations.map(|operations| operations.ops).unwrap_or_default() {
        match op {
            imalab_wire::Op::Open { path, flags, .. } => {
                let name = path.rsplit('/').next().unwrap().replace("binary_runtime_measurements_", "");
                told.push(format!("{}:{}", name, ["r", "w", "rw"][flags as usize & 3]));
            }
            imalab_wire::Op::Write { bytes, .. } => {
                told.push(String::from_utf8(bytes).unwrap().trim().to_owned())
            }
            imalab_wire::Op::ReadNumber { .. } => told.push("T".to_owned()),
            imalab_wire::Op::WriteFilled { text, .. } => told.push(text.trim().to_owned()),
            imalab_wire::Op::WriteFound { .. } => told.push("found".to_owned()),
            _ => {}
        }
    }
    told.join(" ")
}

#[rstest]
#[case(Interface::UPSTREAM, "sha1_staged:w A", "sha1_staged:w D", "sha1:r sha1:w 5", "sha1:rw found")]
#[case(
    Interface::RFC_V2,
    "staged_sha1:w A",
    "staged_sha1:w D",
    "sha1:r staged_sha1:w -5",
    "sha1:r staged_sha1:w found D"
)]
#[case(
    Interface::TWO_COMMAND,
    "staged_sha1:w 9223372036854775807",
    "staged_sha1:w D",
    "sha1:r staged_sha1:w 5 D",
    "sha1:r staged_sha1:w found D"
)]
#[case(Interface::TRANSACTION, "", "", "sha1:rw 5", "sha1:rw found")]
#[case(
    Interface::TRIM_LOG,
    "",
    "",
    "ima_trim_log:r T sha1:r ima_trim_log:w {number}:5",
    "ima_trim_log:r T sha1:r ima_trim_log:w {number}:{found}"
)]
#[case(Interface::TRIM_LOG_V3_POSTED, "", "", "sha1:r ima_trim_log:w 5", "sha1:r ima_trim_log:w found")]
#[case(Interface::LOG_DIGEST, "", "", "sha1:r trim:w 5", "sha1:r trim:w found")]
#[case(
    Interface::STAGING_V1_POSTED,
    "staged_sha1:w A",
    "staged_sha1:w D",
    "sha1:r staged_sha1:w 5 D",
    "sha1:r staged_sha1:w found D"
)]
#[case(
    Interface::RFC_V2_POSTED,
    "staged_sha1:w A",
    "staged_sha1:w D",
    "sha1:r staged_sha1:w -5",
    "sha1:r staged_sha1:w found D"
)]
#[case(
    Interface::V3_POSTED,
    "sha1_staged:w A",
    "sha1_staged:w D",
    "sha1:r sha1_staged:w A 5",
    "sha1:r sha1_staged:w A found"
)]
#[case(
    Interface::V4_POSTED,
    "sha1_staged:w A",
    "sha1_staged:w D",
    "sha1:r sha1_staged:w 5",
    "sha1:r sha1_staged:w found"
)]
#[case(Interface::V5_POSTED, "sha1:w A", "sha1_staged:w D", "sha1:r sha1:w 5", "sha1:r sha1:w found")]
#[case(Interface::NO_STAGING, "", "", "", "")]
#[case(Interface::READ_ONLY, "", "", "", "")]
fn verbs_are_in_the_words_of_the_dialect(
    #[case] interface: Interface,
    #[case] stage: &str,
    #[case] delete: &str,
    #[case] trim: &str,
    #[case] trim_found: &str,
) {
    let adapter = adapter(interface);
    assert_eq!(words(adapter.stage(0)), stage);
    assert_eq!(words(adapter.delete(0)), delete);
    assert_eq!(words(adapter.trim(0, 5)), trim);
    assert_eq!(words(adapter.trim_found(0)), trim_found);
}

#[rstest]
#[case(Interface::RFC_V2_POSTED, true, "-0x10\n", Some(Action::Trim { records: 16 }))]
#[case(Interface::RFC_V2_POSTED, true, "A", None)]
#[case(Interface::V4_POSTED, true, "5\n", Some(Action::Trim { records: 5 }))]
#[case(Interface::V4_POSTED, false, "5\n", None)]
#[case(Interface::V5_POSTED, false, "A\n", Some(Action::Stage))]
#[case(Interface::V5_POSTED, true, "A\n", None)]
#[case(Interface::NO_STAGING, false, "5\n", Some(Action::Trim { records: 5 }))]
#[case(Interface::NO_STAGING, true, "D\n", None)]
fn requests_of_postings_are_recognised(
    #[case] interface: Interface,
    #[case] staged: bool,
    #[case] text: &str,
    #[case] action: Option<Action>,
) {
    assert_eq!(meaning(interface, staged, text), action);
}
