//! Records that a file has again, since a kexec carried them before they were deleted.
//!
//! Who saves a staged list and does not come to delete it finds its records once more in the next kernel's list, before
//! new ones (`Documentation/security/IMA-export-delete.rst`, "Kexec"). Such a file begins as what was saved before it ends.

use std::hash::{BuildHasher, RandomState};

use super::{Case, VerifyError};
use imalab_formats::ima::RecordRef;

/// For each file the number of records at its start that files before it end with, in the order of the files.
pub(super) fn overlaps(case: &Case<'_>) -> Result<Vec<u64>, VerifyError> {
    let mut log = Vec::new();
    let mut ends = Vec::new();
    let mut overlaps = Vec::new();
    // With keys that nobody knows: who could make two records of one fingerprint could have one pass for the other.
    let keys = RandomState::new();
    // A single file has nothing before it, and is not read twice.
    if case.logs.len() < 2 {
        return Ok(vec![0; case.logs.len()]);
    }
    for part in &case.logs {
        let mut reader = case.reader(part)?;
        let mut file = Vec::new();
        loop {
            match reader.next_record() {
                Ok(Some(record)) => file.push(fingerprint(&keys, record)),
                Ok(None) => break,
                Err(source) => return Err(case.log_error(part, source)),
            }
        }
        overlaps.push(overlap(&log, &ends, &file));
        log.append(&mut file);
        ends.push(log.len());
    }
    Ok(overlaps)
}

/// Tells records apart; which of them count is decided by the PCRs.
fn fingerprint(keys: &RandomState, record: RecordRef<'_>) -> u64 {
    keys.hash_one((record.pcr, record.digest, record.template, record.data))
}

/// The longest start of `file` with which the log ends at one of `ends`, in records.
///
/// As Knuth, Morris and Pratt search: at each place of the log the longest start of `file` that ends there is known from
/// the one before it.
fn overlap(log: &[u64], ends: &[usize], file: &[u64]) -> u64 {
    let mut shorter = vec![0; file.len()];
    for at in 1..file.len() {
        let mut length: usize = shorter[at - 1];
        while length > 0 && file[length] != file[at] {
            length = shorter[length - 1];
        }
        shorter[at] = length + usize::from(file[length] == file[at]);
    }
    let (mut length, mut longest) = (0, 0);
    for (at, record) in log.iter().enumerate() {
        while length > 0 && file.get(length) != Some(record) {
            length = shorter[length - 1];
        }
        length += usize::from(file.get(length) == Some(record));
        if ends.binary_search(&(at + 1)).is_ok() {
            longest = longest.max(length);
        }
    }
    longest as u64
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::overlap;

    #[rstest]
    #[case::nothing_before(&[], &[], &[1, 2], 0)]
    #[case::nothing_in_it(&[1, 2], &[2], &[], 0)]
    #[case::none(&[1, 2, 3], &[3], &[4, 5], 0)]
    #[case::all_that_was_saved(&[1, 2, 3], &[3], &[1, 2, 3, 4], 3)]
    #[case::the_end_of_it(&[1, 2, 3], &[3], &[2, 3, 4], 2)]
    #[case::all_of_the_file(&[1, 2, 3], &[3], &[2, 3], 2)]
    #[case::the_same_again(&[1, 2, 3], &[3], &[1, 2, 3], 3)]
    #[case::not_at_an_end(&[1, 2, 3], &[3], &[1, 2, 4], 0)]
    #[case::at_an_end_before(&[1, 2, 3, 4], &[2, 4], &[1, 2, 5], 2)]
    #[case::over_two_files(&[1, 2, 3, 4], &[2, 4], &[2, 3, 4, 5], 3)]
    #[case::the_longest_of_two(&[1, 2, 9, 2, 1], &[2, 5], &[1, 2, 7], 2)]
    #[case::repeats(&[1, 1, 2, 1, 1], &[5], &[1, 1, 2, 3], 2)]
    #[case::falls_back(&[1, 2, 1, 2, 1], &[5], &[1, 2, 1, 3], 3)]
    fn the_longest_start_that_ends_a_file(
        #[case] log: &[u64],
        #[case] ends: &[usize],
        #[case] file: &[u64],
        #[case] expected: u64,
    ) {
        assert_eq!(overlap(log, ends, file), expected);
    }
}
