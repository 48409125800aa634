//! What the trace holds, read again.

use imalab_formats::ima::Bank;
use imalab_formats::tpm::command::{Command, CommandError, name, parse, response_code};
use proptest::prelude::*;
use rstest::rstest;

use super::{extend, message};

fn digest_of_each_bank() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let one = prop::sample::select(Bank::ALL.to_vec())
        .prop_flat_map(|bank| (Just(bank.tpm_alg()), prop::collection::vec(any::<u8>(), bank.digest_size())));
    prop::collection::vec(one, 0..5)
}

proptest! {
    #[test]
    fn an_extend_is_read_as_it_was_written(pcr: u32, digests in digest_of_each_bank()) {
        prop_assert_eq!(parse(&extend(pcr, &digests)), Ok(Command::PcrExtend { pcr, digests }));
    }

    #[test]
    fn a_cut_or_lengthened_extend_is_refused(digests in digest_of_each_bank(), cut: prop::sample::Index, more: u8) {
        let whole = extend(10, &digests);
        let cut = &whole[..cut.index(whole.len())];
        prop_assert!(parse(cut).is_err());
        let long = [&whole[..], &[more]].concat();
        let found = long.len();
        prop_assert_eq!(parse(&long), Err(CommandError::Length { claimed: found as u32 - 1, found }));
        // The same with a length that fits the lie.
        if cut.len() >= 10 {
            prop_assert!(parse(&message(0x8002, 0x182, &cut[10..])).is_err());
        }
        prop_assert!(parse(&message(0x8002, 0x182, &long[10..])).is_err());
    }

    #[test]
    fn nothing_makes_the_parser_panic(
        tag in prop_oneof![Just(0x8001), Just(0x8002), any::<u16>()],
        code in prop_oneof![0x11fu32..0x190, Just(imalab_wire::MARK_COMMAND), any::<u32>()],
        body in prop::collection::vec(any::<u8>(), 0..64),
        raw in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = parse(&message(tag, code, &body));
        let _ = parse(&raw);
        let _ = response_code(&raw);
    }
}

#[rstest]
#[case::startup(message(0x8001, 0x144, &[0, 1]), Command::Startup { kind: 1 })]
#[case::shutdown(message(0x8001, 0x145, &[0, 0]), Command::Shutdown { kind: 0 })]
#[case::mark(message(0x8001, 0x2000_494d, &[0, 0, 0, 0, 0, 0, 1, 2]), Command::Mark { number: 258 })]
#[case::reset(
    message(0x8002, 0x13d, &[0, 0, 0, 16, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]),
    Command::PcrReset { pcr: 16 }
)]
#[case::event(
    message(0x8002, 0x13c, &[0, 0, 0, 10, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, 0, 2, 7, 8]),
    Command::PcrEvent { pcr: 10, data: vec![7, 8] }
)]
#[case::read(
    message(0x8001, 0x17e, &[0, 0, 0, 1, 0, 0xb, 3, 0, 4, 0]),
    Command::PcrRead { selections: vec![(0xb, vec![0, 4, 0])] }
)]
#[case::two_sessions(
    message(0x8002, 0x13d, &[
        0, 0, 0, 16, 0, 0, 0, 22,
        0x40, 0, 0, 9, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 0, 2, 1, 1, 0, 0, 2, 3, 3,
    ]),
    Command::PcrReset { pcr: 16 }
)]
#[case::other(message(0x8001, 0x17b, &[0, 8]), Command::Other { code: 0x17b })]
fn commands_are_told_apart(#[case] bytes: Vec<u8>, #[case] expected: Command) {
    assert_eq!(parse(&bytes), Ok(expected));
}

#[rstest]
#[case::empty(vec![], "header: tag at byte 0 needs 2 bytes, 0 are left")]
#[case::no_code(vec![0x80, 1, 0, 0, 0, 6], "header: code at byte 6 needs 4 bytes, 0 are left")]
#[case::tag(message(0x00c1, 0x144, &[0, 0]),
    "header: tag at byte 0: expected TPM_ST_NO_SESSIONS or TPM_ST_SESSIONS, found 0xc1")]
#[case::length(vec![0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44], "header gives a length of 12 bytes, there are 10")]
#[case::startup(message(0x8001, 0x144, &[0]), "TPM2_Startup: startupType at byte 10 needs 2 bytes, 1 are left")]
#[case::mark(message(0x8001, 0x2000_494d, &[0; 9]), "mark: 1 bytes too many from byte 18 on")]
#[case::no_password(message(0x8001, 0x182, &[0, 0, 0, 10, 0, 0, 0, 0]),
    "TPM2_PCR_Extend: tag at byte 0: expected TPM_ST_SESSIONS, found 0x8001")]
#[case::hash(extend(10, &[(0x4321, vec![0; 4])]), "TPM2_PCR_Extend: unknown hash 0x4321 at byte 31")]
#[case::digest(extend(10, &[(0xb, vec![0; 31])]),
    "TPM2_PCR_Extend: digest at byte 33 needs 32 bytes, 31 are left")]
#[case::authorization(
    message(0x8002, 0x13d, &[0, 0, 0, 16, 0, 0, 0, 8, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]),
    "TPM2_PCR_Reset: authorizationSize at byte 14: expected the length of the sessions, found 0x8"
)]
fn what_is_wrong_is_said(#[case] bytes: Vec<u8>, #[case] expected: &str) {
    assert_eq!(parse(&bytes).unwrap_err().to_string(), expected);
}

#[test]
fn a_response_code_is_read() {
    assert_eq!(response_code(&message(0x8001, 0x922, &[])), Ok(0x922));
    response_code(&[0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0]).unwrap_err();
}

#[test]
fn commands_have_names() {
    assert_eq!(name(0x182), Some("TPM2_PCR_Extend"));
    assert_eq!(name(imalab_wire::MARK_COMMAND), Some("mark"));
    assert_eq!(name(0xffff_ffff), None);
}
