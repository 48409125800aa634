//! Which dialect a kernel speaks, by its files and by what it takes.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::super::encode::{file_name, staged_name};
use super::requests::{Taken, Verb};
use crate::plan::{Form, Interface};
use imalab_formats::ima::Bank;
use imalab_formats::ima::dialect::StagedFiles;

/// Names that kernels have had in IMA's folder beside the lists, whatever they offer (`ima_fs_init`,
/// `security/integrity/ima/ima_fs.c`).
const ORDINARY: [&str; 3] = ["runtime_measurements_count", "violations", "policy"];

/// How a kernel names the files of staged records.
pub(super) fn staged_files(files: &BTreeMap<String, u32>) -> StagedFiles {
    let has = |staged| {
        staged_name(staged, Form::Binary, Some(Bank::Sha1)).is_some_and(|name| files.contains_key(&name))
    };
    [StagedFiles::BankFirst, StagedFiles::BankLast]
        .into_iter()
        .find(|staged| has(*staged))
        .unwrap_or(StagedFiles::None)
}

/// Whether the original files may be written by their owner or its group.
fn originals_are_writable(files: &BTreeMap<String, u32>) -> bool {
    files.get(&file_name(Form::Binary, Some(Bank::Sha1))).is_some_and(|mode| mode & 0o220 != 0)
}

/// Dialects whose files a kernel has: their words are tried. The one to take for granted comes first.
pub(super) fn candidates(files: &BTreeMap<String, u32>, opens_for_writing: bool) -> &'static [Interface] {
    match (staged_files(files), originals_are_writable(files)) {
        (StagedFiles::BankFirst, true) => &[Interface::Upstream, Interface::V5Posted],
        (StagedFiles::BankFirst, false) => &[Interface::V4Posted, Interface::V3Posted],
        (StagedFiles::BankLast, _) => &[Interface::RfcV2, Interface::TwoCommand, Interface::StagingV1Posted],
        // Who may write a list without reading it is not in a transaction.
        (StagedFiles::None, true) if !opens_for_writing => &[Interface::Transaction],
        (StagedFiles::None, _) => &[],
    }
}

/// The dialect as far as files tell.
pub(super) fn by_files(files: &BTreeMap<String, u32>, opens_for_writing: bool) -> Interface {
    match candidates(files, opens_for_writing) {
        [first, ..] => *first,
        [] if originals_are_writable(files) => Interface::NoStaging,
        [] => Interface::ReadOnly,
    }
}

/// Files that no dialect here is known to have.
pub(super) fn strangers(files: &BTreeMap<String, u32>) -> Vec<&str> {
    let is_list = |name: &str| {
        ["ascii_runtime_measurements", "binary_runtime_measurements"]
            .iter()
            .any(|list| name.starts_with(list))
    };
    files.keys().map(String::as_str).filter(|name| !ORDINARY.contains(name) && !is_list(name)).collect()
}

/// The dialect by what was taken of the words of all candidates; `None` where nothing of any was.
pub(super) fn by_requests(
    files: &BTreeMap<String, u32>,
    by_files: Interface,
    taken: &Taken<'_>,
) -> Option<Interface> {
    let ok = |interface, verb| taken.ok(interface, verb);
    match (staged_files(files), by_files) {
        (StagedFiles::BankFirst, Interface::Upstream) => {
            // Version 5 takes `A` on the original file instead.
            let later = !ok(Interface::Upstream, Verb::Stage) && ok(Interface::V5Posted, Verb::Stage);
            Some(if later { Interface::V5Posted } else { Interface::Upstream })
        }
        (StagedFiles::BankFirst, _) => {
            let stages = ok(Interface::V4Posted, Verb::Stage);
            // A number is about the current list in version 4, and about the staged one in version 3, which is empty.
            let cuts = ok(Interface::V4Posted, Verb::Trim);
            stages.then_some(if cuts { Interface::V4Posted } else { Interface::V3Posted })
        }
        (StagedFiles::BankLast, _) if ok(Interface::RfcV2, Verb::Stage) => {
            // Our own series has a list there that is empty; in the postings there is none.
            let posted = taken.errno(Interface::RfcV2, Verb::ReadNothing) == Some(Errno::ENOENT as i32);
            Some(match (posted, ok(Interface::RfcV2, Verb::Trim)) {
                (true, true) => Interface::RfcV2Posted,
                (true, false) => Interface::StagingV1Posted,
                (false, _) => Interface::RfcV2,
            })
        }
        (StagedFiles::BankLast, _) => ok(Interface::TwoCommand, Verb::Stage).then_some(Interface::TwoCommand),
        (StagedFiles::None, _) => Some(by_files),
    }
}
