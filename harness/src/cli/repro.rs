//! `imalab repro`: the failure of a bundle, shown again.

use std::path::PathBuf;

use clap::Args;
use miette::miette;

use super::Failure;
use super::again::Again;
use super::debugger::{self, Debugger};
use super::machines::Surroundings;
use super::recheck::tell;
use crate::report::{Exit, print};
use crate::suite;
use imalab_run::RunContext;

#[derive(Args)]
pub(super) struct ReproArgs {
    /// Bundle directory
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Boot this image instead of the one found by the bundle's digest
    #[arg(long, value_name = "BZIMAGE")]
    image: Option<PathBuf>,
    /// Use this initramfs instead of the one found by the bundle's digest
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
    #[command(flatten)]
    debugger: Debugger,
    #[command(flatten)]
    surroundings: Surroundings,
}

/// Runs a bundle's plan again and tells what became of it.
pub(super) fn repro(args: &ReproArgs) -> Result<Exit, Failure> {
    let again =
        Again::load(&args.bundle, args.image.as_deref(), args.initramfs.as_deref(), &args.surroundings)?;
    let debugger = args.debugger.port(again.bundle.lane, false)?;
    let (scratch, interrupts) = args.surroundings.claim()?;
    let strategy = again.strategy();
    let context = again.context(&args.surroundings, strategy.as_ref(), (&scratch, &interrupts));
    let context = RunContext { debugger, ..context };
    if let Some(port) = debugger {
        debugger::tell(again.image(), port);
    }
    let ran = match again.run(context) {
        Ok(ran) => ran,
        Err(_) if interrupts.seen() => return Ok(Exit::Interrupted),
        Err(failure) => return Err(failure),
    };
    let mut result = again.result.clone();
    let before = result.schedule_hash.take();
    suite::course(&ran, &mut result);
    imalab_check::digest(&imalab_check::with_observed(&again.plan, &ran.trace), &ran.trace)
        .judge(suite::today())
        .put_into(&mut result);
    result.console_tail = imalab_run::console_tail(&ran.trace);
    suite::note_schedule(&ran, &mut result);
    let after = result.schedule_hash.clone();
    let told = tell(result, interrupts.seen())?;
    // Another kernel or agent has another schedule.
    let other = !again.is_same_image();
    if strategy.is_none() || interrupts.seen() {
        return Ok(told);
    }
    if other {
        print::note("another kernel or agent has another schedule, so it was not compared with the bundle's");
        return Ok(told);
    }
    compared(before.as_deref(), after.as_deref())?;
    Ok(told)
}

/// Fails when the schedule was not the bundle's; says so where nobody can tell.
pub(super) fn compared(before: Option<&str>, after: Option<&str>) -> Result<(), Failure> {
    let infra = |error| Failure { exit: Exit::Infra, error };
    match (before, after) {
        (Some(before), Some(after)) if before == after => Ok(()),
        (Some(before), Some(after)) => Err(infra(miette!(
            help = "the replay differs from the bundle's run: this is a defect of imalab or QEMU, not of the kernel",
            "the same schedule gave a different run: its hash was {before}, now it is {after}"
        ))),
        (Some(before), None) => Err(infra(miette!(
            help = "the bundle's run completed and this one did not",
            "the schedule of this run is not known, so it cannot be compared with the bundle's, {before}"
        ))),
        (None, _) => {
            print::note("the schedule of the bundle's run is not known, so the two cannot be compared");
            Ok(())
        }
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
