//! An error as it may be shown: its words, its causes and its source lines, escaped and of bounded length.

use std::error::Error;
use std::fmt;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode, SourceSpan};

use crate::printable::{message, printable, shortened};

/// Most causes that are shown.
const CAUSES: usize = 16;
/// Most bytes of a source line, and how many of them stand before the place that is meant.
const LINE: usize = 160;
const BEFORE: usize = 60;

/// What of an error is shown.
#[derive(Debug)]
pub(super) struct SafeDiagnostic {
    cause: Cause,
    severity: Option<Severity>,
    help: Option<String>,
    snippet: Option<Snippet>,
}

#[derive(Debug)]
struct Cause {
    text: String,
    next: Option<Box<Cause>>,
}

#[derive(Debug)]
struct Snippet {
    source: NamedSource<String>,
    label: LabeledSpan,
}

impl SafeDiagnostic {
    pub(super) fn of(error: &dyn Diagnostic) -> SafeDiagnostic {
        let mut texts = vec![message(&error.to_string())];
        let mut next = error.source();
        while let Some(cause) = next {
            if texts.len() == CAUSES {
                texts.push("...".to_owned());
                break;
            }
            texts.push(message(&cause.to_string()));
            next = cause.source();
        }
        let last = Cause { text: texts.pop().unwrap_or_default(), next: None };
        let chained = |next, text| Cause { text, next: Some(Box::new(next)) };
        SafeDiagnostic {
            cause: texts.into_iter().rev().fold(last, chained),
            severity: error.severity(),
            help: error.help().map(|help| message(&help.to_string())),
            snippet: snippet(error),
        }
    }

    /// All of it in one line.
    pub(super) fn chain(&self) -> String {
        crate::chain(&self.cause)
    }
}

/// The line that an error points at with its neighbours.
fn snippet(error: &dyn Diagnostic) -> Option<Snippet> {
    let label = error.labels()?.next()?;
    let all = error.source_code()?.read_span(&SourceSpan::from((0, 0)), 0, usize::MAX).ok()?;
    let text = String::from_utf8_lossy(all.data());
    let (offset, len) = (label.offset().min(text.len()), label.len());
    let at = text.get(..offset)?.matches('\n').count();
    let mut shown = String::new();
    let (mut place, mut begin) = ((0, 0), 0);
    for (number, line) in text.split('\n').enumerate() {
        if number == at {
            let (marked, of_line) = around(line, offset - begin, len);
            place = (shown.len() + of_line.0, of_line.1);
            shown.push_str(&marked);
        } else if number.abs_diff(at) <= 2 {
            shown.push_str(&shortened(&printable(line), LINE));
        }
        // The numbers of lines stay what they are.
        shown.push('\n');
        begin += line.len() + 1;
        if number > at + 2 {
            break;
        }
    }
    let name = message(all.name().unwrap_or_default());
    let text = label.label().map(|label| message(label).replace('\n', " "));
    Some(Snippet { source: NamedSource::new(name, shown), label: LabeledSpan::new(text, place.0, place.1) })
}

/// A line around the place that is meant, and where that is in it.
fn around(line: &str, offset: usize, len: usize) -> (String, (usize, usize)) {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let offset = line.floor_char_boundary(offset.min(line.len()));
    let end = line.floor_char_boundary((offset + len).min(line.len()));
    let cut = if line.len() > LINE { line.floor_char_boundary(offset.saturating_sub(BEFORE)) } else { 0 };
    let stop = line.floor_char_boundary((cut + LINE).min(line.len()));
    let end = end.min(stop.max(offset));
    let mut shown = if cut > 0 { "...".to_owned() } else { String::new() };
    shown.push_str(&printable(&line[cut..offset]));
    let begin = shown.len();
    shown.push_str(&printable(&line[offset..end]));
    let marked = (begin, shown.len() - begin);
    shown.push_str(&printable(&line[end..stop.max(end)]));
    if stop < line.len() {
        shown.push_str("...");
    }
    (shown, marked)
}

impl fmt::Display for SafeDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for SafeDiagnostic {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl Diagnostic for SafeDiagnostic {
    fn severity(&self) -> Option<Severity> {
        self.severity
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippet.as_ref().map(|snippet| &snippet.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = &self.snippet.as_ref()?.label;
        Some(Box::new(std::iter::once(label.clone())))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.next.as_deref().map(|next| next as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::short("  - stgae: 1", 4, 5, "  - stgae: 1", "stgae")]
    #[case::escaped("a\u{1b}b: \u{202e}c", 5, 4, "a\\u{1b}b: \\u{202e}c", "\\u{202e}c")]
    #[case::beyond("ab", 7, 3, "ab", "")]
    fn the_place_stays_marked(
        #[case] line: &str,
        #[case] offset: usize,
        #[case] len: usize,
        #[case] shown: &str,
        #[case] marked: &str,
    ) {
        let (text, (at, len)) = around(line, offset, len);
        assert_eq!((text.as_str(), &text[at..at + len]), (shown, marked));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!("{}here{}", "x".repeat(100_000), "y".repeat(100_000));
        let (text, (at, len)) = around(&line, 100_000, 4);
        assert_eq!(&text[at..at + len], "here");
        assert!(text.len() < 200 && text.starts_with("...x") && text.ends_with("y..."), "{text}");
        let (text, (at, len)) = around(&line, 100_000, 100_004);
        assert!(text.len() < 200 && text[at..at + len].starts_with("herey"), "{text}");
    }
}
