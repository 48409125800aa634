//! What the terminal can show, and in which colours.

use std::io::IsTerminal;

use console::Style;

use imalab_check::outcome::Outcome;

/// How results are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether lines on stdout carry colour codes.
    pub colour: bool,
    /// Whether errors on stderr do.
    pub colour_on_stderr: bool,
    /// Whether live progress is drawn on stderr.
    pub progress: bool,
    /// Columns that text may be broken to; `None`: never broken, since nobody's screen is known.
    pub width: Option<usize>,
}

impl Look {
    /// For anything that is not a terminal: one line a run, no colour, nothing broken.
    pub const PLAIN: Look = Look { colour: false, colour_on_stderr: false, progress: false, width: None };

    /// What this process's stdout, stderr and environment call for.
    pub fn detect() -> Look {
        let stdout = std::io::stdout().is_terminal();
        let width = stdout.then(|| usize::from(console::Term::stdout().size().1));
        Look::choose(stdout, std::io::stderr().is_terminal(), width, |name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// The rules: colour only on a terminal that is not `TERM=dumb` and when `NO_COLOR` is unset or empty
    /// (no-color.org); progress only when stderr is such a terminal.
    pub fn choose(
        stdout_is_terminal: bool,
        stderr_is_terminal: bool,
        width: Option<usize>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Look {
        let colour = |is_terminal| imalab_print::colour(is_terminal, &variable);
        let capable = variable("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        Look {
            colour: colour(stdout_is_terminal),
            colour_on_stderr: colour(stderr_is_terminal),
            progress: stderr_is_terminal && capable,
            width: if stdout_is_terminal { width } else { None },
        }
    }

    fn style(self) -> Style {
        // Forced either way: `console` would else look at this process's own stdout again.
        Style::new().force_styling(self.colour)
    }

    /// The colour of an outcome's word.
    pub(super) fn outcome(self, outcome: Outcome) -> Style {
        match outcome {
            Outcome::Passed => self.style().green(),
            Outcome::KnownDefect | Outcome::KnownLimit => self.style().green().bold(),
            Outcome::Skipped | Outcome::NotOrdered | Outcome::Interrupted => self.style().yellow(),
            Outcome::Failed | Outcome::KernelDied | Outcome::Timeout => self.style().red().bold(),
            Outcome::Infra => self.style().magenta().bold(),
        }
    }

    /// For a run that takes long.
    pub(super) fn slow(self) -> Style {
        self.style().yellow()
    }

    /// For headings.
    pub(crate) fn heading(self) -> Style {
        self.style().bold()
    }

    /// For what matters less.
    pub(super) fn faint(self) -> Style {
        self.style().dim()
    }
}

/// The word that stands for an outcome; what counts as failed is in capitals.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
        Outcome::KnownDefect => "known defect",
        Outcome::KnownLimit => "known limit",
        Outcome::KernelDied => "KERNEL DIED",
        Outcome::Infra => "INFRA",
        Outcome::Timeout => "TIMEOUT",
        Outcome::NotOrdered => "not ordered",
        Outcome::Interrupted => "interrupted",
    }
}
