//! A private apt beside the host's: its own sources, lists and downloads, all in our cache. Signatures
//! are checked against the host's keyring for Debian's archive; the host's apt is only asked, never changed.

mod mirror;
pub mod offer;

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cache::{self, Cache};
use crate::guard;
use crate::process::{self, stdout_of};
use crate::say::say;
use crate::stop::Stop;
use mirror::Mirrors;
use offer::Offer;

/// Where the package `debian-archive-keyring` puts the archive's keys; the ending changed with Debian 13.
const KEYRINGS: &[&str] =
    &["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// How long the lists are taken for current. Suites change four times a day; kernels far less often.
const FRESH: Duration = Duration::from_hours(24);
/// The same after an update in which some suite did not answer.
const FRESH_IN_PART: Duration = Duration::from_hours(1);

/// Settings of the host's apt that hold for us too: how to reach a mirror, and how strict about dates to be.
const INHERITED: &[&str] =
    &["Acquire::http", "Acquire::https", "Acquire::ftp", "Acquire::Check-Valid-Until", "Acquire::Check-Date"];

const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// The private apt.
#[derive(Debug)]
pub struct Apt {
    folder: PathBuf,
}

/// What the suites said, and which were asked.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    suites: Vec<String>,
    /// Why some suite's list is missing or old.
    pub failure: Option<String>,
    /// What is offered.
    pub offers: Vec<Offer>,
}

/// When to ask the mirror for its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// When they are older than a day.
    WhenStale,
    /// Now.
    Now,
}

impl Apt {
    /// The private apt in `cache`.
    pub fn new(cache: &Cache) -> Result<Self> {
        Ok(Self { folder: cache.room("apt")? })
    }

    /// What the suites offer. When the mirror cannot be reached, what they last offered, with a warning.
    ///
    /// # Errors
    /// When there is no answer and never was one.
    pub fn offers(&self, suites: &[String], refresh: Refresh) -> Result<Answer> {
        if let (Refresh::WhenStale, Some(answer)) = (refresh, self.fresh(suites)) {
            return Ok(answer);
        }
        let _lock = cache::lock(&self.folder.join("lists"), "Debian's package lists")?;
        // Another imalab may have asked while we waited.
        if let (Refresh::WhenStale, Some(answer)) = (refresh, self.fresh(suites)) {
            return Ok(answer);
        }
        let answer = self.update(suites)?;
        if let Some(failure) = &answer.failure {
            say!("warning: not every suite could be asked, going by what is known: {failure}");
        }
        cache::write_atomically(&self.answer_file(), &serde_json::to_vec_pretty(&answer)?)?;
        Ok(answer)
    }

    /// Downloads the package file of `offer` into `folder` and gives its path.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not what the signed list says.
    pub fn download(&self, offer: &Offer, folder: &Path) -> Result<PathBuf> {
        let _lock = cache::lock(&self.folder.join("lists"), "Debian's package lists")?;
        let staging = tempfile::tempdir_in(folder).context("cannot make a folder for a download")?;
        let mut command = guard::command("apt-get");
        command
            .args(["--quiet", "download", &format!("{}={}", offer.package, offer.version)])
            .env("APT_CONFIG", self.config_file())
            .current_dir(staging.path());
        self.run(command, "download")?;
        let file = fs::read_dir(staging.path()).context("cannot read a download")?.flatten().next();
        let file = file.with_context(|| {
            format!("apt-get download left no file for {} {}", offer.package, offer.version)
        })?;
        // apt has checked it against the signed list; this is about the list we chose from.
        let digest = cache::sha256_of_file(&file.path())?;
        if digest != offer.sha256 {
            bail!("{} has SHA-256 {digest}, and the list says {}", file.path().display(), offer.sha256);
        }
        let target = folder.join(file.file_name());
        fs::rename(file.path(), &target).with_context(|| format!("cannot move {}", target.display()))?;
        Ok(target)
    }

    /// The stored answer, if it is for these suites and not too old. A damaged one counts as none.
    fn fresh(&self, suites: &[String]) -> Option<Answer> {
        let path = self.answer_file();
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        let answer: Answer = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let life = if answer.failure.is_none() { FRESH } else { FRESH_IN_PART };
        let age = SystemTime::now().duration_since(modified).ok()?;
        (answer.suites == suites && age < life).then_some(answer)
    }

    fn update(&self, suites: &[String]) -> Result<Answer> {
        self.configure(suites, &mirror::find()?)?;
        say!("asking Debian's suites for kernel sources");
        let mut command = guard::command("apt-get");
        // By default apt calls an unreachable mirror a mere warning.
        command
            .args(["--quiet", "--option", "APT::Update::Error-Mode=any", "update"])
            .env("APT_CONFIG", self.config_file());
        // Fails as soon as one suite is missing; what counts is which lists are there afterwards, old ones
        // among them.
        let failure = self.run(command, "update").err();
        let targets = stdout_of(
            Command::new("apt-get")
                .args(["indextargets", "--format", "$(FILENAME)\t$(RELEASE)", "Created-By: Packages"])
                .env("APT_CONFIG", self.config_file()),
        )?;
        let mut offers = Vec::new();
        for (path, suite) in targets.lines().filter_map(|line| line.split_once('\t')) {
            if Path::new(path).exists() {
                offers.extend(read_list(path, suite)?);
            }
        }
        match failure {
            Some(failure) if offers.is_empty() || failure.is::<Stop>() => Err(failure),
            failure => {
                let failure = failure.map(|failure| format!("{failure:#}"));
                Ok(Answer { suites: suites.to_vec(), failure, offers })
            }
        }
    }

    /// Runs an apt command with its output in a log; the last lines of the log are part of the error.
    fn run(&self, mut command: Command, what: &str) -> Result<()> {
        let log = self.folder.join(format!("{what}.log"));
        cache::remove(&log)?;
        let mut complaints = Vec::new();
        let status = process::run_logged(&mut command, &log, |line| {
            if line.starts_with("E: ") {
                complaints.push(line.to_owned());
            }
        })?;
        if !status.success() {
            let first = complaints.first().map_or("no reason given", String::as_str);
            let more = match complaints.len() {
                0 | 1 => String::new(),
                count => format!(", and {} more", count - 1),
            };
            bail!("apt-get {what} failed: {first}{more} (see {})", log.display());
        }
        Ok(())
    }

    fn configure(&self, suites: &[String], mirrors: &Mirrors) -> Result<()> {
        let keyring = KEYRINGS
            .iter()
            .find(|path| Path::new(path).exists())
            .context("no keyring for Debian's archive; install debian-archive-keyring")?;
        for room in ["lists/partial", "archives/partial", "parts"] {
            let path = self.folder.join(room);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let source = |suite: &String| {
            mirrors.of(suite).map(|mirror| format!("deb [signed-by={keyring}] {mirror} {suite} main\n"))
        };
        let sources: String = suites.iter().filter_map(source).collect();
        cache::write_atomically(&self.folder.join("sources.list"), sources.as_bytes())?;
        // No package is installed in our eyes, so the host's dpkg status does not matter.
        cache::write_atomically(&self.folder.join("status"), b"")?;
        let inherited = stdout_of(Command::new("apt-config").arg("dump").args(INHERITED))
            .context("cannot ask apt for its settings")?;
        cache::write_atomically(&self.config_file(), configuration(&self.folder, &inherited).as_bytes())
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    fn answer_file(&self) -> PathBuf {
        self.folder.join("offers.json")
    }
}

/// The private configuration. It names every place, so that nothing of the host's is read or written.
fn configuration(folder: &Path, inherited: &str) -> String {
    let folder = folder.display();
    // Root would hand downloads to the user _apt, who cannot reach a cache below /root.
    let sandbox = if nix::unistd::geteuid().is_root() { "APT::Sandbox::User \"root\";\n" } else { "" };
    format!(
        "Dir::Etc::main \"/dev/null\";\n\
         Dir::Etc::parts \"{folder}/parts\";\n\
         Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
         Dir::Etc::sourceparts \"{folder}/parts\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"{folder}/parts\";\n\
         Dir::State \"{folder}\";\n\
         Dir::State::lists \"{folder}/lists\";\n\
         Dir::State::status \"{folder}/status\";\n\
         Dir::Cache \"{folder}\";\n\
         Dir::Cache::archives \"{folder}/archives\";\n\
         Dir::Cache::pkgcache \"\";\n\
         Dir::Cache::srcpkgcache \"\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         Acquire::Languages \"none\";\n\
         Acquire::GzipIndexes \"true\";\n\
         Acquire::Retries \"1\";\n\
         {sandbox}{inherited}"
    )
}

/// Reads a stored list, however apt has compressed it.
fn read_list(path: &str, suite: &str) -> Result<Vec<Offer>> {
    let mut child = Command::new(APT_HELPER)
        .args(["cat-file", path])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {APT_HELPER}"))?;
    let stdout = child.stdout.take().context("a child without standard output")?;
    let offers = offer::read(BufReader::with_capacity(1 << 18, stdout), suite);
    let status = child.wait().with_context(|| format!("cannot wait for {APT_HELPER}"))?;
    if !status.success() {
        bail!("{APT_HELPER} cat-file {path} failed ({status})");
    }
    offers
}

/// Fetches `url` to `path` and checks its SHA-256; apt's own way to download, so the host's proxy holds.
pub fn fetch(url: &str, sha256: &str, path: &Path) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    let staging = tempfile::tempdir_in(folder).context("cannot make a folder for a download")?;
    let file = staging.path().join("file");
    let mut command = guard::command(APT_HELPER);
    command.arg("download-file").arg(url).arg(&file).arg(format!("SHA256:{sha256}"));
    let status = process::run_logged(&mut command, &staging.path().join("log"), |line| say!("{line}"))?;
    if !status.success() {
        bail!("cannot download {url}");
    }
    let digest = cache::sha256_of_file(&file)?;
    if digest != sha256 {
        bail!("{url} has SHA-256 {digest}, and kernels.yaml says {sha256}");
    }
    fs::rename(&file, path).with_context(|| format!("cannot move {} in place", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_no_place_of_the_host() {
        let text =
            configuration(Path::new("/cache/apt"), "Acquire::http::Proxy \"http://proxy.example:3128\";\n");
        for line in text.lines().filter(|line| line.starts_with("Dir::")) {
            assert!(
                line.contains("\"/cache/apt") || line.contains("\"/dev/null\"") || line.ends_with("\"\";"),
                "{line}"
            );
        }
        assert!(text.ends_with("Acquire::http::Proxy \"http://proxy.example:3128\";\n"));
    }
}
