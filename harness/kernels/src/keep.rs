//! What the cache holds, and making room in it: `cargo xtask cache`.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use bytesize::ByteSize;

use crate::cache::{self, Cache};
use crate::say::tell;

/// Rooms whose entries have locks of their own, and are made again when they are gone. The rest of the cache is small, or shared by
/// everything in it, or known to somebody's repository (`bisects`).
const ROOMS: [&str; 7] = ["builds", "trees", "kernels", "sources", "images", "carried", "tools"];

/// What was used so recently may be in use: a suite reads a kernel whenever a machine starts, and holds no lock. `relatime` tells of
/// a reading to a day, and a campaign may take hours.
const FRESH: Duration = Duration::from_hours(25);

/// What to do with the cache.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Show what is in the cache, the largest first
    List,
    /// Remove what is old, or too much; nothing that may have been used within a day
    Gc(Bounds),
}

/// What may stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub struct Bounds {
    /// Remove the longest unused until no more than SIZE is left (10G, 500M)
    #[arg(long, value_name = "SIZE", required_unless_present = "older_than")]
    max_size: Option<ByteSize>,
    /// Remove what was not used for AGE (30d, 12h)
    #[arg(long, value_name = "AGE")]
    older_than: Option<humantime::Duration>,
    /// Show what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// One thing that can be removed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    bytes: u64,
    /// When it was last read or written, as far as the file system tells (`relatime`: to a day).
    used: SystemTime,
}

/// Does `action` with `cache`.
///
/// # Errors
/// When it cannot be read, or something cannot be removed.
pub fn run(action: &Action, cache: &Cache) -> Result<()> {
    let now = SystemTime::now();
    let mut entries = entries(cache)?;
    match action {
        Action::List => {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.bytes));
            for entry in &entries {
                tell!("{}", line(entry, cache, now));
            }
            let total = cache::size(cache.root())?;
            tell!("{:>10}  in all, in {}", ByteSize(total).to_string(), cache.root().display());
        }
        Action::Gc(bounds) => {
            let mut freed = 0;
            for entry in surplus(entries, *bounds, now) {
                if bounds.dry_run || remove(&entry)? {
                    tell!("{}", line(&entry, cache, now));
                    freed += entry.bytes;
                } else {
                    tell!("{} is in use", entry.path.display());
                }
            }
            let word = if bounds.dry_run { "would be removed" } else { "removed" };
            tell!("{:>10}  {word}", ByteSize(freed).to_string());
        }
    }
    Ok(())
}

fn line(entry: &Entry, cache: &Cache, now: SystemTime) -> String {
    let days = now.duration_since(entry.used).unwrap_or_default().as_secs() / (24 * 3600);
    let used = match days {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    };
    let name = entry.path.strip_prefix(cache.root()).unwrap_or(&entry.path).display();
    format!("{:>10}  used {used:<13} {name}", ByteSize(entry.bytes).to_string())
}

fn entries(cache: &Cache) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for room in ROOMS {
        let folder = cache.root().join(room);
        let Ok(names) = fs::read_dir(&folder) else { continue };
        for name in names {
            let path = name.with_context(|| format!("cannot read {}", folder.display()))?.path();
            if cache::is_aside(&path) {
                continue;
            }
            // What vanishes meanwhile is nobody's to remove.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let bytes = if metadata.is_dir() { cache::size(&path)? } else { metadata.len() };
            entries.push(Entry { bytes, used: last_used(&path, &metadata), path });
        }
    }
    Ok(entries)
}

/// The newest of the times of an entry, its lock, and what lies directly in it.
fn last_used(path: &Path, metadata: &Metadata) -> SystemTime {
    let inside = fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
    let times = |metadata: &Metadata| {
        // Whoever looks into a folder reads it, and so do we.
        let read = if metadata.is_file() { metadata.accessed().ok() } else { None };
        [metadata.modified().ok(), read]
    };
    let all = times(metadata).into_iter().chain(inside.flat_map(|metadata| times(&metadata)));
    all.chain([cache::touched(path)]).flatten().max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What has to go, the longest unused first.
fn surplus(mut entries: Vec<Entry>, bounds: Bounds, now: SystemTime) -> Vec<Entry> {
    entries.sort_by_key(|entry| entry.used);
    let mut left: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let mut surplus = Vec::new();
    for entry in entries {
        // A time in the future is of now.
        let age = now.duration_since(entry.used).unwrap_or_default();
        let old = bounds.older_than.is_some_and(|limit| age >= *limit);
        let too_much = bounds.max_size.is_some_and(|limit| left > limit.as_u64());
        if age >= FRESH && (old || too_much) {
            left -= entry.bytes;
            surplus.push(entry);
        }
    }
    surplus
}

/// Removes an entry whose lock nobody holds; whether it was.
fn remove(entry: &Entry) -> Result<bool> {
    match cache::lock_if_free(&entry.path)? {
        Some(lock) => cache::discard(&entry.path, lock).map(|()| true),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HOUR: u64 = 3600;

    fn entry(name: &str, bytes: u64, hours: u64) -> Entry {
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * HOUR - hours * HOUR);
        Entry { path: name.into(), bytes, used }
    }

    #[rstest]
    #[case::nothing_is_old(Some("100h"), None, &[])]
    #[case::old(Some("50h"), None, &["older", "old"])]
    #[case::fits(None, Some(100), &[])]
    #[case::longest_unused_first(None, Some(75), &["older"])]
    #[case::until_it_fits(None, Some(55), &["older", "old"])]
    #[case::never_what_may_be_in_use(Some("0s"), Some(0), &["older", "old", "day"])]
    fn what_goes(#[case] age: Option<&str>, #[case] size: Option<u64>, #[case] gone: &[&str]) {
        let entries =
            vec![entry("fresh", 40, 24), entry("old", 20, 60), entry("day", 10, 26), entry("older", 30, 90)];
        let bounds = Bounds {
            max_size: size.map(ByteSize),
            older_than: age.map(|age| age.parse().unwrap()),
            dry_run: false,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * HOUR);
        let found = surplus(entries, bounds, now);
        let names: Vec<_> = found.iter().map(|entry| entry.path.display().to_string()).collect();
        assert_eq!(names, gone);
    }

    #[test]
    fn what_somebody_holds_stays_and_the_rest_goes_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let room = cache.room("kernels").unwrap();
        for name in ["held", "free"] {
            fs::create_dir(room.join(name)).unwrap();
            fs::write(room.join(name).join("bzImage"), vec![1; 10_000]).unwrap();
        }
        // Locks, and what is being filled, are no entries.
        cache::touch(&room.join("free"));
        fs::create_dir(room.join("new.unfinished")).unwrap();
        fs::write(cache.root().join("note"), "").unwrap();
        let all = entries(&cache).unwrap();
        let mut names: Vec<_> = all.iter().map(|entry| entry.path.file_name().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["free", "held"]);
        let free = all.iter().find(|entry| entry.path.ends_with("free")).unwrap();
        assert!(free.used >= cache::touched(&free.path).unwrap());
        let held = cache::lock(&room.join("held"), "a test").unwrap();
        let removed: Vec<bool> = all.iter().map(|entry| remove(entry).unwrap()).collect();
        assert_eq!(removed.iter().filter(|removed| **removed).count(), 1);
        assert!(room.join("held/bzImage").exists() && !room.join("free").exists());
        assert!(room.join("free.lock").exists(), "somebody may wait for it");
        drop(held);
    }
}
