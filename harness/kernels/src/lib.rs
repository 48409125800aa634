//! Kernels by name: from a catalogue over sources, patches and configurations to images in a cache.
//!
//! Commands run under a guard ([`guard`]), which is this very program again: a program that uses this crate hands the
//! subcommand [`guard::NAME`] to [`guard::run`], and begins with [`guard::enable`] and [`interrupt::listen`].

pub mod apt;
pub mod bisect;
mod build;
mod build_tree;
pub mod cache;
pub mod catalogue;
pub mod checkout;
pub mod choice;
pub mod cli;
mod conflict;
mod content;
pub mod find;
mod fragment;
mod git;
pub mod guard;
pub mod initramfs;
pub mod interrupt;
pub mod keep;
mod mails;
mod make;
pub mod process;
mod quoted;
mod recipe;
pub mod results;
pub mod sabotage;
pub mod say;
mod scratch_repository;
mod series;
mod source;
pub mod stop;
mod subject;
mod touched;
pub mod travel;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::apt::Refresh;
use crate::apt::offer;
use crate::cache::Cache;
use crate::stop::Stop;
use build::Meta;
use catalogue::{Catalogue, Entry, Source};
pub use make::TOOLBOX;
use recipe::Recipe;
use series::Series;
use source::{Offers, Resolved};

/// What of the user's goes over a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Over {
    /// Apply these patches to a copy of the source first, as git am does: a mailbox (also .gz), a maildir, a folder of
    /// mails or diffs, a quilt series; may be given again
    #[arg(long, value_name = "FILE|DIR")]
    pub series: Vec<PathBuf>,
    /// Set this symbol of the configuration (y by default); may be given again
    #[arg(long, value_name = "SYMBOL[=VALUE]", conflicts_with = "keep_config")]
    pub kconfig: Vec<String>,
}

impl Over {
    /// The patches in the file or folder at `path`.
    pub fn series(path: &Path) -> Self {
        Self { series: vec![path.to_path_buf()], ..Self::default() }
    }
}

/// A kernel that is ready to boot.
#[derive(Debug)]
pub struct Kernel {
    /// The name that it was asked for by.
    pub name: String,
    /// Folder with `bzImage`, `config`, `System.map`, `vmlinux` and `meta.json`.
    folder: PathBuf,
    meta: Meta,
    /// What it must offer, by the harness's names.
    pub offers: Vec<String>,
    /// Whether it is a release that nobody has patched.
    pub stock: bool,
}

impl Kernel {
    /// Folder with those files of its source that tests quote.
    pub fn quoted(&self, cache: &Cache) -> Result<PathBuf> {
        quoted::ensure(cache, &self.folder, &self.meta)
    }

    /// The image to boot.
    pub fn image(&self) -> PathBuf {
        self.folder.join("bzImage")
    }

    /// The kernel's own reader of KTAP.
    pub fn kunit(&self) -> PathBuf {
        self.folder.join(build::KUNIT).join("kunit.py")
    }
}

/// What building kernels needs to know.
#[derive(Debug)]
pub struct Kernels {
    cache: Cache,
    folder: PathBuf,
    catalogue: Catalogue,
}

impl Kernels {
    /// The kernels of the checkout at `root`, or of what a program carries of one, built in `cache`.
    pub fn open(root: &Path, cache: Cache) -> Result<Self> {
        let folder = root.join("kernel-config");
        let catalogue = Catalogue::load(&folder.join("kernels.yaml"))?;
        Ok(Self { cache, folder, catalogue })
    }

    /// Whether `name` is a kernel of the catalogue, or a variant of one.
    pub fn has(&self, name: &str) -> bool {
        self.catalogue.entry(name).is_ok()
    }

    /// What each kernel of the catalogue must offer.
    pub fn offers(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.catalogue.kernels.iter().map(|(name, entry)| (name.as_str(), entry.offers.as_slice()))
    }

    /// The kernels that are meant by all of them.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.catalogue.all()
    }

    /// Builds the kernel `name` unless the cache has it; `None` means the default one. The patches of `over` are applied
    /// last, one series after the other, and its symbols count more than those of the fragments.
    pub fn ensure(&self, name: Option<&str>, over: &Over, refresh: Refresh) -> Result<Kernel> {
        let name = name.unwrap_or(&self.catalogue.default);
        let entry = self.catalogue.entry(name)?;
        let mut recipe = self.recipe(&entry)?;
        let (mut offers, mut stock) = (entry.offers.clone(), entry.is_stock());
        if *over != Over::default() {
            // A series may take out what the kernel had, and mend what it broke; so may a symbol.
            (offers, stock) = (Vec::new(), false);
        }
        let series = self.read_all(over)?;
        let name = name_over(name, &series, over);
        // Whoever brings a series brings its next version too.
        recipe.shares |= !series.is_empty();
        recipe.patches.extend(series);
        fragment::add(&mut recipe.settings, &over.kconfig)?;
        if let Source::Tree(path) = &entry.source {
            let path = self.folder.join("..").join(path);
            let (config, patches) = (tree::Config::Merged, &recipe.patches);
            let (folder, meta) = tree::ensure(&self.cache, &path, &recipe.settings, config, patches, jobs())?;
            return Ok(Kernel { name, folder, meta, offers, stock });
        }
        let offered = Offers::new(&self.cache, &self.catalogue, refresh);
        let built = source::resolve(&entry, &offered).and_then(|source| {
            let source = source.context("a source without content")?;
            build::ensure(&self.cache, &name, &recipe, &source, jobs())
        });
        let (folder, meta) = match built {
            Ok(built) => built,
            Err(error) => self.instead(&entry, &recipe, error)?,
        };
        cache::touch(&folder);
        Ok(Kernel { name, folder, meta, offers, stock })
    }

    fn read_all(&self, over: &Over) -> Result<Vec<Series>> {
        let read = |path: &PathBuf| {
            let scratch = self.cache.scratch("series")?;
            mails::read(path, scratch.path(), &scratch.path().join("log"))
        };
        over.series.iter().map(read).collect()
    }

    /// A kernel built earlier by the same recipe, when the source cannot be had today.
    fn instead(&self, entry: &Entry, recipe: &Recipe, error: anyhow::Error) -> Result<(PathBuf, Meta)> {
        // Only the network is forgiven: a wrong name, an interrupt or a failed build is not.
        if error.is::<Stop>() || !error.is::<source::Unreachable>() {
            return Err(error);
        }
        let digest = recipe.digest();
        let fits = |meta: &Meta| match (&entry.source, &meta.source) {
            (Source::Debian(package), Some(Resolved::Debian(offer))) => *package == offer.package,
            (Source::DebianNewest { from }, Some(Resolved::Debian(offer))) => {
                offer.line().is_some_and(|line| line >= *from)
            }
            _ => false,
        };
        let built = build::all(&self.cache.room("kernels")?);
        let mut fitting: Vec<_> = built
            .into_iter()
            .filter(|(_, meta)| meta.recipe == digest && fits(meta))
            .filter_map(|(folder, meta)| match &meta.source {
                Some(Resolved::Debian(offer)) => Some((offer.clone(), (folder, meta))),
                _ => None,
            })
            .collect();
        offer::sort_newest_first(&mut fitting, |(offer, _)| &offer.version)?;
        let newest = fitting.into_iter().find(|(_, (folder, _))| build::finished(folder).is_some());
        let Some((offer, built)) = newest else { return Err(error) };
        say!("warning: {error:#}");
        say!("warning: going on with {} {} from the cache", offer.package, offer.version);
        Ok(built)
    }

    /// Builds a developer's tree with the fragments of the default kernel.
    pub fn ensure_tree(&self, path: &Path, keep_config: bool, over: &Over) -> Result<Kernel> {
        let mut recipe = self.recipe(&self.catalogue.entry(&self.catalogue.default)?)?;
        let config = if keep_config { tree::Config::Kept } else { tree::Config::Merged };
        let series = self.read_all(over)?;
        fragment::add(&mut recipe.settings, &over.kconfig)?;
        let (folder, meta) = tree::ensure(&self.cache, path, &recipe.settings, config, &series, jobs())?;
        let name = name_over("tree", &series, over);
        Ok(Kernel { name, folder, meta, offers: Vec::new(), stock: false })
    }

    fn recipe(&self, entry: &Entry) -> Result<Recipe> {
        let settings = fragment::load(&self.folder.join("fragments"), &entry.fragments)?;
        let folder = self.folder.join("patches");
        let patches: Vec<Series> =
            entry.patches.iter().map(|name| series::load(&folder, name)).collect::<Result<_>>()?;
        series::fit_together(&patches)?;
        Ok(Recipe { settings, patches, shares: self.catalogue.shares_source(entry) })
    }

    /// Every kernel of the catalogue, with what it means today.
    pub fn list(&self, refresh: Refresh) -> Result<Listing> {
        let offers = Offers::new(&self.cache, &self.catalogue, refresh);
        let offered = offer::newest_of_each_line(offers.all())?.into_iter().cloned().collect();
        let compiler = recipe::compiler().ok();
        let mut kernels = Vec::new();
        for (name, entry) in &self.catalogue.kernels {
            let resolved = source::resolve(entry, &offers);
            let (source, problem) = match resolved {
                Ok(source) => (source, None),
                Err(error) => (None, Some(format!("{error:#}"))),
            };
            let recipe = self.recipe(entry)?;
            let image = match (&source, &compiler) {
                (Some(source), Some(compiler)) => {
                    let folder = build::folder(&self.cache, source, &recipe.key(source, compiler))?;
                    let built = build::finished(&folder).map(|_| folder);
                    let built = built.or_else(|| Some(build::imported(&self.cache, &recipe, source)?.0));
                    built.map(|folder| folder.join("bzImage"))
                }
                _ => None,
            };
            kernels.push(Listed {
                default: *name == self.catalogue.default,
                name: name.clone(),
                source: source.as_ref().map(Resolved::describe),
                problem,
                image,
                notes: entry.notes.clone(),
            });
        }
        let described = |(name, variant): (&String, &catalogue::Variant)| Described {
            name: name.clone(),
            notes: variant.notes.clone(),
        };
        let variants = self.catalogue.variants.iter().map(described).collect();
        Ok(Listing { schema: 1, kernels, variants, offered })
    }
}

/// The name of a kernel with what is over it, in letters that fit in one.
fn name_over(kernel: &str, series: &[Series], over: &Over) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    let symbol = |asked: &String| asked.strip_prefix("CONFIG_").unwrap_or(asked).replace('=', "-");
    let parts = series.iter().map(|series| series.name.clone()).chain(over.kconfig.iter().map(symbol));
    let fitting = |part: String| part.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
    let parts: Vec<String> = std::iter::once(kernel.to_owned()).chain(parts.map(fitting)).collect();
    parts.join("+")
}

/// What `kernel list --json` writes.
#[derive(Debug, Serialize)]
pub struct Listing {
    schema: u32,
    kernels: Vec<Listed>,
    /// What can follow a kernel's name after a `+`.
    variants: Vec<Described>,
    /// The newest package of each line that any suite offers, for those who want to add an entry.
    offered: Vec<offer::Offer>,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    default: bool,
    /// What the name means today.
    source: Option<String>,
    /// Why it means nothing today.
    problem: Option<String>,
    /// The image, once built.
    image: Option<PathBuf>,
    notes: String,
}

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    notes: String,
}

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The kernel for `--image`: somebody's own bzImage, taken as it is.
pub fn image(path: &Path) -> Result<PathBuf> {
    // The x86 boot protocol: "HdrS" at offset 0x202 (Documentation/arch/x86/boot.rst).
    const MAGIC_AT: usize = 0x202;
    let missing = |error| Stop::Usage(format!("cannot find the image {}: {error}", path.display()));
    let path = path.canonicalize().map_err(missing)?;
    let no_image = || Stop::Usage(format!("{} is not a bzImage", path.display()));
    // A pipe would wait for its writer for ever.
    if !path.is_file() {
        return Err(no_image().into());
    }
    let mut head = [0; MAGIC_AT + 4];
    let mut file = fs::File::open(&path)
        .map_err(|error| Stop::Usage(format!("cannot open {}: {error}", path.display())))?;
    let read = std::io::Read::read_exact(&mut file, &mut head);
    if read.is_err() || !head.ends_with(b"HdrS") {
        return Err(no_image().into());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bzImage");
        let mut bytes = vec![0; 0x202];
        bytes.extend(b"HdrS rest");
        fs::write(&path, &bytes).unwrap();
        assert_eq!(image(&path).unwrap(), path.canonicalize().unwrap());
        for wrong in [b"".as_slice(), &bytes[..0x204], &[0; 0x300]] {
            fs::write(&path, wrong).unwrap();
            let error = image(&path).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(Stop::Usage(_))), "{error}");
            assert!(error.to_string().ends_with("is not a bzImage"));
        }
        assert!(matches!(image(folder.path()).unwrap_err().downcast_ref(), Some(Stop::Usage(_))));
    }
}
