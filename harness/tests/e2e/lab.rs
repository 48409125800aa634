//! A place for one test: a cache of its own, whose answers about kernels are shared, so that the kernel is asked once
//! for all tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use imalab_check::outcome::{RunResult, SuiteResult};
use tempfile::TempDir;

use crate::machinery;

/// Longer than anything here takes on a loaded host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How the kernel is named in results.
pub(crate) const NAME: &str = "under-test";

/// The cheapest scenario.
pub(crate) const SHORT: &str = "stage/empty-list";
/// One that goes on for a while.
pub(crate) const LONG: &str = "scale/many-rounds";

/// The kernel's boot image.
pub(crate) fn kernel() -> PathBuf {
    given("IMALAB_KERNEL")
}

/// The archive with the agent.
pub(crate) fn initramfs() -> PathBuf {
    given("IMALAB_INITRAMFS")
}

fn given(name: &str) -> PathBuf {
    let path = std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask check`, which builds it and sets it"));
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("{name}={}: {error}", path.display()))
}

/// Scenarios of the repository.
pub(crate) fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// Where a test's calls have their scratch folders: in memory, as swtpm waits for the disk.
fn runtime() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn shared_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("imalab")
}

/// The accelerator and the kernel's capabilities, asked once.
static ASKED: LazyLock<()> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO_BIN_EXE_imalab"))
        .args(["test", "--dry-run", SHORT, "--scenarios"])
        .arg(scenarios())
        .arg("--kernel-image")
        .arg(format!("{NAME}={}", kernel().display()))
        .arg("--initramfs")
        .arg(initramfs())
        .arg("--cache")
        .arg(shared_cache())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
});

/// A test's place.
pub(crate) struct Lab {
    dir: TempDir,
    mark: String,
    runtime: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        // What is missing is told by each test.
        let _ = (kernel(), initramfs());
        LazyLock::force(&ASKED);
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().to_str().unwrap().to_owned();
        let lab = Lab { dir, mark, runtime: runtime() };
        fs::create_dir_all(lab.cache()).unwrap();
        fs::create_dir_all(shared_cache().join("capabilities")).unwrap();
        symlink(shared_cache().join("capabilities"), lab.cache().join("capabilities")).unwrap();
        // Where bundles' kernels and images are found by their digests.
        for (room, file) in [("kernels", kernel()), ("images", initramfs())] {
            let folder = file.parent().unwrap();
            fs::create_dir_all(lab.cache().join(room)).unwrap();
            symlink(folder, lab.cache().join(room).join(folder.file_name().unwrap())).unwrap();
        }
        fs::copy(shared_cache().join("accelerator.json"), lab.cache().join("accelerator.json")).unwrap();
        lab
    }

    /// A file or folder of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// `imalab` with these arguments and nothing else.
    pub(crate) fn bare<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.around([env!("CARGO_BIN_EXE_imalab")]);
        command.args(arguments);
        command
    }

    /// A program whose processes count as this test's.
    pub(crate) fn around<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env(machinery::MARK, &self.mark).env("TERM", "dumb").env_remove("NO_COLOR");
        command.env("XDG_RUNTIME_DIR", self.runtime.path());
        command
    }

    /// A call with these kernel, initramfs, and this test's cache.
    pub(crate) fn with(&self, verb: &str, kernel: &Path, initramfs: &Path) -> Command {
        let mut command = self.bare([verb, "--kernel-image"]);
        command.arg(format!("{NAME}={}", kernel.display())).arg("--initramfs").arg(initramfs);
        command.arg("--cache").arg(self.cache());
        command
    }

    /// `imalab test` on `kernel`, with results in `results.json`.
    pub(crate) fn test_of(&self, kernel: &Path, initramfs: &Path) -> Command {
        let mut command = self.with("test", kernel, initramfs);
        command.arg("--scenarios").arg(scenarios()).arg("--json").arg(self.path("results.json"));
        command
    }

    /// `imalab test` on the kernel under test, with results in `results.json`.
    pub(crate) fn test(&self) -> Command {
        self.test_of(&kernel(), &initramfs())
    }

    /// What `--json` says.
    pub(crate) fn results(&self) -> SuiteResult {
        imalab::report::json::read(&self.path("results.json")).unwrap()
    }

    /// The only run of [`Lab::results`].
    pub(crate) fn result(&self) -> RunResult {
        let mut suite = self.results();
        assert_eq!(suite.runs.len(), 1, "{suite:#?}");
        suite.runs.pop().unwrap()
    }

    /// Runs it to its end, and sees to it that nothing is left of it.
    #[track_caller]
    pub(crate) fn run(&self, command: &mut Command) -> Ended {
        self.ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits for its end, and sees to it that nothing is left of it.
    #[track_caller]
    pub(crate) fn ended(&self, child: Child) -> Ended {
        let ended = self.output(child);
        self.is_clean();
        ended
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn output(&self, child: Child) -> Ended {
        self.output_within(PATIENCE, child)
    }

    /// As [`Lab::run`], of what takes many runs.
    #[track_caller]
    pub(crate) fn run_many(&self, command: &mut Command) -> Ended {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let ended = self.output_within(10 * PATIENCE, child);
        self.is_clean();
        ended
    }

    #[track_caller]
    fn output_within(&self, patience: Duration, child: Child) -> Ended {
        let pid = child.id();
        let output = machinery::within(patience, move || child.wait_with_output().unwrap());
        let output = output.unwrap_or_else(|| {
            machinery::kill(pid);
            panic!("it has not ended within {patience:?}")
        });
        Ended { code: output.status.code(), text: said(&output) }
    }

    /// No process, no scratch folder, no file that is half-written.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        self.has_no_process();
        assert_eq!(self.scratch(), Vec::<PathBuf>::new(), "scratch folders are left");
        let partial: Vec<_> = files(self.dir.path())
            .into_iter()
            .filter(|path| path.to_string_lossy().ends_with(".partial"))
            .collect();
        assert!(partial.is_empty(), "half-written: {partial:?}");
    }

    /// The living process of a call whose program's name begins so.
    #[track_caller]
    pub(crate) fn child(&self, name: &str) -> u32 {
        let all = machinery::processes(&self.mark);
        let found = all.iter().find(|process| process.name.starts_with(name));
        found.unwrap_or_else(|| panic!("no {name} in {all:?}")).pid
    }

    #[track_caller]
    pub(crate) fn has_no_process(&self) {
        let left = machinery::wait_until_gone(&self.mark);
        assert!(left.is_empty(), "processes are left: {left:?}");
    }

    /// Folders of runs in scratch.
    pub(crate) fn scratch(&self) -> Vec<PathBuf> {
        let entries = match fs::read_dir(self.runtime.path().join("imalab")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => panic!("{error}"),
        };
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Lab {
    /// A test that failed leaves no machine behind.
    fn drop(&mut self) {
        for process in machinery::processes(&self.mark) {
            machinery::kill(process.pid);
        }
    }
}

/// How a call ended.
pub(crate) struct Ended {
    /// None when a signal killed it.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) text: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Ended {
        assert_eq!(self.code, Some(code), "{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> &Ended {
        for word in words {
            assert!(self.text.contains(word), "`{word}` is not in:\n{}", self.text);
        }
        self
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// All files below `folder`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Why a run has its outcome, as reports say it.
pub(crate) fn why(run: &RunResult) -> String {
    run.reason.as_ref().map_or_else(String::new, imalab::report::words::reason)
}
