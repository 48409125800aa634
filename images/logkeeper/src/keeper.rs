//! The keeper's steps: stage, save, delete; or read, save, trim.
//!
//! Each step can be the last one: what is true afterwards is on the disk and in the kernel, and [`settle`](crate::settle) finds it there.
//! The order is what keeps records: a shard is on the disk, under its name, before anything leaves the kernel.

use imalab_logview::{Header, Position, ShardName, seal};
use nix::errno::Errno;

use crate::interface::{Files, Flavour};
use crate::problem::{Problem, Waiting, disk, kernel};
use crate::system_calls::{Access, Folder, SystemCalls, read_list, read_whole, write_durably};

/// The name of the generation's file.
pub const GENERATION: &str = "generation";

/// What becomes of shards of an earlier boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Old {
    /// They go to a folder of their own.
    Archive,
    /// They are removed.
    Remove,
}

/// What an administrator decides.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How records are taken out; `None`: what the kernel offers.
    pub flavour: Option<Flavour>,
    /// The PCR that says which records there were.
    pub pcr: u32,
    /// What becomes of shards of an earlier boot.
    pub old: Old,
}

/// A shard that is on the disk, and whose records the kernel may still have.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) records: Vec<u8>,
    pub(crate) after: Position,
    pub(crate) sha256: [u8; 32],
    /// How its records leave the kernel.
    pub(crate) by: Flavour,
    /// Whether they were the whole current list when they were taken, and not what was put aside before.
    pub(crate) whole: bool,
}

/// The one process that takes records out of a kernel.
#[derive(Debug)]
pub struct Keeper<S> {
    pub(crate) system: S,
    pub(crate) files: Files,
    pub(crate) settings: Settings,
    /// Whether the state below is that of disk and kernel.
    pub(crate) settled: bool,
    /// Whether something may be staged.
    pub(crate) staged: bool,
    /// The next shard's number, which is the generation.
    pub(crate) next: u64,
    /// What the generation's file says.
    pub(crate) published: Option<u64>,
    /// Behind the records of all shards.
    pub(crate) after: Position,
    /// Of the last shard.
    pub(crate) former: Option<[u8; 32]>,
    pub(crate) resets: Option<u32>,
    pub(crate) pending: Option<Pending>,
    /// Whether the PCR had the value that the whole log replays to when it was last looked at.
    pub(crate) pcr_matches: bool,
    /// Whether the last shard has what was put aside before, so that what came since is still to be taken.
    pub(crate) behind: bool,
    /// How often it could not be told yet where the kernel's records belong.
    pub(crate) looks: u32,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Nothing,
    /// It goes on later.
    Waiting(Waiting),
    /// Records are on the disk and have left the kernel.
    Kept {
        /// How many.
        records: u64,
    },
}

impl<S: SystemCalls> Keeper<S> {
    /// A keeper that has looked at nothing yet.
    pub fn new(system: S, files: Files, settings: Settings) -> Keeper<S> {
        Keeper {
            system,
            files,
            settings,
            settled: false,
            staged: true,
            next: 0,
            published: None,
            after: Position::start(),
            former: None,
            resets: None,
            pending: None,
            pcr_matches: false,
            behind: false,
            looks: 0,
        }
    }

    /// What the keeper works on.
    pub fn system(&mut self) -> &mut S {
        &mut self.system
    }

    /// What the kernel offers.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// How many shards there have been, over all boots.
    pub fn generation(&self) -> u64 {
        self.next
    }

    /// Behind the records of all shards.
    pub fn after(&self) -> &Position {
        &self.after
    }

    /// Whether it was found out where disk and kernel stand, and nothing has failed since.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// Whether the records that were kept last had been put aside before, so that what came since is still to be taken.
    pub fn behind(&self) -> bool {
        self.behind
    }

    /// Whether the PCR had the value that the whole log replays to when it was last looked at.
    pub fn pcr_matches(&self) -> bool {
        self.pcr_matches
    }

    /// Finishes what was begun, and takes the kernel's records if `rotate` says that it is time.
    ///
    /// # Errors
    ///
    /// [`Problem`]; records stay where they are, and the next call goes on.
    pub fn step(&mut self, rotate: bool) -> Result<Step, Problem> {
        let step = self.go_on_with(rotate);
        // What was done of it is for the next look to find out.
        self.settled &= step.is_ok();
        step
    }

    fn go_on_with(&mut self, rotate: bool) -> Result<Step, Problem> {
        if !self.settled
            && let Some(waiting) = self.settle()?
        {
            return Ok(Step::Waiting(waiting));
        }
        if self.published != Some(self.next) {
            if !self.lock()? {
                return Ok(Step::Waiting(Waiting::Readers));
            }
            let published = self.publish();
            self.system.unlock();
            published?;
        }
        if self.pending.is_none() {
            let Some(flavour) = self.files.flavour else { return Ok(Step::Nothing) };
            if !rotate && !self.staged {
                return Ok(Step::Nothing);
            }
            let found = match self.take(flavour, rotate) {
                Ok(found) => found,
                Err(Problem::Kernel { errno: Errno::EBUSY, .. }) => return Ok(Step::Waiting(Waiting::Busy)),
                Err(problem) => return Err(problem),
            };
            match found {
                Taken::Waiting(waiting) => return Ok(Step::Waiting(waiting)),
                Taken::List { records, .. } if records.is_empty() => return Ok(Step::Nothing),
                Taken::List { records, by, whole } => self.save(records, by, whole)?,
            }
        }
        self.remove()
    }

    /// The records that are next: what is staged, whoever did it; else the current list, staged first where that is the way.
    fn take(&mut self, flavour: Flavour, rotate: bool) -> Result<Taken, Problem> {
        if let Some(staged) = self.files.staged {
            let list = self.read(staged)?;
            if !list.is_empty() {
                self.staged = true;
                return Ok(Taken::List { records: list, by: Flavour::Stage, whole: false });
            }
            self.staged = false;
        }
        if !rotate {
            return Ok(Taken::List { records: Vec::new(), by: flavour, whole: false });
        }
        let Some(staged) = self.files.staged.filter(|_| flavour == Flavour::Stage) else {
            self.staged = false;
            let current = self.files.current.clone();
            return Ok(Taken::List { records: self.read(&current)?, by: Flavour::Trim, whole: true });
        };
        if !self.lock()? {
            return Ok(Taken::Waiting(Waiting::Readers));
        }
        // Whatever comes of the request, it may have been carried out.
        self.staged = true;
        let asked = self.ask(staged, self.files.stage());
        self.system.unlock();
        match asked {
            Ok(()) | Err(Errno::EEXIST) => Ok(Taken::List {
                records: self.read(staged)?,
                by: Flavour::Stage,
                // Otherwise somebody else has staged them.
                whole: asked.is_ok(),
            }),
            Err(Errno::ENOENT) => Ok(Taken::List { records: Vec::new(), by: Flavour::Stage, whole: true }),
            Err(Errno::EACCES | Errno::ESTALE) => Ok(Taken::Waiting(Waiting::Suspended)),
            Err(errno) => Err(kernel("stage")(errno)),
        }
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, Problem> {
        match read_list(&mut self.system, name) {
            // Some proposals have no staged file to read while nothing is staged.
            Err(Errno::ENOENT) if Some(name) == self.files.staged => Ok(Vec::new()),
            read => read.map_err(kernel("read")),
        }
    }

    fn ask(&mut self, name: &str, request: &[u8]) -> Result<(), Errno> {
        let list = self.system.open_list(name, Access::Ask)?;
        self.system.ask(&list, request).map(|_| ())
    }

    pub(crate) fn lock(&mut self) -> Result<bool, Problem> {
        self.system.lock().map_err(disk("lock", Folder::Shards, "lock"))
    }

    /// Puts records on the disk, under the name of the next shard.
    fn save(&mut self, records: Vec<u8>, by: Flavour, whole: bool) -> Result<(), Problem> {
        let header = Header {
            number: self.next,
            tpm_resets: self.resets,
            former: self.former,
            before: self.after.clone(),
        };
        let sealed = seal(&header, &records)?;
        let name = self.name().to_string();
        write_durably(&mut self.system, Folder::Shards, &name, &sealed.bytes).map_err(disk(
            "write",
            Folder::Shards,
            &name,
        ))?;
        self.pending = Some(Pending { records, after: sealed.after, sha256: sealed.sha256, by, whole });
        Ok(())
    }

    /// The next shard's name.
    fn name(&self) -> ShardName {
        ShardName { number: self.next, first: self.after.place.records }
    }

    /// Has the records of the pending shard leave the kernel.
    fn remove(&mut self) -> Result<Step, Problem> {
        let Some(pending) = self.pending.take() else { return Ok(Step::Nothing) };
        if !self.lock()? {
            self.pending = Some(pending);
            return Ok(Step::Waiting(Waiting::Readers));
        }
        let removed = match pending.by {
            Flavour::Stage => self.delete(&pending),
            Flavour::Trim => self.trim(&pending),
        };
        let step = match removed {
            Ok(Removed::Yes) => {
                let records = pending.after.place.records - self.after.place.records;
                self.next += 1;
                self.behind = !pending.whole;
                self.after = pending.after;
                self.former = Some(pending.sha256);
                self.staged = false;
                self.publish().map(|()| Step::Kept { records })
            }
            Ok(Removed::Later(waiting)) => {
                self.pending = Some(pending);
                Ok(Step::Waiting(waiting))
            }
            Err(problem) => Err(problem),
        };
        self.system.unlock();
        step
    }

    fn delete(&mut self, pending: &Pending) -> Result<Removed, Problem> {
        let Some(staged) = self.files.staged else { return Ok(Removed::Yes) };
        let list = match self.system.open_list(staged, Access::Ask) {
            Err(Errno::EBUSY) => return Ok(Removed::Later(Waiting::Busy)),
            opened => opened.map_err(kernel("open"))?,
        };
        // From here to the end nobody else can ask, so what is compared is what is deleted.
        if read_whole(&mut self.system, &list).map_err(kernel("read"))? != pending.records {
            return Err(Problem::Foreign);
        }
        match self.system.ask(&list, self.files.delete()) {
            Ok(_) => Ok(Removed::Yes),
            Err(Errno::ESTALE | Errno::EACCES) => Ok(Removed::Later(Waiting::Suspended)),
            Err(errno) => Err(kernel("delete records of")(errno)),
        }
    }

    fn trim(&mut self, pending: &Pending) -> Result<Removed, Problem> {
        let current = self.files.current.clone();
        let list = match self.system.open_list(&current, Access::Ask) {
            Err(Errno::EBUSY) => return Ok(Removed::Later(Waiting::Busy)),
            opened => opened.map_err(kernel("open"))?,
        };
        let mut head = vec![0; pending.records.len()];
        let mut done = 0;
        while done < head.len() {
            match self.system.read_list(&list, done as u64, &mut head[done..]).map_err(kernel("read"))? {
                0 => break,
                count => done += count,
            }
        }
        if head != pending.records {
            return Err(Problem::Foreign);
        }
        let records = pending.after.place.records - self.after.place.records;
        match self.system.ask(&list, &self.files.trim(records)) {
            Ok(_) => Ok(Removed::Yes),
            Err(Errno::ESTALE | Errno::EACCES) => Ok(Removed::Later(Waiting::Suspended)),
            Err(errno) => Err(kernel("trim")(errno)),
        }
    }

    /// Says how many shards there are, where that is not said yet.
    pub(crate) fn publish(&mut self) -> Result<(), Problem> {
        if self.published == Some(self.next) {
            return Ok(());
        }
        let text = format!("{}\n", self.next);
        write_durably(&mut self.system, Folder::Generation, GENERATION, text.as_bytes()).map_err(disk(
            "write",
            Folder::Generation,
            GENERATION,
        ))?;
        self.published = Some(self.next);
        Ok(())
    }
}

/// What there is to save.
enum Taken {
    List { records: Vec<u8>, by: Flavour, whole: bool },
    Waiting(Waiting),
}

/// Whether records have left the kernel.
enum Removed {
    Yes,
    Later(Waiting),
}
