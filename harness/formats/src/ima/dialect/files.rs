//! Names of an interface's files.

use crate::ima::Bank;
use crate::ima::file::{File, ListFile};
use crate::ima::lists::{Kind, ListId};

use super::{Dialect, Target};

/// Folder of the measurement files in the guest (`ima_fs_init`, `security/integrity/ima/ima_fs.c`).
pub const FOLDER: &str = "/sys/kernel/security/integrity/ima";

/// A link to it.
const LINK: &str = "/sys/kernel/security/ima";

/// Counter of the current list's records.
pub const COUNT: &str = "runtime_measurements_count";

/// Counter of violations.
pub const VIOLATIONS: &str = "violations";

/// What the policy is written to.
pub const POLICY: &str = "policy";

/// How the files of a list are named: `{form}` stands for `ascii` or `binary`, `{_bank}` for `_sha1` and so on, or nothing.
/// A name without the one is that of the binary file alone, without the other that of the file of SHA-1.
pub type Naming = &'static str;

/// The current list's, of every interface.
pub(super) const CURRENT: Naming = "{form}_runtime_measurements{_bank}";

/// The staged list's in mainline: the bank comes first.
pub(super) const BANK_FIRST: Naming = "{form}_runtime_measurements{_bank}_staged";

/// The staged list's in the first proposals: the bank comes last.
pub(super) const BANK_LAST: Naming = "{form}_runtime_measurements_staged{_bank}";

/// The name of one file, when there is such a one.
fn name(naming: Naming, ascii: bool, bank: Option<Bank>) -> Option<String> {
    let form = if ascii { "ascii" } else { "binary" };
    let there = (naming.contains("{form}") || !ascii)
        && (naming.contains("{_bank}") || bank.is_none_or(|bank| bank == Bank::Sha1));
    let bank = bank.map(|bank| format!("_{bank}")).unwrap_or_default();
    there.then(|| naming.replace("{form}", form).replace("{_bank}", &bank))
}

impl Dialect {
    fn naming(&self, of: Kind) -> Option<Naming> {
        match of {
            Kind::Current => Some(CURRENT),
            Kind::Staged => self.staged,
        }
    }

    /// Name of the file that a verb opens: of a list the binary one of SHA-1. `None`: there is no such file.
    pub fn target_name(&self, target: Target) -> Option<String> {
        match target {
            Target::List(of) => self.file_name(of, false, Some(Bank::Sha1)),
            Target::Own(name) => self.own_file(name).map(|own| own.name.to_owned()),
        }
    }

    /// Name of a list's file; without a bank, of the one that has none in its name. `None`: there is no such file.
    pub fn file_name(&self, of: Kind, ascii: bool, bank: Option<Bank>) -> Option<String> {
        name(self.naming(of)?, ascii, bank)
    }

    /// The list that a name in the folder is a file of.
    pub fn list(&self, name: &str) -> Option<ListFile> {
        let banks = || [None].into_iter().chain(Bank::ALL.into_iter().map(Some));
        for of in [Kind::Current, Kind::Staged] {
            let naming = self.naming(of)?;
            for (ascii, bank) in
                [false, true].into_iter().flat_map(|ascii| banks().map(move |bank| (ascii, bank)))
            {
                if self::name(naming, ascii, bank).as_deref() == Some(name) {
                    // A file without a bank in its name is a link to that of SHA-1 (`ima_fs_init`).
                    let bank = bank.unwrap_or(Bank::Sha1);
                    return Some(ListFile { ascii, bank, list: ListId::of(of) });
                }
            }
        }
        None
    }

    /// The file of a path.
    pub fn file(&self, path: &str) -> File {
        let within = |folder: &str| path.strip_prefix(folder)?.strip_prefix('/');
        let Some(name) = [FOLDER, LINK].into_iter().find_map(within) else { return File::Other };
        match name {
            name if name == self.count => File::Count,
            VIOLATIONS => File::Violations,
            POLICY => File::Policy,
            _ => match (self.list(name), self.own_file(name)) {
                (Some(list), _) => File::List(list),
                (None, Some(own)) => File::Own(own.name),
                (None, None) => File::Other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interface;
    use rstest::rstest;

    const fn list(ascii: bool, bank: Bank, staged: bool) -> File {
        let list = if staged { ListId::STAGED } else { ListId::CURRENT };
        File::List(ListFile { ascii, bank, list })
    }

    #[rstest]
    #[case("integrity/ima/binary_runtime_measurements", list(false, Bank::Sha1, false))]
    #[case("ima/ascii_runtime_measurements_staged", list(true, Bank::Sha1, true))]
    #[case("ima/binary_runtime_measurements_sha384_staged", list(false, Bank::Sha384, true))]
    #[case("ima/ascii_runtime_measurements_staged_sha384", File::Other)]
    #[case("ima/binary_runtime_measurements_sha1_staged_sha1", File::Other)]
    #[case("ima/runtime_measurements_count", File::Count)]
    #[case("ima/violations", File::Violations)]
    #[case("ima/policy", File::Policy)]
    #[case("ima/binary_runtime_measurements_tpm_alg_12", File::Other)]
    #[case("ima/hex_runtime_measurements", File::Other)]
    #[case("imagine/binary_runtime_measurements", File::Other)]
    fn a_path_names_a_file(#[case] path: &str, #[case] file: File) {
        assert_eq!(Interface::UPSTREAM.dialect().file(&format!("/sys/kernel/security/{path}")), file);
    }

    #[test]
    fn each_interface_names_its_own() {
        let path = "/sys/kernel/security/ima/ascii_runtime_measurements_staged_sha384";
        assert_eq!(Interface::RFC_V2.dialect().file(path), list(true, Bank::Sha384, true));
        assert_eq!(Interface::READ_ONLY.dialect().file(path), File::Other);
        assert_eq!(Interface::UPSTREAM.dialect().file("/m/binary_runtime_measurements"), File::Other);
    }

    #[test]
    fn every_name_is_read_back() {
        for interface in Interface::KNOWN {
            let dialect = interface.dialect();
            for (of, ascii, bank) in [
                (Kind::Current, false, None),
                (Kind::Current, true, Some(Bank::Sha512)),
                (Kind::Staged, false, Some(Bank::Sha256)),
                (Kind::Staged, true, None),
            ] {
                let Some(name) = dialect.file_name(of, ascii, bank) else { continue };
                let expected = ListFile { ascii, bank: bank.unwrap_or(Bank::Sha1), list: ListId::of(of) };
                assert_eq!(dialect.list(&name), Some(expected), "{interface:?} {name}");
            }
        }
    }

    #[test]
    fn a_name_that_says_neither_form_nor_bank_is_one_file() {
        let names = |ascii, bank| name("staged", ascii, bank);
        assert_eq!(names(false, None).as_deref(), Some("staged"));
        assert_eq!(names(false, Some(Bank::Sha1)).as_deref(), Some("staged"));
        assert_eq!((names(true, None), names(false, Some(Bank::Sha256))), (None, None));
    }
}
