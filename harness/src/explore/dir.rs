//! The folder of a campaign: what it has come to, so that it can be gone on with after whatever ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::sign::Sign;
use imalab_check::outcome::Boot;
use imalab_explore::{Program, Seen};
use imalab_files::atomic::{self, FileError};

/// Version of what is in the folder.
const SCHEMA: u32 = 1;

/// What the campaign has come to.
const STATE: &str = "campaign.json";
/// Folder of programs that showed something new.
const CORPUS: &str = "corpus";
/// Folder of scenarios of what was found.
const FOUND: &str = "found";
/// Folder of their bundles.
const BUNDLES: &str = "bundles";

/// What a campaign has come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this form: 1.
    pub schema: u32,
    /// imalab's version.
    pub imalab: String,
    /// Decides everything.
    pub seed: u64,
    /// SHA-256 of the kernel's image.
    pub kernel: String,
    /// How machines come to their agents' first messages: a schedule means something else in the other.
    pub boot: Boot,
    /// Programs that were run.
    pub programs: u64,
    /// Schedules that were run, those of shrinking left out.
    pub schedules: u64,
    /// Schedules that were run to make sure of what was found, and to shrink it.
    pub retries: u64,
    /// Milliseconds of processors that the machines took.
    pub core_ms: u64,
    /// What runs have come to.
    pub seen: Seen,
    /// Programs that are kept.
    pub corpus: u64,
    /// How often each known defect was shown.
    pub known: BTreeMap<String, u64>,
    /// What is new.
    pub found: Vec<Found>,
    /// What did not show again under its own schedule: defects of imalab or QEMU.
    pub fleeting: Vec<Fleeting>,
}

/// A failure that no known defect explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its scenario's name.
    pub name: String,
    /// By what it is known again.
    pub sign: Sign,
    /// Known defects that explain a part of it: the rest may be what comes of them.
    pub beside: BTreeSet<String>,
    /// How often it was shown, shrinking left out.
    pub times: u64,
    /// The program that showed it first, from 0.
    pub program: u64,
    /// Schedules of the campaign until then.
    pub after: u64,
    /// Steps that are left.
    pub steps: usize,
    /// Preemptions that are left; none where it needs no schedule.
    pub preemptions: usize,
    /// Its bundle.
    pub bundle: Option<PathBuf>,
}

/// A failure that did not show again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleeting {
    /// What it was.
    pub sign: Sign,
    /// The program that showed it, from 0.
    pub program: u64,
    /// How it did not show again.
    pub why: String,
}

/// A program that showed something new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its number, from 0.
    pub number: u64,
    /// The program.
    pub program: Program,
}

/// The folder cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DirError {
    /// A file of it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] FileError),
    /// It is no campaign's.
    #[error("{} is not what a campaign leaves: {why}", path.display())]
    #[diagnostic(help("`explore --out DIR` begins a campaign"))]
    NoCampaign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is a campaign already.
    #[error("{} has a campaign already", path.display())]
    #[diagnostic(help("`--resume DIR` continues it; `--out` names another folder"))]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

/// A campaign's folder.
#[derive(Clone, Debug)]
pub struct Dir {
    path: PathBuf,
}

impl Dir {
    /// A new one, where no campaign is.
    ///
    /// # Errors
    /// [`DirError`].
    pub fn create(path: &Path) -> Result<Dir, DirError> {
        let dir = Dir::at(path)?;
        if dir.path.join(STATE).exists() {
            return Err(DirError::Taken { path: dir.path });
        }
        Ok(dir)
    }

    fn at(path: &Path) -> Result<Dir, DirError> {
        for folder in [path.to_owned(), path.join(CORPUS), path.join(FOUND), path.join(BUNDLES)] {
            fs::create_dir_all(&folder)
                .map_err(|error| FileError::new("create the folder", &folder, error))?;
        }
        let path = path.canonicalize().map_err(|error| FileError::new("read", path, error))?;
        Ok(Dir { path })
    }

    /// One with a campaign, what it has come to, and its programs.
    ///
    /// # Errors
    /// [`DirError`].
    pub fn resume(path: &Path) -> Result<(Dir, State, Vec<Program>), DirError> {
        let state: State = read(&path.join(STATE))?;
        if state.schema != SCHEMA {
            let why = format!("it is of version {}, this is {SCHEMA}", state.schema);
            return Err(DirError::NoCampaign { path: path.join(STATE), why });
        }
        let dir = Dir::at(path)?;
        let corpus = (0..state.corpus).map(|number| Ok(read::<Kept>(&dir.kept(number, "json"))?.program));
        let corpus = corpus.collect::<Result<_, DirError>>()?;
        Ok((dir, state, corpus))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where bundles are kept.
    pub fn bundles(&self) -> PathBuf {
        self.path.join(BUNDLES)
    }

    fn kept(&self, number: u64, ends: &str) -> PathBuf {
        self.path.join(CORPUS).join(format!("{number:06}.{ends}"))
    }

    /// Where the scenario of what was found is.
    pub fn scenario(&self, name: &str) -> PathBuf {
        self.path.join(FOUND).join(format!("{name}.yaml"))
    }

    /// A name that no scenario of what was found has yet.
    pub fn free_name(&self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !self.scenario(name).exists()).unwrap_or_else(|| name.to_owned())
    }

    /// Keeps what the campaign has come to.
    ///
    /// # Errors
    /// When it cannot be written; then the one before it is there still.
    pub fn write(&self, state: &State) -> Result<(), FileError> {
        write(&self.path.join(STATE), state)
    }

    /// Keeps a program, as what it is made of and as a scenario. It counts once the state says so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, number: u64, kept: &Kept, text: &str) -> Result<(), FileError> {
        write(&self.kept(number, "json"), kept)?;
        atomic::write(&self.kept(number, "yaml"), text.as_bytes())
    }

    /// Keeps the scenario of what was found.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_scenario(&self, name: &str, text: &str) -> Result<PathBuf, FileError> {
        let path = self.scenario(name);
        atomic::write(&path, text.as_bytes())?;
        Ok(path)
    }
}

impl State {
    /// That of a campaign that begins.
    pub fn new(seed: u64, kernel: String, boot: Boot) -> State {
        State {
            schema: SCHEMA,
            imalab: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            kernel,
            boot,
            programs: 0,
            schedules: 0,
            retries: 0,
            core_ms: 0,
            seen: Seen::default(),
            corpus: 0,
            known: BTreeMap::new(),
            found: Vec::new(),
            fleeting: Vec::new(),
        }
    }
}

fn write(path: &Path, what: &impl Serialize) -> Result<(), FileError> {
    atomic::write_with(path, |file| serde_json::to_writer(file, what).map_err(io::Error::other))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, DirError> {
    let text = fs::read(path).map_err(|error| FileError::new("read", path, error))?;
    serde_json::from_slice(&text)
        .map_err(|error| DirError::NoCampaign { path: path.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_explore::{Actor, Phase, Step};

    fn program() -> Program {
        let phases = vec![Phase { acts: vec![vec![Step::Measure { files: 3 }]] }];
        Program { cpus: 2, flush: false, policy_records: false, actors: vec![Actor::Process], phases }
    }

    #[test]
    fn what_was_kept_is_gone_on_with() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::create(&place.path().join("new")).unwrap();
        dir.keep(0, &Kept { number: 7, program: program() }, "summary: s\n").unwrap();
        let mut state = State::new(5, "aa".to_owned(), Boot::Fork);
        (state.corpus, state.programs) = (1, 8);
        dir.write(&state).unwrap();
        // A program that the state does not count was written when something ended the campaign.
        dir.keep(1, &Kept { number: 8, program: program() }, "").unwrap();
        let (_, read, corpus) = Dir::resume(dir.path()).unwrap();
        assert_eq!((read, corpus), (state, vec![program()]));
        assert!(matches!(Dir::create(dir.path()), Err(DirError::Taken { .. })));
    }

    #[test]
    fn what_is_no_campaign_is_refused() {
        let place = tempfile::tempdir().unwrap();
        assert!(matches!(Dir::resume(place.path()), Err(DirError::File(_))));
        fs::write(place.path().join(STATE), "{}").unwrap();
        assert!(matches!(Dir::resume(place.path()), Err(DirError::NoCampaign { .. })));
        let other = State { schema: 9, ..State::new(1, String::new(), Boot::Cold) };
        fs::write(place.path().join(STATE), serde_json::to_vec(&other).unwrap()).unwrap();
        let error = Dir::resume(place.path()).unwrap_err().to_string();
        assert!(error.ends_with("it is of version 9, this is 1"), "{error}");
    }

    #[test]
    fn a_name_is_given_once() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::create(place.path()).unwrap();
        assert_eq!(dir.free_name("it"), "it");
        dir.write_scenario("it", "").unwrap();
        assert_eq!(dir.free_name("it"), "it-2");
    }
}
