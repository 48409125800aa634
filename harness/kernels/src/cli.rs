//! `cargo xtask kernel`, and `imalab-kernels` by itself: what to do with kernels, and what is said of them.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::apt::Refresh;
use crate::build::Meta;
use crate::cache::Cache;
use crate::say::tell;
use crate::stop::Stop;
use crate::travel::{self, Imported};
use crate::{Kernel, Kernels, Listing, Over};

/// What to do with kernels.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// List the named kernels, their current versions, and which are built
    List {
        /// Write JSON instead of a table
        #[arg(long)]
        json: bool,
        /// Query Debian's suites now, even if they were already queried today
        #[arg(long)]
        refresh: bool,
    },
    /// Build kernels unless the cache has them
    Build {
        /// Names as `kernel list` shows them (default: the default kernel)
        names: Vec<String>,
        /// Your own tree instead
        #[command(flatten)]
        tree: TreeArgs,
        /// Query Debian's suites now, even if they were already queried today
        #[arg(long)]
        refresh: bool,
    },
    /// Print the path of a kernel's bzImage; build it if needed
    Path {
        /// Name as `kernel list` shows it (default: the default kernel)
        name: Option<String>,
    },
    /// Write a built kernel to a file, for the cache of another machine; build it if needed
    Export {
        /// Name as `kernel list` shows it
        name: String,
        /// File to write
        file: PathBuf,
    },
    /// Import a kernel from a file of `kernel export`. Its stated origin is not verified: import only what you would run
    Import {
        /// File to read
        file: PathBuf,
    },
}

/// A developer's own tree.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TreeArgs {
    /// Build this kernel tree as it is, incrementally; nothing is written to it
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Use the tree's .config as it is, without our fragments over it
    #[arg(long, requires = "tree")]
    keep_config: bool,
    #[command(flatten)]
    over: Over,
}

fn refresh(now: bool) -> Refresh {
    if now { Refresh::Now } else { Refresh::WhenStale }
}

/// Does `action` with the kernels of the checkout at `root`.
pub fn run(action: Action, root: &Path) -> Result<()> {
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    match action {
        Action::Export { name, file } => {
            let kernel = kernels.ensure(Some(&name), &Over::default(), Refresh::WhenStale)?;
            let sha256 = travel::export(&kernel, &file)?;
            tell!("{}: Linux {} in {}\n  sha256 {sha256}", kernel.name, kernel.meta.release, file.display());
        }
        Action::Import { file } => {
            let Imported { release, image, known } = travel::import(&cache, &file)?;
            let known = if known { ", already in the cache" } else { "" };
            tell!("Linux {release}{known}\n  {}", image.display());
        }
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
                    return Err(Stop::Usage("a name and --tree are mutually exclusive".into()).into());
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
    tell!("\n* is the default. Variants, after the name of any kernel and a +:");
    for variant in &listing.variants {
        tell!("  {:<12} {}", variant.name, variant.notes);
    }
    tell!("\nLines that Debian offers today:");
    for offer in &listing.offered {
        tell!("  {:<20} {:<20} {}", offer.package, offer.version, offer.suite);
    }
}
