//! Which dialect a kernel speaks, by its files and by what it takes.

use std::collections::BTreeMap;

use super::requests::{Taken, Verb};
use imalab_formats::Interface;
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::{COUNT, Dialect, Naming, POLICY, Sign, VIOLATIONS};
use imalab_formats::ima::lists::Kind;

/// Names that kernels have had in IMA's folder beside the lists, whatever they offer (`ima_fs_init`,
/// `security/integrity/ima/ima_fs.c`).
const ORDINARY: [&str; 3] = [COUNT, VIOLATIONS, POLICY];

/// The binary file of SHA-1 of a list.
fn sha1(dialect: &Dialect, of: Kind) -> Option<String> {
    dialect.file_name(of, false, Some(Bank::Sha1))
}

/// How a kernel names the files of staged records.
fn staged(files: &BTreeMap<String, u32>) -> Option<Naming> {
    let has = |dialect: &&Dialect| sha1(dialect, Kind::Staged).is_some_and(|name| files.contains_key(&name));
    Interface::KNOWN.iter().map(|interface| interface.dialect()).find(has).and_then(|dialect| dialect.staged)
}

/// Whether the original files may be written by their owner or its group.
fn originals_are_writable(files: &BTreeMap<String, u32>) -> bool {
    let name = sha1(Interface::READ_ONLY.dialect(), Kind::Current);
    name.and_then(|name| files.get(&name)).is_some_and(|mode| mode & 0o220 != 0)
}

/// Names of files beside the lists that tell an interface from others.
fn own(dialect: &Dialect) -> impl Iterator<Item = &'static str> {
    dialect.own_files.iter().map(|own| own.name).filter(|name| !ORDINARY.contains(name))
}

/// Whether a kernel has the files beside the lists that an interface has, and none that another one has.
fn has_own_files(dialect: &Dialect, files: &BTreeMap<String, u32>) -> bool {
    let others = Interface::KNOWN.iter().flat_map(|other| own(other.dialect()));
    let mut others = others.filter(|name| dialect.own_file(name).is_none());
    own(dialect).all(|name| files.contains_key(name)) && !others.any(|name| files.contains_key(name))
}

/// Interfaces whose files a kernel has.
fn with_files(files: &BTreeMap<String, u32>, opens_for_writing: bool) -> impl Iterator<Item = Interface> {
    let (staged, writable) = (staged(files), originals_are_writable(files));
    Interface::KNOWN.iter().copied().filter(move |interface| {
        let dialect = interface.dialect();
        dialect.staged == staged
            && has_own_files(dialect, files)
            && dialect.has_originals(writable, opens_for_writing)
    })
}

/// Interfaces whose words are tried: those that have such files and remove records. The one to take for granted comes first.
pub(super) fn candidates(files: &BTreeMap<String, u32>, opens_for_writing: bool) -> Vec<Interface> {
    with_files(files, opens_for_writing).filter(|interface| interface.dialect().removes()).collect()
}

/// The interface as far as files tell.
pub(super) fn by_files(files: &BTreeMap<String, u32>, opens_for_writing: bool) -> Interface {
    let vague = |interface: &Interface| {
        let dialect = interface.dialect();
        (!dialect.removes(), dialect.identity.originals_writable.is_none())
    };
    with_files(files, opens_for_writing).min_by_key(vague).unwrap_or(Interface::READ_ONLY)
}

/// The files beside the lists that interfaces here have, each with who has it, where no interface has just what there is: one of
/// which half is missing, or several at once.
pub(super) fn mixture(files: &BTreeMap<String, u32>, opens_for_writing: bool) -> Option<String> {
    if with_files(files, opens_for_writing).next().is_some() {
        return None;
    }
    let has = |interface: &Interface| {
        let dialect = interface.dialect();
        let named =
            |name: &str, there: bool| format!("{name} is {}", if there { "there" } else { "missing" });
        let seen: Vec<_> = own(dialect).map(|name| (name, files.contains_key(name))).collect();
        let any = seen.iter().any(|(_, there)| *there);
        let told: Vec<String> = seen.iter().map(|(name, there)| named(name, *there)).collect();
        any.then(|| format!("of {} {}", dialect.name, told.join(", ")))
    };
    // Postings with the files of another would say it again.
    let by_files = |interface: &&Interface| interface.dialect().identity.by_files;
    let mut told: Vec<String> = Interface::KNOWN.iter().filter(by_files).filter_map(has).collect();
    if let Some(naming) = staged(files) {
        told.push(format!("staged records are named {naming}"));
    }
    Some(told.join("; "))
}

/// Files that no interface here is known to have.
pub(super) fn strangers(files: &BTreeMap<String, u32>) -> Vec<&str> {
    let is_list = |name: &str| {
        ["ascii_runtime_measurements", "binary_runtime_measurements"]
            .iter()
            .any(|list| name.starts_with(list))
    };
    let known = |name: &str| {
        ORDINARY.contains(&name)
            || is_list(name)
            || Interface::KNOWN.iter().map(|interface| interface.dialect()).any(|dialect| {
                dialect.list(name).is_some() || dialect.own_file(name).is_some() || dialect.count == name
            })
    };
    files.keys().map(String::as_str).filter(|name| !known(name)).collect()
}

/// The interface by what was taken of the words of all candidates; `None` where nothing of any was.
pub(super) fn by_requests(candidates: &[Interface], taken: &Taken<'_>) -> Option<Interface> {
    let shows = |interface: Interface, sign: &Sign| match sign {
        Sign::Stages => taken.ok(interface, Verb::Stage),
        Sign::Trims => taken.ok(interface, Verb::Trim),
        Sign::NothingStaged(errno) => taken.errno(interface, Verb::ReadNothing) == Some(*errno as i32),
    };
    let signs = |interface: &Interface| interface.dialect().identity.signs;
    let seen = candidates.iter().filter(|of| signs(of).iter().all(|sign| shows(**of, sign)));
    // Of as many signs the first.
    let most = seen.rev().max_by_key(|interface| signs(interface).len()).copied();
    most.or_else(|| candidates.iter().copied().find(|interface| interface.dialect().identity.by_files))
}
