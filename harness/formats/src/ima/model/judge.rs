//! What a call may give.

mod opened;
mod shown;
mod written;

use std::borrow::Cow;

use nix::errno::Errno;

use super::descriptors::Description;
use super::kernel::Kernel;
use super::{Broken, Call, Effect, Expected, File, Found, Log, Refusals, Rule, Task};
use crate::ima::dialect::{Dialect, Originals};

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
