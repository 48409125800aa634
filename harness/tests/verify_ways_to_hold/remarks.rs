//! What is told beside the verdict.

use std::fs;

use super::bench::QUOTE;
use super::{bench, quoted, records, run};
use imalab_formats::ima::{Bank, Replay};
use imalab_verify::{Conclusion, Quoted};

#[test]
fn padded_sha1_is_said_so() {
    let log = records(600);
    let bench = bench(&log);
    for bank in [Bank::Sha256, Bank::Sha512] {
        let mut padded = Replay::new(bank);
        for record in &log {
            padded.extend(10, &record.extend_digest(Bank::Sha1).padded_to(bank));
        }
        let line = format!("PCR-10: {}\n", padded.value(10).unwrap());
        fs::write(bench.path("values"), line).unwrap();
        let (verdict, text) = run(&bench, "--pcrs @values", None);
        assert!(verdict.violations > 0, "a violation is padded as well");
        assert_eq!(verdict.conclusion, Conclusion::Holds, "{text}");
        assert!(verdict.banks[0].padded_sha1);
        assert!(text.contains("SHA-1 padded"), "{text}");
        let mut quoted = quoted(&[(bank, &[10])], &log);
        quoted.digest = quoted.digest_of(|_, _| padded.value(10).unwrap()).as_bytes().to_vec();
        let (verdict, text) = run(&bench, QUOTE, Some(quoted));
        assert_eq!(verdict.conclusion, Conclusion::Holds, "{text}");
        assert!(text.contains("SHA-1 padded"), "{text}");
        // SHA-1 itself is never padded, and a changed record is not saved by it.
        let mut changed = log.clone();
        *changed[3].data.last_mut().unwrap() ^= 1;
        bench.log("log", &changed);
        assert_eq!(run(&bench, "--pcrs @values", None).0.conclusion, Conclusion::DoesNotHold);
        bench.log("log", &log);
    }
}

#[test]
fn what_is_likeliest_comes_first() {
    let log = records(9);
    let bench = bench(&log[..8]);
    bench.pcrs(&log, Bank::Sha256);
    let (verdict, text) = run(&bench, "--pcrs @sha256", None);
    assert_eq!(verdict.conclusion, Conclusion::DoesNotHold);
    let causes: Vec<&str> = text.lines().filter(|line| line.starts_with("  - ")).collect();
    assert_eq!(
        causes[0],
        "  - the PCRs were read after the list was read, and a record came in between: read the list last"
    );
    assert!(causes.last().unwrap().contains("lost, added, moved or replaced"), "{text}");
}

#[test]
fn unknown_templates_are_reported() {
    let mut log = records(30);
    for (place, record) in log.iter_mut().enumerate().skip(1) {
        record.template = if place < 5 { "ima-ng-2".to_owned() } else { format!("made-up-{place}") };
    }
    let bench = bench(&log);
    bench.pcrs(&log, Bank::Sha256);
    let (verdict, text) = run(&bench, "--pcrs @sha256", None);
    assert_eq!(verdict.conclusion, Conclusion::Holds);
    assert_eq!(verdict.unknown_templates.len(), 8);
    assert_eq!((verdict.unknown_templates[0].first, verdict.unknown_templates[0].records), (2, 4));
    assert_eq!(verdict.more_unknown_templates, 18);
    assert!(text.contains("unknown template `ima-ng-2` in 4 records, the first is 2"), "{text}");
}

#[test]
fn a_quote_without_a_nonce_may_be_an_old_one() {
    let log = records(9);
    let quoted = Quoted { empty_nonce: true, ..quoted(&[(Bank::Sha256, &[10])], &log) };
    let (verdict, text) = run(&bench(&log), QUOTE, Some(quoted));
    assert!(verdict.quote.unwrap().empty_nonce);
    assert!(text.contains("it carries no nonce: it may be an old one"), "{text}");
}
