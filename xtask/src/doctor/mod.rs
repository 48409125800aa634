//! `cargo xtask doctor`: what this machine lacks, and the one line that brings it.

mod accelerator;
mod install;
pub(crate) mod requirement;
pub(crate) mod toolbox;

use std::path::Path;

use anyhow::{Result, bail};

use imalab_kernels::cache::{self, Cache};
use imalab_kernels::say::say;
use install::Host;
pub(crate) use requirement::Use;
use requirement::{ALL, Places, Probe, Requirement, packages};
use toolbox::Toolbox;

/// Arguments of `cargo xtask doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install what is missing, with sudo when not root; nothing is removed or upgraded for it. What the machine cannot take
    /// is unpacked into the cache
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
    let missing = places.missing(Use::ALL);
    println!("tools         {} of {} there", ALL.len() - missing.len(), ALL.len());
    bring(&places, missing, args.yes)
}

/// Makes sure that what `uses` need is there, without the report; `yes` installs what is not.
///
/// # Errors
/// When something is missing afterwards.
pub(crate) fn ensure(yes: bool, uses: &[Use]) -> Result<()> {
    let places = Places::of_this_machine();
    let missing = places.missing(uses);
    match (missing.is_empty(), yes) {
        (true, _) => Ok(()),
        (false, false) => bring(&places, missing, false),
        // Whatever is used next is there then, too, and there is one folder of tools.
        (false, true) => bring(&places, places.missing(Use::ALL), true),
    }
}

/// Starts this program again with what was unpacked for this machine, if anything was; comes back when there is nothing, or no
/// need.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn enter_toolbox() -> Result<()> {
    let missing = Places::of_this_machine().missing(Use::ALL);
    if missing.is_empty() { Ok(()) } else { Toolbox::enter_if_made(&Cache::open()?, &packages(&missing)) }
}

fn bring(places: &Places, missing: Vec<&Requirement>, yes: bool) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let names = packages(&missing);
    let cache = Cache::open()?;
    say!("missing:");
    for requirement in &missing {
        say!("  {:<34} {:<22} {}", requirement.probe.to_string(), requirement.package, requirement.purpose);
    }
    if !places.have(Probe::Program("apt-get")) {
        bail!(
            "{} thing(s) missing, and no apt-get to bring them: install them as this system does; the packages are \
             Debian's names",
            missing.len()
        );
    }
    let host = Host { sudo: !nix::unistd::geteuid().is_root(), ..Host::default() };
    if !yes {
        let line = host.line(&names);
        bail!("{} thing(s) missing; bring them with --yes or with\n  {line}", missing.len());
    }
    if host.sudo && !places.have(Probe::Program("sudo")) {
        say!("neither root nor sudo: nothing can be installed");
        match Toolbox::make_and_enter(&cache, &names)? {}
    }
    if let Err(error) = host.install(&names)? {
        say!("{error:#}\ninstead, they are unpacked into the cache");
        match Toolbox::make_and_enter(&cache, &names)? {}
    }
    let still = places.missing(Use::ALL);
    if !still.is_empty() {
        let names: Vec<String> = still.iter().map(|requirement| requirement.probe.to_string()).collect();
        bail!("installed, and still missing: {}", names.join(", "));
    }
    Ok(())
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
    if let Some(toolbox) = Toolbox::entered() {
        println!("tools of ours {}", toolbox.root().display());
    }
    println!("accelerator   {}", accelerator::accelerator(root));
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

    #[test]
    fn this_machine_has_memory() {
        let (total, available) = memory().unwrap();
        assert!(total >= available && available > 0);
    }
}
