//! A run of a bundle, with all that it takes to run it again.

use std::path::{Path, PathBuf};

use miette::miette;

use super::Failure;
use super::bring::Places;
use super::lane::proved_plugin;
use super::machines::Surroundings;
use super::recheck::sound;
use crate::report::Exit;
use crate::report::run_dir::{Bundle, KernelUsed, PLAN, RESULT, RunDir, SCHEDULE};
use imalab_check::outcome::RunResult;
use imalab_files::atomic::FileError;
use imalab_language::lane::Lane;
use imalab_language::plan::Plan;
use imalab_machine::accel::Accel;
use imalab_run::{Booted, Forks, Interrupts, Kernel, Ran, RunContext, Scratch, Seeded};
use imalab_schedule::{Choice, Strategy};

/// A run of a bundle.
pub(super) struct Again {
    /// Its folder.
    pub(super) dir: RunDir,
    /// What it says of itself.
    pub(super) bundle: Bundle,
    /// What was done.
    pub(super) plan: Plan,
    /// What became of it.
    pub(super) result: RunResult,
    kernel: PathBuf,
    initramfs: PathBuf,
    others: Vec<Kernel>,
    /// In the deterministic lane, its schedule.
    seeded: Option<Schedule>,
    /// Whether kernel and image are the bundle's.
    is_same_image: bool,
}

struct Schedule {
    choices: Vec<Choice>,
    plugin: PathBuf,
    /// Name of the saved machine that it went on from, and where that one is made again.
    from: Option<(String, Forks)>,
}

impl Again {
    /// Reads a bundle that is sound, and finds what it names, or what is given instead.
    pub(super) fn load(
        bundle: &Path,
        image: Option<&Path>,
        initramfs: Option<&Path>,
        surroundings: &Surroundings,
    ) -> Result<Again, Failure> {
        let dir = RunDir::existing(bundle);
        let bundle = match sound(&dir, &[PLAN, RESULT])? {
            Some(bundle) => bundle,
            // Which says that there is none.
            None => dir.read_bundle().map_err(Failure::of_document)?,
        };
        bundle.lane.implemented().map_err(Failure::usage_of)?;
        let mut plan = dir.read_plan().map_err(Failure::of_document)?;
        let result = dir.read_result().map_err(Failure::of_document)?;
        let places = Places { dir: &dir, cache: &surroundings.cache };
        let used = &bundle.kernel;
        let kernel = places.kernel(image, used)?;
        let initramfs = places.initramfs(initramfs, &used.initramfs)?;
        let others = used.others.iter();
        let others = others
            .map(|(name, used)| Ok(Kernel::new(name.clone(), places.other(name, used)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        // Another image is anybody's kernel.
        plan.stock &= kernel.is_same;
        let is_same_image = kernel.is_same && initramfs.is_same;
        let (kernel, initramfs) = (kernel.path, initramfs.path);
        let seeded = match bundle.lane {
            Lane::Deterministic => Some(Schedule::of(&dir, surroundings)?),
            Lane::Free | Lane::Directed => None,
        };
        Ok(Again { dir, bundle, plan, result, kernel, initramfs, others, seeded, is_same_image })
    }

    /// In the deterministic lane, the list that says the same as seed and chance together, and goes on saying it when a later
    /// version draws otherwise.
    pub(super) fn strategy(&self) -> Option<Strategy> {
        self.choices().map(|choices| Strategy::List { choices: choices.to_vec() })
    }

    /// In the deterministic lane, what happened at which points.
    pub(super) fn choices(&self) -> Option<&[Choice]> {
        self.seeded.as_ref().map(|seeded| seeded.choices.as_slice())
    }

    /// Whether kernel and image are the bundle's.
    pub(super) fn is_same_image(&self) -> bool {
        self.is_same_image
    }

    /// What a new bundle says of kernel and image: the bundle's digests, and where they are here.
    pub(super) fn used(&self) -> Result<KernelUsed, FileError> {
        let used = &self.bundle.kernel;
        let others = self.others.iter().map(|other| (other.name.as_str(), other.image.as_path()));
        KernelUsed::of(&used.name, used.release.as_deref(), &self.kernel, &self.initramfs, others)
    }

    /// Its kernel's image.
    pub(super) fn image(&self) -> &Path {
        &self.kernel
    }

    /// What it runs in, under this strategy where it has a schedule.
    pub(super) fn context<'a>(
        &'a self,
        surroundings: &'a Surroundings,
        strategy: Option<&'a Strategy>,
        (scratch, interrupts): (&'a Scratch, &'a Interrupts),
    ) -> RunContext<'a> {
        let seeded = self.seeded.as_ref().zip(strategy);
        let seeded = seeded.map(|(schedule, strategy)| Seeded {
            seed: self.bundle.seed,
            strategy,
            plugin: &schedule.plugin,
            coverage: false,
        });
        RunContext {
            kernel: &self.kernel,
            initramfs: &self.initramfs,
            kernels: &self.others,
            accel: if seeded.is_some() { Accel::Tcg } else { surroundings.accelerator().accel },
            qemu: &surroundings.qemu,
            swtpm: &surroundings.swtpm,
            timeout_scale: 1.0,
            scratch,
            interrupts,
            seeded,
            forks: None,
            debugger: None,
        }
    }

    /// Runs it in such surroundings. In the deterministic lane a run that went on from a saved machine does so again.
    pub(super) fn run(&self, context: RunContext<'_>) -> Result<Ran, Failure> {
        let from = self.seeded.as_ref().and_then(|schedule| schedule.from.as_ref());
        let Some((name, forks)) = from.filter(|_| context.seeded.is_some()) else {
            return imalab_run::run(&self.plan, context).map_err(Failure::setup);
        };
        let infra = |error| Failure { exit: Exit::Infra, error };
        forks.expect(&self.plan, context, 1);
        let ran = imalab_run::run(&self.plan, RunContext { forks: Some(forks), ..context })
            .map_err(Failure::setup)?;
        if let Booted::Cold { because } = &ran.booted {
            let because = because.as_deref().unwrap_or("there is no reason");
            return Err(infra(miette!("the bundle's run is a fork of a saved machine: {because}")));
        }
        let found = ran.schedule.as_ref().and_then(|report| report.as_ref().ok()?.from.as_ref());
        match found {
            Some(found) if found != name && self.is_same_image => Err(infra(miette!(
                help = "the same kernel and image booted to another state: QEMU, swtpm or \
                        the build of imalab differ",
                "the saved machine of the bundle's run cannot be recreated: its name was {name}, now it is \
                 {found}"
            ))),
            _ => Ok(ran),
        }
    }
}

impl Schedule {
    fn of(dir: &RunDir, surroundings: &Surroundings) -> Result<Schedule, Failure> {
        let Some(schedule) = dir.read_schedule().map_err(Failure::of_file)? else {
            return Err(Failure::usage(miette!(
                help = "its QEMU was killed before it reported the schedule; `test --lane deterministic --seed N` runs a seed again",
                "the bundle of a run in the deterministic lane has no {SCHEDULE}"
            )));
        };
        let from = schedule.from.clone().map(|name| (name, Forks::default()));
        Ok(Schedule { choices: schedule.choices(), plugin: proved_plugin(surroundings)?, from })
    }
}
