//! Kernels by name, for the commands that boot them, and `imalab kernel`, `cache` and `image`.

use std::path::Path;

use miette::miette;

use super::Failure;
use crate::carried;
use crate::report::Exit;
use imalab_kernels::cache::Cache;
use imalab_kernels::choice::{Choice, Chosen};
use imalab_kernels::stop::Stop;
use imalab_kernels::{Kernels, cli, interrupt, keep};
use imalab_language::capability::Capability;
use imalab_run::Kernel;

impl Failure {
    /// What went wrong with kernels, with the exit code that belongs to it.
    pub(super) fn of_kernels(error: &anyhow::Error) -> Failure {
        let exit = match error.downcast_ref::<Stop>() {
            Some(Stop::Interrupted) => Exit::Interrupted,
            Some(Stop::Usage(_) | Stop::Unbuildable(_)) => Exit::Usage,
            Some(Stop::Finding(_)) => Exit::ScenarioFailed,
            Some(Stop::Child { .. }) | None => Exit::Infra,
        };
        Failure { exit, error: miette!("{error:#}") }
    }
}

/// Builds the kernels that are meant unless the cache has them.
pub(super) fn chosen(choice: &Choice, cache: &Path) -> Result<Vec<Kernel>, Failure> {
    let kernels = open(cache)?;
    // Before a kernel is built: that takes minutes.
    for (kernel, offers) in kernels.offers() {
        capabilities(kernel, offers)?;
    }
    let chosen = interrupt::during(|| kernels.chosen(choice)).map_err(|error| Failure::of_kernels(&error))?;
    chosen.into_iter().map(kernel).collect()
}

/// The kernels of the checkout that this is in, or of this program.
pub(super) fn open(cache: &Path) -> Result<Kernels, Failure> {
    let cache = || Cache::at(cache.to_path_buf());
    let open = || Kernels::open(&carried::home(cache()?.root())?, cache()?);
    open().map_err(|error| Failure::of_kernels(&error))
}

fn kernel(chosen: Chosen) -> Result<Kernel, Failure> {
    let offers = capabilities(&chosen.name, &chosen.offers)?;
    Ok(Kernel {
        name: chosen.name,
        image: chosen.path,
        offers: offers.into_iter().collect(),
        stock: chosen.stock,
    })
}

fn capabilities(kernel: &str, names: &[String]) -> Result<Vec<Capability>, Failure> {
    let parsed = names.iter().map(|name| name.parse::<Capability>());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::usage(miette!("kernel-config/kernels.yaml: `offers` of {kernel}: {error}")))
}

/// Lists, builds or finds kernels.
pub(super) fn act(action: cli::Action) -> Result<Exit, Failure> {
    let act = || {
        let home = carried::home(Cache::open()?.root())?;
        cli::run(action, &home)
    };
    interrupt::during(act).map(|()| Exit::Passed).map_err(|error| Failure::of_kernels(&error))
}

/// Shows what the cache holds, or makes room in it.
pub(super) fn keep(action: &keep::Action) -> Result<Exit, Failure> {
    let kept = Cache::open().and_then(|cache| keep::run(action, &cache));
    kept.map(|()| Exit::Passed).map_err(|error| Failure::of_kernels(&error))
}
