//! Whatever a command tells beside a suite's results, and errors at the edge of the process.

use std::io::{self, IsTerminal, Write};

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::diagnostic::SafeDiagnostic;
use super::escaping::Escaping;
use super::exit::Exit;
use super::printable::{message, printable};
use super::terminal::Look;
use imalab_check::outcome::AcceleratorUsed;

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

/// Prints what clap has to say of the command line: help as it is, and errors without what the arguments could do.
pub fn arguments(error: &clap::Error) -> Exit {
    if error.use_stderr() {
        note(message(&error.render().to_string()).trim_end());
        return Exit::Usage;
    }
    // Without a terminal to print on, the exit code still says it.
    let _ = error.print();
    Exit::Passed
}

/// Sees to it that a defect of ours prints nothing raw either.
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| note(&message(&panic.to_string()))));
}

/// Prints the accelerator and why it is that one.
///
/// # Errors
/// Those of the writer.
pub fn accelerator(used: &AcceleratorUsed, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "accelerator {}: {}", printable(&used.name), printable(&used.reason))
}

/// Prints an error with its causes, hints and the source lines it points at on stderr; gives back `exit`, so that a
/// command can end with `return fail(Exit::Usage, error)`. A plain error becomes a report with
/// [`miette::IntoDiagnostic`].
pub fn fail(exit: Exit, error: &miette::Report) -> Exit {
    let stderr = io::stderr();
    let width = stderr.is_terminal().then(|| usize::from(console::Term::stderr().size().1));
    let text = render(error, Look::detect().colour_on_stderr, width.unwrap_or(ERROR_WIDTH));
    // Nobody is left to be told when stderr itself is gone; the exit code still says it.
    let _ = stderr.lock().write_all(text.as_bytes());
    exit
}

/// The text that [`fail`] prints.
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
