//! The result model as JSON, schema 2: what `docs/results.md` describes and `docs/results.schema.json` checks.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Escaping;
use super::document;
use super::input;
use imalab_check::outcome::SuiteResult;
use imalab_files::atomic::{self, FileError};

/// Version of the JSON documents with results and plans: results, a run's result, its plan, a bundle. In schema 1 findings were
/// text.
pub const SCHEMA: u32 = 2;

/// Writes a suite's results.
///
/// # Errors
/// Those of the writer.
pub fn document(suite: &SuiteResult, out: &mut dyn Write) -> io::Result<()> {
    let mut out = Escaping::json(out);
    serde_json::to_writer_pretty(&mut out, &document::Suite::of(suite))?;
    writeln!(out)?;
    out.flush()
}

/// Reads a suite's results back.
///
/// # Errors
/// When the file cannot be read, is of another schema, or is no such document.
pub fn read(path: &Path) -> Result<SuiteResult, ReadError> {
    read_document(path, input::RESULTS)
}

/// Writes any document as indented JSON with a line end.
pub(super) fn write_document(path: &Path, document: &impl Serialize) -> Result<(), FileError> {
    atomic::write_with(path, |file| {
        serde_json::to_writer_pretty(&mut *file, document)?;
        file.write_all(b"\n")
    })
}

/// Reads any document of this schema that has at most `most` bytes.
pub(super) fn read_document<T: DeserializeOwned>(path: &Path, most: u64) -> Result<T, ReadError> {
    let bytes = input::read(path, most)?;
    let malformed = |source| ReadError::Malformed { path: path.to_owned(), source };
    // The version first: a document of another schema is not malformed, it is another schema's.
    let version: Version = serde_json::from_slice(&bytes).map_err(malformed)?;
    if version.schema != SCHEMA {
        return Err(ReadError::Schema { path: path.to_owned(), found: version.schema });
    }
    serde_json::from_slice(&bytes).map_err(malformed)
}

#[derive(serde::Deserialize)]
struct Version {
    schema: u32,
}

/// A document could not be read back.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ReadError {
    /// The file itself.
    #[error(transparent)]
    #[diagnostic(transparent)]
    File(#[from] FileError),
    /// Written by another version of imalab.
    #[error("{} is of schema {found}, and this imalab reads schema {SCHEMA}", path.display())]
    #[diagnostic(help("read it with the imalab that wrote it; docs/results.md says what changed"))]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A plan that asks for what no plan of imalab does.
    #[error("{} asks for {what}, which no plan of imalab does", path.display())]
    Unreasonable {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        what: String,
    },
    /// Not such a document.
    #[error("{} is not a result of imalab", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        #[source]
        source: serde_json::Error,
    },
}
