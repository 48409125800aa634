//! Whatever is done to a list.

use std::fs;

use proptest::prelude::*;

use super::bench::QUOTE;
use super::{bench, quoted, run, value, with_pcr_11};
use imalab_formats::ima::{Bank, Record};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done to a list, and whatever is compared: it holds only when each PCR's records are those that the TPM
    /// took; and, where more of them at the end are allowed, no others before those.
    #[test]
    fn a_list_that_holds_is_what_the_tpm_took(
        edits in proptest::collection::vec((0usize..12, 0usize..4), 0..3),
        banks in proptest::sample::subsequence(vec![Bank::Sha1, Bank::Sha256], 1..=2),
        pcrs in proptest::sample::subsequence(vec![10u32, 11], 0..=2),
        by_quote in any::<bool>(),
        tail in any::<bool>(),
    ) {
        let option = if tail { " --uncovered-tail" } else { "" };
        let taken = with_pcr_11(8, 3);
        let mut log = taken.clone();
        for (at, edit) in edits {
            let at = at % log.len();
            match edit {
                0 => drop(log.remove(at)),
                1 => {
                    let next = (at + 1) % log.len();
                    log.swap(at, next);
                }
                2 => log.insert(at, log[at].clone()),
                _ => log.push(log[at].clone()),
            }
        }
        let bench = bench(&log);
        let (verdict, text) = if by_quote {
            let selection: Vec<(Bank, &[u32])> = banks.iter().map(|bank| (*bank, &*pcrs)).collect();
            run(&bench, &format!("{QUOTE}{option}"), Some(quoted(&selection, &taken)))
        } else {
            let mut line = String::new();
            for bank in &banks {
                let lines: String =
                    pcrs.iter().map(|pcr| format!("PCR-{pcr}: {}\n", value(&taken, *bank, *pcr))).collect();
                if !pcrs.is_empty() {
                    fs::write(bench.path(bank.name()), lines).unwrap();
                    line += &format!(" --pcrs @{bank}");
                }
            }
            line += option;
            run(&bench, line.trim(), None)
        };
        if verdict.holds {
            for pcr in [10, 11] {
                let of = |records: &[Record]| -> Vec<Record> {
                    records.iter().filter(|record| record.pcr == pcr).cloned().collect()
                };
                let (log, taken) = (of(&log), of(&taken));
                prop_assert!(log.is_empty() || log == taken || tail && log.starts_with(&taken), "{}", text);
            }
        }
    }
}
