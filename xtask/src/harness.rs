//! Calling the harness's own command, `imalab`, with everything it needs built first.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo;
use crate::doctor::{self, Use};
use crate::flags::{OUR_FLAGS, Split, split};
use crate::image;
use imalab_kernels::cache::Cache;
use imalab_kernels::checkout::CHECKOUT;
use imalab_kernels::choice::Chosen;
use imalab_kernels::interrupt;
use imalab_kernels::process;
use imalab_kernels::stop::Stop;
use imalab_kernels::{Kernels, Over};

/// Tells the harness by what name people call it.
const FRONT: &str = "IMALAB_FRONT";
const NAME: &str = "cargo xtask";

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
    /// What machines run in, and nothing that we build.
    Surroundings,
}

/// How the harness is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build; what is hot in it is optimised all the same.
    Dev,
    /// For measuring.
    Release,
}

/// What the host is asked for. Help is asked for before anything else is there.
fn uses(needs: Needs, split: &Split, help: bool) -> Vec<Use> {
    let mut uses = vec![Use::Rust, Use::Harness];
    if help || matches!(needs, Needs::Nothing | Needs::Scenarios) {
        return uses;
    }
    uses.push(Use::Machine);
    let builds = match needs {
        Needs::Bundle => split.choice.names_a_kernel(),
        Needs::Surroundings => false,
        _ => true,
    };
    if builds && split.choice.image.is_none() {
        uses.push(Use::Kernel);
        if split.choice.tree.is_none() {
            uses.push(Use::Source);
        }
    }
    uses
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
    doctor::ensure(split.yes, &uses(needs, &split, help))?;
    let harness = build(root, profile)?;
    if needs == Needs::Suite && !help {
        // Before a kernel is built: that takes minutes.
        known_capabilities(&harness, &kernels, &split)?;
    }
    let mut command = Command::new(harness);
    // libtss2 would print on stderr what the harness reports itself (tpm2-tss, doc/logging.md).
    command.arg(name).env("TSS2_LOG", "all+NONE").env(CHECKOUT, root).env(FRONT, NAME);
    if help {
        println!("{OUR_FLAGS}\n");
    } else {
        command.args(inputs(root, &cache, &kernels, &split, needs)?);
    }
    command.args(&split.rest);
    interrupt::check()?;
    Err(command.exec()).with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Builds the offline verifier, which is small and needs no library of the system, and becomes it. Returns only when that
/// failed.
pub(crate) fn exec_verify(root: &Path, arguments: Vec<OsString>) -> Result<std::convert::Infallible> {
    let split = split(arguments, |_| false)?;
    doctor::ensure(split.yes, &[Use::Rust])?;
    let mut build = cargo::command(root);
    build.args(["build", "--package", VERIFIER, "--bin", VERIFIER, "--release"]);
    let mut command = Command::new(cargo::build(&mut build, VERIFIER)?.path);
    interrupt::check()?;
    Err(command.args(split.rest).exec())
        .with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Package and program.
const VERIFIER: &str = "imalab-verify";

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
        Needs::Nothing | Needs::Scenarios | Needs::Surroundings => {}
        Needs::Bundle => {
            if !split.choice.names_a_kernel() && split.choice.over != Over::default() {
                let message =
                    "--series and --kconfig go with --kernel or --tree here: a bundle names its kernel";
                return Err(Stop::Usage(message.into()).into());
            }
            // Where the harness finds it by its digest, if it is still the bundle's.
            image::ensure(root, cache)?;
            if split.choice.names_a_kernel() {
                for given in kernels.chosen(&split.choice)? {
                    arguments.extend(["--image".into(), given.path.into()]);
                }
            }
        }
        Needs::Suite | Needs::Bench | Needs::Machine => {
            for given in kernels.chosen(&split.choice)? {
                let mut pair = OsString::from(format!("{}=", given.name));
                pair.push(&given.path);
                arguments.extend(["--kernel-image".into(), pair]);
                if needs == Needs::Suite {
                    arguments.extend(demands(&given));
                }
            }
            arguments.extend(["--initramfs".into(), image::ensure(root, cache)?.into()]);
        }
    }
    if matches!(needs, Needs::Suite | Needs::Bench | Needs::Scenarios) && !gives(&split.rest, "--scenarios") {
        arguments.extend(["--scenarios".into(), root.join("scenarios").into()]);
    }
    Ok(arguments)
}

/// What the harness is told to demand of a kernel.
fn demands(kernel: &Chosen) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if !kernel.offers.is_empty() {
        let offers = format!("{}={}", kernel.name, kernel.offers.join(","));
        arguments.extend(["--offers".into(), offers.into()]);
    }
    if kernel.stock {
        arguments.extend(["--stock".into(), kernel.name.as_str().into()]);
    }
    arguments
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
            "{place}: `{}` is not a capability; there are {}",
            name.escape_debug(),
            known.join(", ")
        ))
        .into()),
        None => Ok(()),
    }
}

/// Whether `option` is among the arguments.
fn gives(arguments: &[OsString], option: &str) -> bool {
    let mut words = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    words.any(|word| word.split('=').next() == Some(option))
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
    // The plugin of the deterministic lane lies beside the program, where that looks for it.
    command.args(["build", "--package", "imalab", "--package", "imalab-plugin", "--bin", "imalab", "--lib"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    Ok(cargo::build(&mut command, "imalab")?.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_harness_is_told_what_a_kernel_must_offer() {
        let mut image = Chosen { name: "7.3".into(), path: "/b".into(), offers: Vec::new(), stock: false };
        assert_eq!(demands(&image), Vec::<OsString>::new());
        image.offers = vec!["trim".into(), "staging".into()];
        image.stock = true;
        assert_eq!(demands(&image), ["--offers", "7.3=trim,staging", "--stock", "7.3"]);
    }

    #[rstest]
    #[case(Needs::Scenarios, "", &[])]
    #[case(Needs::Suite, "--help", &[])]
    #[case(Needs::Surroundings, "bundle", &[Use::Machine])]
    #[case(Needs::Bundle, "bundle", &[Use::Machine])]
    #[case(Needs::Bundle, "bundle --tree linux", &[Use::Machine, Use::Kernel])]
    #[case(Needs::Suite, "--image bzImage", &[Use::Machine])]
    #[case(Needs::Suite, "--tree linux", &[Use::Machine, Use::Kernel])]
    #[case(Needs::Suite, "stage", &[Use::Machine, Use::Kernel, Use::Source])]
    #[case(Needs::Bench, "--kernel 7.3", &[Use::Machine, Use::Kernel, Use::Source])]
    fn the_host_is_asked_for_what_is_used(#[case] needs: Needs, #[case] line: &str, #[case] more: &[Use]) {
        let words = line.split_whitespace().map(OsString::from).collect();
        let found = uses(needs, &split(words, |_| false).unwrap(), line.contains("--help"));
        assert_eq!(found, [&[Use::Rust, Use::Harness], more].concat());
    }

    #[rstest]
    #[case("stage --scenarios mine", true)]
    #[case("--scenarios=mine", true)]
    #[case("stage -- --scenarios mine", false)]
    #[case("stage --scenario mine", false)]
    fn a_folder_of_scenarios_of_ones_own_is_seen(#[case] line: &str, #[case] given: bool) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        assert_eq!(gives(&words, "--scenarios"), given);
    }

    #[rstest]
    #[case("stage --require trim --require=kexec --jobs 1", &["trim", "kexec"])]
    #[case("--required x -- --require y", &[])]
    #[case("--require", &[])]
    fn what_a_user_requires(#[case] line: &str, #[case] names: &[&str]) {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        assert_eq!(required(&words), names);
    }
}
