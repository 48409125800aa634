//! `imalab repro`: the failure of a bundle, shown again.

use std::path::{Path, PathBuf};

use clap::Args;
use miette::miette;

use super::Failure;
use super::lane::proved_plugin;
use super::machines::Surroundings;
use super::recheck::{sound, tell};
use crate::report::run_dir::{HashedFile, PLAN, RESULT, RunDir, SCHEDULE, hash_file};
use crate::report::{Exit, print};
use crate::suite;
use imalab_language::lane::Lane;
use imalab_machine::accel::Accel;
use imalab_run::{Kernel, RunContext, Seeded};
use imalab_schedule::Strategy;

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
    let lane = match bundle.lane {
        Lane::Deterministic => Some(Again::of(&dir, bundle.seed, &args.surroundings)?),
        Lane::Free | Lane::Directed => None,
    };
    let accel = lane.as_ref().map_or_else(|| args.surroundings.accelerator().accel, |_| Accel::Tcg);
    let context = RunContext {
        kernel,
        initramfs,
        kernels: &others,
        accel,
        qemu: &args.surroundings.qemu,
        swtpm: &args.surroundings.swtpm,
        timeout_scale: 1.0,
        scratch: &scratch,
        interrupts: &interrupts,
        seeded: lane.as_ref().map(Again::seeded),
        forks: None,
    };
    let ran = match imalab_run::run(&plan, context) {
        Ok(ran) => ran,
        Err(_) if interrupts.seen() => return Ok(Exit::Interrupted),
        Err(error) => return Err(Failure::setup(error)),
    };
    let before = result.schedule_hash.take();
    suite::times(&ran, &mut result);
    imalab_check::digest(&plan, &ran.trace).judge(suite::today()).put_into(&mut result);
    result.console_tail = imalab_run::console_tail(&ran.trace);
    suite::note_schedule(&ran, &mut result);
    let after = result.schedule_hash.clone();
    let told = tell(result, interrupts.seen())?;
    // Another kernel or agent has another schedule.
    let other = args.image.is_some() || args.initramfs.is_some();
    if lane.is_none() || interrupts.seen() || other {
        return Ok(told);
    }
    compared(before.as_deref(), after.as_deref())?;
    Ok(told)
}

/// Fails when the schedule was not the bundle's; says so where nobody can tell.
fn compared(before: Option<&str>, after: Option<&str>) -> Result<(), Failure> {
    let infra = |error| Failure { exit: Exit::Infra, error };
    match (before, after) {
        (Some(before), Some(after)) if before == after => Ok(()),
        (Some(before), Some(after)) => Err(infra(miette!(
            help = "what it shows is not what the bundle's run was: this is a defect of imalab or QEMU, not of the kernel",
            "the same schedule gave another run: its hash was {before}, now it is {after}"
        ))),
        (Some(before), None) => Err(infra(miette!(
            help = "the bundle's run came to its end and this one did not",
            "the schedule of this run is not known, so it cannot be told whether it is the bundle's, {before}"
        ))),
        (None, _) => {
            print::note("the schedule of the bundle's run is not known, so the two cannot be compared");
            Ok(())
        }
    }
}

/// A run in the deterministic lane, as it was.
struct Again {
    seed: u64,
    strategy: Strategy,
    plugin: PathBuf,
}

impl Again {
    fn of(dir: &RunDir, seed: u64, surroundings: &Surroundings) -> Result<Again, Failure> {
        let Some(schedule) = dir.read_schedule().map_err(Failure::of_file)? else {
            return Err(Failure::usage(miette!(
                help = "its QEMU was killed before it told the schedule; `test --lane deterministic --seed N` runs a seed again",
                "the bundle of a run in the deterministic lane has no {SCHEDULE}"
            )));
        };
        // The list says the same as seed and chance together, and goes on saying it when a later version draws otherwise.
        let strategy = Strategy::List { choices: schedule.choices() };
        Ok(Again { seed, strategy, plugin: proved_plugin(surroundings)? })
    }

    fn seeded(&self) -> Seeded<'_> {
        Seeded { seed: self.seed, strategy: &self.strategy, plugin: &self.plugin }
    }
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same(Some("aa"), Some("aa"), None)]
    #[case::another(Some("aa"), Some("bb"), Some("its hash was aa, now it is bb"))]
    #[case::cut_off(Some("aa"), None, Some("is not known"))]
    #[case::nothing_to_compare(None, Some("aa"), None)]
    fn a_schedule_is_the_bundles_or_it_is_said(
        #[case] before: Option<&str>,
        #[case] after: Option<&str>,
        #[case] told: Option<&str>,
    ) {
        match (compared(before, after), told) {
            (Ok(()), None) => {}
            (Err(failure), Some(told)) => {
                assert_eq!(failure.exit, Exit::Infra);
                assert!(failure.error.to_string().contains(told), "{}", failure.error);
            }
            (compared, _) => panic!("{:?}", compared.err().map(|failure| failure.error)),
        }
    }
}
