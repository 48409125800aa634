//! What runs guests' code on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use imalab_kernels::process;

/// What the harness says about the accelerator, if it is built; it alone runs guest code to find out.
pub(super) fn accelerator(root: &Path) -> String {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = ["debug", "release"].map(|profile| target.join(profile).join("imalab"));
    let Some(path) = built.iter().find(|path| path.exists()) else {
        return "not probed yet: run cargo xtask test".into();
    };
    match process::stdout_of(Command::new(path).arg("accel")) {
        Ok(text) => {
            let text = text.trim();
            text.strip_prefix("accelerator ").unwrap_or(text).replace('\n', "\n              ")
        }
        Err(error) => format!("cannot be probed: {error:#}"),
    }
}
