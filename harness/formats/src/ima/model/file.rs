//! Which file of the interface a path is.

use crate::ima::Bank;
use crate::ima::lists::{Kind, ListId};

/// Folders in which the files are: the second is a link to the first (`ima_fs_init`,
/// `security/integrity/ima/ima_fs.c`).
const FOLDERS: [&str; 2] = ["/sys/kernel/security/integrity/ima/", "/sys/kernel/security/ima/"];

/// A file, as far as the measurement list is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// A measurement list.
    List(ListFile),
    /// `runtime_measurements_count`.
    Count,
    /// `violations`.
    Violations,
    /// `policy`.
    Policy,
    /// Nothing of the list: opening it may make a record, and that is all.
    Other,
}

/// A measurement list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListFile {
    /// The text form.
    pub ascii: bool,
    /// The bank whose digests it shows; a file without one in its name is a link to that of SHA-1.
    pub bank: Bank,
    /// The list that it shows.
    pub list: ListId,
}

impl File {
    /// The file of this path.
    pub fn of_path(path: &str) -> File {
        let Some(name) = FOLDERS.iter().find_map(|folder| path.strip_prefix(folder)) else {
            return File::Other;
        };
        match name {
            "runtime_measurements_count" => File::Count,
            "violations" => File::Violations,
            "policy" => File::Policy,
            _ => ListFile::of_name(name).map_or(File::Other, File::List),
        }
    }
}

impl ListFile {
    /// Whether it shows staged records.
    pub fn is_staged(self) -> bool {
        self.list.is_staged()
    }

    fn of_name(name: &str) -> Option<ListFile> {
        let (name, staged) = name.strip_suffix("_staged").map_or((name, false), |name| (name, true));
        let (form, rest) = name.split_once("_runtime_measurements")?;
        // Mainline puts the bank before, the proposals put it behind.
        let (rest, staged) = match rest.strip_prefix("_staged") {
            Some(rest) if !staged => (rest, true),
            _ => (rest, staged),
        };
        let ascii = match form {
            "ascii" => true,
            "binary" => false,
            _ => return None,
        };
        let bank = match rest {
            "" => Bank::Sha1,
            _ => rest.strip_prefix('_')?.parse().ok()?,
        };
        let kind = if staged { Kind::Staged } else { Kind::Current };
        Some(ListFile { ascii, bank, list: ListId::of(kind) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const fn list(ascii: bool, bank: Bank, staged: bool) -> File {
        let list = if staged { ListId::STAGED } else { ListId::CURRENT };
        File::List(ListFile { ascii, bank, list })
    }

    #[rstest]
    #[case("/sys/kernel/security/integrity/ima/binary_runtime_measurements", list(false, Bank::Sha1, false))]
    #[case("/sys/kernel/security/ima/ascii_runtime_measurements_staged", list(true, Bank::Sha1, true))]
    #[case(
        "/sys/kernel/security/ima/binary_runtime_measurements_sha384_staged",
        list(false, Bank::Sha384, true)
    )]
    #[case(
        "/sys/kernel/security/ima/ascii_runtime_measurements_staged_sha384",
        list(true, Bank::Sha384, true)
    )]
    #[case("/sys/kernel/security/ima/binary_runtime_measurements_staged_sha1_staged", File::Other)]
    #[case("/sys/kernel/security/ima/runtime_measurements_count", File::Count)]
    #[case("/sys/kernel/security/ima/violations", File::Violations)]
    #[case("/sys/kernel/security/ima/policy", File::Policy)]
    #[case("/sys/kernel/security/ima/binary_runtime_measurements_tpm_alg_12", File::Other)]
    #[case("/sys/kernel/security/ima/hex_runtime_measurements", File::Other)]
    #[case("/m/binary_runtime_measurements", File::Other)]
    fn a_path_names_a_file(#[case] path: &str, #[case] file: File) {
        assert_eq!(File::of_path(path), file);
    }
}
