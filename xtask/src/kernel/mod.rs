//! `cargo xtask kernel`: kernels by name.

pub(crate) mod build;
pub(crate) mod catalogue;
mod conflict;
mod content;
pub(crate) mod fragment;
mod git;
mod mails;
mod make;
mod quoted;
pub(crate) mod series;
mod source;
mod subject;
mod touched;
pub(crate) mod tree;
mod trial;
mod workplace;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::apt::Refresh;
use crate::apt::offer;
use crate::cache::Cache;
use crate::say::{say, tell};
use crate::stop::Stop;
use build::{Meta, Recipe};
use catalogue::{Catalogue, Entry, Source};
use series::Series;
use source::{Offers, Resolved};

/// Arguments of `cargo xtask kernel`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the kernels that have a name, what they mean today, and which are built
    List {
        /// Write JSON instead of a table
        #[arg(long)]
        json: bool,
        /// Ask Debian's suites now, even when they were asked today
        #[arg(long)]
        refresh: bool,
    },
    /// Build kernels unless the cache has them
    Build {
        /// Names as `kernel list` shows them; none means the default
        names: Vec<String>,
        #[command(flatten)]
        tree: TreeArgs,
        /// Ask Debian's suites now, even when they were asked today
        #[arg(long)]
        refresh: bool,
    },
    /// Print the path of a kernel's bzImage, and build it when it has to be
    Path {
        /// Name as `kernel list` shows it; none means the default
        name: Option<String>,
    },
}

/// A developer's own tree.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TreeArgs {
    /// Build this kernel tree as it is, incrementally; nothing is written to it
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: Option<PathBuf>,
    /// Use the tree's .config as it is, without our fragments over it
    #[arg(long, requires = "tree")]
    pub(crate) keep_config: bool,
    #[command(flatten)]
    pub(crate) over: Over,
}

/// What of the user's goes over a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Over {
    /// Apply these patches to a copy of the source first, as git am does: a mailbox (also .gz), a maildir, a folder of
    /// mails or diffs, a quilt series; may be given again
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) series: Vec<PathBuf>,
    /// Set this symbol of the configuration (y by default); may be given again
    #[arg(long, value_name = "SYMBOL[=VALUE]", conflicts_with = "keep_config")]
    pub(crate) kconfig: Vec<String>,
}

impl Over {
    /// The patches in the file or folder at `path`.
    pub(crate) fn series(path: &Path) -> Self {
        Self { series: vec![path.to_path_buf()], ..Self::default() }
    }
}

/// A kernel that is ready to boot.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// The name that it was asked for by.
    pub(crate) name: String,
    /// Folder with `bzImage`, `config`, `System.map`, `vmlinux` and `meta.json`.
    folder: PathBuf,
    meta: Meta,
    /// What it must offer, by the harness's names.
    pub(crate) offers: Vec<String>,
    /// Whether it is a release that nobody has patched.
    pub(crate) stock: bool,
}

impl Kernel {
    /// Folder with those files of its source that tests quote.
    pub(crate) fn quoted(&self, cache: &Cache) -> Result<PathBuf> {
        quoted::ensure(cache, &self.folder, &self.meta)
    }

    /// The image to boot.
    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("bzImage")
    }
}

/// What building kernels needs to know.
#[derive(Debug)]
pub(crate) struct Kernels {
    cache: Cache,
    folder: PathBuf,
    catalogue: Catalogue,
}

impl Kernels {
    /// The kernels of the checkout at `root`, built in `cache`.
    pub(crate) fn open(root: &Path, cache: Cache) -> Result<Self> {
        let folder = root.join("kernel-config");
        let catalogue = Catalogue::load(&folder.join("kernels.yaml"))?;
        Ok(Self { cache, folder, catalogue })
    }

    /// Whether `name` is in the catalogue.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.catalogue.kernels.contains_key(name)
    }

    /// What each kernel of the catalogue must offer.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.catalogue.kernels.iter().map(|(name, entry)| (name.as_str(), entry.offers.as_slice()))
    }

    /// Every name in the catalogue.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.catalogue.kernels.keys().map(String::as_str)
    }

    /// Builds the kernel `name` unless the cache has it; `None` means the default one. The patches of `over` are applied
    /// last, one series after the other, and its symbols count more than those of the fragments.
    pub(crate) fn ensure(&self, name: Option<&str>, over: &Over, refresh: Refresh) -> Result<Kernel> {
        let name = name.unwrap_or(&self.catalogue.default);
        let entry = self.catalogue.entry(name)?;
        let mut recipe = self.recipe(entry)?;
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
        fragment::add(&mut recipe.wishes, &over.kconfig)?;
        if let Source::Tree(path) = &entry.source {
            let path = self.folder.join("..").join(path);
            let (config, patches) = (tree::Config::Merged, &recipe.patches);
            let (folder, meta) = tree::ensure(&self.cache, &path, &recipe.wishes, config, patches, jobs())?;
            return Ok(Kernel { name, folder, meta, offers, stock });
        }
        let offered = Offers::new(&self.cache, &self.catalogue, refresh);
        let built = source::resolve(entry, &offered).and_then(|source| {
            let source = source.context("a source without content")?;
            build::ensure(&self.cache, &name, &recipe, &source, jobs())
        });
        let (folder, meta) = match built {
            Ok(built) => built,
            Err(error) => self.instead(entry, &recipe, error)?,
        };
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
        fitting.sort_by(|(a, _), (b, _)| b.compare_version(a));
        let newest = fitting.into_iter().find(|(_, (folder, _))| build::finished(folder).is_some());
        let Some((offer, built)) = newest else { return Err(error) };
        say!("warning: {error:#}");
        say!("warning: going on with {} {} from the cache", offer.package, offer.version);
        Ok(built)
    }

    /// Builds a developer's tree with the fragments of the default kernel.
    pub(crate) fn ensure_tree(&self, path: &Path, keep_config: bool, over: &Over) -> Result<Kernel> {
        let mut recipe = self.recipe(self.catalogue.entry(&self.catalogue.default)?)?;
        let config = if keep_config { tree::Config::Kept } else { tree::Config::Merged };
        let series = self.read_all(over)?;
        fragment::add(&mut recipe.wishes, &over.kconfig)?;
        let (folder, meta) = tree::ensure(&self.cache, path, &recipe.wishes, config, &series, jobs())?;
        let name = name_over("tree", &series, over);
        Ok(Kernel { name, folder, meta, offers: Vec::new(), stock: false })
    }

    fn recipe(&self, entry: &Entry) -> Result<Recipe> {
        let wishes = fragment::load(&self.folder.join("fragments"), &entry.fragments)?;
        let folder = self.folder.join("patches");
        let patches = entry.patches.iter().map(|name| series::load(&folder, name)).collect::<Result<_>>()?;
        Ok(Recipe { wishes, patches, shares: self.catalogue.shares_source(entry) })
    }

    fn list(&self, refresh: Refresh) -> Result<Listing> {
        let offers = Offers::new(&self.cache, &self.catalogue, refresh);
        let offered = offer::newest_of_each_line(offers.all()).into_iter().cloned().collect();
        let compiler = build::compiler().ok();
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
                    build::finished(&folder).map(|_| folder.join("bzImage"))
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
        Ok(Listing { schema: 1, kernels, offered })
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
struct Listing {
    schema: u32,
    kernels: Vec<Listed>,
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

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn refresh(now: bool) -> Refresh {
    if now { Refresh::Now } else { Refresh::WhenStale }
}

/// Runs `cargo xtask kernel`.
pub(crate) fn run(args: Args, root: &Path) -> Result<()> {
    let kernels = Kernels::open(root, Cache::open()?)?;
    match args.action {
        Action::List { json, refresh: now } => {
            let listing = kernels.list(refresh(now))?;
            if json {
                println!("{}", serde_json::to_string_pretty(&listing)?);
            } else {
                print(&listing);
            }
        }
        Action::Build { names, tree, refresh: now } => {
            let over = &tree.over;
            if let Some(path) = &tree.tree {
                if !names.is_empty() {
                    return Err(Stop::Usage("a name and --tree do not go together".into()).into());
                }
                show(&kernels.ensure_tree(path, tree.keep_config, over)?);
            } else if names.is_empty() {
                show(&kernels.ensure(None, over, refresh(now))?);
            }
            for name in &names {
                show(&kernels.ensure(Some(name), over, refresh(now))?);
            }
        }
        Action::Path { name } => {
            println!(
                "{}",
                kernels.ensure(name.as_deref(), &Over::default(), Refresh::WhenStale)?.image().display()
            );
        }
    }
    Ok(())
}

fn show(kernel: &Kernel) {
    let Meta { release, objects, unpack_seconds, make_seconds, .. } = &kernel.meta;
    tell!("{}: Linux {release}", kernel.name);
    tell!("  {}", kernel.image().display());
    tell!("  {objects} files compiled in {make_seconds:.0} s, after {unpack_seconds:.0} s for the source");
}

fn print(listing: &Listing) {
    for kernel in &listing.kernels {
        let mark = if kernel.default { "*" } else { " " };
        let state = if kernel.image.is_some() { "built" } else { "not built" };
        let source =
            kernel.source.as_deref().or(kernel.problem.as_deref()).unwrap_or("a tree on this machine");
        tell!("{mark} {:<12} {state:<10} {source}", kernel.name);
        if !kernel.notes.is_empty() {
            tell!("               {}", kernel.notes);
        }
    }
    tell!("\n* is the default. Lines that Debian offers today:");
    for offer in &listing.offered {
        tell!("  {:<20} {:<20} {}", offer.package, offer.version, offer.suite);
    }
}

/// The kernel for `--image`: somebody's own bzImage, taken as it is.
pub(crate) fn image(path: &Path) -> Result<PathBuf> {
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
