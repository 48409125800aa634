//! `imalab repro`: the failure of a bundle, shown again.

use std::path::{Path, PathBuf};

use clap::Args;
use miette::miette;

use super::Failure;
use super::machines::Surroundings;
use super::recheck::{sound, tell};
use crate::report::Exit;
use crate::report::run_dir::{HashedFile, PLAN, RESULT, RunDir, hash_file};
use crate::suite;
use imalab_run::{Kernel, RunContext};

#[derive(Args)]
pub(super) struct ReproArgs {
    /// Bundle directory
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Boot this image instead of the one the bundle names
    #[arg(long, value_name = "BZIMAGE")]
    image: Option<PathBuf>,
    /// Use this initramfs instead of the one the bundle names
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
    #[command(flatten)]
    surroundings: Surroundings,
}

/// Runs a bundle's plan again and tells what became of it.
pub(super) fn repro(args: &ReproArgs) -> Result<Exit, Failure> {
    let dir = RunDir::existing(&args.bundle);
    let bundle = match sound(&dir, &[PLAN, RESULT])? {
        Some(bundle) => bundle,
        // Which says that there is none.
        None => dir.read_bundle().map_err(Failure::of_document)?,
    };
    bundle.lane.implemented().map_err(Failure::usage_of)?;
    let mut plan = dir.read_plan().map_err(Failure::of_document)?;
    // Another image is anybody's kernel.
    plan.stock &= args.image.is_none();
    let mut result = dir.read_result().map_err(Failure::of_document)?;
    let kernel = the_same(args.image.as_deref(), &bundle.kernel.image, "kernel")?;
    let initramfs = the_same(args.initramfs.as_deref(), &bundle.kernel.initramfs, "initramfs")?;

    let others = bundle
        .kernel
        .others
        .iter()
        .map(|(name, used)| {
            let image = the_same(None, used, "other kernel")?.to_owned();
            Ok(Kernel::new(name.clone(), image))
        })
        .collect::<Result<Vec<_>, Failure>>()?;

    let (scratch, interrupts) = args.surroundings.claim()?;
    let context = RunContext {
        kernel,
        initramfs,
        kernels: &others,
        accel: args.surroundings.accelerator().accel,
        qemu: &args.surroundings.qemu,
        swtpm: &args.surroundings.swtpm,
        timeout_scale: 1.0,
        scratch: &scratch,
        interrupts: &interrupts,
    };
    let ran = match imalab_run::run(&plan, context) {
        Ok(ran) => ran,
        Err(_) if interrupts.seen() => return Ok(Exit::Interrupted),
        Err(error) => return Err(Failure::setup(error)),
    };
    suite::times(&ran, &mut result);
    imalab_check::digest(&plan, &ran.trace).judge(suite::today()).put_into(&mut result);
    result.console_tail = imalab_run::console_tail(&ran.trace);
    tell(result, interrupts.seen())
}

/// The file that was asked for, or the bundle's when it still is what it was.
fn the_same<'a>(asked: Option<&'a Path>, used: &'a HashedFile, what: &str) -> Result<&'a Path, Failure> {
    if let Some(path) = asked {
        return Ok(path);
    }
    let help = match what {
        "kernel" => "--image takes another one",
        "initramfs" => "--initramfs takes another one",
        _ => "build it again as it was",
    };
    match hash_file(&used.path) {
        Ok(found) if found.sha256 == used.sha256 => Ok(&used.path),
        Ok(found) => Err(Failure::usage(miette!(
            help = help,
            "the bundle's {what} {} has changed: its sha256 was {}, now it is {}",
            used.path.display(),
            used.sha256,
            found.sha256
        ))),
        Err(error) => Err(Failure::usage(miette!(help = help, "the bundle's {what} is gone: {error}"))),
    }
}
