//! Where a kernel is built: a source tree, and the objects of the last build in it.
//!
//! Kernels that differ in their patches alone share one tree in the cache. A build takes it with its objects, puts the
//! files that patches touch in place, and leaves the rest to kbuild, which compiles again what depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::content::{self, Contents, Entry};
use super::make;
use super::scratch_repository::{self, Applied};
use super::series::{self, Series};
use super::source::{self, Resolved};
use super::touched::TouchedFiles;
use crate::cache::{self, Cache, Lock};

/// Room of the cache for trees that are kept.
pub(crate) const ROOM: &str = "builds";
/// Says that the tree is whole: written when a build has ended, and gone while one lasts.
const WHOLE: &str = "whole";
/// Files that differ from those of the source, and whether the source has them.
const PATCHED: &str = "patched.json";
/// What those files are in the source.
const PRISTINE: &str = "pristine";
/// Changes whenever the machine starts. What was not yet on the disk when it went down may be missing since.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// See the module.
pub(crate) struct BuildTree {
    /// The source tree, with its objects.
    pub(crate) tree: PathBuf,
    /// Folder of what is known about the tree.
    folder: PathBuf,
    kept: Option<Lock>,
    /// Whether every file of the source is whole.
    sound: bool,
}

impl BuildTree {
    /// A tree of its own for one build, in the folder `into`, which the caller removes.
    pub(crate) fn own(cache: &Cache, source: &Resolved, into: &Path, log: &Path) -> Result<Self> {
        let place = Self { tree: into.join("tree"), folder: into.to_path_buf(), kept: None, sound: true };
        source::unpack(cache, source, &place.tree, log)?;
        Ok(place)
    }

    /// The tree that builds of `source` by `compiler` share; waits while another of them is under way.
    pub(crate) fn shared(cache: &Cache, source: &Resolved, compiler: &str, log: &Path) -> Result<Self> {
        let room = cache.room(ROOM)?;
        let arguments = format!("{:?} {:?}", make::ARGUMENTS, make::ENVIRONMENT);
        let key = cache::sha256_of_parts([
            ("source", source.sha256().as_bytes()),
            ("compiler", compiler.as_bytes()),
            ("make", arguments.as_bytes()),
        ]);
        let folder = room.join(format!("{}-{}", source.label(), &key[..16]));
        let lock = cache::lock(&folder, &format!("building in {}", folder.display()))?;
        if let Resolved::Debian(offer) = source {
            for other in source::others(&room, &folder, offer)? {
                // One that somebody builds in is left to the next call.
                if let Some(_lock) = cache::lock_if_free(&other)? {
                    cache::remove(&other)?;
                }
            }
        }
        let place = Self { tree: folder.join("tree"), folder, kept: Some(lock), sound: true };
        let whole = place.folder.join(WHOLE);
        let same_boot = fs::read(&whole).is_ok_and(|boot| fs::read(BOOT).is_ok_and(|now| boot == now));
        if same_boot && place.known().is_ok() {
            cache::remove(&whole)?;
        } else {
            cache::remove(&place.folder)?;
            fs::create_dir(&place.folder)
                .with_context(|| format!("cannot make {}", place.folder.display()))?;
            source::unpack(cache, source, &place.tree, log)?;
        }
        Ok(place)
    }

    /// Applies `patches` to the source, whatever was applied before.
    ///
    /// # Errors
    /// When a series is not for this kernel, or with a [`Conflict`](super::conflict::Conflict).
    pub(crate) fn patch(
        &mut self,
        cache: &Cache,
        source: &Resolved,
        patches: &[Series],
        log: &Path,
    ) -> Result<Vec<Applied>> {
        for series in patches.iter().filter(|series| series.kernels != series::Range::default()) {
            let line = series::line_of(&self.tree)?;
            if !series.kernels.has(line) {
                bail!("the series {} is for {}, and this is {line}", series.name, series.kernels);
            }
        }
        let known = self.known()?;
        let outcome = scratch_repository::run(&self.folder.join("trial"), log, patches, |touched| {
            self.sound = false;
            self.complete(cache, source, touched, &known, log)?;
            self.sound = true;
            touched.all().map(|path| Ok((path.clone(), self.pristine(path, &known)?))).collect()
        })?;
        self.sound = false;
        self.put(&outcome.changed, &known)?;
        self.sound = true;
        Ok(outcome.applied)
    }

    /// The build has ended, well or not, and nothing of it runs any more. A tree in which files may be half written is
    /// made anew by the next one.
    pub(crate) fn done(self, cut: bool) -> Result<()> {
        if self.kept.is_none() {
            return cache::remove(&self.tree);
        }
        if cut || !self.sound {
            return Ok(());
        }
        let boot = fs::read(BOOT).with_context(|| format!("cannot read {BOOT}"))?;
        cache::write_atomically(&self.folder.join(WHOLE), &boot)
    }

    fn known(&self) -> Result<BTreeMap<PathBuf, bool>> {
        match fs::read(self.folder.join(PATCHED)) {
            Ok(text) => serde_json::from_slice(&text).context("cannot read what was patched"),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error).context("cannot read what was patched"),
        }
    }

    /// Unpacks what patches touch and [`source::unpack`] has left in the tarball.
    fn complete(
        &self,
        cache: &Cache,
        source: &Resolved,
        touched: &TouchedFiles,
        known: &BTreeMap<PathBuf, bool>,
        log: &Path,
    ) -> Result<()> {
        let missing: BTreeSet<&Path> = touched
            .present
            .iter()
            .filter(|path| !known.contains_key(*path) && fs::symlink_metadata(self.tree.join(path)).is_err())
            .map(PathBuf::as_path)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            source::unpack_files(cache, source, &self.tree, &missing, log)
        }
    }

    fn pristine(&self, path: &Path, known: &BTreeMap<PathBuf, bool>) -> Result<Option<Entry>> {
        match known.get(path) {
            None => content::read(&self.tree, path),
            Some(true) => content::read(&self.folder.join(PRISTINE), path),
            Some(false) => Ok(None),
        }
    }

    /// Makes the files `wanted` what they are to be, and all that were patched before what they are in the source. A
    /// file that is right already is not written, so that nothing is compiled for it.
    fn put(&self, wanted: &Contents, known: &BTreeMap<PathBuf, bool>) -> Result<()> {
        let mut patched = BTreeMap::new();
        let mut written = Vec::new();
        for path in known.keys().chain(wanted.keys()).collect::<BTreeSet<_>>() {
            let pristine = self.pristine(path, known)?;
            let wanted = wanted.get(path).unwrap_or(&pristine);
            if *wanted != pristine {
                patched.insert(path.clone(), pristine.is_some());
                if let Some(pristine) = &pristine {
                    content::write(&self.folder.join(PRISTINE), path, pristine)?;
                }
            }
            if content::read(&self.tree, path)? != *wanted {
                // What goes makes way first: a folder may become a link, and the other way round.
                content::remove(&self.tree, path)?;
                written.extend(wanted.clone().map(|entry| (path, entry)));
            }
        }
        for (path, entry) in written {
            content::write(&self.tree, path, &entry)?;
        }
        cache::write_atomically(&self.folder.join(PATCHED), &serde_json::to_vec(&patched)?)
    }
}
