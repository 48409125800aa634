//! Installing what is missing, and nothing else: no package of the machine is removed, upgraded or downgraded.
//!
//! apt has no flag for that: `--no-upgrade` holds for packages that the command line names, and what those depend on
//! may still be upgraded (apt-get(8)). So each package that is installed is pinned to its version, in preferences that
//! this call alone reads, and `--no-remove` forbids the rest. A simulation under the same rules comes first.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use imalab_kernels::process::stdout_of;
use imalab_kernels::say::say;

/// Above every other pin; the type of a priority is a signed short (apt's policy.cc).
const HIGHEST: i16 = i16::MAX;

/// What dpkg is asked about each package.
const FORMAT: &str = "${db:Status-Status}\t${Package}\t${Architecture}\t${Version}\t${source:Package}\n";

/// The apt and dpkg of a machine.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Whether installing needs sudo.
    pub(super) sudo: bool,
    /// A configuration of apt instead of the machine's; tests have one.
    pub(super) config: Option<PathBuf>,
    /// A database of dpkg instead of the machine's.
    pub(super) database: Option<PathBuf>,
}

/// What apt would do to packages, from the lines of `apt-get --simulate`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Those that it would install.
    pub(super) new: Vec<String>,
    /// Those that are installed and would become another version, with both versions.
    pub(super) changed: Vec<String>,
    /// Those that it would remove, with the version.
    pub(super) removed: Vec<String>,
}

impl Changes {
    /// Takes `Inst NAME [OLD] (NEW …)`, `Remv NAME [OLD]` and `Purg NAME [OLD]` apart; all other lines are for people.
    pub(super) fn of(simulation: &str) -> Self {
        let mut changes = Self::default();
        for line in simulation.lines() {
            let mut words = line.split(' ');
            let (Some(verb), Some(name), next) = (words.next(), words.next(), words.next()) else { continue };
            let old = next.and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
            match (verb, old) {
                ("Inst", None) => changes.new.push(name.to_owned()),
                ("Inst", Some(old)) => {
                    let new = words.next().map_or("?", |word| word.trim_start_matches('('));
                    changes.changed.push(format!("{name} ({old} -> {new})"));
                }
                ("Remv" | "Purg", old) => changes.removed.push(format!("{name} ({})", old.unwrap_or("?"))),
                _ => {}
            }
        }
        changes
    }

    fn harms(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
    }
}

/// Preferences (`apt_preferences(5)`) that keep every installed package at its version. What is not installed and comes
/// of the same source as something that is, is wanted in that version too: `libssl-dev` fits one `libssl3` alone.
///
/// `installed` has a line of [`FORMAT`] for each package. Of two records for a package the first counts, so those of
/// packages stand before those of sources.
fn preferences(installed: &str) -> String {
    let mut packages = String::new();
    let mut sources = String::new();
    for line in installed.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [status, package, architecture, version, source] = fields.as_slice() else { continue };
        if matches!(*status, "not-installed" | "config-files") || version.is_empty() {
            continue;
        }
        let architecture = if *architecture == "all" { String::new() } else { format!(":{architecture}") };
        let record = |text: &mut String, name: &str| {
            // Writing to a string cannot fail.
            let _ = write!(text, "Package: {name}\nPin: version {version}\nPin-Priority: {HIGHEST}\n\n");
        };
        record(&mut packages, &format!("{package}{architecture}"));
        record(&mut sources, &format!("src:{source}"));
    }
    packages + &sources
}

/// A simulation that ended.
struct Simulation {
    success: bool,
    changes: Changes,
    /// apt's words about what is in its way.
    words: String,
}

impl Host {
    /// Installs `packages` and what they need. `Ok(Err(why))` when that would take more than installing; nothing was changed
    /// then.
    ///
    /// # Errors
    /// When apt or dpkg cannot be asked, or an installation that could go well did not.
    pub(super) fn install(&self, packages: &[&str]) -> Result<Result<()>> {
        // A fresh machine or container image has no package lists, or old ones that name files long gone. An
        // update that fails for a third party's source does not matter if the install then works.
        if !self.run(&["update", "--quiet"])? {
            say!("warning: apt-get update failed; trying to install anyway");
        }
        let kept = self.keep()?;
        let release = match self.plan(packages, kept.path()) {
            Ok(release) => release,
            Err(why) => return Ok(Err(why)),
        };
        let mut arguments = vec!["--yes".to_owned(), "--quiet".to_owned()];
        arguments.extend(Self::arguments(packages, Some(kept.path()), release.as_deref()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if !self.run(&arguments)? {
            bail!("apt-get install failed; by hand: {}", self.line(packages));
        }
        Ok(Ok(()))
    }

    /// Names of the packages that are installed.
    pub(super) fn installed(&self) -> Result<HashSet<String>> {
        let text = self.ask_dpkg()?;
        let fields = text.lines().filter_map(|line| line.strip_prefix("installed\t")?.split('\t').next());
        Ok(fields.map(str::to_owned).collect())
    }

    /// A line of [`FORMAT`] for each package that dpkg knows.
    fn ask_dpkg(&self) -> Result<String> {
        let mut query = Command::new("dpkg-query");
        query.args(self.database.iter().map(|path| format!("--admindir={}", path.display())));
        stdout_of(query.args(["--show", "--showformat", FORMAT])).context("cannot ask dpkg what is installed")
    }

    /// The line to paste.
    pub(super) fn line(&self, packages: &[&str]) -> String {
        let prefix = if self.sudo { "sudo " } else { "" };
        format!("{prefix}apt-get install --yes --no-remove --no-install-recommends {}", packages.join(" "))
    }

    /// The file with the pins; it goes away when it is dropped.
    pub(super) fn keep(&self) -> Result<tempfile::NamedTempFile> {
        let mut text = preferences(&self.ask_dpkg()?);
        // The user's own come after ours; those in `preferences.d` are read as ever.
        let theirs =
            stdout_of(self.command("apt-config").args(["shell", "FILE", "Dir::Etc::preferences/f"]))?;
        let theirs = theirs.trim().strip_prefix("FILE='").and_then(|path| path.strip_suffix('\''));
        if let Some(Ok(more)) = theirs.map(std::fs::read_to_string) {
            text.push_str(&more);
        }
        let file = tempfile::Builder::new().prefix("imalab-preferences-").tempfile();
        let file = file.context("cannot make a file for apt's preferences")?;
        std::fs::write(file.path(), text).context("cannot write apt's preferences")?;
        Ok(file)
    }

    /// Finds out from which release apt can install `packages` with everything else left alone; `None` is the one that
    /// apt prefers.
    ///
    /// # Errors
    /// When it cannot, with what is in its way.
    pub(super) fn plan(&self, packages: &[&str], kept: &Path) -> Result<Option<String>> {
        let first = self.simulate(packages, Some(kept), None)?;
        if first.success && !first.changes.harms() {
            return Ok(None);
        }
        // What is here from another release (a backport) may need that release for the rest too.
        for release in self.releases()? {
            let simulation = self.simulate(packages, Some(kept), Some(&release))?;
            if simulation.success && !simulation.changes.harms() {
                say!("installing missing packages from {release}, which fits the installed ones");
                return Ok(Some(release));
            }
        }
        let free = self.simulate(packages, None, None)?;
        let list = |title: &str, names: &[String]| match names {
            [] => String::new(),
            names => format!("\n  {title}: {}", names.join(", ")),
        };
        let instead = list("apt would remove", &free.changes.removed)
            + &list("apt would change", &free.changes.changed);
        let words: String = first.words.lines().map(|line| format!("\n  apt: {}", line.trim())).collect();
        bail!(
            "{} cannot be installed without changing installed packages; nothing was changed{words}{instead}\n  \
             by hand, with these changes:\n  {}",
            packages.join(", "),
            self.line(packages).replace("--yes --no-remove ", "")
        );
    }

    fn simulate(&self, packages: &[&str], kept: Option<&Path>, release: Option<&str>) -> Result<Simulation> {
        let mut command = self.command("apt-get");
        command.args(["--simulate", "--quiet=2"]).args(Self::arguments(packages, kept, release));
        let output = command.stdin(Stdio::null()).output().context("cannot run apt-get")?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let told = stdout
            .split_once("The following packages have unmet dependencies:\n")
            .map_or("", |(_, rest)| rest);
        let words: Vec<&str> = told.lines().chain(errors(&stderr)).collect();
        Ok(Simulation {
            success: output.status.success(),
            changes: Changes::of(&stdout),
            words: words.join("\n"),
        })
    }

    /// Arguments that install; without `kept` everything is allowed, which is for simulations alone.
    fn arguments(packages: &[&str], kept: Option<&Path>, release: Option<&str>) -> Vec<String> {
        let mut arguments = vec!["install".to_owned(), "--no-install-recommends".to_owned()];
        if let Some(kept) = kept {
            arguments.extend(["--no-remove".to_owned(), "--no-upgrade".to_owned(), "--option".to_owned()]);
            arguments.push(format!("Dir::Etc::preferences={}", kept.display()));
        }
        if let Some(release) = release {
            arguments.extend(["--target-release".to_owned(), release.to_owned()]);
        }
        arguments.extend(packages.iter().map(|package| (*package).to_owned()));
        arguments
    }

    /// The releases of apt's sources.
    fn releases(&self) -> Result<Vec<String>> {
        let mut command = self.command("apt-get");
        let text =
            stdout_of(command.args(["indextargets", "--format", "$(RELEASE)", "Created-By: Packages"]))?;
        let mut releases: Vec<String> = Vec::new();
        for release in text.lines().filter(|release| !release.is_empty()) {
            if !releases.iter().any(|known| known == release) {
                releases.push(release.to_owned());
            }
        }
        Ok(releases)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").envs(self.config.iter().map(|path| ("APT_CONFIG", path)));
        command
    }

    /// Runs apt-get in the foreground: sudo may ask for a password, and apt must not be killed half-way.
    fn run(&self, arguments: &[&str]) -> Result<bool> {
        let mut command = if self.sudo { Command::new("sudo") } else { Command::new("env") };
        // sudo would drop the variable; given to it as an argument it stays.
        command.arg("DEBIAN_FRONTEND=noninteractive").arg("apt-get").args(arguments);
        let status =
            command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(status.success())
    }
}

/// The errors among what apt says, without their mark; the solver of apt 3 goes on in indented lines.
fn errors(stderr: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    stderr.lines().filter_map(move |line| {
        let error = line.strip_prefix("E: ");
        within = error.is_some() || within && line.starts_with(' ');
        within.then_some(error.unwrap_or(line))
    })
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
