//! The lists of a made-up kernel, and what requests make of them.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::{Defect, Kernel};
use crate::interface::TPM;
use crate::vocabulary::FLUSH;
use imalab_formats::ima::dialect::{COUNT, Dialect, Flushed, Form, Late, Originals};
use imalab_formats::ima::lists::Request;
use imalab_formats::ima::model::File;

const EPERM: i32 = Errno::EPERM as i32;
const ENOENT: i32 = Errno::ENOENT as i32;
const EBUSY: i32 = Errno::EBUSY as i32;
const EEXIST: i32 = Errno::EEXIST as i32;
const EINVAL: i32 = Errno::EINVAL as i32;
const ESTALE: i32 = Errno::ESTALE as i32;

/// The lists of such a kernel.
pub(super) struct Lists<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) flush: bool,
    pub(super) current: u64,
    pub(super) staged: u64,
    pub(super) trimmed: u64,
    /// What was read of a file that shows a number.
    pub(super) number: i64,
    pub(super) seen: BTreeSet<String>,
    pub(super) policy: bool,
    pub(super) records_policies: bool,
    pub(super) miscounted: u64,
    /// Whether the step has a file open.
    pub(super) open: bool,
    /// Whether measuring is suspended for the next kernel.
    pub(super) suspended: bool,
}

impl<'k> Lists<'k> {
    pub(super) fn new(kernel: &'k Kernel, flush: bool) -> Lists<'k> {
        Lists {
            kernel,
            flush,
            current: 1,
            staged: 0,
            trimmed: 0,
            number: 0,
            seen: BTreeSet::new(),
            policy: false,
            records_policies: false,
            miscounted: 0,
            open: false,
            suspended: false,
        }
    }

    /// The lists as the next kernel begins with them, and with its own boot aggregate.
    pub(super) fn kexec(&mut self) {
        let loses = self.is(Defect::LosesStagedAtKexec);
        let carried = self.current + if loses { 0 } else { self.staged };
        *self = Lists { current: carried + 1, ..Lists::new(self.kernel, self.flush) };
    }
}

impl Lists<'_> {
    fn is(&self, defect: Defect) -> bool {
        self.kernel.is(defect)
    }

    pub(super) fn open(&self, path: &str, access: i32) -> Result<i64, i32> {
        if path == TPM {
            return match self.kernel.tpm {
                _ if self.is(Defect::TpmIsBusy) => Err(EBUSY),
                true => Ok(0),
                false => Err(ENOENT),
            };
        }
        let dialect = self.kernel.dialect();
        let staged_elsewhere = path.contains("_staged");
        let opens = match dialect.file(path) {
            File::List(list) if list.ascii && self.open && !dialect.one_writer_many_files => {
                return Err(EBUSY);
            }
            File::List(list) if !list.is_staged() => match dialect.originals {
                Originals::Refused => access == 0,
                Originals::WithReading => access != 1,
                // By root, whatever the mode says.
                _ => true,
            },
            File::List(_) => true,
            _ if path.contains("failslab") => self.kernel.failslab,
            _ => !staged_elsewhere,
        };
        if opens { Ok(0) } else { Err(ENOENT) }
    }

    /// What is said of such a kernel, less what is wrong with it.
    fn dialect(&self) -> Dialect {
        let mut dialect = self.kernel.dialect().clone();
        let grammar = &mut dialect.grammar;
        if self.is(Defect::NewlineOtherwise) {
            grammar.newline_needed = !grammar.newline_needed;
            // A digit alone is one byte.
            grammar.length = 1..=*grammar.length.end();
            grammar.form = Form::Word;
        }
        if let Some(number) = &mut grammar.number {
            if self.is(Defect::BaseOtherwise) {
                number.any_base = !number.any_base;
                grammar.form = Form::Word;
            }
            if self.is(Defect::BeyondOtherwise) {
                number.beyond = if number.beyond == Errno::EINVAL { Errno::ERANGE } else { Errno::EINVAL };
            }
        }
        if self.is(Defect::FlushesOtherwise) {
            dialect.flushed = match dialect.flushed {
                Flushed::AtStage => Flushed::AtDelete,
                Flushed::AtDelete => Flushed::AtStage,
                Flushed::Always => Flushed::Always,
            };
        }
        dialect
    }

    pub(super) fn write(&mut self, path: &str, text: &str) -> Result<(), i32> {
        let dialect = self.dialect();
        if dialect.file(path) == File::Policy {
            self.policy = self.kernel.policy;
            self.records_policies |= self.kernel.records_policies && text.contains("label=ima_policy");
            let often = 1 + u64::from(self.is(Defect::PolicyRecordedTwice));
            self.current += u64::from(self.policy && self.records_policies) * often;
            return if self.policy { Ok(()) } else { Err(EINVAL) };
        }
        if self.is(Defect::RefusesEveryRequest) {
            return Err(EINVAL);
        }
        let Some(request) = dialect.request(dialect.file(path), text.as_bytes()) else {
            let is_long = text.len() > 10 && text.trim_end().bytes().all(|byte| byte.is_ascii_digit());
            let beyond = dialect.grammar.number.as_ref().map_or(EINVAL, |number| number.beyond as i32);
            return Err(if is_long { beyond } else { EINVAL });
        };
        match request {
            Request::StageAll => self.stage(&dialect, u64::MAX, false),
            Request::StageFirst(records) => self.stage(&dialect, records, true),
            Request::StageUpTo(records) => self.stage(&dialect, records, false),
            Request::Delete => self.delete(&dialect),
            Request::DeleteFirst(records) if self.staged >= records && self.staged > 0 => {
                self.current += self.staged - records;
                self.staged = 0;
                Ok(())
            }
            Request::DeleteFirst(_) => Err(ENOENT),
            Request::Trim(records) => self.trim(&dialect, records),
            Request::TrimIf { trimmed, records } if trimmed == self.trimmed => self.trim(&dialect, records),
            // The aggregate is a record of its own.
            Request::Purge => {
                self.late(Defect::TrimsLate, dialect.suspended.trim)?;
                self.current = 1;
                self.seen.clear();
                Ok(())
            }
            Request::TrimIf { .. } | Request::TrimAll | Request::TrimTo(_) | Request::MarkLog => Err(EINVAL),
        }
    }

    /// What comes of a request when measuring is suspended.
    fn late(&self, defect: Defect, late: Late) -> Result<(), i32> {
        match late {
            _ if !self.suspended => Ok(()),
            _ if self.is(Defect::SuspendedWithAnotherError) => Err(EPERM),
            _ if self.is(defect) => Ok(()),
            Late::With(errno) => Err(errno as i32),
            Late::Refused | Late::Unsaid => Err(ESTALE),
        }
    }

    fn stage(&mut self, dialect: &Dialect, count: u64, exactly: bool) -> Result<(), i32> {
        if self.staged > 0 {
            return Err(EEXIST);
        }
        self.late(Defect::StagesLate, dialect.suspended.stage)?;
        if self.current == 0 || exactly && self.current < count {
            return Err(ENOENT);
        }
        if self.is(Defect::RefusesStage) {
            return Err(EINVAL);
        }
        let half = self.is(Defect::StagesHalf);
        self.staged = if half { self.current / 2 } else { count.min(self.current) };
        self.current -= self.staged;
        if dialect.flushed == Flushed::AtStage {
            self.forget();
        }
        Ok(())
    }

    fn delete(&mut self, dialect: &Dialect) -> Result<(), i32> {
        if self.staged == 0 {
            return Err(ENOENT);
        }
        self.late(Defect::DeletesLate, dialect.suspended.delete)?;
        if self.is(Defect::RefusesDelete) || self.is(Defect::RefusesDeleteWithFlush) && self.flush {
            return Err(EINVAL);
        }
        self.staged = 0;
        self.miscounted += u64::from(self.is(Defect::DeleteCounts));
        if dialect.flushed == Flushed::AtDelete {
            self.forget();
        }
        Ok(())
    }

    fn trim(&mut self, dialect: &Dialect, count: u64) -> Result<(), i32> {
        let forbidden = dialect.grammar.number.as_ref().is_some_and(|number| number.not_with_flush);
        if self.flush && forbidden || self.staged > 0 && self.is(Defect::RefusesTrimWhileStaged) {
            return Err(EINVAL);
        }
        if self.staged > 0 && dialect.trims_while_staged == Some(false) {
            return Err(EEXIST);
        }
        self.late(Defect::TrimsLate, dialect.suspended.trim)?;
        if self.current < count && !self.is(Defect::TrimsAllWhenTooMany) {
            return Err(ENOENT);
        }
        let more =
            self.is(Defect::TrimsOneMore) || self.is(Defect::TrimsOneMoreWhileStaged) && self.staged > 0;
        let count = count + u64::from(more) - u64::from(self.is(Defect::TrimsOneLess));
        let count = count.min(self.current);
        self.current -= count;
        self.trimmed += count;
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        if self.flush && !self.is(Defect::IgnoresFlush) {
            self.seen.clear();
        }
    }

    pub(super) fn measure(&mut self, name: &str, count: u64) {
        let new = self.seen.insert(name.to_owned());
        let doubles = match self.kernel.defect {
            _ if !self.kernel.htable => count,
            Some(Defect::DoublesSome) => 1,
            Some(Defect::DoublesAll) => count,
            _ => 0,
        };
        let made = match self.kernel.defect {
            Some(Defect::RecordsNothing) => 0,
            Some(Defect::RecordsTwice) => count * 2,
            _ => count,
        };
        self.current += if !self.policy {
            0
        } else if new {
            made
        } else {
            doubles
        };
    }

    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, i32> {
        let many = |count: u64| vec![0; usize::try_from(count).unwrap()];
        Ok(match path.rsplit('/').next().unwrap() {
            name if (name == COUNT || name == self.kernel.dialect().count)
                && self.is(Defect::CounterFails) =>
            {
                return Err(EINVAL);
            }
            name if name == self.kernel.dialect().count => {
                format!("{}\n", self.current + self.miscounted).into_bytes()
            }
            COUNT => format!("{}\n", self.current + self.trimmed).into_bytes(),
            "cmdline" if self.flush && self.is(Defect::KnowsNoFlush) => {
                format!("/init\0{FLUSH}\0").into_bytes()
            }
            "cmdline" => b"/init\0".to_vec(),
            name if name.contains("_staged") && self.is(Defect::SaveFails) => return Err(EINVAL),
            name if name.contains("_staged") && self.is(Defect::SaveIsEmpty) => Vec::new(),
            name if name.contains("_staged") => {
                match self.kernel.dialect().nothing_staged.filter(|_| self.staged == 0) {
                    Some(errno) => return Err(errno as i32),
                    None => many(self.staged),
                }
            }
            name if name.contains("_runtime_measurements") => many(self.current),
            _ => Vec::new(),
        })
    }
}
