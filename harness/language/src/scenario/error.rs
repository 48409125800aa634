//! Errors that point at the place in the scenario, show its line, and say what was expected.

use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

/// What is wrong with a scenario, where, and what would be right.
///
/// `Display` is one line, `FILE:LINE:COLUMN: PROBLEM`; printed as a [`miette::Report`] it also shows the line
/// with the place marked, and the hint.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct ScenarioError {
    /// Path as given, or the scenario's path below the folder.
    pub file: String,
    /// From 1; 1 when the file as a whole is meant.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub problem: String,
    /// What was expected, and the nearest known name.
    #[help]
    pub hint: Option<String>,
    #[label]
    span: SourceSpan,
    #[source_code]
    source_code: Arc<NamedSource<String>>,
}

impl PartialEq for ScenarioError {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, self.line, self.column, &self.problem, &self.hint)
            == (&other.file, other.line, other.column, &other.problem, &other.hint)
    }
}

/// A place in a scenario's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: u32,
    /// From 1, in characters.
    pub(super) column: u32,
    /// Bytes from the start of the text.
    pub(super) offset: usize,
    /// Bytes to mark.
    pub(super) len: usize,
}

impl Place {
    /// The start of the file.
    pub(super) const START: Place = Place { line: 1, column: 1, offset: 0, len: 0 };

    /// The place of these bytes of `text`.
    pub(super) fn at(text: &str, offset: usize, len: usize) -> Place {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Place { line: small(line), column: small(column), offset: before.len(), len }
    }
}

/// Scenario files are far smaller than 4 GiB.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A scenario's text with its name: what errors are made from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    named: Arc<NamedSource<String>>,
}

impl Source {
    pub(super) fn new(file: &str, text: &str) -> Source {
        Source { named: Arc::new(NamedSource::new(file, text.to_owned())) }
    }

    pub(super) fn text(&self) -> &str {
        self.named.inner()
    }

    /// An error at a place.
    pub(super) fn error(&self, at: Place, problem: impl Into<String>) -> ScenarioError {
        // Only the first line of a longer node is marked: the rest says nothing about where it starts.
        let rest = self.text().get(at.offset..).unwrap_or("");
        let first = rest.get(..at.len).unwrap_or(rest).lines().next().unwrap_or("");
        ScenarioError {
            file: self.named.name().to_owned(),
            line: at.line.max(1),
            column: at.column.max(1),
            problem: problem.into(),
            hint: None,
            span: (
                at.offset.min(self.text().len()),
                first.trim_end().len().max(usize::from(!rest.is_empty())),
            )
                .into(),
            source_code: Arc::clone(&self.named),
        }
    }
}

impl ScenarioError {
    /// Adds what was expected.
    pub(super) fn expected(mut self, hint: impl Into<String>) -> ScenarioError {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the names that were possible and, when one is near, asks whether it was meant.
    pub(super) fn one_of<'n>(
        self,
        given: &str,
        known: impl IntoIterator<Item = &'n str> + Clone,
    ) -> ScenarioError {
        let names = known.clone().into_iter().collect::<Vec<_>>().join(", ");
        if names.is_empty() {
            return self.expected("there is none that could stand here");
        }
        match nearest(given, known) {
            Some(name) => self.expected(format!("did you mean `{name}`? Expected one of: {names}")),
            None => self.expected(format!("expected one of: {names}")),
        }
    }
}

/// Longest text that is compared with known names, in bytes.
const LONGEST_NAME: usize = 64;

/// The known name nearest to what was given, when it is near enough to be a slip.
fn nearest<'n>(given: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // Nothing that long is a slip, and the comparison takes time and memory by the square.
    if given.len() > LONGEST_NAME {
        return None;
    }
    let given = given.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().max(given.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
