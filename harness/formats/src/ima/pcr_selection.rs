//! Selections of PCRs as tpm2-tools spell them: `sha1:10+sha256:0,1,10`.

use std::fmt;
use std::str::FromStr;

use super::{Bank, PCR_LIMIT, UnknownBank};

/// PCRs of some banks, in the order in which they were named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrSelection(Vec<(Bank, Option<Vec<u32>>)>);

/// A selection that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// A bank has a name that imalab does not know.
    #[error(transparent)]
    Bank(#[from] UnknownBank),
    /// A PCR is none.
    #[error("expected a PCR of 0 to {}, found `{}`", PCR_LIMIT - 1, .0.escape_debug())]
    Pcr(String),
    /// A bank is named twice.
    #[error("bank {0} is selected twice")]
    Twice(Bank),
}

impl PcrSelection {
    /// The banks, each with its PCRs; `None`: no particular ones.
    pub fn banks(&self) -> impl Iterator<Item = (Bank, Option<&[u32]>)> {
        self.0.iter().map(|(bank, pcrs)| (*bank, pcrs.as_deref()))
    }

    /// Whether the bank is among them.
    pub fn names(&self, bank: Bank) -> bool {
        self.0.iter().any(|(named, _)| *named == bank)
    }

    /// Whether the PCR of that bank is among them.
    pub fn has(&self, bank: Bank, pcr: u32) -> bool {
        self.0
            .iter()
            .any(|(named, pcrs)| *named == bank && pcrs.as_ref().is_none_or(|pcrs| pcrs.contains(&pcr)))
    }

    /// Every PCR of every bank, in order; `None` when a bank is without PCRs.
    pub fn listed(&self) -> Option<Vec<(Bank, u32)>> {
        let mut all = Vec::new();
        for (bank, pcrs) in &self.0 {
            all.extend(pcrs.as_ref()?.iter().map(|pcr| (*bank, *pcr)));
        }
        Some(all)
    }
}

impl From<Bank> for PcrSelection {
    fn from(bank: Bank) -> Self {
        PcrSelection(vec![(bank, None)])
    }
}

impl FromStr for PcrSelection {
    type Err = SelectionError;

    /// Reads `BANK`, `BANK:PCR,...` or `BANK:all`, several with `+` between them. PCRs come in the order of their
    /// index, since a TPM hands them out so.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut banks: Vec<(Bank, Option<Vec<u32>>)> = Vec::new();
        for part in text.split('+') {
            let (bank, pcrs) = match part.split_once(':') {
                None => (part.parse()?, None),
                Some((bank, "all")) => (bank.parse()?, Some((0..24).collect())),
                Some((bank, pcrs)) => {
                    let pcr = |text: &str| {
                        let index = text.parse().ok().filter(|index| *index < PCR_LIMIT);
                        index.ok_or_else(|| SelectionError::Pcr(text.to_owned()))
                    };
                    let mut pcrs = pcrs.split(',').map(pcr).collect::<Result<Vec<u32>, _>>()?;
                    pcrs.sort_unstable();
                    pcrs.dedup();
                    (bank.parse()?, Some(pcrs))
                }
            };
            if banks.iter().any(|(named, _)| *named == bank) {
                return Err(SelectionError::Twice(bank));
            }
            banks.push((bank, pcrs));
        }
        Ok(PcrSelection(banks))
    }
}

impl fmt::Display for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (bank, pcrs)) in self.0.iter().enumerate() {
            write!(f, "{}{bank}", if place > 0 { "+" } else { "" })?;
            for (place, pcr) in pcrs.iter().flatten().enumerate() {
                write!(f, "{}{pcr}", if place > 0 { "," } else { ":" })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("sha256", "sha256", None)]
    #[case("sha256:10", "sha256:10", Some(1))]
    #[case("sha1:11,10+sha384:0", "sha1:10,11+sha384:0", Some(3))]
    fn selections(#[case] text: &str, #[case] shown: &str, #[case] listed: Option<usize>) {
        let selection: PcrSelection = text.parse().unwrap();
        assert_eq!(selection.to_string(), shown);
        assert_eq!(selection.listed().map(|all| all.len()), listed);
    }

    #[rstest]
    #[case("", "unknown bank ``")]
    #[case("md5:10", "unknown bank `md5`")]
    #[case("sha1:64", "expected a PCR of 0 to 63, found `64`")]
    #[case("sha1:", "expected a PCR of 0 to 63, found ``")]
    #[case("sha1:1\u{1b}", "expected a PCR of 0 to 63, found `1\\u{1b}`")]
    #[case("sha1+sha1:1", "bank sha1 is selected twice")]
    fn errors(#[case] text: &str, #[case] expected: &str) {
        let error = text.parse::<PcrSelection>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
