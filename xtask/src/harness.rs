//! Calling the harness's own command, `imalab`, with everything it needs built first.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt::Refresh;
use crate::cache::Cache;
use crate::cargo;
use crate::doctor;
use crate::image;
use crate::kernel::{self, Kernels};
use crate::stop::Stop;

/// What of a command line is ours, and what is the harness's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// Kernels by name.
    kernels: Vec<String>,
    /// A developer's tree.
    pub(crate) tree: Option<PathBuf>,
    /// Its `.config` as it is.
    pub(crate) keep_config: bool,
    /// Somebody's own bzImage.
    image: Option<PathBuf>,
    /// Patches to apply first.
    pub(crate) series: Option<PathBuf>,
    /// Ends of the range in which a commit is looked for.
    pub(crate) bisect: Option<String>,
    /// Every kernel of the catalogue.
    all_kernels: bool,
    /// Install what is missing.
    pub(crate) yes: bool,
    /// All the rest, unchanged and in order.
    pub(crate) rest: Vec<OsString>,
}

impl Split {
    fn names_a_kernel(&self) -> bool {
        !self.kernels.is_empty() || self.tree.is_some() || self.image.is_some() || self.all_kernels
    }
}

/// The flags that [`split`] takes out, for `--help`.
pub(crate) const OUR_FLAGS: &str = "\
Flags of the front door, taken out before the harness sees the rest:
  --kernel NAME...    Kernels by name, as `cargo xtask kernel list` shows them; may be given again
  --all-kernels       Every kernel of that list, those that mean the same today once
  --tree DIR          Build this kernel tree as it is, incrementally; nothing is written to it
  --keep-config       Use the tree's .config as it is, without our fragments over it
  --series FILE|DIR   Apply these patches first, as git am does, to a copy of the kernel's source or the tree
  --bisect GOOD..BAD  Find the commit of the tree since which a scenario fails (test alone)
  --image BZIMAGE     Boot this image as it is
  --yes               Install what is missing on this machine, with sudo when not root

Everything else goes to the harness unchanged:";

/// Takes our flags out of `arguments`. After `--kernel`, every further argument that `is_kernel` knows is
/// a kernel too; `--` ends our part.
///
/// # Errors
/// [`Stop::Usage`] for a flag without its value, or flags that do not go together.
pub(crate) fn split(arguments: Vec<OsString>, is_kernel: impl Fn(&str) -> bool) -> Result<Split, Stop> {
    let mut split = Split::default();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (flag, attached) = match text.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(OsString::from(value))),
            _ => (text, None),
        };
        let mut value = || {
            attached
                .clone()
                .or_else(|| arguments.next_if(|next| !next.to_string_lossy().starts_with("--")))
                .ok_or_else(|| Stop::Usage(format!("{flag} needs a value")))
        };
        match flag.as_str() {
            "--" => {
                split.rest.push(argument);
                split.rest.extend(arguments);
                break;
            }
            "--kernel" => {
                let names = value()?.to_string_lossy().into_owned();
                split.kernels.extend(names.split(',').map(str::to_owned));
                while let Some(next) = arguments.next_if(|next| next.to_str().is_some_and(&is_kernel)) {
                    split.kernels.push(next.to_string_lossy().into_owned());
                }
            }
            "--all-kernels" => split.all_kernels = true,
            "--tree" => split.tree = Some(value()?.into()),
            "--series" => split.series = Some(value()?.into()),
            "--bisect" => split.bisect = Some(value()?.to_string_lossy().into_owned()),
            "--image" => split.image = Some(value()?.into()),
            "--keep-config" => split.keep_config = true,
            "--yes" => split.yes = true,
            _ => split.rest.push(argument),
        }
    }
    let ways = [!split.kernels.is_empty(), split.all_kernels, split.tree.is_some(), split.image.is_some()];
    if ways.into_iter().filter(|given| *given).count() > 1 {
        return Err(Stop::Usage(
            "--kernel, --all-kernels, --tree and --image are ways to say the same; give one".into(),
        ));
    }
    if split.series.is_some() && (split.image.is_some() || split.all_kernels) {
        return Err(Stop::Usage("--series goes with --kernel, --tree or the default kernel".into()));
    }
    if split.keep_config && split.tree.is_none() {
        return Err(Stop::Usage("--keep-config goes with --tree".into()));
    }
    Ok(split)
}

/// What a subcommand of the harness needs before it can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The harness alone.
    Nothing,
    /// The scenarios of the checkout.
    Scenarios,
    /// Kernels, the initramfs and the scenarios.
    Suite,
    /// Kernels and the initramfs.
    Machine,
    /// What its bundle names, unless the command line names a kernel.
    Bundle,
}

/// How the harness is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build; what is hot in it is optimised all the same.
    Dev,
    /// For measuring.
    Release,
}

/// Builds what the harness's subcommand `name` needs and becomes it. Returns only when that failed.
pub(crate) fn exec(
    root: &Path,
    name: &str,
    arguments: Vec<OsString>,
    needs: Needs,
    profile: Profile,
) -> Result<std::convert::Infallible> {
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let help = arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    let split = split(arguments, |name| kernels.has(name))?;
    doctor::ensure(split.yes)?;
    let mut command = Command::new(build(root, profile)?);
    // libtss2 would print on stderr what the harness reports itself (tpm2-tss, doc/logging.md).
    command.arg(name).env("TSS2_LOG", "all+NONE");
    if help {
        println!("{OUR_FLAGS}\n");
    } else {
        command.args(inputs(root, &cache, &kernels, &split, needs)?);
    }
    command.args(&split.rest);
    Err(command.exec()).with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// The harness's arguments that name what we have built.
pub(crate) fn inputs(
    root: &Path,
    cache: &Cache,
    kernels: &Kernels,
    split: &Split,
    needs: Needs,
) -> Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> = Vec::new();
    match needs {
        Needs::Nothing | Needs::Scenarios => {}
        Needs::Bundle => {
            if split.names_a_kernel() {
                for (_, image) in images(kernels, split)? {
                    arguments.extend(["--image".into(), image.into()]);
                }
            }
        }
        Needs::Suite | Needs::Machine => {
            for (name, image) in images(kernels, split)? {
                let mut pair = OsString::from(format!("{name}="));
                pair.push(image);
                arguments.extend(["--kernel-image".into(), pair]);
            }
            arguments.extend(["--initramfs".into(), image::ensure(root, cache)?.into()]);
        }
    }
    if matches!(needs, Needs::Suite | Needs::Scenarios) {
        arguments.extend(["--scenarios".into(), root.join("scenarios").into()]);
    }
    Ok(arguments)
}

fn images(kernels: &Kernels, split: &Split) -> Result<Vec<(String, PathBuf)>> {
    let series = split.series.as_deref();
    if split.all_kernels {
        return all_images(kernels);
    }
    if let Some(tree) = &split.tree {
        let kernel = kernels.ensure_tree(tree, split.keep_config, series)?;
        return Ok(vec![(kernel.name.clone(), kernel.image())]);
    }
    if let Some(path) = &split.image {
        return Ok(vec![("image".into(), kernel::image(path)?)]);
    }
    if split.kernels.is_empty() {
        let kernel = kernels.ensure(None, series, Refresh::WhenStale)?;
        return Ok(vec![(kernel.name.clone(), kernel.image())]);
    }
    let ensure = |name: &String| {
        let kernel = kernels.ensure(Some(name), series, Refresh::WhenStale)?;
        Ok((kernel.name.clone(), kernel.image()))
    };
    split.kernels.iter().map(ensure).collect()
}

/// Every kernel of the catalogue; of those that are the same build today, the first alone.
fn all_images(kernels: &Kernels) -> Result<Vec<(String, PathBuf)>> {
    let mut images: Vec<(String, PathBuf)> = Vec::new();
    for name in kernels.names() {
        let image = kernels.ensure(Some(name), None, Refresh::WhenStale)?.image();
        match images.iter().find(|(_, known)| *known == image) {
            Some((known, _)) => eprintln!("{name} is the same kernel as {known} today"),
            None => images.push((name.to_owned(), image)),
        }
    }
    Ok(images)
}

/// Builds the harness and gives the path of its command.
pub(crate) fn build(root: &Path, profile: Profile) -> Result<PathBuf> {
    let mut command = cargo::command(root);
    command.args(["build", "--package", "imalab", "--bin", "imalab"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    cargo::build(&mut command, "imalab")
}

/// What the harness says about the accelerator, if it is built; it alone runs guest code to find out.
pub(crate) fn accelerator(root: &Path) -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = ["debug", "release"].map(|profile| target.join(profile).join("imalab"));
    let Some(path) = built.iter().find(|path| path.exists()) else {
        return "not probed yet: run cargo xtask test".into();
    };
    match crate::process::stdout_of(Command::new(path).arg("accel")) {
        Ok(text) => {
            let text = text.trim();
            text.strip_prefix("accelerator ").unwrap_or(text).replace('\n', "\n              ")
        }
        Err(error) => format!("cannot be probed: {error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn split_words(line: &str) -> Result<Split, Stop> {
        split(line.split_whitespace().map(OsString::from).collect(), |name| ["7.3", "6.12"].contains(&name))
    }

    #[rstest]
    #[case::nothing_of_ours("stage --jobs 2 --out DIR", &[], "stage --jobs 2 --out DIR")]
    #[case::ours_in_between("stage --kernel 7.3 --jobs 2", &["7.3"], "stage --jobs 2")]
    #[case::several("--kernel 7.3 6.12 stage", &["7.3", "6.12"], "stage")]
    #[case::again("--kernel 7.3 --kernel mine stage", &["7.3", "mine"], "stage")]
    #[case::commas("--kernel=7.3,6.12 stage", &["7.3", "6.12"], "stage")]
    #[case::a_pattern_is_no_kernel("--kernel 7.3 race/7.3", &["7.3"], "race/7.3")]
    #[case::after_the_end("--jobs 2 -- --kernel 7.3", &[], "--jobs 2 -- --kernel 7.3")]
    #[case::unknown_flags_with_values("--json=a=b --seed=7", &[], "--json=a=b --seed=7")]
    fn ours_and_theirs(#[case] line: &str, #[case] kernels: &[&str], #[case] rest: &str) {
        let split = split_words(line).unwrap();
        assert_eq!(split.kernels, kernels);
        assert_eq!(split.rest, rest.split_whitespace().map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_series_of_ones_own() {
        let split = split_words("--kernel 7.3 --series v3.mbox stage").unwrap();
        assert_eq!(split.series, Some(PathBuf::from("v3.mbox")));
        assert_eq!(split.kernels, ["7.3"]);
        assert_eq!(split.rest, ["stage"]);
    }

    #[test]
    fn a_tree_of_ones_own() {
        let split = split_words("--tree ../linux --keep-config --yes race").unwrap();
        let tree = Some(PathBuf::from("../linux"));
        let rest = vec!["race".into()];
        assert_eq!(split, Split { tree, keep_config: true, yes: true, rest, ..Split::default() });
    }

    #[rstest]
    #[case("--kernel", "--kernel needs a value")]
    #[case("--tree --yes", "--tree needs a value")]
    #[case("--keep-config", "--keep-config goes with --tree")]
    #[case(
        "--tree a --image b",
        "--kernel, --all-kernels, --tree and --image are ways to say the same; give one"
    )]
    #[case(
        "--all-kernels --kernel 7.3",
        "--kernel, --all-kernels, --tree and --image are ways to say the same; give one"
    )]
    #[case("--image a --series b", "--series goes with --kernel, --tree or the default kernel")]
    fn what_does_not_go(#[case] line: &str, #[case] message: &str) {
        assert_eq!(split_words(line).unwrap_err().to_string(), message);
    }
}
