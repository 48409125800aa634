//! What a write may give.

use nix::errno::Errno;

use super::super::descriptors::Description;
use super::super::kernel::Kernel;
use super::super::{
    Broken, Effect, Expected, File, Found, HashTable, Refusals, Rule, Slot, Task, Written, request,
};
use super::settle;
use crate::ima::dialect::{Dialect, Late, Originals, Place};
use crate::ima::lists::Request;

impl Kernel {
    pub(super) fn write<'a>(
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
}
