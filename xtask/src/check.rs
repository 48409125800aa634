//! `cargo xtask check`: everything that has to hold before a change is handed in.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo;
use crate::doctor::{self, Use};
use crate::image;
use imalab_kernels::apt::Refresh;
use imalab_kernels::cache::Cache;
use imalab_kernels::guard;
use imalab_kernels::process;
use imalab_kernels::stop::Stop;
use imalab_kernels::{Kernels, Over};

/// Arguments of `cargo xtask check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install what is missing on this machine, with sudo when not root
    #[arg(long)]
    yes: bool,
}

/// Where tests that boot a machine find the kernel's bzImage.
const KERNEL: &str = "IMALAB_KERNEL";
/// Where the test of our KTAP finds the kernel's own reader of it.
const KUNIT: &str = "IMALAB_KUNIT";
/// Where the test that asks Keylime finds a Python that has it.
const KEYLIME: &str = "IMALAB_KEYLIME";
/// What Keylime's IMA module imports; the package itself names none of it.
const KEYLIME_PACKAGES: &[&str] = &[
    "keylime==7.14.3",
    "cryptography==50.0.2",
    "jsonschema==4.26.0",
    "lark==1.3.1",
    "packaging==26.3",
    "pyyaml==6.0.3",
];
/// Where the tests that look quotes up find the kernel's files.
const SOURCES: &str = "IMALAB_SOURCES";
/// Where they find the initramfs.
const INITRAMFS: &str = "IMALAB_INITRAMFS";
/// Where they find those in which the log keeper stages and trims.
const KEEPER_STAGE: &str = "IMALAB_KEEPER_STAGE";
const KEEPER_TRIM: &str = "IMALAB_KEEPER_TRIM";
/// Where they find the kernel with FUSE, and the initramfs of old readers.
const KERNEL_FUSE: &str = "IMALAB_KERNEL_FUSE";
const VIEW: &str = "IMALAB_VIEW";

/// Runs `cargo xtask check`; stops at the first thing that does not hold.
pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    heading("tools");
    doctor::ensure(args.yes, Use::ALL)?;
    println!("all there");
    let made = made_modules(root)?;
    let format = ["fmt", "--all", "--check", "--"].into_iter().chain(made.iter().map(String::as_str));
    step(root, "format", &format.collect::<Vec<_>>(), &[])?;
    step(
        root,
        "clippy",
        &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"],
        &[],
    )?;
    let warnings_denied = [("RUSTDOCFLAGS", Path::new("--deny warnings"))];
    step(root, "documentation", &["doc", "--workspace", "--no-deps", "--locked"], &warnings_denied)?;
    step(root, "fuzz targets", FUZZ, &[])?;
    let left_out = dependencies(root)?;
    heading("workflows");
    let mut validate = guard::command(root.join(".ci/validate-workflows"));
    succeed(&mut validate, "workflows")?;
    heading("kernel and image");
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let kernel = kernels.ensure(None, &Over::default(), Refresh::WhenStale)?;
    let fuse = kernels.ensure(Some("mainline+userspace"), &Over::default(), Refresh::WhenStale)?.image();
    let sources = kernel.quoted(&cache)?;
    let kunit = kernel.kunit();
    let kernel = kernel.image();
    let initramfs = image::ensure(root, &cache)?;
    let keeper_stage = image::ensure_keeper(root, &cache, "stage")?;
    let keeper_trim = image::ensure_keeper(root, &cache, "trim")?;
    let view = image::ensure_view(root, &cache)?;
    println!("{}\n{}", kernel.display(), initramfs.display());
    let keylime = keylime(root)?;
    let places = [
        (KERNEL, kernel.as_path()),
        (INITRAMFS, &initramfs),
        (KEEPER_STAGE, &keeper_stage),
        (KEEPER_TRIM, &keeper_trim),
        (KERNEL_FUSE, &fuse),
        (VIEW, &view),
        (KUNIT, &kunit),
        (KEYLIME, &keylime),
        (SOURCES, &sources),
    ];
    // Which QEMU loads in tests of the deterministic lane.
    step(root, "plugin", &["build", "--package", "imalab-plugin", "--locked"], &[])?;
    step(root, "tests", &["test", "--workspace", "--locked", "--no-fail-fast"], &places)?;
    match left_out {
        None => println!("\nall checks passed"),
        Some(left_out) => println!("\nall checks that ran passed; {left_out}"),
    }
    Ok(())
}

/// Files of modules that a macro makes: the invariants. rustfmt goes by `mod` and expands no macro.
fn made_modules(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("harness/check/src");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path.display().to_string());
        }
    }
    Ok(files)
}

/// Builds the targets as far as a stable compiler does; fuzzing itself takes a nightly one.
const FUZZ: &[&str] = &[
    "check",
    "--manifest-path",
    "harness/fuzz/Cargo.toml",
    "--locked",
    "--no-default-features",
    "--target-dir",
    "target/fuzz",
];

/// Has cargo-deny look at what we depend on, by `deny.toml`. Nothing is fetched. Gives what was not checked.
fn dependencies(root: &Path) -> Result<Option<String>> {
    heading("dependencies");
    if process::stdout_of(cargo::command(root).args(["deny", "--version"])).is_err() {
        let left_out =
            "dependencies were not checked: cargo-deny is not installed (cargo install --locked cargo-deny)";
        println!("{left_out}");
        return Ok(Some(left_out.to_owned()));
    }
    let mut deny = cargo::command(root);
    deny.args(["deny", "--offline", "check", "bans", "licenses", "sources"]);
    let left_out = if has_advisories() {
        deny.arg("advisories");
        None
    } else {
        let left_out = "advisories were not checked: there is no database (cargo deny fetch)";
        println!("{left_out}");
        Some(left_out.to_owned())
    };
    succeed(&mut deny, "dependencies")?;
    Ok(left_out)
}

/// Whether cargo-deny has ever fetched its database, into the place where it looks by default.
fn has_advisories() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let databases = home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok());
    databases.is_some_and(|found| found.flatten().any(|entry| entry.path().is_dir()))
}

/// A Python with Keylime in an environment of its own.
fn keylime(root: &Path) -> Result<PathBuf> {
    heading("keylime");
    let mut command = guard::command(root.join(".ci/venv"));
    let output = process::stdout_of(command.arg("keylime").args(KEYLIME_PACKAGES))?;
    let python = Path::new(output.trim_end()).join("bin/python");
    println!("{}", python.display());
    Ok(python)
}

fn heading(title: &str) {
    println!("\n== {title}");
}

fn step(root: &Path, title: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Result<()> {
    heading(title);
    let mut command = cargo::command(root);
    command.args(arguments).envs(environment.iter().copied());
    succeed(&mut command, title)
}

fn succeed(command: &mut Command, title: &str) -> Result<()> {
    let status = process::run(command)?;
    if status.success() {
        Ok(())
    } else {
        Err(Stop::Child { what: title.to_owned(), code: guard::exit_code(status) }.into())
    }
}
