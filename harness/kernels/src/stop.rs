//! Why a task ends early, when the reason decides the exit code.

use std::process::ExitCode;

use crate::say::say;

/// Exit code of a set-up or infrastructure failure: a retry on another machine may well succeed.
pub const SETUP: u8 = 96;
/// Exit code of a command line that cannot be understood, or that names what is no good.
pub const USAGE: u8 = 2;
/// Exit code of a finding, the harness's own.
pub const FAILED: u8 = 100;
/// Exit code after Ctrl-C (128 + SIGINT, as a shell reports it).
pub const INTERRUPTED: u8 = 130;

/// A failure whose exit code is not the default, [`SETUP`].
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The user asked for the end; whatever was under way is cleaned up.
    #[error("interrupted")]
    Interrupted,
    /// The command line names something that does not exist or does not go together.
    #[error("{0}")]
    Usage(String),
    /// What the user gave cannot be built.
    #[error("{0}")]
    Unbuildable(String),
    /// Nothing was wrong but what was looked at.
    #[error("{0}")]
    Finding(String),
    /// A child has already said what is wrong; its code is passed on.
    #[error("{what} failed with exit code {code}")]
    Child {
        /// What was run, in the user's words.
        what: String,
        /// The child's exit code.
        code: u8,
    },
}

/// Prints `error` with its chain of causes and gives the exit code that belongs to it.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let code = match error.downcast_ref::<Stop>() {
        Some(Stop::Interrupted) => INTERRUPTED,
        Some(Stop::Usage(_) | Stop::Unbuildable(_)) => USAGE,
        Some(Stop::Finding(_)) => FAILED,
        Some(Stop::Child { code, .. }) => *code,
        None => SETUP,
    };
    match error.downcast_ref::<Stop>() {
        // However it came to be, the user knows.
        Some(stop @ Stop::Interrupted) => say!("error: {stop}"),
        _ => say!("error: {error:#}"),
    }
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use rstest::rstest;

    #[rstest]
    #[case::interrupted(Stop::Interrupted.into(), INTERRUPTED)]
    #[case::usage(Stop::Usage("no such kernel".into()).into(), USAGE)]
    #[case::unbuildable(Stop::Unbuildable("no such symbol".into()).into(), USAGE)]
    #[case::finding(Stop::Finding("not seen".into()).into(), FAILED)]
    #[case::child(Stop::Child { what: "clippy".into(), code: 101 }.into(), 101)]
    #[case::anything_else(anyhow::anyhow!("disk full"), SETUP)]
    fn exit_codes(#[case] error: anyhow::Error, #[case] code: u8) {
        assert_eq!(format!("{:?}", report(&error)), format!("{:?}", ExitCode::from(code)));
    }

    #[test]
    fn context_does_not_hide_the_code() {
        let error = Err::<(), _>(Stop::Interrupted).context("building 7.3").unwrap_err();
        assert_eq!(format!("{:?}", report(&error)), format!("{:?}", ExitCode::from(INTERRUPTED)));
    }
}
