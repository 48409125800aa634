//! From a catalogue entry to a source tree on disk.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, Entry, Source};
use crate::apt::offer::{self, Offer};
use crate::apt::{self, Answer, Apt, Refresh};
use crate::cache::{self, Cache};
use crate::guard;
use crate::process;
use crate::say::say;
use crate::stop::Stop;

/// A source with its exact version and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Resolved {
    /// A Debian package.
    Debian(Offer),
    /// A tarball.
    Tarball {
        /// Where it comes from.
        url: String,
        /// SHA-256 of the file.
        sha256: String,
    },
}

impl Resolved {
    /// A short name that says the version, fit for a file name.
    pub(crate) fn label(&self) -> String {
        let text = match self {
            Self::Debian(offer) => &offer.version,
            Self::Tarball { url, .. } => {
                url.rsplit('/').next().unwrap_or(url).split(".tar").next().unwrap_or(url)
            }
        };
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
        text.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect()
    }

    /// SHA-256 of the file that holds the source.
    pub(crate) fn sha256(&self) -> &str {
        match self {
            Self::Debian(offer) => &offer.sha256,
            Self::Tarball { sha256, .. } => sha256,
        }
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Debian(offer) => format!("{} {} ({})", offer.package, offer.version, offer.suite),
            Self::Tarball { url, .. } => url.clone(),
        }
    }
}

/// The source cannot be had today; what was built earlier may do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(String);

/// What Debian's suites offer; asked at most once, and only when somebody wants to know.
pub(crate) struct Offers<'a> {
    cache: &'a Cache,
    suites: &'a [String],
    refresh: Refresh,
    answer: OnceCell<Result<Answer, String>>,
}

impl<'a> Offers<'a> {
    /// Asks the suites of `catalogue`, as soon as it has to.
    pub(crate) fn new(cache: &'a Cache, catalogue: &'a Catalogue, refresh: Refresh) -> Self {
        Self { cache, suites: &catalogue.debian_suites, refresh, answer: OnceCell::new() }
    }

    /// Every offer there is; none when nobody answers.
    pub(crate) fn all(&self) -> &[Offer] {
        self.answer().map_or(&[], |answer| &answer.offers)
    }

    fn answer(&self) -> Result<&Answer> {
        if self.answer.get().is_none() {
            let answer = Apt::new(self.cache).and_then(|apt| apt.offers(self.suites, self.refresh));
            let kept = match answer {
                Ok(answer) => Ok(answer),
                Err(error) if error.is::<Stop>() => return Err(error),
                Err(error) => Err(format!("{error:#}")),
            };
            // Nobody else can have set it: there is one thread.
            let _ = self.answer.set(kept);
        }
        match self.answer.get() {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(Unreachable(error.clone()).into()),
            None => bail!("Debian's suites were not asked"),
        }
    }

    fn pick<'b>(&'b self, pick: impl Fn(&'b [Offer]) -> Result<&'b Offer>) -> Result<Resolved> {
        let answer = self.answer()?;
        match (pick(&answer.offers), &answer.failure) {
            (Ok(offer), _) => Ok(Resolved::Debian(offer.clone())),
            // A suite that did not answer may well have it.
            (Err(nothing), Some(failure)) if nothing.is::<Stop>() => {
                Err(Unreachable(format!("{nothing}; {failure}")).into())
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// Finds out what `entry` means today; `None` for a tree on this machine, which has no fixed content.
///
/// # Errors
/// When nothing fits, with what there is; [`Unreachable`] when the suites cannot be asked.
pub(crate) fn resolve(entry: &Entry, offers: &Offers<'_>) -> Result<Option<Resolved>> {
    Ok(match &entry.source {
        Source::Debian(package) => Some(offers.pick(|all| offer::newest(all, package))?),
        Source::DebianNewest { from } => Some(offers.pick(|all| offer::newest_line(all, *from))?),
        Source::Tarball { url, sha256 } => {
            Some(Resolved::Tarball { url: url.clone(), sha256: sha256.clone() })
        }
        Source::Tree(_) => None,
    })
}

/// Marks a failure to reach a mirror; an interrupt stays what it is.
fn unreachable(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Stop>() { error } else { Unreachable(format!("{error:#}")).into() }
}

/// Fetches the file of `source` unless the cache has it, and gives its path.
pub(crate) fn fetch(cache: &Cache, source: &Resolved) -> Result<PathBuf> {
    let room = cache.room("sources")?;
    let path = room.join(format!("{}-{}", source.label(), &source.sha256()[..16]));
    let whole = || -> Result<bool> { Ok(path.exists() && cache::sha256_of_file(&path)? == source.sha256()) };
    if whole()? {
        return Ok(path);
    }
    let _lock = cache::lock(&path, &format!("fetching {}", source.describe()))?;
    if whole()? {
        return Ok(path);
    }
    if path.exists() {
        say!("{} is not what was fetched; fetching it again", path.display());
        cache::remove(&path)?;
    }
    say!("fetching {}", source.describe());
    match source {
        Resolved::Debian(offer) => {
            cache::require_space(&room, offer.size * 2)?;
            let file = Apt::new(cache)?.download(offer, &room).map_err(unreachable)?;
            fs::rename(&file, &path).with_context(|| format!("cannot move {} in place", file.display()))?;
            for other in others(&room, &path, offer)? {
                cache::remove(&other)?;
            }
        }
        Resolved::Tarball { url, sha256 } => apt::fetch(url, sha256, &path).map_err(unreachable)?,
    }
    Ok(path)
}

/// Entries of other patch levels of the same line: big ones, and nothing asks for them again.
pub(crate) fn others(room: &Path, keep: &Path, offer: &Offer) -> Result<Vec<PathBuf>> {
    let Some(line) = offer.line() else { return Ok(Vec::new()) };
    let prefixes = [format!("{line}."), format!("{line}_"), format!("{line}-")];
    let entries = fs::read_dir(room).with_context(|| format!("cannot read {}", room.display()))?;
    let other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let same_line = prefixes.iter().any(|prefix| name.starts_with(prefix));
        same_line && path != keep && !name.ends_with(".lock")
    };
    Ok(entries.flatten().map(|entry| entry.path()).filter(other).collect())
}

/// What stays in the tarball: two thirds of the files of a tree, for other machines, for hardware that no
/// guest has, and for people. To write and to remove them takes longer than anything but the compiler.
/// Kconfig files and makefiles stay, since a configuration reads them all.
const LEFT_PACKED: &[&str] = &[
    "Documentation/*/*",
    "arch/[!x]*/*.[chS]",
    "arch/[!x]*/*.dts*",
    "arch/xtensa/*.[chS]",
    "drivers/accel/*.[chS]",
    "drivers/clk/*/*.[chS]",
    "drivers/comedi/*.[chS]",
    "drivers/gpu/*.[chS]",
    "drivers/hwmon/*.[chS]",
    "drivers/iio/*.[chS]",
    "drivers/infiniband/*.[chS]",
    "drivers/media/*.[chS]",
    "drivers/mmc/*.[chS]",
    "drivers/mtd/*.[chS]",
    "drivers/net/ethernet/*.[chS]",
    "drivers/net/wireless/*.[chS]",
    "drivers/phy/*.[chS]",
    "drivers/pinctrl/*.[chS]",
    "drivers/s390/*.[chS]",
    "drivers/soc/*.[chS]",
    "drivers/staging/*.[chS]",
    "drivers/usb/*.[chS]",
    "rust/*/*.rs",
    "sound/*.[chS]",
    "tools/perf/*",
    "tools/testing/[!k]*",
];

/// Unpacks the source into the folder `tree`, which is made; output goes to `log`.
pub(crate) fn unpack(cache: &Cache, source: &Resolved, tree: &Path, log: &Path) -> Result<()> {
    fs::create_dir(tree).with_context(|| format!("cannot make {}", tree.display()))?;
    let scratch = tree.with_file_name("package");
    let mut tar = tar(cache, source, tree, &scratch, log)?;
    if let Resolved::Debian(offer) = source {
        tar.args(["--anchored", "--wildcards-match-slash"]);
        tar.args(LEFT_PACKED.iter().map(|pattern| format!("--exclude={}/{pattern}", offer.package)));
    }
    succeed(&mut tar, log, "tar")?;
    cache::remove(&scratch)
}

/// Unpacks those of `files` that the source has into `tree`.
pub(crate) fn unpack_files(
    cache: &Cache,
    source: &Resolved,
    tree: &Path,
    files: &BTreeSet<&Path>,
    log: &Path,
) -> Result<()> {
    // Only of Debian's packages something is left packed.
    let Resolved::Debian(offer) = source else { return Ok(()) };
    let scratch = tree.with_file_name("package");
    let mut tar = tar(cache, source, tree, &scratch, log)?;
    tar.arg("--").args(files.iter().map(|file| Path::new(&offer.package).join(file)));
    // GNU tar says so of each member that is missing, unpacks the others, and fails at last.
    let mut complaints = Vec::new();
    let status = process::run_logged(&mut tar, log, |line| {
        let missing = line.ends_with(": Not found in archive");
        if !missing && line != "tar: Exiting with failure status due to previous errors" {
            complaints.push(line.to_owned());
        }
    })?;
    if !status.success() && !complaints.is_empty() {
        bail!("tar failed: {}", complaints.join("; "));
    }
    cache::remove(&scratch)
}

/// A `tar` that unpacks the source into `tree`; the folder `scratch` is for what is within a package.
fn tar(cache: &Cache, source: &Resolved, tree: &Path, scratch: &Path, log: &Path) -> Result<Command> {
    let file = fetch(cache, source)?;
    let mut tar = guard::command("tar");
    // Its messages are read.
    tar.env("LC_ALL", "C");
    tar.args(["--extract", "--strip-components=1", "--no-same-owner", "--directory"]).arg(tree);
    match source {
        Resolved::Debian(offer) => {
            let mut extract = guard::command("dpkg-deb");
            extract.arg("--extract").arg(&file).arg(scratch);
            succeed(&mut extract, log, "dpkg-deb")?;
            tar.arg("--file").arg(scratch.join(format!("usr/src/{}.tar.xz", offer.package)));
            // Debian's tarball is made of many xz blocks, so every core can help.
            tar.arg("--use-compress-program=xz -T0");
        }
        Resolved::Tarball { .. } => {
            tar.arg("--file").arg(file);
        }
    }
    Ok(tar)
}

fn succeed(command: &mut Command, log: &Path, what: &str) -> Result<()> {
    let mut last = String::new();
    let status = process::run_logged(command, log, |line| line.clone_into(&mut last))?;
    if !status.success() {
        bail!("{what} failed: {last}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::backport("7.3.4-1~bpo13+1", "7.3.4-1_bpo13_1")]
    #[case::plain("6.12.107-1", "6.12.107-1")]
    fn labels_are_file_names(#[case] version: &str, #[case] label: &str) {
        let offer = Offer {
            package: "linux-source-7.3".into(),
            version: version.into(),
            sha256: "0".repeat(64),
            size: 1,
            suite: "sid".into(),
        };
        assert_eq!(Resolved::Debian(offer).label(), label);
    }

    #[test]
    fn a_tarball_is_called_after_its_file() {
        let source = Resolved::Tarball {
            url: "https://example.org/v6/linux-6.6.tar.xz".into(),
            sha256: "0".repeat(64),
        };
        assert_eq!(source.label(), "linux-6.6");
    }
}
