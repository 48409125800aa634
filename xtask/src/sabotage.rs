//! `cargo xtask sabotage`: does the suite see a defect when there is one, and call it by its name?

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use imalab_kernels::Kernels;
use imalab_kernels::cache::Cache;
use imalab_kernels::guard;
use imalab_kernels::process;
use imalab_kernels::sabotage::{Sabotages, seen};
use imalab_kernels::say::tell;
use imalab_kernels::stop::Stop;

use crate::doctor::{self, Use};
use crate::harness::{self, Profile};
use crate::image;

/// Arguments of `cargo xtask sabotage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names from kernel-config/sabotage/sabotages.yaml (default: all)
    names: Vec<String>,
    /// Install what is missing on this machine, with sudo when not root
    #[arg(long)]
    yes: bool,
}

/// Builds each kernel and runs its scenario.
///
/// # Errors
/// When the suite did not see one of them.
pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    let sabotages = Sabotages::load(root)?;
    let asked_for = sabotages.named(&args.names)?;
    doctor::ensure(args.yes, Use::ALL)?;
    let cache = Cache::open()?;
    let kernels = Kernels::open(root, cache.clone())?;
    let harness = harness::build(root, Profile::Dev)?;
    let initramfs = image::ensure(root, &cache)?;
    let scratch = cache.scratch("sabotage")?;
    let mut unseen = Vec::new();
    for &(name, sabotage) in &asked_for {
        let kernel = sabotages.build(&kernels, name, sabotage)?;
        let results = scratch.path().join(format!("{name}.json"));
        let mut image = OsString::from(format!("{}=", kernel.name));
        image.push(kernel.image());
        let mut command = guard::command(&harness);
        command.env("TSS2_LOG", "all+NONE").args(["test", "--jobs", "1", "--kernel-image"]).arg(image);
        // A defect is no lack: what the kernel offers it offers all the same.
        for (_, offers) in kernels.offers().filter(|(known, _)| *known == sabotage.kernel) {
            command.args(offers.iter().flat_map(|name| ["--require", name]));
        }
        if let Some(promises) = &sabotage.promises {
            command.args(["--promises", promises]);
        }
        if let Some(lane) = &sabotage.lane {
            command.args(["--lane", lane]);
        }
        command.arg("--initramfs").arg(&initramfs).arg("--scenarios").arg(root.join("scenarios"));
        command.arg("--json").arg(&results).arg(&sabotage.scenario);
        // Its exit code says less than its results.
        process::run_logged(&mut command, &scratch.path().join(format!("{name}.log")), |_| {})?;
        match seen(sabotage, &results) {
            Ok(how) => tell!("{name}: {how}"),
            Err(error) => {
                tell!("{name}: NOT FOUND: {error:#}");
                unseen.push(name);
            }
        }
    }
    if unseen.is_empty() {
        Ok(())
    } else {
        let list = unseen.join(", ");
        Err(Stop::Finding(format!("{} of {} defects were not found: {list}", unseen.len(), asked_for.len()))
            .into())
    }
}
