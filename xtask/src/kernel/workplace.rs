//! Where a kernel is built: a source tree, and the objects of the last build in it.
//!
//! Kernels that differ in their patches alone share one tree in the cache. A build takes it with its objects, puts the
//! files that patches touch in place, and leaves the rest to kbuild, which compiles again what depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::mailbox::{self, Applied, Contents, Trial};
use super::make;
use super::series::{self, Series, Touched};
use super::source::{self, Resolved};
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
pub(crate) struct Workplace {
    /// The source tree, with its objects.
    pub(crate) tree: PathBuf,
    /// Folder of what is known about the tree.
    folder: PathBuf,
    kept: Option<Lock>,
}

impl Workplace {
    /// A tree of its own for one build, in the folder `into`, which the caller removes.
    pub(crate) fn own(cache: &Cache, source: &Resolved, into: &Path, log: &Path) -> Result<Self> {
        let place = Self { tree: into.join("tree"), folder: into.to_path_buf(), kept: None };
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
        let place = Self { tree: folder.join("tree"), folder, kept: Some(lock) };
        let whole = place.folder.join(WHOLE);
        let usable = fs::read(&whole).is_ok_and(|boot| fs::read(BOOT).is_ok_and(|now| boot == now));
        if usable {
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
    /// When a series is not for this kernel, or with a [`mailbox::Conflict`].
    pub(crate) fn patch(
        &self,
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
        let touched = series::touched(patches.iter().flat_map(|series| &series.mails));
        let known = self.known()?;
        self.complete(cache, source, &touched, &known, log)?;
        let mut pristine = Contents::new();
        for path in touched.all() {
            pristine.insert(path.clone(), self.pristine(path, &known)?);
        }
        let scratch = self.folder.join("trial");
        cache::remove(&scratch)?;
        let trial = Trial::start(&scratch, &pristine, log)?;
        let applied = patches.iter().map(|series| trial.apply(series)).collect::<Result<Vec<_>>>()?;
        let wanted = trial.contents(pristine.into_keys())?;
        cache::remove(&scratch)?;
        self.put(&wanted, &known)?;
        Ok(applied)
    }

    /// The build has ended, well or not, and nothing of it runs any more.
    pub(crate) fn done(self) -> Result<()> {
        if self.kept.is_none() {
            return cache::remove(&self.tree);
        }
        let boot = fs::read(BOOT).with_context(|| format!("cannot read {BOOT}"))?;
        cache::write_atomically(&self.folder.join(WHOLE), &boot)
    }

    fn known(&self) -> Result<BTreeMap<PathBuf, bool>> {
        match mailbox::read(&self.folder.join(PATCHED))? {
            Some(text) => serde_json::from_slice(&text).context("cannot read what was patched"),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Unpacks what patches touch and [`source::unpack`] has left in the tarball.
    fn complete(
        &self,
        cache: &Cache,
        source: &Resolved,
        touched: &Touched,
        known: &BTreeMap<PathBuf, bool>,
        log: &Path,
    ) -> Result<()> {
        let missing: BTreeSet<&Path> = touched
            .present
            .iter()
            .filter(|path| !known.contains_key(*path) && !self.tree.join(path).exists())
            .map(PathBuf::as_path)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            source::unpack_files(cache, source, &self.tree, &missing, log)
        }
    }

    fn pristine(&self, path: &Path, known: &BTreeMap<PathBuf, bool>) -> Result<Option<Vec<u8>>> {
        match known.get(path) {
            None => mailbox::read(&self.tree.join(path)),
            Some(true) => mailbox::read(&self.folder.join(PRISTINE).join(path)),
            Some(false) => Ok(None),
        }
    }

    /// Makes the files `wanted` what they are to be, and all that were patched before what they are in the source. A
    /// file that is right already is not written, so that nothing is compiled for it.
    fn put(&self, wanted: &Contents, known: &BTreeMap<PathBuf, bool>) -> Result<()> {
        let mut patched = BTreeMap::new();
        for path in known.keys().chain(wanted.keys()).collect::<BTreeSet<_>>() {
            let pristine = self.pristine(path, known)?;
            let wanted = wanted.get(path).unwrap_or(&pristine);
            if *wanted != pristine {
                patched.insert(path.clone(), pristine.is_some());
                if let Some(pristine) = &pristine {
                    mailbox::write(&self.folder.join(PRISTINE).join(path), pristine)?;
                }
            }
            let place = self.tree.join(path);
            if mailbox::read(&place)? != *wanted {
                match wanted {
                    Some(content) => mailbox::write(&place, content)?,
                    None => cache::remove(&place)?,
                }
            }
        }
        cache::write_atomically(&self.folder.join(PATCHED), &serde_json::to_vec(&patched)?)
    }
}
