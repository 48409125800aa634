//! What reading, a counter and a seek may give.

use nix::errno::Errno;

use super::super::descriptors::Description;
use super::super::kernel::Kernel;
use super::super::{Broken, Effect, Expected, File, Found, Log, Refusals, Rule, Slot, Task};
use super::{settle, wants};

impl Kernel {
    pub(super) fn read<'a>(
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

    pub(super) fn read_at<'a>(
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

    pub(super) fn counter(
        &self,
        open: &Description,
        number: u64,
        uncounted: u64,
        early: u64,
    ) -> Result<(), Broken> {
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
    pub(super) fn seek<'a>(
        &self,
        task: Task,
        slot: Slot,
        offset: i64,
        whence: i32,
        found: Found,
    ) -> Effect<'a> {
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
