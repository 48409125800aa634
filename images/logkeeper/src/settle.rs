//! Finds out where disk and kernel stand: at the start, and whenever a call left it open.
//!
//! All that can be open is one shard: a further one is written only when the records of the one before have left the kernel. A
//! delete takes the whole staged list or nothing, and a trim all its records or none. So the records that the kernel holds
//! begin either with that whole shard or behind it, and the TPM tells which. Where it does not tell, nothing is removed: what looks
//! as if it were in the kernel is archived and saved anew.

use imalab_logview::{Position, ReadAt, ShardName};
use nix::errno::Errno;

use crate::interface::Flavour;
use crate::keeper::{GENERATION, Keeper, Old, Pending};
use crate::look::{Look, Stand};
use crate::problem::{Problem, Waiting, damaged, disk};
use crate::system_calls::{Folder, SystemCalls, UNFINISHED};

/// Shards that are to leave the folder.
struct Leaving {
    /// Those of which nothing was deleted from the kernel.
    uncounted: Vec<ShardName>,
    /// Those of earlier boots.
    old: Vec<ShardName>,
    /// Whether none of this boot is left.
    all: bool,
}

impl<S: SystemCalls> Keeper<S> {
    /// Looks at folders, lists and TPM, and brings them into line.
    ///
    /// # Errors
    ///
    /// [`Problem`].
    pub(crate) fn settle(&mut self) -> Result<Option<Waiting>, Problem> {
        self.pending = None;
        self.clear_unfinished()?;
        // What a keeper that died has named may be named in memory alone, and records are deleted for it.
        for folder in [Folder::Shards, Folder::Generation] {
            self.system.sync_names(folder).map_err(disk("sync", folder, ""))?;
        }
        let look = self.look()?;
        (self.published, self.resets, self.pcr_matches) = (look.generation, look.resets, look.pcr_matches);
        let certain = look.certain;
        let (pending, leaving) = self.go_on(look)?;
        if !leaving.uncounted.is_empty() || !leaving.old.is_empty() {
            if !self.lock()? {
                return Ok(Some(Waiting::Readers));
            }
            let left = self.put_away(&leaving, certain);
            self.system.unlock();
            left?;
        }
        self.pending = pending;
        (self.looks, self.staged, self.settled) = (0, true, true);
        Ok(None)
    }

    fn clear_unfinished(&mut self) -> Result<(), Problem> {
        for folder in [Folder::Shards, Folder::Generation] {
            for name in self.system.names(folder).map_err(disk("look", folder, ""))? {
                let ours = name.strip_suffix(UNFINISHED).is_some_and(|name| match folder {
                    Folder::Generation => name == GENERATION,
                    _ => ShardName::parse(name).is_some(),
                });
                if ours {
                    self.system.unlink(folder, &name).map_err(disk("remove", folder, &name))?;
                }
            }
        }
        Ok(())
    }

    /// Goes on behind the last shard, or with it where its records are still in the kernel.
    fn go_on(&mut self, mut look: Look<S::File>) -> Result<(Option<Pending>, Leaving), Problem> {
        let all = look.found.is_empty() && !look.old.is_empty();
        let mut leaving = Leaving { uncounted: look.torn.into_iter().collect(), old: look.old, all };
        let above = [leaving.old.last(), look.found.last().map(|last| &last.name)];
        let above = above.into_iter().flatten().map(|name| name.number + 1).max().unwrap_or(0);
        self.next = self.published.unwrap_or(0).max(above);
        (self.after, self.former) = (Position::start(), None);
        let Some(last) = look.found.pop() else {
            self.next = self.next.max(self.archived()?);
            return Ok((None, leaving));
        };
        let sha256 = last.shard.verify().map_err(|damage| damaged(last.name, damage))?;
        if look.stand != Stand::InKernel {
            (self.after, self.former) = (last.shard.after().clone(), Some(sha256));
            return Ok((None, leaving));
        }
        (self.next, self.after) = (last.name.number, last.shard.header().before.clone());
        if let Some(before) = look.found.pop() {
            self.former = Some(before.shard.verify().map_err(|damage| damaged(before.name, damage))?);
        }
        let records = last.shard.records().map_err(|error| damaged(last.name, error.into()))?;
        let by = match self.files.flavour {
            // Records that look the same may be others.
            _ if !look.certain => None,
            _ if look.staged == records => Some(Flavour::Stage),
            Some(Flavour::Trim) if look.staged.is_empty() => Some(Flavour::Trim),
            // A kexec carried them: they are at the head of the current list, among others.
            _ => None,
        };
        let after = last.shard.after().clone();
        let pending = by.map(|by| Pending { records, after, sha256, by, whole: false });
        if pending.is_none() {
            leaving.uncounted.push(last.name);
        }
        Ok((pending, leaving))
    }

    /// Above the numbers of all shards that were put away.
    fn archived(&mut self) -> Result<u64, Problem> {
        let names = self.system.names(Folder::Old).map_err(disk("look", Folder::Old, ""))?;
        let number = |name: &String| ShardName::parse(name).map(|name| name.number + 1);
        Ok(names.iter().filter_map(number).max().unwrap_or(0))
    }

    fn put_away(&mut self, leaving: &Leaving, certain: bool) -> Result<(), Problem> {
        self.leave(&leaving.uncounted, certain)?;
        if leaving.all {
            // Readers are told that what they had is gone, before it is.
            self.next += 1;
            self.publish()?;
        }
        self.leave(&leaving.old, certain && self.settings.old == Old::Remove)
    }

    /// Has shards leave the folder, oldest first: what is left when that is cut short is still known for what it is.
    fn leave(&mut self, names: &[ShardName], remove: bool) -> Result<(), Problem> {
        if names.is_empty() {
            return Ok(());
        }
        if !remove {
            for name in names {
                self.archive(&name.to_string())?;
            }
            self.system.sync_names(Folder::Old).map_err(disk("sync", Folder::Old, ""))?;
        }
        for name in names {
            let name = name.to_string();
            self.system.unlink(Folder::Shards, &name).map_err(disk("remove", Folder::Shards, &name))?;
        }
        self.system.sync_names(Folder::Shards).map_err(disk("sync", Folder::Shards, ""))
    }

    /// Gives a shard a name among the old ones, and takes no other's: `NAME`, `NAME.1`, and so on.
    fn archive(&mut self, name: &str) -> Result<(), Problem> {
        let mut to = name.to_owned();
        for copy in 1.. {
            match self.system.link((Folder::Shards, name), (Folder::Old, &to)) {
                // It may be this one, by a keeper that came no further.
                Err(Errno::EEXIST) if !self.is_archived(name, &to) => to = format!("{name}.{copy}"),
                Ok(()) | Err(Errno::EEXIST) => break,
                Err(errno) => return Err(disk("archive", Folder::Shards, name)(errno)),
            }
        }
        Ok(())
    }

    /// Whether the old shard `to` has the content of the shard `name`.
    fn is_archived(&mut self, name: &str, to: &str) -> bool {
        let mut content = |folder, name: &str| {
            let file = self.system.open(folder, name).ok()?;
            file.exactly(0, usize::try_from(file.size().ok()?).ok()?).ok()
        };
        content(Folder::Shards, name).is_some_and(|ours| content(Folder::Old, to) == Some(ours))
    }
}
