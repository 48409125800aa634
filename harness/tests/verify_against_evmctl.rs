//! `imalab verify` beside evmctl, which is not ours: both accept a right list, both reject a changed one.
//!
//! Needs `evmctl` (Debian: ima-evm-utils). Without it the tests fail: a check that could not run is none.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use imalab_formats::ima::{Bank, Mix};
use imalab_verify::{GenerateLogArgs, Outcome, Verdict, VerifyArgs, generate, run};
use rstest::rstest;
use tempfile::TempDir;

/// A made list with its PCR values, in a folder that goes away with it.
struct List {
    dir: TempDir,
}

impl List {
    fn make(mix: Mix, records: u64) -> List {
        let dir = tempfile::tempdir().unwrap();
        let list = List { dir };
        generate(&GenerateLogArgs {
            records,
            seed: 42,
            mix,
            out: list.log(),
            pcrs_dir: list.dir.path().to_owned(),
            banks: Bank::ALL.to_vec(),
        })
        .unwrap();
        list
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log.bin")
    }

    fn pcrs(&self, bank: Bank) -> String {
        format!("{bank},{}", self.dir.path().join(format!("pcrs-{bank}.txt")).display())
    }

    fn ours(&self) -> Verdict {
        judge(&self.log(), Bank::ALL.map(|bank| self.pcrs(bank)), &[])
    }

    /// As evmctl takes it, to whom a list may go on.
    fn ours_with_a_tail(&self) -> Verdict {
        judge(&self.log(), Bank::ALL.map(|bank| self.pcrs(bank)), &["--uncovered-tail"])
    }

    /// Whether evmctl accepts the list, and what it said.
    fn evmctls(&self) -> (bool, String) {
        let output = Command::new("evmctl")
            .args(["ima_measurement", "--ignore-violations", "--pcrs"])
            .arg(self.pcrs(Bank::Sha1))
            .arg("--pcrs")
            .arg(self.pcrs(Bank::Sha256))
            .arg(self.log())
            .output()
            .expect("evmctl has to be there for this check (Debian: ima-evm-utils)");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    }

    fn flip(&self, file: &Path, at: usize, bit: u8) {
        let mut bytes = fs::read(file).unwrap();
        bytes[at] ^= bit;
        fs::write(file, bytes).unwrap();
    }
}

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    verify: VerifyArgs,
}

fn judge(log: &Path, pcrs: impl IntoIterator<Item = String>, options: &[&str]) -> Verdict {
    let mut line = vec!["verify".to_owned(), "--log".to_owned(), log.display().to_string()];
    for pcrs in pcrs {
        line.extend(["--pcrs".to_owned(), pcrs]);
    }
    line.extend(options.iter().map(|option| (*option).to_owned()));
    let args = CommandLine::parse_from(line).verify;
    run(&args, |_| unreachable!("no quote was named")).unwrap()
}

#[rstest]
#[case(Mix::Common)]
#[case(Mix::Templates)]
#[case(Mix::Legacy)]
fn both_accept_a_list_that_is_right(#[case] mix: Mix) {
    let list = List::make(mix, 3000);
    let ours = list.ours();
    assert!(ours.violations > 0);
    assert!(ours.banks.iter().all(|bank| bank.outcome == Outcome::Matches), "{ours:#?}");
    assert!(ours.holds);
    let (accepted, said) = list.evmctls();
    assert!(accepted, "{said}");
    assert!(said.contains("Matched per TPM bank calculated digest(s)."), "{said}");
}

#[rstest]
#[case(Mix::Common)]
#[case(Mix::Templates)]
#[case(Mix::Legacy)]
fn both_reject_a_flipped_bit_in_the_data(#[case] mix: Mix) {
    let list = List::make(mix, 300);
    // The last byte of the list is data of the last record.
    let end = fs::metadata(list.log()).unwrap().len() as usize;
    list.flip(&list.log(), end - 1, 0x01);
    let ours = list.ours();
    assert!(!ours.holds);
    assert!(ours.banks.iter().all(|bank| bank.outcome == Outcome::Mismatch));
    assert_eq!(ours.first_inconsistency.unwrap().record, 300);
    let (accepted, said) = list.evmctls();
    assert!(!accepted, "{said}");
}

#[test]
fn both_reject_a_flipped_bit_in_a_digest() {
    let list = List::make(Mix::Common, 300);
    list.flip(&list.log(), 4, 0x80);
    let ours = list.ours();
    assert!(!ours.holds);
    assert_eq!(ours.first_inconsistency.unwrap().record, 1);
    let (accepted, said) = list.evmctls();
    assert!(!accepted, "{said}");
}

#[test]
fn both_reject_other_pcr_values() {
    let list = List::make(Mix::Common, 300);
    let other = List::make(Mix::Common, 301);
    for bank in [Bank::Sha1, Bank::Sha256] {
        let name = format!("pcrs-{bank}.txt");
        fs::copy(other.dir.path().join(&name), list.dir.path().join(&name)).unwrap();
    }
    let ours = list.ours();
    assert!(!ours.holds);
    assert_eq!(ours.inconsistent, 0);
    let (accepted, said) = list.evmctls();
    assert!(!accepted, "{said}");
}

#[test]
fn both_accept_a_list_that_leads_the_pcrs() {
    let list = List::make(Mix::Common, 300);
    let shorter = List::make(Mix::Common, 290);
    for bank in Bank::ALL {
        let name = format!("pcrs-{bank}.txt");
        fs::copy(shorter.dir.path().join(&name), list.dir.path().join(&name)).unwrap();
    }
    let ours = list.ours_with_a_tail();
    let prefix = Outcome::MatchesPrefix { records: 290 };
    assert!(ours.banks.iter().all(|bank| bank.outcome == prefix), "{ours:#?}");
    assert!(ours.holds);
    let (accepted, said) = list.evmctls();
    assert!(accepted, "{said}");
}
