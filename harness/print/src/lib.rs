//! The edge of a process: text of ours and of others on a terminal, escaped, and errors with their causes.

mod colour;
mod diagnostic;
mod escaping;
mod front;
mod printable;

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use miette::{GraphicalReportHandler, GraphicalTheme};

pub use colour::colour;
use diagnostic::SafeDiagnostic;
pub use escaping::Escaping;
pub use front::front;
pub use printable::{acts, message, printable, printable_lines, shortened};

/// Columns of an error's text when the width of the screen is unknown.
const ERROR_WIDTH: usize = 100;

/// Prints a line on stdout: a command line of `--dry-run`, a path, a verdict of `verify`.
///
/// # Errors
/// When stdout is gone.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = Escaping::text(io::stdout().lock());
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a line on stderr, for a reader who wants to know why or where.
pub fn note(text: &str) {
    // Nobody is left to be told when stderr itself is gone.
    let _ = writeln!(Escaping::text(io::stderr().lock()), "{text}");
}

/// Prints what clap has to say of the command line: help as it is, and errors without what the arguments could do. Gives back
/// whether it was an error.
pub fn arguments(error: &clap::Error) -> bool {
    if error.use_stderr() {
        note(message(&error.render().to_string()).trim_end());
        return true;
    }
    // Without a terminal to print on, the exit code still says it.
    let _ = error.print();
    false
}

/// Sees to it that a defect of ours prints nothing raw either.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| note(&message(&panic.to_string()))));
}

/// Prints an error with its causes, hints and the source lines it points at on stderr.
pub fn error(error: &miette::Report) {
    let stderr = io::stderr();
    let width = stderr.is_terminal().then(|| usize::from(console::Term::stderr().size().1));
    let coloured = colour(stderr.is_terminal(), |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    });
    let text = render(error, coloured, width.unwrap_or(ERROR_WIDTH));
    // Nobody is left to be told when stderr itself is gone; the exit code still says it.
    let _ = stderr.lock().write_all(text.as_bytes());
}

/// The text that [`error`] prints.
pub fn render(error: &miette::Report, colour: bool, width: usize) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let shown = SafeDiagnostic::of(error.as_ref());
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
    match handler.render_report(&mut text, &shown) {
        Ok(()) => text,
        // The handler fails when a source cannot be read; the chain of causes is then all there is.
        Err(_) => format!("error: {}\n", shown.chain()),
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some errors repeat their cause in their own words.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// A report of an error that has nothing to show but its words and its causes.
pub fn plain<E: Error + Send + Sync + 'static>(error: E) -> miette::Report {
    miette::Report::new(Plain(error))
}

#[derive(Debug)]
struct Plain<E>(E);

impl<E: std::fmt::Display> std::fmt::Display for Plain<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Error> Error for Plain<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl<E: Error> miette::Diagnostic for Plain<E> {}
