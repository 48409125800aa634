//! What opening a list may give.

use nix::errno::Errno;

use super::super::kernel::Kernel;
use super::super::{Access, Broken, Effect, File, Found, ListFile, Refusals, Rule, Task};
use super::{settle, wants};
use crate::ima::dialect::Originals;

impl Kernel {
    pub(super) fn open_list<'a>(
        &self,
        task: Task,
        list: ListFile,
        access: Access,
        odd: bool,
        found: Found,
        effect: Effect<'a>,
    ) -> Result<Effect<'a>, Broken> {
        let (file, rights) = (File::List(list), self.open.rights(task));
        let mut refusals = Refusals::default();
        if list.is_staged() && !self.rules.holds(Rule::EveryListHasFiles) {
            refusals.add(Errno::ENOENT, Rule::EveryListHasFiles);
        }
        let dialect = self.dialect();
        if access.write && self.promises_writing() {
            match dialect.originals {
                Originals::Refused if !list.is_staged() && self.rules.holds(Rule::OriginalsAreReadOnly) => {
                    refusals.add(Errno::EACCES, Rule::OriginalsAreReadOnly);
                }
                Originals::WithReading if !access.read && self.rules.holds(Rule::CommitNeedsReading) => {
                    refusals.add(Errno::EACCES, Rule::CommitNeedsReading);
                }
                // By the file's mode alone, which says no and which some rights go beyond.
                Originals::OpenedInVain
                    if !list.is_staged()
                        && [Errno::EACCES, Errno::EPERM]
                            .iter()
                            .any(|errno| found == Found::Errno(*errno as i32)) =>
                {
                    return Ok(Effect::None);
                }
                _ => {}
            }
            if !rights.admin && self.rules.holds(Rule::WriterNeedsSysAdmin) {
                refusals.add(Errno::EPERM, Rule::WriterNeedsSysAdmin);
            } else if rights.admin && rights.namespaced && self.rules.holds(Rule::NamespaceGivesNoRight) {
                refusals.add(Errno::EPERM, Rule::NamespaceGivesNoRight);
            }
        } else if !rights.admin && !self.rules.holds(Rule::ReaderNeedsNoCapability) {
            refusals.add(Errno::EPERM, Rule::ReaderNeedsNoCapability);
        }
        if self.promises_writing()
            && let Some(rule) = self.open.busy(&dialect, task, file, access)
        {
            refusals.add(Errno::EBUSY, rule);
        }
        if access.write && dialect.originals == Originals::OptionIsOff {
            return Ok(if matches!(found, Found::Errno(_)) { Effect::None } else { effect });
        }
        // The files are root's and its group's; who is neither is told so.
        let denied = !rights.root && found == Found::Errno(Errno::EACCES as i32);
        if matches!(found, Found::Errno(_)) && (odd || denied || (rights.limited && wants(found))) {
            return Ok(Effect::None);
        }
        let free = match found {
            Found::Errno(errno) if errno == Errno::EPERM as i32 && access.write => Rule::WriterNeedsSysAdmin,
            Found::Errno(errno) if errno == Errno::EPERM as i32 => Rule::ReaderNeedsNoCapability,
            Found::Errno(errno) if errno == Errno::ENOENT as i32 => Rule::EveryListHasFiles,
            _ => self.open.free(file, access),
        };
        settle(&refusals, found, free, effect)
    }
}
