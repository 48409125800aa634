//! Scenario files: finding them, reading them, their names.

use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use std::os::unix::fs::OpenOptionsExt;

use super::document;
use super::error::{Place, ScenarioError, Source};
use super::fields::{NAME_RULE, is_name};
use super::model::Scenario;
use super::node::MAX_BYTES;

/// Deepest folder below the scenarios' folder.
const MAX_DEPTH: usize = 4;
/// Most scenarios below it.
const MAX_FILES: usize = 10_000;

/// Why a scenario could not be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// It could not be read.
    #[error("could not read {path}")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a file that a scenario can be read from.
    #[error("{path}: {problem}")]
    Refused {
        /// What.
        path: PathBuf,
        /// Why, and what would do.
        problem: String,
    },
    /// Its text is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Text(#[from] Box<ScenarioError>),
}

/// Loads every `.yaml` below a folder, sorted by id.
///
/// # Errors
///
/// All that is wrong, so that it can be mended at once. Symbolic links are refused: a scenario's id is its path,
/// and it stays within the folder.
pub fn load_all(folder: &Path) -> Result<Vec<Scenario>, Vec<LoadError>> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    walk(folder, 0, &mut found, &mut errors);
    let mut scenarios = Vec::new();
    for path in found {
        match id_of(folder, &path).and_then(|id| load_as(&id, &path)) {
            Ok(scenario) => scenarios.push(scenario),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    scenarios.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(scenarios)
}

/// Loads the scenario with this id.
///
/// # Errors
///
/// An id that is not one (`..`, absolute, other characters), and whatever is wrong with the file.
pub fn load(folder: &Path, id: &str) -> Result<Scenario, LoadError> {
    let path = folder.join(format!("{id}.yaml"));
    check_id(&path, id)?;
    let mut at = folder.to_path_buf();
    for part in id.split('/') {
        at.push(part);
        // The last part is the file itself, which is opened without following links.
        let meta = std::fs::symlink_metadata(&at);
        if at.file_name() != path.file_stem() && meta.is_ok_and(|meta| meta.is_symlink()) {
            return Err(LoadError::Refused { path: at, problem: "is a symbolic link".to_owned() });
        }
    }
    load_as(id, &path)
}

fn walk(at: &Path, depth: usize, found: &mut Vec<PathBuf>, errors: &mut Vec<LoadError>) {
    let failed = |source| LoadError::Read { path: at.to_path_buf(), source };
    let entries = match std::fs::read_dir(at).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => return errors.push(failed(error)),
    };
    for entry in entries {
        let path = entry.path();
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(source) => {
                errors.push(LoadError::Read { path, source });
                continue;
            }
        };
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(&path, depth + 1, found, errors);
        } else if kind.is_dir() {
            let problem = format!("folders are nested more than {MAX_DEPTH} deep");
            errors.push(LoadError::Refused { path, problem });
        } else if kind.is_symlink() {
            errors.push(LoadError::Refused { path, problem: "is a symbolic link".to_owned() });
        } else if yaml && found.len() < MAX_FILES {
            found.push(path);
        } else if yaml {
            let problem = format!("there are more than {MAX_FILES} scenarios");
            return errors.push(LoadError::Refused { path: at.to_path_buf(), problem });
        }
    }
}

fn id_of(folder: &Path, path: &Path) -> Result<String, LoadError> {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let Some(id) = below.to_str().and_then(|below| below.strip_suffix(".yaml")) else {
        let problem = "a scenario's file name ends in `.yaml` and is plain text".to_owned();
        return Err(LoadError::Refused { path: path.to_path_buf(), problem });
    };
    check_id(path, id)?;
    Ok(id.to_owned())
}

fn check_id(path: &Path, id: &str) -> Result<(), LoadError> {
    if id.split('/').all(is_name) {
        return Ok(());
    }
    let problem = format!("`{id}` cannot be a scenario's id; of each part: {NAME_RULE}");
    Err(LoadError::Refused { path: path.to_path_buf(), problem })
}

fn load_as(id: &str, path: &Path) -> Result<Scenario, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_path_buf(), source };
    // Non-blocking, so that a FIFO does not hang the call before it is refused.
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        let problem = "is not a regular file".to_owned();
        return Err(LoadError::Refused { path: path.to_path_buf(), problem });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let name = format!("{id}.yaml");
    let text = decode(&name, &bytes).map_err(Box::new)?;
    Ok(document::parse(id, &name, text).map_err(Box::new)?)
}

/// The file's text.
fn decode<'b>(name: &str, bytes: &'b [u8]) -> Result<&'b str, ScenarioError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let shown = format!("{good}\u{fffd}");
        let at = Place::at(&shown, good.len(), '\u{fffd}'.len_utf8());
        Source::new(name, &shown)
            .error(at, format!("byte {} is not UTF-8", error.valid_up_to()))
            .expected("scenarios are UTF-8 text")
    })
}
