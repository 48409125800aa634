//! Which lane, and what the deterministic one takes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use miette::miette;

use super::Failure;
use super::machines::Surroundings;
use crate::report::{Exit, chain};
use crate::suite::{DEFAULT_WAY, SeededLane};
use imalab_check::outcome::Boot;
use imalab_language::lane::Lane;
use imalab_machine::accel::{Accel, Choice};
use imalab_machine::lane::{self, LaneError};
use imalab_run::Kernel;
use imalab_schedule::Way;

/// The plugin's file, as cargo builds it.
const PLUGIN: &str = "libimalab_plugin.so";

#[derive(Args)]
#[command(next_help_heading = "Schedules")]
pub(super) struct LaneArgs {
    /// How guest CPUs are scheduled: `free` (by the host) or `deterministic` (one at a time, by the seed)
    #[arg(long, value_name = "LANE", default_value_t)]
    pub lane: Lane,
    /// Run each scenario under N schedules, with N seeds starting at --seed (deterministic lane)
    #[arg(long, value_name = "N", conflicts_with_all = ["repeat", "rerun_failed"], value_parser = clap::value_parser!(u32).range(1..))]
    pub schedules: Option<u32>,
    /// Scheduling strategy (deterministic lane): `random:N` preempts a CPU at one in N blocks of IMA's code (0: never);
    /// `pct:N` gives CPUs priorities and changes them at N - 1 blocks; `one` and `two` hold a CPU at one or two blocks,
    /// which the seed selects; default: random:10
    #[arg(long, value_name = "STRATEGY", value_parser = Way::from_str)]
    pub strategy: Option<Way>,
    /// Take any QEMU that loads the plugin, also one that nobody has proved: `bench determinism` proves it
    #[arg(long, hide = true)]
    pub unproved: bool,
}

impl LaneArgs {
    /// Refuses a lane that is not there, and what only one lane can do in another.
    pub(super) fn check(&self, dry_run: bool) -> Result<(), Failure> {
        let seeded = self.lane.implemented().map_err(Failure::usage_of)? == Lane::Deterministic;
        if self.schedules.is_some() && !seeded {
            return Err(Failure::usage(miette!(
                help = "`--lane deterministic` tries schedules; `--repeat` runs a scenario again in any lane",
                "--schedules is for the deterministic lane"
            )));
        }
        if self.strategy.is_some() && !seeded {
            return Err(Failure::usage(miette!(
                help = "in the other lanes nothing is decided by a strategy",
                "--strategy is for the deterministic lane"
            )));
        }
        if dry_run && seeded {
            return Err(Failure::usage(miette!(
                help = "`commands.txt` of a run below `--out` has its command lines",
                "--dry-run cannot print a machine of the deterministic lane: its plugin gets an order that each run writes"
            )));
        }
        Ok(())
    }

    /// What the deterministic lane takes, once all that it needs is seen to be there; `None` in the others.
    pub(super) fn seeded(
        &self,
        surroundings: &Surroundings,
        kernels: &[Kernel],
    ) -> Result<Option<SeededLane>, Failure> {
        if self.lane != Lane::Deterministic {
            return Ok(None);
        }
        let plugin = plugin(surroundings, self.unproved)?;
        for kernel in kernels {
            if let Err(error) = imalab_run::has_symbols(&kernel.image) {
                let help = "the builds of `imalab kernel` have a System.map beside the image";
                return Err(Failure::usage(miette!(
                    help = help,
                    "kernel {}: {}",
                    kernel.name,
                    chain(&error)
                )));
            }
        }
        Ok(Some(SeededLane::new(plugin, self.strategy)))
    }

    /// How a seed decides, in the deterministic lane.
    fn way(&self) -> Way {
        self.strategy.unwrap_or(DEFAULT_WAY)
    }

    /// The strategy of the lane that was asked for; `None` in a lane without any.
    pub(super) fn strategy(&self) -> Option<String> {
        (self.lane == Lane::Deterministic).then(|| self.way().to_string())
    }

    /// How guests come to their agents' first messages where nobody says.
    pub(super) fn boot(&self) -> Boot {
        match self.lane {
            Lane::Deterministic => Boot::Fork,
            Lane::Free | Lane::Directed => Boot::Cold,
        }
    }

    /// The accelerator, and why this one.
    pub(super) fn accelerator(&self, surroundings: &Surroundings) -> Choice {
        match self.lane {
            Lane::Deterministic => {
                Choice { accel: Accel::Tcg, reason: "the deterministic lane counts instructions".into() }
            }
            Lane::Free | Lane::Directed => surroundings.accelerator(),
        }
    }
}

/// The plugin for the deterministic lane, once QEMU was seen to be one to trust with it and to load it.
pub(super) fn proved_plugin(surroundings: &Surroundings) -> Result<PathBuf, Failure> {
    plugin(surroundings, false)
}

/// The same, where `unproved` also with a QEMU that nobody has seen to be one to trust.
fn plugin(surroundings: &Surroundings, unproved: bool) -> Result<PathBuf, Failure> {
    if surroundings.accel == Some(Accel::Kvm) {
        return Err(Failure::usage(miette!(
            help = "only QEMU's translator, tcg, counts instructions",
            "the deterministic lane cannot run with --accel kvm"
        )));
    }
    let own = || Some(std::env::current_exe().ok()?.with_file_name(PLUGIN));
    let plugin = surroundings.plugin.clone().or_else(own).unwrap_or_else(|| PLUGIN.into());
    // QEMU is started in another folder.
    let plugin = std::path::absolute(&plugin).unwrap_or(plugin);
    match lane::prove(&surroundings.qemu, &plugin, unproved) {
        Ok(_) => Ok(plugin),
        Err(error) => {
            let exit = match error {
                LaneError::NotProved { .. } | LaneError::NoPlugin(_) => Exit::Usage,
                _ => Exit::Infra,
            };
            let text = chain(&error);
            let error = match error.hint() {
                Some(hint) => miette!(help = hint, "{text}"),
                None => miette!("{text}"),
            };
            Err(Failure { exit, error })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(lane: Lane, schedules: Option<u32>) -> LaneArgs {
        LaneArgs { lane, schedules, strategy: None, unproved: false }
    }

    fn message(checked: Result<(), Failure>) -> String {
        checked.err().map(|failure| failure.error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_only_one_lane_can_do_is_refused_in_the_others() {
        assert_eq!(message(args(Lane::Free, None).check(true)), "");
        assert_eq!(message(args(Lane::Deterministic, Some(3)).check(false)), "");
        let free = message(args(Lane::Free, Some(3)).check(false));
        assert_eq!(free, "--schedules is for the deterministic lane");
        let strategy = Some(Way::Pct { depth: 2 });
        let free = message(LaneArgs { strategy, ..args(Lane::Free, None) }.check(false));
        assert_eq!(free, "--strategy is for the deterministic lane");
        assert_eq!(message(LaneArgs { strategy, ..args(Lane::Deterministic, None) }.check(false)), "");
        assert!(message(args(Lane::Deterministic, None).check(true)).starts_with("--dry-run cannot"));
        assert!(message(args(Lane::Directed, None).check(false)).contains("not implemented"));
    }
}
