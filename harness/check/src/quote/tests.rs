use rstest::rstest;

use crate::world::{World, could_not_run, failed, not_applicable, passed, record, result};
use imalab_formats::ima::Bank;
use imalab_trace::{QuoteTaken, What};

fn story() -> World {
    let mut world = World::new();
    world.measure(3);
    world.quote();
    world.stage_save_delete();
    world.measure(2);
    world
}

#[test]
fn a_sound_run_passes_and_says_what_it_rests_on() {
    let result = story().verdict("quote");
    passed(&result);
    assert_eq!(result.findings, ["2 quotes, banks sha1 sha256"]);
}

#[rstest]
#[case::nonce(&|quote: &mut QuoteTaken| quote.nonce[0] ^= 1, &["mark 1: nonce: expected"])]
#[case::nonce_used_before(&|quote: &mut QuoteTaken| quote.nonce = 2_u64.to_be_bytes().to_vec(), &["mark 2: its nonce was used before"])]
#[case::signature(&|quote: &mut QuoteTaken| quote.signature[20] ^= 1, &["mark 1: the signature is not that of the attestation key"])]
#[case::message(&|quote: &mut QuoteTaken| quote.attest[20] ^= 1, &["mark 1: the signature is not that"])]
#[case::truncated(&|quote: &mut QuoteTaken| { quote.signature.pop(); }, &["mark 1: quote signature"])]
#[case::key(&|quote: &mut QuoteTaken| quote.key.clear(), &["mark 1: attestation key"])]
#[case::values(&|quote: &mut QuoteTaken| quote.values[1].digest[0] ^= 1, &["mark 1: digest of the PCR values"])]
#[case::values_of_the_reading(
    &|quote: &mut QuoteTaken| quote.values[1].digest[0] ^= 1,
    &["mark 1: sha256: it quotes", "PCR 10 was read as"]
)]
#[case::values_of_the_log(
    &|quote: &mut QuoteTaken| quote.values[1].digest[0] ^= 1,
    &["mark 1: sha256: it quotes", "the first 4 records of the log give", "no prefix of it gives that"]
)]
#[case::bank_left_out(&|quote: &mut QuoteTaken| { quote.values.pop(); }, &["mark 1: it quotes banks sha1"])]
#[case::no_values(&|quote: &mut QuoteTaken| quote.values.clear(), &["mark 1: no PCR values"])]
fn a_quote_that_was_tampered_with_fails(#[case] tamper: &dyn Fn(&mut QuoteTaken), #[case] words: &[&str]) {
    let (plan, mut trace) = story().finish();
    let quote = trace.events.iter_mut().find_map(|event| match &mut event.what {
        What::Quote(quote) => Some(quote),
        _ => None,
    });
    tamper(quote.expect("a quote was taken"));
    failed(&result(&plan, &trace, "quote"), words);
}

#[test]
fn a_quote_of_other_records_than_the_log_holds_fails() {
    let mut world = World::new();
    world.measure(3);
    world.current.swap(1, 2);
    world.quote();
    let words = ["mark 1: sha1: it quotes", "the first 4 records of the log give", "no prefix"];
    failed(&world.verdict("quote"), &words);
}

#[test]
fn a_quote_that_is_ahead_of_the_log_fails() {
    let mut world = World::new();
    world.extend(&record("/m/lost"));
    world.quote();
    failed(
        &world.verdict("quote"),
        &["mark 1: 2 extends came before the quote, the whole log holds 1 record"],
    );
}

#[test]
fn a_quote_may_be_behind_the_log_in_name_only() {
    let mut world = World::new();
    let hidden = record("/m/hidden");
    let digests = [Bank::Sha1, Bank::Sha256].map(|bank| hidden.extend_digest(bank));
    // The TPM refuses, the tap hears otherwise.
    world.extend_with(10, digests.to_vec(), 0x101);
    let at = world.trace.events.len() - 1;
    if let What::Tpm(exchange) = &mut world.trace.events[at].what {
        exchange.answer[6..10].fill(0);
    }
    world.current.push(hidden);
    world.quote();
    failed(&world.verdict("quote"), &["mark 1: sha1: it quotes", "its first 1 record do give that"]);
}

#[test]
fn a_tpm_that_was_reset_between_quotes_fails() {
    let mut world = story();
    world.resets += 1;
    failed(&world.verdict("quote"), &["the TPM was reset between the quotes at marks [1, 2]"]);
}

#[test]
fn a_quote_that_was_not_taken_could_not_be_judged() {
    let (plan, mut trace) = story().finish();
    trace.events.retain(|event| !matches!(&event.what, What::Quote(quote) if quote.mark == 1));
    could_not_run(&result(&plan, &trace, "quote"), &["mark 1: no quote was taken"]);
}

#[test]
fn a_run_without_a_quote_step_says_so() {
    let mut world = World::new();
    world.checkpoint();
    let (plan, trace) = world.power_off();
    not_applicable(&result(&plan, &trace, "quote"), &["no quote step"]);
}

#[test]
fn without_a_whole_log_there_is_nothing_to_compare_with() {
    let mut world = World::new();
    world.quote();
    let (plan, trace) = world.power_off();
    could_not_run(&result(&plan, &trace, "quote"), &["no checkpoint shows a whole log"]);
}
