//! Files that an interface has beside the lists: who may open them, whom they keep out, and what they show.

use nix::errno::Errno;

use super::descriptors::{Description, Descriptors};
use super::judge::{settle, wants};
use super::{
    Access, Broken, Effect, Expected, File, Found, Kernel, ListFile, Log, Refusals, Rule, Slot, Task,
};
use crate::ima::Bank;
use crate::ima::dialect::{Dialect, Excludes, OwnFile, Place, Shows};
use crate::ima::lists::{ListId, Ranges, Request};

impl Descriptors {
    /// The promise that keeps a file beside the lists from being opened so: `EBUSY`.
    fn own_busy(&self, own: &OwnFile, access: Access) -> Option<Rule> {
        let rule = |open: &Description| match (own.excludes, open.file) {
            (Excludes::Lists, File::List(_)) if access.write => Some(Rule::OwnFileExcludesLists),
            (Excludes::Lists, File::Own(name)) if name == own.name && access.write && open.access.write => {
                Some(Rule::OwnFileHasOneWriter)
            }
            (Excludes::Others, File::Own(name)) if name == own.name => Some(Rule::OwnFileIsOpenOnce),
            _ => None,
        };
        self.files().filter_map(rule).find(|rule| self.rules().holds(*rule))
    }

    /// The promise by which such files keep lists from being opened.
    pub(super) fn own_excludes_lists(&self, dialect: &Dialect) -> Option<Rule> {
        let excludes = |open: &Description| match open.file {
            File::Own(name) if open.access.write => {
                dialect.own_file(name).is_some_and(|own| own.excludes == Excludes::Lists)
            }
            _ => false,
        };
        self.files().any(excludes).then_some(Rule::OwnFileExcludesLists)
    }
}

/// Errors of what needs memory, a TPM that answers, and room in the next kernel.
const WITHOUT: [Errno; 3] = [Errno::EIO, Errno::ENOMEM, Errno::ENOSPC];

impl Kernel {
    /// A file that divides the list was opened: the record that it divides it by is the last one.
    pub(super) fn divide(&mut self, task: Task, slot: Slot) {
        let Some(File::Own(name)) = self.file(task, slot) else { return };
        let divides = self.interface.dialect().own_file(name).is_some_and(|own| own.divides);
        let file = self.open.open_file(task, slot).filter(|_| divides);
        let Some(open) = file.and_then(|file| self.open.get_mut(file)) else { return };
        open.divides = Some((self.lists.total.saturating_sub(1), false));
        self.lists.asked();
    }

    /// What a file shows that divides the list.
    pub(super) fn shard(&self, open: &Description) -> Option<(ListFile, Ranges)> {
        let list = ListFile { ascii: false, bank: Bank::Sha1, list: ListId::CURRENT };
        let (mark, purged) = open.divides?;
        let mark = if self.rules.holds(Rule::SnapshotShowsShard) { mark } else { mark + 1 };
        Some((list, if purged { Ranges::default() } else { self.lists.current().before(mark) }))
    }

    /// Whether opening a file beside the lists may have given this.
    pub(super) fn open_own<'a>(
        &self,
        task: Task,
        own: &OwnFile,
        access: Access,
        odd: bool,
        found: Found,
        effect: Effect<'a>,
    ) -> Result<Effect<'a>, Broken> {
        let rights = self.open.rights(task);
        let mut refusals = Refusals::default();
        let needs_admin = own.admin.is_needed(access);
        if needs_admin && !rights.admin && self.rules.holds(Rule::OwnFileNeedsSysAdmin) {
            refusals.add(Errno::EPERM, Rule::OwnFileNeedsSysAdmin);
        } else if needs_admin && rights.namespaced && self.rules.holds(Rule::NamespaceGivesNoRight) {
            refusals.add(Errno::EPERM, Rule::NamespaceGivesNoRight);
        }
        if self.rules.holds(Rule::OwnFileDirection) {
            let refused = own.refuses.iter().filter(|(how, _)| *how == access);
            refused.for_each(|(_, errno)| refusals.add(*errno, Rule::OwnFileDirection));
        }
        if let Some(rule) = self.open.own_busy(own, access) {
            refusals.add(Errno::EBUSY, rule);
        }
        let free = refusals.first().is_none();
        if own.divides {
            let late = self.lists.suspended && self.rules.holds(Rule::SuspendedTrim);
            if late {
                refusals.add(Errno::ESTALE, Rule::SuspendedTrim);
            }
            match found {
                // These come behind all but the last. Whether PCRs could be read, and whether there is memory, or room in the next kernel, the model does not know.
                Found::Errno(errno) if free && WITHOUT.iter().any(|without| *without as i32 == errno) => {
                    return Ok(Effect::None);
                }
                Found::Value(_)
                    if refusals.first().is_none()
                        && self.lists.ends_with_new_mark() != self.rules.holds(Rule::SnapshotIsRecorded) =>
                {
                    return Err(Broken::new(Rule::SnapshotIsRecorded, Expected::Error));
                }
                _ => {}
            }
        }
        if own.in_order {
            refusals.keep_first();
        }
        // The files are root's and its group's; who is neither is told so.
        let denied = !rights.root && found == Found::Errno(Errno::EACCES as i32);
        if matches!(found, Found::Errno(_)) && (odd || denied || (rights.limited && wants(found))) {
            return Ok(Effect::None);
        }
        let free = match (found, own.excludes) {
            (Found::Errno(errno), _) if errno == Errno::EPERM as i32 => Rule::OwnFileNeedsSysAdmin,
            (_, Excludes::Others) => Rule::OwnFileIsOpenOnce,
            (_, Excludes::Lists) => Rule::OwnFileHasOneWriter,
            (_, Excludes::Nobody) => Rule::TrimmedIsShown,
        };
        settle(&refusals, found, free, effect)
    }

    /// What removing what is before the mark gives.
    pub(super) fn purge<'a>(
        &self,
        slot: Slot,
        open: &Description,
        found: Found,
        length: i64,
        mut refusals: Refusals,
    ) -> Result<Effect<'a>, Broken> {
        let Some((mark, purged)) = open.divides else { return Ok(Effect::None) };
        if purged && self.rules.holds(Rule::PurgedOnce) {
            refusals.add(Errno::EALREADY, Rule::PurgedOnce);
        }
        if self.lists.suspended && self.rules.holds(Rule::SuspendedTrim) {
            refusals.add(Errno::ESTALE, Rule::SuspendedTrim);
        }
        refusals.keep_first();
        if let (Found::Value(value), None) = (found, refusals.first())
            && value != length
        {
            return Err(Broken::new(Rule::RequestTakenWhole, Expected::Number(length.cast_unsigned())));
        }
        let before = self.lists.current().before(mark).len() as u64;
        let records = if self.rules.holds(Rule::PurgeRemovesShard) { before } else { before + 1 };
        settle(&refusals, found, Rule::PurgeRemovesShard, Effect::Purge(slot, records))
    }

    /// Reading such a file moves the offset, which counts where it has a place for requests.
    pub(super) fn read_own<'a>(&self, slot: Slot, open: &Description, found: Found) -> Effect<'a> {
        let Found::Value(value) = found else { return Effect::None };
        let offset = open.offset.zip(u64::try_from(value).ok()).map(|(offset, value)| offset + value);
        Effect::Offset(slot, offset)
    }

    /// Whether the number that such a file shows is right.
    pub(super) fn number(&self, log: &dyn Log, open: &Description, number: u64) -> Result<(), Broken> {
        let File::Own(name) = open.file else { return Ok(()) };
        let Some(shows) = self.interface.dialect().own_file(name).and_then(|own| own.shows) else {
            return Ok(());
        };
        let (rule, expected) = match shows {
            Shows::Trimmed => (Rule::TrimmedIsShown, Some(self.lists.trimmed())),
            Shows::Trims => (Rule::TrimsAreCounted, Some(self.lists.trims())),
            Shows::Total => (Rule::TotalIsCounted, Some(self.lists.counted())),
            Shows::Bytes => {
                let file = ListFile { ascii: false, bank: Bank::Sha1, list: ListId::CURRENT };
                (Rule::BytesAreCounted, log.bytes(file, self.lists.current()))
            }
        };
        let Some(expected) = expected.map(|expected| expected + u64::from(!self.rules.holds(rule))) else {
            return Ok(());
        };
        if number == expected {
            return Ok(());
        }
        Err(Broken::new(rule, Expected::Number(expected)))
    }

    /// A request with the number of records that it is about, where the lists tell that.
    pub(super) fn in_numbers(&self, request: Request, refusals: &mut Refusals) -> Request {
        let Request::TrimTo(mark) = request else { return request };
        match self.lists.before(mark) {
            Some(records) if self.rules.holds(Rule::TrimToMark) => Request::Trim(records as u64),
            Some(records) => Request::Trim(records as u64 + 1),
            None => {
                if self.rules.holds(Rule::MarkIsThere) {
                    refusals.add(Errno::ENOENT, Rule::MarkIsThere);
                }
                Request::Trim(0)
            }
        }
    }

    /// What having a mark recorded may give. Whether there is a rule for it, or room, the model does not know.
    pub(super) fn mark<'a>(&self, found: Found) -> Option<Result<Effect<'a>, Broken>> {
        match found {
            Found::Errno(errno)
                if errno == Errno::ENOENT as i32
                    || WITHOUT.iter().any(|without| *without as i32 == errno) =>
            {
                Some(Ok(Effect::None))
            }
            Found::Value(_) if self.lists.ends_with_new_mark() != self.rules.holds(Rule::MarkIsRecorded) => {
                Some(Err(Broken::new(Rule::MarkIsRecorded, Expected::Error)))
            }
            _ => None,
        }
    }

    /// What is wrong with where a request is written.
    pub(super) fn place(&self, own: &OwnFile, open: &Description, found: Found, refusals: &mut Refusals) {
        if own.place != Place::Start || !self.rules.holds(Rule::RequestAtStart) {
            return;
        }
        let refused = found == Found::Errno(Errno::EINVAL as i32);
        // Where it is cannot be said of a file that was read in a way that nobody followed.
        if open.offset.map_or(refused, |offset| offset > 0) {
            refusals.add(Errno::EINVAL, Rule::RequestAtStart);
        }
    }
}
