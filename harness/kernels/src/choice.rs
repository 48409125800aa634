//! Which kernels a command line means, and their images.

use std::path::PathBuf;

use anyhow::Result;

use crate::apt::Refresh;
use crate::say::say;
use crate::stop::Stop;
use crate::{Kernel, Kernels, Over, image};

/// Kernels by name, a tree, or an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Kernels")]
pub struct Choice {
    /// Kernels by name, as `kernel list` shows them (repeatable; default: the one that is marked there)
    #[arg(long = "kernel", value_name = "NAME,...", value_delimiter = ',', conflicts_with_all = ["all_kernels", "tree", "image"])]
    pub names: Vec<String>,
    /// Every kernel of that list, those that mean the same today once
    #[arg(long, conflicts_with_all = ["tree", "image", "series", "kconfig"])]
    pub all_kernels: bool,
    /// Build this kernel tree as it is, incrementally; nothing is written to it
    #[arg(long, value_name = "DIR", conflicts_with = "image")]
    pub tree: Option<PathBuf>,
    /// Use the tree's .config as it is, without our fragments over it
    #[arg(long, requires = "tree")]
    pub keep_config: bool,
    /// What goes over the kernel.
    #[command(flatten)]
    pub over: Over,
    /// Boot this image as it is
    #[arg(long, value_name = "BZIMAGE", conflicts_with_all = ["series", "kconfig"])]
    pub image: Option<PathBuf>,
}

impl Choice {
    /// Whether it says which kernel to boot.
    pub fn names_a_kernel(&self) -> bool {
        !self.names.is_empty() || self.tree.is_some() || self.image.is_some() || self.all_kernels
    }
}

/// A kernel's image, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The name that it was asked for by.
    pub name: String,
    /// Its boot image.
    pub path: PathBuf,
    /// What it must offer, by the harness's names.
    pub offers: Vec<String>,
    /// Whether it is a release that nobody has patched.
    pub stock: bool,
}

impl From<Kernel> for Chosen {
    fn from(kernel: Kernel) -> Self {
        let path = kernel.image();
        let Kernel { name, offers, stock, .. } = kernel;
        Self { name, path, offers, stock }
    }
}

impl Kernels {
    /// Builds what `choice` means, unless the cache has it.
    ///
    /// # Errors
    /// As [`Kernels::ensure`], and for an image that is none.
    pub fn chosen(&self, choice: &Choice) -> Result<Vec<Chosen>> {
        let over = &choice.over;
        if choice.all_kernels {
            return self.every();
        }
        if let Some(tree) = &choice.tree {
            return Ok(vec![self.ensure_tree(tree, choice.keep_config, over)?.into()]);
        }
        if let Some(path) = &choice.image {
            let path = image(path)?;
            return Ok(vec![Chosen { name: "image".into(), path, offers: Vec::new(), stock: false }]);
        }
        if let Some(unknown) = choice.names.iter().find(|name| !self.has(name)) {
            // Which says what there is, before another one is built.
            self.catalogue.entry(unknown)?;
        }
        let mut chosen: Vec<Chosen> = Vec::new();
        let names = choice.names.iter().map(|name| Some(name.as_str()));
        let default = choice.names.is_empty().then_some(None);
        for name in names.chain(default) {
            let kernel: Chosen = self.ensure(name, over, Refresh::WhenStale)?.into();
            if chosen.iter().any(|other| other.name == kernel.name) {
                return Err(Stop::Usage(format!("kernel {} is given twice", kernel.name)).into());
            }
            chosen.push(kernel);
        }
        Ok(chosen)
    }

    /// Every kernel of the catalogue; of those that are the same build today, the first alone, which has to offer what any of
    /// them must.
    fn every(&self) -> Result<Vec<Chosen>> {
        let mut every: Vec<Chosen> = Vec::new();
        for name in self.all() {
            let kernel = Chosen::from(self.ensure(Some(name), &Over::default(), Refresh::WhenStale)?);
            match every.iter_mut().find(|known| known.path == kernel.path) {
                Some(known) => {
                    say!("{name} is the same kernel as {} today", known.name);
                    known.offers.extend(kernel.offers);
                }
                None => every.push(kernel),
            }
        }
        Ok(every)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        choice: Choice,
        patterns: Vec<String>,
    }

    fn parse(line: &str) -> Result<Line, clap::Error> {
        Line::try_parse_from(std::iter::once("imalab").chain(line.split_whitespace()))
    }

    #[rstest]
    #[case("stage", &[], &["stage"])]
    #[case("--kernel 7.3 stage", &["7.3"], &["stage"])]
    #[case("--kernel=7.3,6.12 stage --kernel mine", &["7.3", "6.12", "mine"], &["stage"])]
    fn kernels_by_name(#[case] line: &str, #[case] names: &[&str], #[case] patterns: &[&str]) {
        let line = parse(line).unwrap();
        assert_eq!(line.choice.names, names);
        assert_eq!(line.choice.names_a_kernel(), !names.is_empty());
        assert_eq!(line.patterns, patterns);
    }

    #[test]
    fn all_that_goes_over_a_kernel_is_kept_in_order() {
        let over = parse("--series b --kconfig IMA_X --series=a --kconfig CONFIG_Y=n").unwrap().choice.over;
        assert_eq!(over.series, ["b", "a"].map(PathBuf::from));
        assert_eq!(over.kconfig, ["IMA_X", "CONFIG_Y=n"]);
    }

    #[rstest]
    #[case("--keep-config", "--tree <DIR>")]
    #[case("--tree a --image b", "cannot be used with")]
    #[case("--all-kernels --kernel 7.3", "cannot be used with")]
    #[case("--tree a --tree b", "cannot be used multiple times")]
    #[case("--all-kernels --kconfig X", "cannot be used with")]
    #[case("--tree t --keep-config --kconfig X", "cannot be used with")]
    #[case("--image a --series b", "cannot be used with")]
    fn what_does_not_go(#[case] line: &str, #[case] message: &str) {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
