//! The one log as a reader follows it, while a keeper takes records out of the kernel.
//!
//! What was read once never changes, so it is read of shards and memory, without a lock, the kernel or its TPM. What is behind it is
//! looked for under the readers' lock of `docs/log-keeper.md`.

use imalab_logview::{Broken, Form, Log, Position, ReadAt, Shard, ShardName};
use nix::errno::Errno;

use crate::keeper::Keeper;
use crate::problem::{Problem, damaged, disk, unopened};
use crate::system_calls::{Folder, OpenError, SystemCalls};

/// The log as far as it is known.
#[derive(Debug)]
pub struct Whole<F> {
    log: Log<F>,
    /// Behind the records of the shards in it.
    after: Position,
    /// The number of the shard that the next records will be in; `None`: nothing was looked at yet.
    next: Option<u64>,
}

impl<F: ReadAt> Default for Whole<F> {
    fn default() -> Whole<F> {
        Whole { log: Log::new(), after: Position::start(), next: None }
    }
}

impl<F: ReadAt> Whole<F> {
    /// How many records are known.
    pub fn records(&self) -> u64 {
        self.log.end().records
    }

    /// How many bytes of a form are known.
    pub fn size(&self, form: Form) -> u64 {
        self.log.size(form)
    }

    /// Reads what is known at byte `offset` of a form; fewer bytes than there is room for, where the next ones are not.
    ///
    /// # Errors
    ///
    /// See [`Log::read_at`].
    pub fn read_at(&self, form: Form, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.log.read_at(form, offset, buffer)
    }

    /// Looks for more, while the keeper waits. Where that fails, all that was known still is.
    ///
    /// # Errors
    ///
    /// [`Problem`].
    pub fn look<S: SystemCalls<File = F>>(&mut self, keeper: &mut Keeper<S>) -> Result<(), Problem> {
        if self.goes_on(keeper)? {
            return Ok(());
        }
        let look = keeper.look()?;
        let next = look.next();
        let (log, after) = look.into_log()?;
        self.log.go_on_as(log)?;
        (self.after, self.next) = (after, Some(next));
        Ok(())
    }

    /// Whether all that has happened is that shards were finished and records came: then neither the TPM has to be asked which records
    /// are where, nor all shards to be looked at.
    fn goes_on<S: SystemCalls<File = F>>(&mut self, keeper: &mut Keeper<S>) -> Result<bool, Problem> {
        let (Some(mut next), Some(generation)) = (self.next, keeper.generation_on_disk()?) else {
            return Ok(false);
        };
        while next < generation {
            let Some(shard) = self.shard(keeper, next)? else { return Ok(false) };
            let after = shard.after().clone();
            match self.log.keep(shard.into_segment()) {
                Err(Broken::Other(_)) => return Ok(false),
                kept => kept?,
            }
            next += 1;
            (self.after, self.next) = (after, Some(next));
        }
        let names = keeper.system().names(Folder::Shards).map_err(disk("look", Folder::Shards, ""))?;
        let open = |name: &String| ShardName::parse(name).is_some_and(|name| name.number >= next);
        if generation != next || names.iter().any(open) {
            return Ok(false);
        }
        let (_, list) = keeper.lists()?;
        match self.log.follow(list) {
            Err(Broken::Other(_)) => Ok(false),
            followed => Ok(followed.map(|()| true)?),
        }
    }

    /// The shard that begins where those before it end; `None`: there is no such one.
    fn shard<S: SystemCalls<File = F>>(
        &self,
        keeper: &mut Keeper<S>,
        number: u64,
    ) -> Result<Option<Shard<F>>, Problem> {
        let name = ShardName { number, first: self.after.place.records };
        let text = name.to_string();
        let file = match keeper.system().open(Folder::Shards, &text) {
            Err(OpenError::Errno(Errno::ENOENT)) => return Ok(None),
            file => file.map_err(unopened(Folder::Shards, &text))?,
        };
        let shard = Shard::open(file).map_err(|damage| damaged(name, damage))?;
        shard.verify().map_err(|damage| damaged(name, damage))?;
        Ok(Some(shard).filter(|shard| shard.header().before == self.after))
    }
}
