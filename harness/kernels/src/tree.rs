//! A developer's own tree: built as it is, incrementally, and never written to.
//!
//! Objects go to a folder in the cache (kbuild's `O=`). kbuild refuses that for a tree that was ever
//! configured in place, so such a tree is built through a shadow: a folder of links to its source files
//! alone, without its `.config` and objects.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::build::{self, Meta, Tree};
use super::content;
use super::fragment::{self, Setting};
use super::make;
use super::scratch_repository;
use super::series::Series;
use crate::cache::{self, Cache, Lock};
use crate::interrupt;
use crate::process::{Cut, stdout_of};
use crate::recipe;
use crate::say::say;
use crate::stop::Stop;

/// Bytes that the objects of a first build take.
const SPACE: u64 = 1 << 30;
/// There while a build lasts; afterwards only when it was killed.
const UNDER_WAY: &str = "under-way";
/// Which files of the copy are not the tree's.
const PATCHED: &str = "patched.json";

/// Which `.config` a tree is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Config {
    /// Theirs, if there is one, with the fragments over it.
    Merged,
    /// Theirs, as it is.
    Kept,
}

/// Builds the tree at `path` and gives the folder with the result and its description.
///
/// With `series` it is a copy of links that is built, in which the files that the series touches are replaced.
pub(crate) fn ensure(
    cache: &Cache,
    path: &Path,
    settings: &[Setting],
    config: Config,
    series: &[Series],
    jobs: usize,
) -> Result<(PathBuf, Meta)> {
    let tree = path
        .canonicalize()
        .map_err(|error| Stop::Usage(format!("cannot find the tree {}: {error}", path.display())))?;
    if !tree.join("Kbuild").is_file() || !tree.join("kernel").is_dir() {
        return Err(Stop::Usage(format!("{} is not a kernel tree", tree.display())).into());
    }
    if config == Config::Kept && !tree.join(".config").is_file() {
        let message = format!("--keep-config: {} has no .config", tree.display());
        return Err(Stop::Usage(message).into());
    }
    // kbuild would build everything again for another path of the source.
    let place = Place::open(cache, &tree, if series.is_empty() { "tree" } else { "patched tree" })?;
    cache::require_space(&place.folder, SPACE)?;
    let _held = interrupt::hold();
    let source = if !series.is_empty() || is_configured(&tree) {
        let shadow = place.shadow(&tree)?;
        place.patch(&tree, &shadow, series)?;
        shadow
    } else {
        tree.clone()
    };
    let settings = if config == Config::Kept { &[] } else { settings };
    let into = place.folder.join("kernel");
    place.check_objects(&into)?;
    let built = place.make(&tree, &source, settings, jobs).map_err(|error| make::blame(error, true))?;
    fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
    cache::remove(&into.join(build::META))?;
    let meta = build::collect(&place.objects, &into, settings, &source)?;
    let meta = Meta {
        tree: Some(Tree { describe: describe(&tree), path: tree }),
        compiler: recipe::compiler()?,
        objects: built.objects,
        make_seconds: built.time.as_secs_f64(),
        ..meta
    };
    build::write_meta(&into, &meta)?;
    Ok((into, meta))
}

/// A tree's room in the cache.
struct Place {
    folder: PathBuf,
    objects: PathBuf,
    log: PathBuf,
    _lock: Lock,
}

impl Place {
    fn open(cache: &Cache, tree: &Path, kind: &str) -> Result<Self> {
        let name = cache::sha256_of_parts([(kind, tree.as_os_str().as_bytes())]);
        let folder = cache.room("trees")?.join(&name[..16]);
        let objects = folder.join("objects");
        fs::create_dir_all(&objects).with_context(|| format!("cannot make {}", objects.display()))?;
        let lock = cache::lock(&folder, &format!("building {}", tree.display()))?;
        let log = folder.join("build.log");
        cache::remove(&log)?;
        let record = folder.join(PATCHED);
        let damaged = |text: Vec<u8>| serde_json::from_slice::<BTreeSet<PathBuf>>(&text).is_err();
        if fs::read(&record).is_ok_and(damaged) {
            // Without it nobody knows which files of the copy are the tree's.
            say!("{} was changed after it was written; copying the tree again", record.display());
            cache::remove(&folder.join("shadow"))?;
            cache::remove(&record)?;
        }
        Ok(Self { objects, log, folder, _lock: lock })
    }

    /// Throws objects away that may be half written, and makes kbuild link again where the image is not what it was.
    fn check_objects(&self, built: &Path) -> Result<()> {
        if self.folder.join(UNDER_WAY).exists() {
            say!("the last build of this tree was killed; compiling all of it again");
            cache::remove(&self.objects)?;
            fs::create_dir(&self.objects)
                .with_context(|| format!("cannot make {}", self.objects.display()))?;
            cache::remove(&self.folder.join(UNDER_WAY))?;
        }
        if let Some(meta) = build::described(built) {
            let image = self.objects.join(build::IMAGE);
            if image.exists() && cache::sha256_of_file(&image)? != meta.bzimage_sha256 {
                say!("{} is not what was built; linking it again", image.display());
                build::unlink(&self.objects)?;
            }
        }
        Ok(())
    }

    fn make(&self, tree: &Path, source: &Path, settings: &[Setting], jobs: usize) -> Result<make::Done> {
        let mark = self.folder.join(UNDER_WAY);
        cache::write_atomically(&mark, b"")?;
        let done = self.configure(tree, source, settings).and_then(|()| {
            let mut command = make::command(source, Some(&self.objects));
            command.arg(format!("-j{jobs}")).arg("bzImage");
            make::run(&mut command, &format!("building {}", tree.display()), None, &self.log)
        });
        if !matches!(&done, Err(error) if error.is::<Cut>()) {
            cache::remove(&mark)?;
        }
        done
    }

    /// Makes the `.config` among the objects. It is written only when it differs, or everything would be
    /// built again.
    fn configure(&self, tree: &Path, source: &Path, settings: &[Setting]) -> Result<()> {
        let theirs = tree.join(".config");
        let wanted = match fs::read_to_string(&theirs) {
            Ok(text) => without(&text, settings) + &fragment::to_config(settings),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fragment::to_config(settings),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", theirs.display())),
        };
        let record = self.folder.join("wanted.config");
        let config = self.objects.join(".config");
        let unchanged = config.exists() && fs::read_to_string(&record).is_ok_and(|known| known == wanted);
        if unchanged {
            return Ok(());
        }
        if theirs.is_file() {
            cache::write_atomically(&config, wanted.as_bytes())?;
            let mut command = make::command(source, Some(&self.objects));
            command.arg("olddefconfig");
            make::run(&mut command, &format!("configuring {}", tree.display()), None, &self.log)?;
            let text =
                fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
            fragment::verify(settings, &text, source)?;
        } else {
            build::configure(source, Some(&self.objects), settings, &tree.display().to_string(), &self.log)?;
        }
        cache::write_atomically(&record, wanted.as_bytes())
    }

    /// Brings the shadow of `tree` up to date: a link for each file that git tracks or would.
    fn shadow(&self, tree: &Path) -> Result<PathBuf> {
        let shadow = self.folder.join("shadow");
        let files = source_files(tree).map_err(|error| {
            Stop::Usage(format!(
                "{} can only be built through a copy, for a series, or since it was configured in place; \
                 that needs a git checkout (without a series, make mrproper will do: save its .config first): {error:#}",
                tree.display()
            ))
        })?;
        let mut folders = BTreeSet::new();
        for file in &files {
            let link = shadow.join(file);
            if let Some(folder) = link.parent()
                && folders.insert(folder.to_path_buf())
            {
                // Where they had a link, and have a folder now: over the link is their tree.
                while let Some(link) = content::link_above(&shadow, file) {
                    cache::remove(&shadow.join(link))?;
                }
                fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            }
            match symlink(tree.join(file), &link) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("cannot make the link {}", link.display()));
                }
                _ => {}
            }
        }
        for folder in folders {
            forget(&folder, &shadow, &files)?;
        }
        Ok(shadow)
    }

    /// Replaces the links to files that `series` touches by what it makes of them; those of an earlier one are links
    /// again.
    fn patch(&self, tree: &Path, shadow: &Path, series: &[Series]) -> Result<()> {
        let record = self.folder.join(PATCHED);
        let before: BTreeSet<PathBuf> = match fs::read(&record) {
            Ok(text) => serde_json::from_slice(&text).context("cannot read what was patched")?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error).context("cannot read what was patched"),
        };
        let outcome = scratch_repository::run(&self.folder.join("trial"), &self.log, series, |touched| {
            let mut there = content::Contents::new();
            for path in touched.all() {
                // git has to know of a link on the way, and refuses to go beyond it.
                let at = content::link_above(tree, path).unwrap_or_else(|| path.clone());
                let entry = content::read(tree, &at)?;
                there.insert(at, entry);
            }
            Ok(there)
        })?;
        for title in outcome.applied.into_iter().flat_map(|applied| applied.before) {
            say!("{title} is in {} already", tree.display());
        }
        let wanted = outcome.changed;
        // Named before they are there: what a killed build leaves is put right by the next one.
        let all: BTreeSet<&PathBuf> = before.iter().chain(wanted.keys()).collect();
        cache::write_atomically(&record, &serde_json::to_vec(&all)?)?;
        for path in all {
            let theirs = tree.join(path);
            let entry = match wanted.get(path) {
                Some(entry) => entry.clone(),
                None if fs::symlink_metadata(&theirs).map_or(true, |there| there.is_dir()) => None,
                None => Some(content::Entry::Link(theirs.into_os_string())),
            };
            if content::read(shadow, path)? != entry {
                content::remove(shadow, path)?;
                if let Some(entry) = entry {
                    content::write(shadow, path, &entry)?;
                }
            }
        }
        Ok(())
    }
}

/// Removes links in `folder` to files that are gone.
fn forget(folder: &Path, shadow: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let path = entry.path();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_link && !path.strip_prefix(shadow).is_ok_and(|file| files.contains(file)) {
            cache::remove(&path)?;
        }
    }
    Ok(())
}

/// kbuild's own test for a tree that `O=` cannot use (the top Makefile, `outputmakefile`).
fn is_configured(tree: &Path) -> bool {
    [".config", "include/config", "arch/x86/include/generated"].iter().any(|path| tree.join(path).exists())
}

/// The source files of a git checkout, relative to it: tracked, or new and not ignored.
fn source_files(tree: &Path) -> Result<BTreeSet<PathBuf>> {
    let list = stdout_of(
        Command::new("git")
            .arg("-C")
            .arg(tree)
            // Never refreshes the index of a developer at work.
            .args([
                "-c",
                "core.fsmonitor=false",
                "--no-optional-locks",
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ]),
    )?;
    // In a folder of some other repository git lists nothing of the kernel's.
    if !list.split('\0').any(|file| file == "Kbuild") {
        bail!("git does not track this tree");
    }
    // A tracked file may be deleted in the work tree.
    Ok(list
        .split('\0')
        .filter(|file| !file.is_empty())
        .map(PathBuf::from)
        .filter(|file| fs::symlink_metadata(tree.join(file)).is_ok())
        .collect())
}

fn describe(tree: &Path) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(tree).args(["-c", "core.fsmonitor=false", "--no-optional-locks"]);
    command.args(["describe", "--always", "--dirty"]);
    stdout_of(&mut command).ok().map(|text| text.trim().to_owned())
}

/// A `.config` without the symbols that `settings` set.
fn without(config: &str, settings: &[Setting]) -> String {
    let ours = |line: &&str| {
        let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let symbol = unset.or_else(|| line.split_once('=').map(|(symbol, _)| symbol));
        symbol.is_some_and(|symbol| settings.iter().any(|setting| setting.symbol == symbol))
    };
    config.lines().filter(|line| !ours(line)).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_symbols_replace_theirs() {
        let settings = fragment::parse("base.config", "CONFIG_A=y\nCONFIG_B=n\n").unwrap();
        let theirs = "# Kernel\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_AB=y\n# CONFIG_C is not set\n";
        assert_eq!(without(theirs, &settings), "# Kernel\nCONFIG_AB=y\n# CONFIG_C is not set\n");
    }

    fn git(tree: &Path, arguments: &[&str]) {
        let status = Command::new("git")
            .arg("-C")
            .arg(tree)
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn a_shadow_has_sources_and_no_products() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("linux");
        fs::create_dir_all(tree.join("kernel")).unwrap();
        git(folder.path(), &["init", "--quiet", "linux"]);
        fs::write(tree.join(".gitignore"), "*.o\n.config\n").unwrap();
        for file in ["Kbuild", "kernel/fork.c", "kernel/new.c", "kernel/fork.o", ".config"] {
            fs::write(tree.join(file), "text").unwrap();
        }
        git(&tree, &["add", ".gitignore", "Kbuild", "kernel/fork.c"]);
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let place = Place::open(&cache, &tree, "tree").unwrap();
        let shadow = place.shadow(&tree).unwrap();
        assert!(shadow.join("kernel/fork.c").exists());
        assert!(shadow.join("kernel/new.c").exists());
        assert!(!shadow.join("kernel/fork.o").exists());
        assert!(!shadow.join(".config").exists());

        fs::remove_file(tree.join("kernel/new.c")).unwrap();
        place.shadow(&tree).unwrap();
        assert!(fs::symlink_metadata(shadow.join("kernel/new.c")).is_err());
        assert!(shadow.join("kernel/fork.c").exists());
    }

    #[test]
    fn a_folder_that_is_no_kernel_is_a_usage_error() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        for path in [folder.path().to_path_buf(), folder.path().join("nowhere")] {
            let error = ensure(&cache, &path, &[], Config::Merged, &[], 1).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(Stop::Usage(_))), "{error}");
        }
    }
}
