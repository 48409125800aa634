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
use crate::interrupt;
use crate::kernel::{self, Kernels, Over};
use crate::process;
use crate::say::say;
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
    /// What goes over the kernel.
    pub(crate) over: Over,
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
  --series FILE|DIR   Apply these patches first, as git am does, to a copy of the kernel's source or the tree: a mailbox
                      (also .gz), a maildir, a folder of mails or diffs, a quilt series; may be given again
  --kconfig SYM[=V]   Set this symbol of the kernel's configuration (y by default); may be given again
  --bisect GOOD..BAD  Find the commit of the tree since which a scenario fails (test alone)
  --image BZIMAGE     Boot this image as it is
  --yes               Install what is missing on this machine, with sudo when not root

What a kernel of the list must offer is in kernel-config/kernels.yaml; --require says it of any other.

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
            "--tree" => once(&flag, &mut split.tree, value()?.into())?,
            "--series" => split.over.series.push(value()?.into()),
            "--kconfig" => split.over.kconfig.push(value()?.to_string_lossy().into_owned()),
            "--bisect" => once(&flag, &mut split.bisect, value()?.to_string_lossy().into_owned())?,
            "--image" => once(&flag, &mut split.image, value()?.into())?,
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
    let over = [("--series", split.over.series.is_empty()), ("--kconfig", split.over.kconfig.is_empty())];
    if let Some((flag, _)) = over.into_iter().find(|(_, unused)| !unused)
        && (split.image.is_some() || split.all_kernels)
    {
        return Err(Stop::Usage(format!("{flag} goes with --kernel, --tree or the default kernel")));
    }
    if split.keep_config && !split.over.kconfig.is_empty() {
        return Err(Stop::Usage("--keep-config takes the .config as it is, and --kconfig changes it".into()));
    }
    if split.keep_config && split.tree.is_none() {
        return Err(Stop::Usage("--keep-config goes with --tree".into()));
    }
    Ok(split)
}

/// Keeps the value of a flag that has one.
fn once<T>(flag: &str, place: &mut Option<T>, value: T) -> Result<(), Stop> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Stop::Usage(format!("{flag} is given twice"))),
    }
}

/// What a subcommand of the harness needs before it can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The harness alone.
    Nothing,
    /// The scenarios of the checkout.
    Scenarios,
    /// Kernels, what is demanded of them, the initramfs and the scenarios.
    Suite,
    /// Kernels, the initramfs and the scenarios.
    Bench,
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
    let harness = build(root, profile)?;
    if needs == Needs::Suite && !help {
        // Before a kernel is built: that takes minutes.
        known_capabilities(&harness, &kernels, &split)?;
    }
    let mut command = Command::new(harness);
    // libtss2 would print on stderr what the harness reports itself (tpm2-tss, doc/logging.md).
    command.arg(name).env("TSS2_LOG", "all+NONE");
    if help {
        println!("{OUR_FLAGS}\n");
    } else {
        command.args(inputs(root, &cache, &kernels, &split, needs)?);
    }
    command.args(&split.rest);
    interrupt::check()?;
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
            if !split.names_a_kernel() && split.over != Over::default() {
                let message =
                    "--series and --kconfig go with --kernel or --tree here: a bundle names its kernel";
                return Err(Stop::Usage(message.into()).into());
            }
            if split.names_a_kernel() {
                for given in images(kernels, split)? {
                    arguments.extend(["--image".into(), given.path.into()]);
                }
            }
        }
        Needs::Suite | Needs::Bench | Needs::Machine => {
            for given in images(kernels, split)? {
                let mut pair = OsString::from(format!("{}=", given.name));
                pair.push(&given.path);
                arguments.extend(["--kernel-image".into(), pair]);
                if needs == Needs::Suite {
                    arguments.extend(given.demands());
                }
            }
            arguments.extend(["--initramfs".into(), image::ensure(root, cache)?.into()]);
        }
    }
    if matches!(needs, Needs::Suite | Needs::Bench | Needs::Scenarios) {
        arguments.extend(["--scenarios".into(), root.join("scenarios").into()]);
    }
    Ok(arguments)
}

/// A kernel for the harness.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    name: String,
    path: PathBuf,
    /// What it must offer.
    offers: Vec<String>,
    /// Whether it is a release that nobody has patched.
    stock: bool,
}

impl Image {
    pub(crate) fn of(kernel: &kernel::Kernel) -> Image {
        let kernel::Kernel { name, offers, stock, .. } = kernel;
        Image { name: name.clone(), path: kernel.image(), offers: offers.clone(), stock: *stock }
    }

    /// What the harness is told to demand of it.
    pub(crate) fn demands(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if !self.offers.is_empty() {
            let offers = format!("{}={}", self.name, self.offers.join(","));
            arguments.extend(["--offers".into(), offers.into()]);
        }
        if self.stock {
            arguments.extend(["--stock".into(), self.name.as_str().into()]);
        }
        arguments
    }
}

fn images(kernels: &Kernels, split: &Split) -> Result<Vec<Image>> {
    let over = &split.over;
    if split.all_kernels {
        return all_images(kernels);
    }
    if let Some(tree) = &split.tree {
        return Ok(vec![Image::of(&kernels.ensure_tree(tree, split.keep_config, over)?)]);
    }
    if let Some(path) = &split.image {
        let path = kernel::image(path)?;
        return Ok(vec![Image { name: "image".into(), path, offers: Vec::new(), stock: false }]);
    }
    if split.kernels.is_empty() {
        return Ok(vec![Image::of(&kernels.ensure(None, over, Refresh::WhenStale)?)]);
    }
    let ensure = |name: &String| Ok(Image::of(&kernels.ensure(Some(name), over, Refresh::WhenStale)?));
    split.kernels.iter().map(ensure).collect()
}

/// Every kernel of the catalogue; of those that are the same build today, the first alone, which has to offer what any of
/// them must.
fn all_images(kernels: &Kernels) -> Result<Vec<Image>> {
    let mut images: Vec<Image> = Vec::new();
    for name in kernels.names() {
        let image = Image::of(&kernels.ensure(Some(name), &Over::default(), Refresh::WhenStale)?);
        match images.iter_mut().find(|known| known.path == image.path) {
            Some(known) => {
                say!("{name} is the same kernel as {} today", known.name);
                known.offers.extend(image.offers);
            }
            None => images.push(image),
        }
    }
    Ok(images)
}

/// Refuses names that the harness does not know, in the catalogue and in `--require`.
fn known_capabilities(harness: &Path, kernels: &Kernels, split: &Split) -> Result<()> {
    let known = process::stdout_of(Command::new(harness).args(["capabilities", "--names"]))?;
    let known: Vec<&str> = known.lines().collect();
    let listed = kernels.offers().flat_map(|(kernel, offers)| {
        offers
            .iter()
            .map(move |name| (format!("kernel-config/kernels.yaml: `offers` of {kernel}"), name.as_str()))
    });
    let required = required(&split.rest);
    let required = required.iter().map(|name| ("--require".to_owned(), name.as_str()));
    match listed.chain(required).find(|(_, name)| !known.contains(name)) {
        Some((place, name)) => Err(Stop::Usage(format!(
            "{place}: `{}` is no capability; there are {}",
            name.escape_debug(),
            known.join(", ")
        ))
        .into()),
        None => Ok(()),
    }
}

/// The values of `--require`.
fn required(arguments: &[OsString]) -> Vec<String> {
    let mut names = Vec::new();
    let mut words = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        match word.strip_prefix("--require") {
            Some("") => names.extend(words.next().map(|name| name.into_owned())),
            Some(rest) => names.extend(rest.strip_prefix('=').map(str::to_owned)),
            None => {}
        }
    }
    names
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
        assert_eq!(split.over.series, [PathBuf::from("v3.mbox")]);
        assert_eq!(split.kernels, ["7.3"]);
        assert_eq!(split.rest, ["stage"]);
    }

    #[test]
    fn all_that_goes_over_a_kernel_is_kept_in_order() {
        let split = split_words("--series b --kconfig IMA_X --series=a --kconfig CONFIG_Y=n stage").unwrap();
        assert_eq!(split.over.series, ["b", "a"].map(PathBuf::from));
        assert_eq!(split.over.kconfig, ["IMA_X", "CONFIG_Y=n"]);
        assert_eq!(split.rest, ["stage"]);
    }

    #[test]
    fn a_tree_of_ones_own() {
        let split = split_words("--tree ../linux --keep-config --yes race").unwrap();
        let tree = Some(PathBuf::from("../linux"));
        let rest = vec!["race".into()];
        assert_eq!(split, Split { tree, keep_config: true, yes: true, rest, ..Split::default() });
    }

    #[test]
    fn the_harness_is_told_what_a_kernel_must_offer() {
        let mut image = Image { name: "7.3".into(), path: "/b".into(), offers: Vec::new(), stock: false };
        assert_eq!(image.demands(), Vec::<OsString>::new());
        image.offers = vec!["trim".into(), "staging".into()];
        image.stock = true;
        assert_eq!(image.demands(), ["--offers", "7.3=trim,staging", "--stock", "7.3"]);
    }

    #[rstest]
    #[case("stage --require trim --require=kexec --jobs 1", &["trim", "kexec"])]
    #[case("--required x -- --require y", &[])]
    #[case("--require", &[])]
    fn what_a_user_requires(#[case] line: &str, #[case] names: &[&str]) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        assert_eq!(required(&words), names);
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
    #[case("--tree a --tree b", "--tree is given twice")]
    #[case("--image a --image b", "--image is given twice")]
    #[case("--bisect a..b --bisect c..d --tree t", "--bisect is given twice")]
    #[case("--kconfig", "--kconfig needs a value")]
    #[case("--all-kernels --kconfig X", "--kconfig goes with --kernel, --tree or the default kernel")]
    #[case(
        "--tree t --keep-config --kconfig X",
        "--keep-config takes the .config as it is, and --kconfig changes it"
    )]
    #[case("--image a --series b", "--series goes with --kernel, --tree or the default kernel")]
    fn what_does_not_go(#[case] line: &str, #[case] message: &str) {
        assert_eq!(split_words(line).unwrap_err().to_string(), message);
    }
}
