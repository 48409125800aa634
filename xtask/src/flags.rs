//! Flags of the front door in front of the harness's: what of a command line is whose.

use std::ffi::OsString;

use imalab_kernels::choice::Choice;
use imalab_kernels::stop::Stop;

/// What of a command line is ours, and what is the harness's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// Which kernels.
    pub(crate) choice: Choice,
    /// Ends of the range in which a commit is looked for.
    pub(crate) bisect: Option<String>,
    /// Install what is missing.
    pub(crate) yes: bool,
    /// All the rest, unchanged and in order.
    pub(crate) rest: Vec<OsString>,
}

/// The flags that [`split`] takes out, for `--help`.
pub(crate) const OUR_FLAGS: &str = "\
Flags of the front door beside those below. It builds the kernels that --kernel, --all-kernels, --tree, --series, --kconfig and
--image name, and after --kernel takes every further argument that is a kernel's name for one:
  --bisect GOOD..BAD  Find the commit of the tree since which a scenario fails (test alone)
  --yes               Install what is missing on this machine, with sudo when not root; remove and upgrade nothing

What a kernel of the list must offer is in kernel-config/kernels.yaml; --require says it of any other.

Everything else goes to the harness unchanged:";

/// Takes our flags out of `arguments`. After `--kernel`, every further argument that `is_kernel` knows is
/// a kernel too; `--` ends our part.
///
/// # Errors
/// [`Stop::Usage`] for a flag without its value, or flags that do not go together.
pub(crate) fn split(arguments: Vec<OsString>, is_kernel: impl Fn(&str) -> bool) -> Result<Split, Stop> {
    let mut split = Split::default();
    let choice = &mut split.choice;
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
                choice.names.extend(names.split(',').map(str::to_owned));
                while let Some(next) = arguments.next_if(|next| next.to_str().is_some_and(&is_kernel)) {
                    choice.names.push(next.to_string_lossy().into_owned());
                }
            }
            "--all-kernels" => choice.all_kernels = true,
            "--tree" => once(&flag, &mut choice.tree, value()?.into())?,
            "--series" => choice.over.series.push(value()?.into()),
            "--kconfig" => choice.over.kconfig.push(value()?.to_string_lossy().into_owned()),
            "--bisect" => once(&flag, &mut split.bisect, value()?.to_string_lossy().into_owned())?,
            "--image" => once(&flag, &mut choice.image, value()?.into())?,
            "--keep-config" => choice.keep_config = true,
            "--yes" => split.yes = true,
            _ => split.rest.push(argument),
        }
    }
    let ways = [!choice.names.is_empty(), choice.all_kernels, choice.tree.is_some(), choice.image.is_some()];
    if ways.into_iter().filter(|given| *given).count() > 1 {
        return Err(Stop::Usage(
            "--kernel, --all-kernels, --tree and --image are mutually exclusive; give one".into(),
        ));
    }
    let over = [("--series", choice.over.series.is_empty()), ("--kconfig", choice.over.kconfig.is_empty())];
    if let Some((flag, _)) = over.into_iter().find(|(_, unused)| !unused)
        && (choice.image.is_some() || choice.all_kernels)
    {
        return Err(Stop::Usage(format!("{flag} goes with --kernel, --tree or the default kernel")));
    }
    if choice.keep_config && !choice.over.kconfig.is_empty() {
        return Err(Stop::Usage("--keep-config takes the .config as it is, and --kconfig changes it".into()));
    }
    if choice.keep_config && choice.tree.is_none() {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
        assert_eq!(split.choice.names, kernels);
        assert_eq!(split.rest, rest.split_whitespace().map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_series_of_ones_own() {
        let split = split_words("--kernel 7.3 --series v3.mbox stage").unwrap();
        assert_eq!(split.choice.over.series, [PathBuf::from("v3.mbox")]);
        assert_eq!(split.choice.names, ["7.3"]);
        assert_eq!(split.rest, ["stage"]);
    }

    #[test]
    fn all_that_goes_over_a_kernel_is_kept_in_order() {
        let split = split_words("--series b --kconfig IMA_X --series=a --kconfig CONFIG_Y=n stage").unwrap();
        assert_eq!(split.choice.over.series, ["b", "a"].map(PathBuf::from));
        assert_eq!(split.choice.over.kconfig, ["IMA_X", "CONFIG_Y=n"]);
        assert_eq!(split.rest, ["stage"]);
    }

    #[test]
    fn a_tree_of_ones_own() {
        let split = split_words("--tree ../linux --keep-config --yes race").unwrap();
        let tree = Some(PathBuf::from("../linux"));
        let rest = vec!["race".into()];
        let choice = Choice { tree, keep_config: true, ..Choice::default() };
        assert_eq!(split, Split { choice, yes: true, rest, ..Split::default() });
    }

    #[rstest]
    #[case("--kernel", "--kernel needs a value")]
    #[case("--tree --yes", "--tree needs a value")]
    #[case("--keep-config", "--keep-config goes with --tree")]
    #[case(
        "--tree a --image b",
        "--kernel, --all-kernels, --tree and --image are mutually exclusive; give one"
    )]
    #[case(
        "--all-kernels --kernel 7.3",
        "--kernel, --all-kernels, --tree and --image are mutually exclusive; give one"
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
