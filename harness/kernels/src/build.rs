//! One kernel, from source to a folder in the cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::build_tree::BuildTree;
use super::fragment::{self, Setting};
use super::make;
use super::source::{Resolved, Unreachable};
use crate::cache::{self, Cache, Unfinished};
use crate::interrupt;
use crate::process::Cut;
use crate::recipe::{Recipe, SCHEMA, compiler};
use crate::say::say;
use crate::stop::Stop;

/// Bytes that an unpacked tree (1.8 GB) and its objects take while a build lasts.
const SPACE: u64 = 3 << 30;

/// Where kbuild leaves the image.
pub(crate) const IMAGE: &str = "arch/x86/boot/bzImage";
/// What is made of the objects on the way to the image.
const LINKED: &[&str] = &[
    IMAGE,
    "arch/x86/boot/vmlinux.bin",
    "arch/x86/boot/compressed/vmlinux",
    "arch/x86/boot/compressed/vmlinux.bin",
    "arch/x86/boot/compressed/vmlinux.bin.lz4",
    "vmlinux",
];

/// What a finished build folder holds besides `meta.json`, and where kbuild leaves it.
const ARTEFACTS: &[(&str, &str)] =
    &[("bzImage", IMAGE), ("config", ".config"), ("System.map", "System.map"), ("vmlinux", "vmlinux")];

/// The kernel's own reader of KTAP, kept at the place in a tree that it insists on; our tests run it.
pub(crate) const KUNIT: &str = "tools/testing/kunit";

/// Name of the file that describes a build; a folder without it is none.
pub(crate) const META: &str = "meta.json";

/// What is known about a built kernel, as `meta.json` beside the image has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Version of this form.
    pub(crate) schema: u32,
    /// `uname -r` of the kernel.
    pub(crate) release: String,
    /// Where the source came from; absent for a developer's tree.
    pub(crate) source: Option<Resolved>,
    /// A developer's tree, and its `git describe`.
    pub(crate) tree: Option<Tree>,
    /// SHA-256 over source, patches, fragments, compiler and arguments; empty for a developer's tree.
    pub(crate) key: String,
    /// SHA-256 over patches, fragments and arguments alone: what was asked for, whatever the patch level.
    pub(crate) recipe: String,
    /// First line of the compiler's and the linker's `--version`.
    pub(crate) compiler: String,
    /// SHA-256 of `bzImage`.
    pub(crate) bzimage_sha256: String,
    /// SHA-256 of `config`.
    pub(crate) config_sha256: String,
    /// SHA-256 of every file of the folder, but for this one and logs. A build of before has none.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Whether another machine built it, perhaps with another compiler.
    #[serde(default)]
    pub(crate) imported: bool,
    /// Files compiled.
    pub(crate) objects: u64,
    /// Seconds to fetch, unpack and patch the source.
    pub(crate) unpack_seconds: f64,
    /// Seconds in `make`.
    pub(crate) make_seconds: f64,
}

/// A developer's tree at the time of a build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// The folder.
    pub(crate) path: PathBuf,
    /// `git describe --always --dirty`, when the tree is a git checkout.
    pub(crate) describe: Option<String>,
}

/// The folder in which a build with this key ends up.
pub(crate) fn folder(cache: &Cache, source: &Resolved, key: &str) -> Result<PathBuf> {
    Ok(cache.room("kernels")?.join(format!("{}-{}", source.label(), &key[..16])))
}

/// What the folder of a build is like.
enum State {
    /// There is no build.
    Absent,
    /// A file is not what was built.
    Damaged(String),
    /// Each file is what was built.
    Whole(Box<Meta>),
}

/// The description of the build in `folder`, if there is one.
pub(crate) fn described(folder: &Path) -> Option<Meta> {
    let meta: Meta = serde_json::from_slice(&fs::read(folder.join(META)).ok()?).ok()?;
    (meta.schema == SCHEMA && folder.join("bzImage").exists()).then_some(meta)
}

/// The description of the build in `folder`, if there is one and each of its files is what was built.
pub(crate) fn finished(folder: &Path) -> Option<Meta> {
    match state(folder) {
        State::Whole(meta) => Some(*meta),
        State::Absent => None,
        State::Damaged(what) => {
            say!("warning: {what}");
            None
        }
    }
}

fn state(folder: &Path) -> State {
    let Some(meta) = described(folder) else { return State::Absent };
    let known = [("bzImage", &meta.bzimage_sha256), ("config", &meta.config_sha256)];
    let more = meta.files.iter().map(|(name, digest)| (name.as_str(), digest));
    for (name, expected) in known.into_iter().chain(more) {
        let path = folder.join(name);
        match cache::sha256_of_file(&path) {
            Ok(digest) if digest == *expected => {}
            Ok(_) => return State::Damaged(format!("{} is not what was built", path.display())),
            Err(error) => return State::Damaged(format!("{error:#}")),
        }
    }
    State::Whole(Box::new(meta))
}

/// Removes what is linked of the objects in `objects`, so that kbuild does it again.
pub(crate) fn unlink(objects: &Path) -> Result<()> {
    LINKED.iter().try_for_each(|name| cache::remove(&objects.join(name)))
}

/// Builds `recipe` from `source` unless the cache has it, and gives the folder with its description.
pub(crate) fn ensure(
    cache: &Cache,
    name: &str,
    recipe: &Recipe,
    source: &Resolved,
    jobs: usize,
) -> Result<(PathBuf, Meta)> {
    let compiler = compiler().context(
        "no compiler (Debian: gcc, binutils; in a checkout, cargo xtask doctor says what is missing)",
    );
    if let Ok(compiler) = &compiler {
        let folder = folder(cache, source, &recipe.key(source, compiler))?;
        if let Some(meta) = finished(&folder) {
            return Ok((folder, meta));
        }
    }
    // Somebody brought it here to be used, whatever it was compiled with.
    if let Some(imported) = imported(cache, recipe, source) {
        return Ok(imported);
    }
    let compiler = compiler?;
    let key = recipe.key(source, &compiler);
    let folder = folder(cache, source, &key)?;
    let lock = cache::lock(&folder, &format!("building kernel {name}"))?;
    // Another imalab may have built it while we waited.
    let damaged = match state(&folder) {
        State::Whole(meta) => return Ok((folder, *meta)),
        State::Damaged(_) => true,
        State::Absent => false,
    };
    if damaged {
        say!("building kernel {name} again");
    }
    let room = cache.room("kernels")?;
    cache::sweep(&room)?;
    cache::require_space(&room, SPACE)?;
    let expected = expected_objects(&room);
    let unfinished = Unfinished::start(&folder, lock)?;
    let log = unfinished.path().join("build.log");
    let job = Job { cache, name, recipe, source, compiler: &compiler, jobs, expected, damaged, log };
    match job.build(unfinished.path()) {
        Ok(built) => {
            let meta = Meta {
                schema: SCHEMA,
                source: Some(source.clone()),
                tree: None,
                key,
                recipe: recipe.digest(),
                compiler,
                ..built
            };
            write_meta(unfinished.path(), &meta)?;
            unfinished.finish()?;
            Ok((folder, meta))
        }
        // What the caller tells apart stays as it is.
        Err(error) if error.is::<Stop>() || error.is::<Unreachable>() => Err(error),
        Err(error) => {
            // The folder goes away with everything in it; the log stays, because the message names it.
            let kept = folder.with_file_name(format!("{}.failed.log", source.label()));
            let mut text = format!("{error:#}");
            if fs::rename(&job.log, &kept).is_ok() {
                text = text.replace(&job.log.display().to_string(), &kept.display().to_string());
            }
            let users = recipe.patches.iter().any(|series| series.users);
            let stop = make::blame(error, users).is::<Stop>();
            Err(if stop { Stop::Unbuildable(text).into() } else { anyhow!("{text}") })
        }
    }
}

/// The kernel that another machine built by this recipe from this source, if one was brought here.
pub(crate) fn imported(cache: &Cache, recipe: &Recipe, source: &Resolved) -> Option<(PathBuf, Meta)> {
    let digest = recipe.digest();
    let fits = |meta: &Meta| {
        let sha256 = meta.source.as_ref().map(Resolved::sha256);
        meta.imported && meta.recipe == digest && sha256 == Some(source.sha256())
    };
    let mut fitting = all(&cache.room("kernels").ok()?).into_iter().filter(|(_, meta)| fits(meta));
    fitting.find(|(folder, _)| finished(folder).is_some())
}

struct Job<'a> {
    cache: &'a Cache,
    name: &'a str,
    recipe: &'a Recipe,
    source: &'a Resolved,
    compiler: &'a str,
    jobs: usize,
    expected: Option<u64>,
    /// Whether there was such a kernel, and it was no longer what was built.
    damaged: bool,
    log: PathBuf,
}

impl Job<'_> {
    /// Fills `into`; what the caller knows better is left empty in the result.
    fn build(&self, into: &Path) -> Result<Meta> {
        let started = Instant::now();
        let _held = interrupt::hold();
        let mut place = if self.recipe.shares {
            BuildTree::shared(self.cache, self.source, self.compiler, &self.log)?
        } else {
            BuildTree::own(self.cache, self.source, into, &self.log)?
        };
        let built = self.build_in(&mut place, into, started);
        // A make that was asked to end has removed what it was making (its manual, "Interrupting or Killing make"), and a tree
        // in which something does not compile is as good as new.
        place.done(matches!(&built, Err(error) if error.is::<Cut>()))?;
        built
    }

    fn build_in(&self, place: &mut BuildTree, into: &Path, started: Instant) -> Result<Meta> {
        let applied = place.patch(self.cache, self.source, &self.recipe.patches, &self.log)?;
        for title in applied.into_iter().flat_map(|applied| applied.before) {
            say!("{title} is in {} already", self.source.label());
        }
        if self.damaged {
            unlink(&place.tree)?;
        }
        let unpack_seconds = started.elapsed().as_secs_f64();
        let configured = configure(&place.tree, None, &self.recipe.settings, self.name, &self.log)?;
        let mut command = make::command(&place.tree, None);
        command.arg(format!("-j{}", self.jobs)).arg("bzImage");
        let title = format!("building kernel {} ({})", self.name, self.source.label());
        let built = make::run(&mut command, &title, self.expected, &self.log)?;
        let meta = collect(&place.tree, into, &self.recipe.settings, &place.tree)?;
        // A kernel before 5.5 has none; the test that wants it then says so.
        if place.tree.join(KUNIT).exists() {
            cache::copy_folder(&place.tree.join(KUNIT), &into.join(KUNIT))?;
        }
        Ok(Meta {
            objects: built.objects,
            unpack_seconds,
            make_seconds: (configured.time + built.time).as_secs_f64(),
            ..meta
        })
    }
}

/// Makes a `.config` of `settings` alone and checks that every one stuck.
pub(crate) fn configure(
    tree: &Path,
    objects: Option<&Path>,
    settings: &[Setting],
    name: &str,
    log: &Path,
) -> Result<make::Done> {
    let place = objects.unwrap_or(tree);
    let wanted = place.join("imalab.config");
    fs::write(&wanted, fragment::to_config(settings))
        .with_context(|| format!("cannot write {}", wanted.display()))?;
    let mut command = make::command(tree, objects);
    command.arg(format!("KCONFIG_ALLCONFIG={}", wanted.display())).arg("allnoconfig");
    let done = make::run(&mut command, &format!("configuring kernel {name}"), None, log)?;
    fragment::verify(settings, &read(&place.join(".config"))?, tree)?;
    Ok(done)
}

/// Copies what a build has made from `objects` to `into`; `settings` are checked once more, against the
/// `.config` that was really built.
pub(crate) fn collect(objects: &Path, into: &Path, settings: &[Setting], tree: &Path) -> Result<Meta> {
    for (name, from) in ARTEFACTS {
        let from = objects.join(from);
        let to = into.join(name);
        fs::copy(&from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    fragment::verify(settings, &read(&into.join("config"))?, tree)?;
    Ok(Meta {
        schema: SCHEMA,
        release: read(&objects.join("include/config/kernel.release"))?.trim().to_owned(),
        source: None,
        tree: None,
        key: String::new(),
        recipe: String::new(),
        compiler: String::new(),
        bzimage_sha256: cache::sha256_of_file(&into.join("bzImage"))?,
        config_sha256: cache::sha256_of_file(&into.join("config"))?,
        files: BTreeMap::new(),
        imported: false,
        objects: 0,
        unpack_seconds: 0.0,
        make_seconds: 0.0,
    })
}

/// Writes the description of a build, whose files are all there.
pub(crate) fn write_meta(folder: &Path, meta: &Meta) -> Result<()> {
    let mut meta = meta.clone();
    for path in cache::files(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        if name != META && !name.ends_with(".log") {
            meta.files.insert(name, cache::sha256_of_file(&path)?);
        }
    }
    cache::write_atomically(&folder.join(META), &serde_json::to_vec_pretty(&meta)?)
}

/// Every described build in the room `kernels`.
pub(crate) fn all(room: &Path) -> Vec<(PathBuf, Meta)> {
    let Ok(entries) = fs::read_dir(room) else { return Vec::new() };
    entries.flatten().filter_map(|entry| described(&entry.path()).map(|meta| (entry.path(), meta))).collect()
}

/// How many files an earlier build compiled; kernels of one catalogue are much alike.
fn expected_objects(room: &Path) -> Option<u64> {
    all(room).into_iter().map(|(_, meta)| meta.objects).max()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_description_is_no_build() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bzImage"), b"kernel").unwrap();
        assert!(finished(folder.path()).is_none());
    }
}
