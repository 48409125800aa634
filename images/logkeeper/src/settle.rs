//! Finds out where disk and kernel stand: at the start, and whenever a call left it open.
//!
//! All that can be open is one shard: a further one is written only when the records of the one before have left the kernel. A
//! delete takes the whole staged list or nothing, and a trim all its records or none. So the records that the kernel holds
//! begin either with that whole shard or behind it, and the TPM tells which.

use imalab_logview::{Evidence, Position, ShardName};

use crate::interface::Flavour;
use crate::keeper::{GENERATION, Keeper, Old, Pending};
use crate::look::{Found, Stand, damaged};
use crate::problem::{Problem, disk};
use crate::world::{Folder, UNFINISHED, World};

impl<W: World> Keeper<W> {
    /// Looks at folders, lists and TPM, and brings them into line.
    ///
    /// # Errors
    ///
    /// [`Problem`].
    pub fn settle(&mut self) -> Result<(), Problem> {
        self.pending = None;
        self.clear_unfinished()?;
        let mut look = self.look()?;
        (self.published, self.resets, self.told) = (look.generation, look.resets, look.told);
        if let Some(torn) = look.torn {
            // No record was deleted for it, for that comes when all of it is on the disk.
            self.forget(&[torn])?;
        }
        let above = [look.old.last(), look.found.last().map(|last| &last.name)];
        let above = above.into_iter().flatten().map(|name| name.number + 1).max().unwrap_or(0);
        self.next = self.published.unwrap_or(0).max(above);
        (self.after, self.former) = (Position::start(), None);
        if let Some(last) = look.found.pop() {
            self.go_on(last, look.found.pop(), look.stand, &look.staged, &look.evidence)?;
        } else if !look.old.is_empty() {
            // Readers are told that what they had is gone, before it is.
            self.next += 1;
            self.publish()?;
        }
        self.put_away(&look.old)?;
        self.looks = 0;
        self.staged = true;
        self.settled = true;
        Ok(())
    }

    fn clear_unfinished(&mut self) -> Result<(), Problem> {
        for folder in [Folder::Shards, Folder::Generation] {
            for name in self.world.names(folder).map_err(disk("look", folder, ""))? {
                let ours = name.strip_suffix(UNFINISHED).is_some_and(|name| match folder {
                    Folder::Generation => name == GENERATION,
                    _ => ShardName::parse(name).is_some(),
                });
                if ours {
                    self.world.unlink(folder, &name).map_err(disk("remove", folder, &name))?;
                }
            }
        }
        Ok(())
    }

    /// Goes on behind the last shard, or with it where its records are still in the kernel.
    fn go_on(
        &mut self,
        last: Found<W::File>,
        before: Option<Found<W::File>>,
        stand: Stand,
        staged: &[u8],
        evidence: &Evidence,
    ) -> Result<(), Problem> {
        let sha256 = last.shard.verify().map_err(|damage| damaged(last.name, damage))?;
        if stand != Stand::Kept {
            self.after = last.shard.after().clone();
            self.former = Some(sha256);
            return Ok(());
        }
        self.next = last.name.number;
        self.after = last.shard.header().before.clone();
        self.former = match before {
            Some(before) => Some(before.shard.verify().map_err(|damage| damaged(before.name, damage))?),
            None => None,
        };
        let records = last.shard.records().map_err(|error| damaged(last.name, error.into()))?;
        let by = match self.files.flavour {
            _ if staged == records => Some(Flavour::Stage),
            Some(Flavour::Trim) if staged.is_empty() && evidence.list.starts_with(&records) => {
                Some(Flavour::Trim)
            }
            // A kexec carried them: they are at the head of the current list, among others.
            _ => None,
        };
        match by {
            Some(by) => {
                self.pending = Some(Pending { records, after: last.shard.after().clone(), sha256, by });
                Ok(())
            }
            None => self.forget(&[last.name]),
        }
    }

    /// Removes shards that nobody counts.
    fn forget(&mut self, names: &[ShardName]) -> Result<(), Problem> {
        for name in names {
            let name = name.to_string();
            self.world.unlink(Folder::Shards, &name).map_err(disk("remove", Folder::Shards, &name))?;
        }
        self.world.sync_names(Folder::Shards).map_err(disk("sync", Folder::Shards, ""))
    }

    /// Puts shards of an earlier boot away, oldest first: what is left when that is cut short is still told from others.
    fn put_away(&mut self, old: &[ShardName]) -> Result<(), Problem> {
        if old.is_empty() {
            return Ok(());
        }
        match self.settings.old {
            Old::Remove => return self.forget(old),
            Old::Archive => {
                for name in old {
                    let name = name.to_string();
                    self.world.rename((Folder::Shards, &name), (Folder::Old, &name)).map_err(disk(
                        "put away",
                        Folder::Shards,
                        &name,
                    ))?;
                }
            }
        }
        for folder in [Folder::Old, Folder::Shards] {
            self.world.sync_names(folder).map_err(disk("sync", folder, ""))?;
        }
        Ok(())
    }
}
