//! git as a tool: nothing of the user's settings, hooks, attributes or repositories has a say in what it does.

use std::path::Path;
use std::process::Command;

use crate::guard;

/// Settings that a repository, even a stranger's, cannot change back: those of the command line count most.
const SETTINGS: &[&str] = &[
    "user.name=imalab",
    "user.email=imalab@localhost",
    "commit.gpgSign=false",
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.fileMode=true",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.symlinks=true",
    "core.sparseCheckout=false",
    "gc.auto=0",
    "protocol.allow=never",
];

/// A git that works in `folder`, or in the repository that begins there, and in none above it.
pub(super) fn command(folder: &Path) -> Command {
    let mut command = guard::command("git");
    command.env_clear();
    // The guard before git is this program, which may find its libraries by the last one alone.
    command.envs(
        ["PATH", "TMPDIR", "LD_LIBRARY_PATH"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command.env("LC_ALL", "C").env("HOME", "/nonexistent");
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1");
    command.envs(folder.parent().map(|above| ("GIT_CEILING_DIRECTORIES", above)));
    command.arg("-C").arg(folder);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command
}
