//! `cargo xtask doctor`: what this machine lacks, and the one line that brings it.

pub(crate) mod requirement;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{self, Cache};
use requirement::{ALL, Places, Requirement, packages};

/// Arguments of `cargo xtask doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install what is missing, with sudo when not root
    #[arg(long)]
    yes: bool,
}

/// Runs `cargo xtask doctor`.
///
/// # Errors
/// When something is missing afterwards.
pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    describe_machine(&Cache::open()?, root)?;
    let places = Places::of_this_machine();
    let missing = places.missing(ALL);
    println!("tools         {} of {} there", ALL.len() - missing.len(), ALL.len());
    bring(&places, missing, args.yes)
}

/// Makes sure that everything is there, without the report; `yes` installs what is not.
///
/// # Errors
/// When something is missing afterwards.
pub(crate) fn ensure(yes: bool) -> Result<()> {
    let places = Places::of_this_machine();
    let missing = places.missing(ALL);
    if missing.is_empty() { Ok(()) } else { bring(&places, missing, yes) }
}

fn bring(places: &Places, missing: Vec<&Requirement>, yes: bool) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("missing:");
    for requirement in &missing {
        eprintln!(
            "  {:<34} {:<22} {}",
            requirement.probe.to_string(),
            requirement.package,
            requirement.purpose
        );
    }
    let packages = packages(&missing);
    let sudo = !nix::unistd::geteuid().is_root();
    let line = install_line(&packages, sudo);
    if !yes {
        bail!("{} thing(s) missing; bring them with --yes or with\n  {line}", missing.len());
    }
    install(&packages, sudo)?;
    let still = places.missing(ALL);
    if !still.is_empty() {
        let names: Vec<String> = still.iter().map(|requirement| requirement.probe.to_string()).collect();
        bail!("installed, and still missing: {}", names.join(", "));
    }
    Ok(())
}

/// The line to paste.
fn install_line(packages: &[&str], sudo: bool) -> String {
    let prefix = if sudo { "sudo " } else { "" };
    format!("{prefix}apt-get install --yes --no-install-recommends {}", packages.join(" "))
}

fn install(packages: &[&str], sudo: bool) -> Result<()> {
    // A fresh machine or container image has no package lists, or old ones that name files long gone. An
    // update that fails for a third party's source does not matter if the install then works.
    if !apt(&["update", "--quiet"], sudo)? {
        eprintln!("warning: apt-get update failed; trying to install all the same");
    }
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend(packages);
    if !apt(&arguments, sudo)? {
        bail!("apt-get install failed; by hand: {}", install_line(packages, sudo));
    }
    Ok(())
}

/// Runs apt-get in the foreground: sudo may ask for a password, and apt must not be killed half-way.
fn apt(arguments: &[&str], sudo: bool) -> Result<bool> {
    let mut command = if sudo { Command::new("sudo") } else { Command::new("env") };
    // sudo would drop the variable; given to it as an argument it stays.
    command.arg("DEBIAN_FRONTEND=noninteractive").arg("apt-get").args(arguments);
    let status =
        command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    Ok(status.success())
}

fn describe_machine(cache: &Cache, root: &Path) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("cores         {cores}");
    if let Some((total, available)) = memory() {
        println!("memory        {} MiB, {} MiB of them free", total >> 10, available >> 10);
    }
    let free = cache::free_space(cache.root())?;
    println!("cache         {}", cache.root().display());
    println!(
        "              {} MiB used, {} MiB free on its disk",
        cache::size(cache.root())? >> 20,
        free >> 20
    );
    println!("accelerator   {}", crate::harness::accelerator(root));
    Ok(())
}

/// Total and available memory in KiB, from proc(5).
fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(true, "sudo apt-get install --yes --no-install-recommends flex bison")]
    #[case(false, "apt-get install --yes --no-install-recommends flex bison")]
    fn one_line_brings_it_all(#[case] sudo: bool, #[case] line: &str) {
        assert_eq!(install_line(&["flex", "bison"], sudo), line);
    }

    #[test]
    fn this_machine_has_memory() {
        let (total, available) = memory().unwrap();
        assert!(total >= available && available > 0);
    }
}
