use rstest::rstest;
use serde_json::{Value, json};

use crate::fake_run::{FakeRun, could_not_run, failed, not_applicable, passed, record, result};
use crate::outcome::Check;
use imalab_formats::ima::Bank;
use imalab_language::finding::{Fact, Finding, Quote};
use imalab_trace::{QuoteTaken, What};

fn story() -> FakeRun {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.quote();
    fake.stage_save_delete();
    fake.measure(2);
    fake
}

#[test]
fn a_sound_run_passes_and_says_what_it_rests_on() {
    let result = story().verdict(Check::Quote);
    passed(&result);
    assert_eq!(result.compared["quotes"], 2);
    assert_eq!(result.facts, [Fact::Banks { banks: vec!["sha1".to_owned(), "sha256".to_owned()] }]);
}

#[rstest]
#[case::nonce(&|quote: &mut QuoteTaken| quote.nonce[0] ^= 1, invalid("nonce: expected"))]
#[case::nonce_used_before(&|quote: &mut QuoteTaken| quote.nonce = 2_u64.to_be_bytes().to_vec(), json!({"code": "quote/nonce-reused", "mark": 2}))]
#[case::signature(&|quote: &mut QuoteTaken| quote.signature[20] ^= 1, invalid("the signature is not that of the attestation key"))]
#[case::message(&|quote: &mut QuoteTaken| quote.attest[20] ^= 1, invalid("the signature is not that"))]
#[case::truncated(&|quote: &mut QuoteTaken| { quote.signature.pop(); }, invalid("quote signature"))]
#[case::key(&|quote: &mut QuoteTaken| quote.key.clear(), invalid("attestation key"))]
#[case::values(&|quote: &mut QuoteTaken| quote.values[1].digest[0] ^= 1, invalid("digest of the PCR values"))]
#[case::values_of_the_reading(
    &|quote: &mut QuoteTaken| quote.values[1].digest[0] ^= 1,
    json!({"code": "quote/not-as-read", "mark": 1, "bank": "sha256"})
)]
#[case::values_of_the_log(
    &|quote: &mut QuoteTaken| quote.values[1].digest[0] ^= 1,
    json!({"code": "quote/not-of-the-log", "mark": 1, "bank": "sha256", "records": 4, "prefix": null})
)]
#[case::bank_left_out(&|quote: &mut QuoteTaken| { quote.values.pop(); }, json!({"code": "quote/banks", "mark": 1, "found": ["sha1"]}))]
#[case::no_values(&|quote: &mut QuoteTaken| quote.values.clear(), invalid("no PCR values"))]
fn a_quote_that_was_tampered_with_fails(#[case] tamper: &dyn Fn(&mut QuoteTaken), #[case] finding: Value) {
    let (plan, mut trace) = story().finish();
    let quote = trace.events.iter_mut().find_map(|event| match &mut event.what {
        What::Quote(quote) => Some(quote),
        _ => None,
    });
    tamper(quote.expect("a quote was taken"));
    let result = result(&plan, &trace, Check::Quote);
    let Some(why) = finding["begins"].as_str() else { return failed(&result, &finding) };
    // Why a quote does not verify is what its verification says.
    let says = |finding: &Finding| matches!(finding, Finding::Quote(Quote::Invalid { mark: 1, error }) if error.starts_with(why));
    assert!(result.findings.iter().any(says), "{why}: {result:#?}");
}

/// A quote whose verification fails with an error that begins so.
fn invalid(begins: &str) -> Value {
    json!({"begins": begins})
}

#[test]
fn a_quote_of_other_records_than_the_log_holds_fails() {
    let mut fake = FakeRun::new();
    fake.measure(3);
    fake.current.swap(1, 2);
    fake.quote();
    let finding =
        json!({"code": "quote/not-of-the-log", "mark": 1, "bank": "sha1", "records": 4, "prefix": null});
    failed(&fake.verdict(Check::Quote), &finding);
}

#[test]
fn a_quote_that_is_ahead_of_the_log_fails() {
    let mut fake = FakeRun::new();
    fake.extend(&record("/m/lost"));
    fake.quote();
    let finding = json!({"code": "quote/ahead-of-the-log", "mark": 1, "extends": 2, "records": 1});
    failed(&fake.verdict(Check::Quote), &finding);
}

#[test]
fn a_quote_may_be_behind_the_log_in_name_only() {
    let mut fake = FakeRun::new();
    let hidden = record("/m/hidden");
    let digests = [Bank::Sha1, Bank::Sha256].map(|bank| hidden.extend_digest(bank));
    // The TPM refuses, the tap hears otherwise.
    fake.extend_with(10, digests.to_vec(), 0x101);
    let at = fake.trace.events.len() - 1;
    if let What::Tpm(exchange) = &mut fake.trace.events[at].what {
        exchange.answer[6..10].fill(0);
    }
    fake.current.push(hidden);
    fake.quote();
    failed(
        &fake.verdict(Check::Quote),
        &json!({"code": "quote/not-of-the-log", "mark": 1, "bank": "sha1", "prefix": 1}),
    );
}

#[test]
fn a_tpm_that_was_reset_between_quotes_fails() {
    let mut fake = story();
    fake.resets += 1;
    failed(&fake.verdict(Check::Quote), &json!({"code": "quote/tpm-reset", "marks": [1, 2]}));
}

#[test]
fn a_quote_that_was_not_taken_could_not_be_judged() {
    let (plan, mut trace) = story().finish();
    trace.events.retain(|event| !matches!(&event.what, What::Quote(quote) if quote.mark == 1));
    could_not_run(&result(&plan, &trace, Check::Quote), &json!({"code": "quote/not-taken", "mark": 1}));
}

#[test]
fn a_run_without_a_quote_step_says_so() {
    let mut fake = FakeRun::new();
    fake.checkpoint();
    let (plan, trace) = fake.power_off();
    not_applicable(&result(&plan, &trace, Check::Quote), &json!({"code": "quote/no-quote-step"}));
}

#[test]
fn without_a_whole_log_there_is_nothing_to_compare_with() {
    let mut fake = FakeRun::new();
    fake.quote();
    let (plan, trace) = fake.power_off();
    could_not_run(&result(&plan, &trace, Check::Quote), &json!({"code": "quote/no-whole-log"}));
}
