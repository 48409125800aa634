//! What a call may give.

use std::borrow::Cow;

use nix::errno::Errno;

use super::descriptors::Description;
use super::kernel::Kernel;
use super::{
    Access, Broken, Call, Effect, Expected, File, Found, HashTable, ListFile, Log, Refusals, Rule, Slot,
    Task, Written, request,
};
use crate::ima::dialect::{Dialect, Late, Originals, Place};
use crate::ima::lists::Request;

/// Errors for want of descriptors or memory, which a limit brings about.
const WANT: [Errno; 5] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EAGAIN, Errno::EFBIG];

impl Kernel {
    fn dialect(&self) -> Cow<'static, Dialect> {
        self.interface.dialect().as_seen(self.seen)
    }

    /// Whether anything is promised of who may write.
    fn promises_writing(&self) -> bool {
        !matches!(self.dialect().originals, Originals::Unspoken | Originals::OptionIsOff)
    }

    /// Whether a call may have given this. Nothing changes.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub fn judge<'a>(
        &self,
        log: &dyn Log,
        task: Task,
        call: Call<'a>,
        found: Found,
    ) -> Result<Effect<'a>, Broken> {
        let effect = Effect::Call(call);
        match call {
            Call::Open { file: File::List(list), access, odd, .. } => {
                self.open_list(task, list, access, odd, found, effect)
            }
            Call::Open { file: File::Own(name), access, odd, .. } => {
                match self.interface.dialect().own_file(name) {
                    Some(own) => self.open_own(task, own, access, odd, found, effect),
                    None => Ok(effect),
                }
            }
            Call::Write { slot, written, at } => match self.open.get(task, slot) {
                Some(Description { file: File::Policy | File::Other, .. }) => Ok(Effect::None),
                Some(open) => self.write((task, slot), open, written, at, found),
                None => closed(found),
            },
            Call::Read { slot, limit } => match self.open.get(task, slot) {
                Some(open) => self.read(log, slot, open, limit, found),
                None => closed(found),
            },
            Call::ReadAt { slot, offset, bytes } => match self.open.get(task, slot) {
                Some(open) => self.read_at(log, open, offset, bytes, found),
                None => closed(found),
            },
            Call::Counter { slot, number, uncounted, early } => match self.open.get(task, slot) {
                Some(open @ Description { file: File::Own(_), .. }) => {
                    self.number(log, open, number).map(|()| self.read_own(slot, open, found))
                }
                Some(open) => self.counter(open, number, uncounted, early).map(|()| Effect::None),
                None => closed(found),
            },
            Call::Number { slot, number } => match self.open.get(task, slot) {
                Some(open) if matches!(found, Found::Value(_)) => {
                    self.number(log, open, number).map(|()| Effect::None)
                }
                Some(_) => Ok(Effect::None),
                None => closed(found),
            },
            Call::Seek { slot, offset, whence } => Ok(self.seek(task, slot, offset, whence, found)),
            Call::Close { slot } | Call::Duplicate { slot, .. } | Call::Send { slot, .. }
                if self.open.get(task, slot).is_none() =>
            {
                closed(found)
            }
            Call::Harmless { .. } => Ok(Effect::None),
            Call::Pin { .. } | Call::Unpin => Ok(effect),
            Call::Moving { slot } => Ok(Effect::Offset(slot, None)),
            // Whether these succeed is not the list's business; what they do when they do is.
            _ => Ok(if matches!(found, Found::Errno(_)) { Effect::None } else { effect }),
        }
    }

    fn open_list<'a>(
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

    fn write<'a>(
        &self,
        (task, slot): (Task, Slot),
        open: &Description,
        written: Written<'_>,
        at: Option<i64>,
        found: Found,
    ) -> Result<Effect<'a>, Broken> {
        let mut refusals = Refusals::default();
        if matches!(open.file, File::Count | File::Violations) {
            return match found {
                Found::Value(1..) if self.rules.holds(Rule::CountersAreReadOnly) => {
                    Err(Broken::new(Rule::CountersAreReadOnly, Expected::Error))
                }
                Found::Errno(_) if !self.rules.holds(Rule::CountersAreReadOnly) => {
                    Err(Broken::new(Rule::CountersAreReadOnly, Expected::Success))
                }
                _ => Ok(Effect::None),
            };
        }
        if !open.access.write && self.rules.holds(Rule::AccessModeHolds) {
            refusals.add(Errno::EBADF, Rule::AccessModeHolds);
        }
        if let Some(at) = at
            && self.rules.holds(Rule::NoPositionedWrite)
        {
            refusals.add(Errno::ESPIPE, Rule::NoPositionedWrite);
            if at < 0 {
                refusals.add(Errno::EINVAL, Rule::NoPositionedWrite);
            }
        }
        let forbidden = refusals.first().is_some();
        if !self.open.rights(task).admin && !self.rules.holds(Rule::RightsAreOfTheOpen) {
            refusals.add(Errno::EPERM, Rule::RightsAreOfTheOpen);
        }
        let dialect = self.dialect();
        let own = if let File::Own(name) = open.file { dialect.own_file(name) } else { None };
        match (dialect.originals, found) {
            _ if own.is_some_and(|own| own.place == Place::Free) => return Ok(Effect::None),
            _ if own.is_some() => {}
            // Nothing is promised of a write to a list that only grows.
            (Originals::Unspoken, _) => return Ok(Effect::None),
            (Originals::OptionIsOff, Found::Value(1..)) if self.rules.holds(Rule::OptionLetsRemove) => {
                return Err(Broken::new(Rule::OptionLetsRemove, Expected::Error));
            }
            (Originals::OptionIsOff, Found::Errno(_)) if !self.rules.holds(Rule::OptionLetsRemove) => {
                return Err(Broken::new(Rule::OptionLetsRemove, Expected::Success));
            }
            (Originals::OptionIsOff, _) => return Ok(Effect::None),
            _ => {}
        }
        let flush = self.lists.table == HashTable::Flushed;
        if let Some(own) = own {
            self.place(own, open, found, &mut refusals);
        }
        let request = request::read(&dialect.grammar, self.rules, open.file, written, flush, &mut refusals);
        if request == Some(Request::Purge) && !forbidden {
            let length = match written {
                Written::Bytes(bytes) => bytes.len(),
                Written::Nowhere(length) => length,
            };
            return self.purge(slot, open, found, i64::try_from(length).unwrap_or(i64::MAX), refusals);
        }
        let request = request.map(|request| self.in_numbers(request, &mut refusals));
        if let Some(request) = request {
            let well_formed = refusals.first().is_none();
            self.lists.refuse(&dialect, request, &mut refusals);
            // Whether it is taken while records are staged, nobody knows.
            if well_formed
                && matches!(request, Request::Trim(_) | Request::TrimAll)
                && dialect.trims_while_staged.is_none()
                && !self.lists.staged().is_empty()
                && found == Found::Errno(Errno::EEXIST as i32)
            {
                return Ok(Effect::None);
            }
            if well_formed
                && request == Request::MarkLog
                && let Some(judged) = self.mark(found)
            {
                return judged;
            }
            if well_formed && let Some(judged) = self.late(&dialect, request, found) {
                return judged;
            }
            if well_formed
                && request == Request::Delete
                && flush
                && found == Found::Errno(Errno::ENOMEM as i32)
            {
                // A new hash table could not be had.
                return Ok(Effect::None);
            }
        }
        if dialect.grammar.in_order && !forbidden {
            refusals.keep_first();
        }
        let Some(request) = request.filter(|_| !forbidden) else {
            return settle(&refusals, found, Rule::AccessModeHolds, Effect::None);
        };
        let length = match written {
            Written::Bytes(bytes) => bytes.len() as i64,
            Written::Nowhere(length) => length as i64,
        };
        let taken = if self.rules.holds(Rule::RequestTakenWhole) { length } else { length - 1 };
        if let (Found::Value(value), None) = (found, refusals.first())
            && value != taken
        {
            let taken = Expected::Number(u64::try_from(taken).unwrap_or_default());
            return Err(Broken::new(Rule::RequestTakenWhole, taken));
        }
        let permits = match request {
            Request::StageAll => Rule::StageMovesWholeList,
            Request::StageFirst(_) | Request::StageUpTo(_) => Rule::StageFirstOnes,
            Request::Delete | Request::DeleteFirst(_) => Rule::DeleteRemovesStaged,
            Request::TrimIf { records: 0, .. } => Rule::TrimOfNone,
            Request::MarkLog => Rule::MarkIsRecorded,
            Request::Trim(_)
            | Request::TrimIf { .. }
            | Request::TrimTo(_)
            | Request::TrimAll
            | Request::Purge => Rule::TrimRemovesFirst,
        };
        let refused = matches!(found, Found::Errno(_)) && !self.rules.holds(Rule::RefusalChangesNothing);
        let effect = if refused { self.despite(request) } else { Effect::Request(request) };
        match settle(&refusals, found, permits, effect)? {
            Effect::None if refused => Ok(effect),
            effect => Ok(effect),
        }
    }

    /// What a request may give that comes when measuring is suspended, where it is not said with which error it is refused, or
    /// whether.
    fn late<'a>(
        &self,
        dialect: &Dialect,
        request: Request,
        found: Found,
    ) -> Option<Result<Effect<'a>, Broken>> {
        let rule = match request {
            Request::StageAll | Request::StageFirst(_) | Request::StageUpTo(_) => Rule::SuspendedStage,
            Request::Delete | Request::DeleteFirst(_) => Rule::SuspendedDelete,
            Request::Trim(_)
            | Request::TrimIf { .. }
            | Request::TrimTo(_)
            | Request::TrimAll
            | Request::Purge
            | Request::MarkLog => Rule::SuspendedTrim,
        };
        match (dialect.suspended.of(request), found) {
            _ if !self.lists.suspended => None,
            (Late::With(_), _) => None,
            (Late::Refused | Late::Unsaid, Found::Errno(_)) => Some(Ok(Effect::None)),
            (Late::Refused, Found::Value(_)) if self.rules.holds(rule) => {
                Some(Err(Broken::new(rule, Expected::Error)))
            }
            (Late::Refused | Late::Unsaid, _) => None,
        }
    }

    /// What a refused request does when the rule that it does nothing is turned over.
    fn despite<'a>(&self, request: Request) -> Effect<'a> {
        match request {
            Request::Trim(records) | Request::TrimIf { records, .. } => {
                Effect::Request(Request::Trim(records.min(self.lists.current().len() as u64)))
            }
            request => Effect::Request(request),
        }
    }

    fn read<'a>(
        &self,
        log: &dyn Log,
        slot: Slot,
        open: &Description,
        limit: Option<u64>,
        found: Found,
    ) -> Result<Effect<'a>, Broken> {
        let (list, shown) = match (open.file, self.shard(open)) {
            (File::List(list), _) => (list, self.shows(list).clone()),
            (File::Own(_), Some(shard)) => shard,
            (File::Own(_), None) => return Ok(self.read_own(slot, open, found)),
            _ => return Ok(Effect::Offset(slot, None)),
        };
        if limit == Some(0) {
            return Ok(Effect::None);
        }
        self.readable(open, found)?;
        let Found::Value(value) = found else { return Ok(Effect::None) };
        let Some(offset) = open.offset else { return Ok(Effect::None) };
        let Some(size) = log.bytes(list, &shown) else { return Ok(Effect::Offset(slot, None)) };
        // Nothing is promised of what lies beyond the end.
        if offset > size {
            return Ok(Effect::Offset(slot, None));
        }
        let start = if self.rules.holds(Rule::ReadGoesOn) { offset } else { 0 };
        let expected = (size - start).min(limit.unwrap_or(u64::MAX));
        if u64::try_from(value) != Ok(expected) {
            let shows = if list.is_staged() { Rule::StagedShowsStaged } else { Rule::OriginalShowsCurrent };
            let rule = if offset > 0 { Rule::ReadGoesOn } else { shows };
            return Err(Broken::new(rule, Expected::Number(expected)));
        }
        Ok(Effect::Offset(slot, Some(offset + expected)))
    }

    fn read_at<'a>(
        &self,
        log: &dyn Log,
        open: &Description,
        offset: i64,
        bytes: u64,
        found: Found,
    ) -> Result<Effect<'a>, Broken> {
        let (list, shown) = match (open.file, self.shard(open)) {
            (File::List(list), _) => (list, self.shows(list).clone()),
            (File::Own(_), Some(shard)) => shard,
            _ => return Ok(Effect::None),
        };
        let Ok(offset) = u64::try_from(offset) else { return Ok(Effect::None) };
        if bytes == 0 {
            return Ok(Effect::None);
        }
        self.readable(open, found)?;
        let (Found::Value(value), Some(size)) = (found, log.bytes(list, &shown)) else {
            return Ok(Effect::None);
        };
        // A reader that goes on counts from where it began.
        if self.dialect().readers_are_views() && open.offset.is_none() {
            return Ok(Effect::None);
        }
        let most = size.saturating_sub(offset).min(bytes);
        let least = u64::from(most > 0);
        if offset <= size && !u64::try_from(value).is_ok_and(|value| (least..=most).contains(&value)) {
            let rule = if list.is_staged() { Rule::StagedShowsStaged } else { Rule::OriginalShowsCurrent };
            return Err(Broken::new(rule, Expected::range(least, most)));
        }
        Ok(Effect::None)
    }

    /// A read of a list that does not give bytes is right only where the descriptor cannot be read.
    fn readable(&self, open: &Description, found: Found) -> Result<(), Broken> {
        let mut refusals = Refusals::default();
        if !open.access.read && self.rules.holds(Rule::AccessModeHolds) {
            refusals.add(Errno::EBADF, Rule::AccessModeHolds);
        }
        if self.open.rights(open.opener).limited && wants(found) {
            return Ok(());
        }
        // Where it is cannot be said of a reader that has begun before records were removed.
        if self.dialect().readers_are_views()
            && open.offset.is_none()
            && found == Found::Errno(Errno::ESTALE as i32)
            && self.rules.holds(Rule::OvertakenReader)
        {
            return Ok(());
        }
        settle(&refusals, found, Rule::AccessModeHolds, Effect::None).map(|_| ())
    }

    fn counter(&self, open: &Description, number: u64, uncounted: u64, early: u64) -> Result<(), Broken> {
        let (rule, least, most) = match open.file {
            File::Count => {
                let staged =
                    if self.rules.holds(Rule::CountIsCurrent) { 0 } else { self.lists.staged().len() };
                let length = (self.lists.current().len() + staged) as u64;
                (Rule::CountIsCurrent, length.saturating_sub(uncounted), length)
            }
            File::Violations => {
                let counted = self.rules.holds(Rule::ViolationsCounted);
                let violations = if counted { self.violations } else { 0 };
                (Rule::ViolationsCounted, violations, violations + early)
            }
            _ => return Ok(()),
        };
        if (least..=most).contains(&number) {
            return Ok(());
        }
        Err(Broken::new(rule, Expected::range(least, most)))
    }

    /// A seek that stays within what `seq_file` promises keeps the offset known.
    fn seek<'a>(&self, task: Task, slot: Slot, offset: i64, whence: i32, found: Found) -> Effect<'a> {
        let known = self.open.get(task, slot).and_then(|open| open.offset);
        let to = match (whence, known, found) {
            // One that is refused moves nothing.
            (_, known, Found::Errno(errno)) if errno == Errno::EINVAL as i32 => known,
            (0, _, Found::Value(value)) if value == offset => u64::try_from(value).ok(),
            (1, Some(known), Found::Value(value))
                if known.checked_add_signed(offset) == u64::try_from(value).ok() =>
            {
                u64::try_from(value).ok()
            }
            _ => None,
        };
        Effect::Offset(slot, to)
    }
}

/// A call on a descriptor that is not open.
fn closed<'a>(found: Found) -> Result<Effect<'a>, Broken> {
    let mut refusals = Refusals::default();
    refusals.add(Errno::EBADF, Rule::DuplicatesShareFile);
    settle(&refusals, found, Rule::DuplicatesShareFile, Effect::None)
}

pub(super) fn wants(found: Found) -> bool {
    matches!(found, Found::Errno(errno) if WANT.iter().any(|want| *want as i32 == errno))
}

/// Compares what was found with what had to come; `free` is the promise by which a call that nothing refuses succeeds.
pub(super) fn settle<'a>(
    refusals: &Refusals,
    found: Found,
    free: Rule,
    effect: Effect<'a>,
) -> Result<Effect<'a>, Broken> {
    match (refusals.first(), found) {
        (Some(_), Found::Errno(errno)) if refusals.has(errno) => Ok(Effect::None),
        (Some(rule), Found::Value(_) | Found::Errno(_)) => {
            Err(Broken::new(rule, Expected::Errnos(refusals.errnos())))
        }
        (Some(_), Found::Never) => Ok(Effect::None),
        (None, Found::Errno(_)) => Err(Broken::new(free, Expected::Success)),
        (None, Found::Value(_) | Found::Never) => Ok(effect),
    }
}
