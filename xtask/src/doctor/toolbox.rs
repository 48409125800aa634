//! Tools that the machine cannot take: packages unpacked below the cache, beside the machine's own.
//!
//! A backport that breaks the release's version, an upgrade that waits, no root: then nothing can be installed without
//! changing what is there. So the packages that are missing, and what they need that is missing too, are fetched and
//! unpacked into a folder of ours. Nothing of the machine is changed; apt checks the signatures of the machine's own
//! sources. We then start ourselves again with the folder on the paths by which programs, headers and libraries are found.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::install::Host;
use imalab_kernels::TOOLBOX;
use imalab_kernels::cache::{self, Cache, Unfinished};
use imalab_kernels::interrupt;
use imalab_kernels::process::stdout_of;
use imalab_kernels::say::say;

/// Folders of libraries below the root of a package, Debian's multiarch and what swtpm keeps for itself.
fn library_folders() -> [PathBuf; 3] {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    [
        Path::new("usr/lib").join(&triplet),
        Path::new("lib").join(&triplet),
        Path::new("usr/lib").join(&triplet).join("swtpm"),
    ]
}

/// A folder with unpacked packages.
#[derive(Debug)]
pub(crate) struct Toolbox {
    folder: PathBuf,
}

impl Toolbox {
    /// The one that we were started with, if any.
    pub(crate) fn entered() -> Option<Self> {
        std::env::var_os(TOOLBOX).map(|folder| Self { folder: folder.into() })
    }

    /// The one in `cache` that brings `packages` to this machine, made or not.
    fn of(cache: &Cache, packages: &[&str]) -> Result<Self> {
        // What is there decides what is missing; a new release of the system starts afresh.
        let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let parts = packages.iter().map(|package| ("package", package.as_bytes()));
        let parts = parts.chain([("system", system.as_bytes()), ("on", std::env::consts::ARCH.as_bytes())]);
        let name = &cache::sha256_of_parts(parts)[..16];
        Ok(Self { folder: cache.room("tools")?.join(name) })
    }

    /// The folder in which packages are unpacked.
    pub(crate) fn root(&self) -> &Path {
        &self.folder
    }

    /// Starts this program again with the toolbox for `packages` on its paths, when one was made before. Comes back when
    /// there is none.
    ///
    /// # Errors
    /// When it cannot be started, or was and something is missing all the same.
    pub(super) fn enter_if_made(cache: &Cache, packages: &[&str]) -> Result<()> {
        let toolbox = Self::of(cache, packages)?;
        if !toolbox.folder.is_dir() {
            return Ok(());
        }
        cache::touch(&toolbox.folder);
        toolbox.enter().map(|_| ())
    }

    /// Makes the toolbox for `packages` and starts this program again with it.
    ///
    /// # Errors
    /// When a package cannot be had, or the machine has no apt.
    pub(super) fn make_and_enter(cache: &Cache, packages: &[&str]) -> Result<std::convert::Infallible> {
        Self::make(cache, Host::default(), packages)?.enter()
    }

    /// The toolbox for `packages`, made unless it is there.
    pub(super) fn make(cache: &Cache, host: Host, packages: &[&str]) -> Result<Self> {
        let toolbox = Self::of(cache, packages)?;
        let lock = cache::lock(&toolbox.folder, "the tools")?;
        // Another imalab may have made it while we waited.
        if !toolbox.folder.is_dir() {
            let unfinished = Unfinished::start(&toolbox.folder, lock)?;
            let kit = Kit { host, state: cache.room("tools-apt")? };
            toolbox.fill(&kit, packages, unfinished.path())?;
            unfinished.finish()?;
        }
        Ok(toolbox)
    }

    /// Fills `folder`, which will be ours.
    fn fill(&self, kit: &Kit, packages: &[&str], folder: &Path) -> Result<()> {
        let files = kit.download(packages)?;
        say!("unpacking {} packages below {}", files.len(), self.folder.display());
        for file in &files {
            stdout_of(Command::new("dpkg-deb").arg("--extract").arg(file).arg(folder))?;
            cache::remove(file)?;
        }
        for libraries in library_folders() {
            lead_to_the_machine(folder, &libraries)?;
            place(&folder.join(libraries).join("pkgconfig"), &self.folder)?;
        }
        Ok(())
    }

    fn enter(&self) -> Result<std::convert::Infallible> {
        if std::env::var_os(TOOLBOX).is_some_and(|entered| entered == self.folder) {
            bail!(
                "the tools in {} do not bring what is missing; remove the folder and try again",
                self.folder.display()
            );
        }
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(&program);
        command.args(std::env::args_os().skip(1)).envs(self.variables(|name| std::env::var_os(name)));
        Err(command.exec()).with_context(|| format!("cannot run {}", program.display()))
    }

    /// The variables by which programs, headers and libraries below the folder are found; `current` are those in force.
    pub(super) fn variables(
        &self,
        current: impl Fn(&str) -> Option<OsString>,
    ) -> Vec<(&'static str, OsString)> {
        let below = |path: &str| self.folder.join(path);
        let libraries = || library_folders().into_iter().map(|folder| self.folder.join(folder));
        let joined = |ours: Vec<PathBuf>, name: &str| {
            let theirs = current(name).unwrap_or_default();
            let theirs = std::env::split_paths(&theirs).filter(|path| !path.as_os_str().is_empty());
            // A colon in one of them is a path that no variable of this kind can name.
            std::env::join_paths(ours.into_iter().chain(theirs)).unwrap_or_default()
        };
        let programs = ["usr/bin", "usr/sbin", "bin", "sbin"].map(below);
        vec![
            ("PATH", joined(programs.to_vec(), "PATH")),
            ("LD_LIBRARY_PATH", joined(libraries().collect(), "LD_LIBRARY_PATH")),
            ("LIBRARY_PATH", joined(libraries().collect(), "LIBRARY_PATH")),
            ("C_INCLUDE_PATH", joined(vec![below("usr/include")], "C_INCLUDE_PATH")),
            (
                "PKG_CONFIG_PATH",
                joined(libraries().map(|folder| folder.join("pkgconfig")).collect(), "PKG_CONFIG_PATH"),
            ),
            // Both would look where Debian installs them.
            ("M4", below("usr/bin/m4").into()),
            ("BISON_PKGDATADIR", below("usr/share/bison").into()),
            (TOOLBOX, self.folder.clone().into()),
        ]
        .into_iter()
        // A box without bison is for a machine that has its own.
        .filter(|(name, value)| match *name {
            "M4" | "BISON_PKGDATADIR" => Path::new(value).exists(),
            _ => true,
        })
        .collect()
    }
}

/// What fetches packages: the machine's sources, with lists and downloads of our own.
struct Kit {
    host: Host,
    state: PathBuf,
}

impl Kit {
    /// Fetches `packages` and what they need as far as the machine lacks it.
    fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let archives = self.state.join("archives");
        cache::remove(&archives)?;
        for folder in ["lists/partial", "archives/partial"] {
            let path = self.state.join(folder);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        // In the eyes of this apt nothing is installed, so nothing is in the way.
        cache::write_atomically(&self.state.join("status"), b"")?;
        let log = self.state.join("log");
        cache::remove(&log)?;
        if !self.run(self.apt().arg("update"), &log)? {
            say!("warning: apt-get update failed for some source; see {}", log.display());
        }
        let kept = self.host.keep()?;
        let wanted = self.closure(packages, Some(kept.path())).or_else(|_| self.closure(packages, None))?;
        let installed = self.host.installed()?;
        let missing: Vec<String> = wanted
            .into_iter()
            .filter(|(name, _)| !installed.contains(name))
            .map(|(name, version)| format!("{name}={version}"))
            .collect();
        if !self.run(self.apt().arg("download").args(&missing).current_dir(&archives), &log)? {
            bail!("apt-get cannot download {}; see {}", missing.join(", "), log.display());
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&archives).with_context(|| format!("cannot read {}", archives.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", archives.display()))?.path();
            if path.extension() == Some(OsStr::new("deb")) {
                files.push(path);
            }
        }
        files.sort();
        if files.len() != missing.len() {
            bail!("apt-get left {} of {} packages; see {}", files.len(), missing.len(), log.display());
        }
        Ok(files)
    }

    /// `packages` and all that they need, with versions: in those that are installed, where the sources still have them.
    fn closure(&self, packages: &[&str], kept: Option<&Path>) -> Result<Vec<(String, String)>> {
        let mut command = self.apt();
        if let Some(kept) = kept {
            command.arg("--option").arg(format!("Dir::Etc::preferences={}", kept.display()));
        }
        command.args(["--simulate", "--quiet=2", "install", "--no-install-recommends"]).args(packages);
        let text = stdout_of(&mut command)?;
        Ok(text.lines().filter_map(new_package).collect())
    }

    fn apt(&self) -> Command {
        let mut command = Command::new("apt-get");
        let state = self.state.display();
        let options = [
            format!("Dir::State={state}"),
            format!("Dir::State::lists={state}/lists"),
            format!("Dir::State::status={state}/status"),
            format!("Dir::Cache={state}"),
            format!("Dir::Cache::archives={state}/archives"),
            "Dir::Cache::pkgcache=".into(),
            "Dir::Cache::srcpkgcache=".into(),
            "Acquire::Languages=none".into(),
            // Root would hand downloads to the user _apt, who cannot reach a cache below /root.
            "APT::Sandbox::User=root".into(),
        ];
        command.args(options.iter().flat_map(|option| ["--option", option])).arg("--quiet");
        command.env("LC_ALL", "C").envs(self.host.config.iter().map(|path| ("APT_CONFIG", path)));
        command
    }

    fn run(&self, command: &mut Command, log: &Path) -> Result<bool> {
        interrupt::check()?;
        let opened = File::options().create(true).append(true).open(log);
        let output = opened.and_then(|file| Ok((file.try_clone()?, file)));
        let (out, errors) = output.with_context(|| format!("cannot write {}", log.display()))?;
        let status = command.stdin(Stdio::null()).stdout(out).stderr(errors).status();
        Ok(status.context("cannot run apt-get")?.success())
    }
}

/// `Inst NAME (VERSION …` of a simulation.
fn new_package(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
    Some((name.to_owned(), rest.split_once(' ')?.0.to_owned()))
}

/// Lets links in `libraries` below `root` that lead to nothing lead to what the machine has there: the library of which we
/// have the headers.
fn lead_to_the_machine(root: &Path, libraries: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(root.join(libraries)) else { return Ok(()) };
    let places: HashSet<PathBuf> = library_folders().into_iter().collect();
    for entry in entries.flatten() {
        let link = entry.path();
        let Ok(target) = fs::read_link(&link) else { continue };
        if link.exists() || target.components().count() != 1 {
            continue;
        }
        if let Some(there) =
            places.iter().map(|place| Path::new("/").join(place).join(&target)).find(|path| path.exists())
        {
            fs::remove_file(&link)
                .and_then(|()| std::os::unix::fs::symlink(&there, &link))
                .with_context(|| format!("cannot lead {} to {}", link.display(), there.display()))?;
        }
    }
    Ok(())
}

/// Makes the pkg-config files in `folder` name `root` where they name `/`.
fn place(folder: &Path, root: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_symlink() || path.extension() != Some(OsStr::new("pc")) {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text: Vec<String> = text.lines().map(|line| placed(line, root)).collect();
        cache::write_atomically(&path, (text.join("\n") + "\n").as_bytes())?;
    }
    Ok(())
}

/// `name=/usr/…` becomes `name=ROOT/usr/…` (pc(5)); every other line stays.
fn placed(line: &str, root: &Path) -> String {
    match line.split_once("=/") {
        Some((name, path)) if name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') => {
            format!("{name}={}/{path}", root.display())
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_simulation_names_packages_with_versions() {
        let text = "Inst m4 (1.4.19-3 Debian:12/oldstable [amd64])\nConf m4 (1.4.19-3 Debian:12 [amd64])\n\
                    Inst systemd [252.38] (252.39 Debian:12 [amd64])\n";
        let found: Vec<_> = text.lines().filter_map(new_package).collect();
        assert_eq!(found[0], ("m4".to_owned(), "1.4.19-3".to_owned()));
    }

    #[test]
    fn a_link_without_its_library_leads_to_the_machines() {
        let root = tempfile::tempdir().unwrap();
        let folder = &library_folders()[0];
        fs::create_dir_all(root.path().join(folder)).unwrap();
        let at = |name: &str| root.path().join(folder).join(name);
        let here =
            fs::read_dir(Path::new("/").join(folder)).unwrap().flatten().map(|entry| entry.file_name());
        let library = here.into_iter().find(|name| name.to_string_lossy().starts_with("libc.so")).unwrap();
        symlink(&library, at("libmissing.so")).unwrap();
        symlink("of-nobody.so.1", at("libnobody.so")).unwrap();
        fs::write(at("libours.so.1"), "").unwrap();
        symlink("libours.so.1", at("libours.so")).unwrap();
        lead_to_the_machine(root.path(), folder).unwrap();
        assert!(at("libmissing.so").exists() && fs::read_link(at("libmissing.so")).unwrap().is_absolute());
        assert_eq!(fs::read_link(at("libours.so")).unwrap(), Path::new("libours.so.1"));
        assert!(!at("libnobody.so").exists());
    }

    #[test]
    fn pkg_config_files_name_the_folder() {
        let root = Path::new("/cache/tools/1");
        assert_eq!(placed("prefix=/usr", root), "prefix=/cache/tools/1/usr");
        assert_eq!(placed("libdir=${prefix}/lib", root), "libdir=${prefix}/lib");
        assert_eq!(placed("Cflags: -DX=/usr/y", root), "Cflags: -DX=/usr/y");
    }

    #[test]
    fn the_folder_comes_first_on_every_path() {
        let toolbox = Toolbox { folder: "/cache/tools/1".into() };
        let variables = toolbox.variables(|name| (name == "PATH").then(|| "/usr/bin:/bin".into()));
        let of = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_string_lossy().into_owned())
        };
        let path = of("PATH").unwrap();
        assert!(path.starts_with("/cache/tools/1/usr/bin:") && path.ends_with(":/usr/bin:/bin"), "{path}");
        // Where nothing was set, no empty entry: that would be the current folder.
        let libraries = of("LD_LIBRARY_PATH").unwrap();
        assert!(!libraries.split(':').any(str::is_empty), "{libraries}");
        assert_eq!(of("M4"), None);
    }
}
