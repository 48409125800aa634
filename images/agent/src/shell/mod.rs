//! A line-at-a-time console for a person, with a few built-in commands; no other program is in the image.

mod commands;
mod kmsg;
mod show;

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use crate::{console, mounts};

const PROMPT: &[u8] = b"imalab# ";

/// Serves standard input until `poweroff` or its end.
pub(crate) fn serve() {
    let mut shell = Shell { ima: mounts::IMA.into(), files: mounts::FILES.into() };
    if let Err(error) = shell.session(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        console::line(&format!("fault: the shell's console failed: {error}"));
    }
}

/// Where the commands work.
#[derive(Debug)]
struct Shell {
    /// IMA's directory in securityfs.
    ima: PathBuf,
    /// Where files to be measured are made.
    files: PathBuf,
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    PowerOff,
}

impl Shell {
    fn session(&mut self, input: &mut impl BufRead, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "imalab: `help` lists the commands")?;
        let mut line = Vec::new();
        loop {
            out.write_all(PROMPT)?;
            out.flush()?;
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return writeln!(out);
            }
            let next = self.line(&String::from_utf8_lossy(&line), out)?;
            out.flush()?;
            if next == Next::PowerOff {
                return Ok(());
            }
        }
    }

    /// Runs a line. What a command meets is printed; only a failure of the console itself is an error.
    fn line(&self, line: &str, out: &mut impl Write) -> io::Result<Next> {
        let line = line.trim();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let result = match name {
            "" => Ok(()),
            "poweroff" => return Ok(Next::PowerOff),
            _ => self.command(name, rest.trim_start(), out),
        };
        match result {
            Ok(()) => {}
            Err(Trouble::Console(error)) => return Err(error),
            Err(Trouble::Command(text)) => writeln!(out, "{name}: {text}")?,
        }
        Ok(Next::Line)
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
enum Trouble {
    /// To be told to the person.
    Command(String),
    /// The person cannot be told any more.
    Console(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Console(error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    fn place() -> (TempDir, Shell) {
        let dir = tempfile::tempdir().unwrap();
        let (ima, files) = (dir.path().join("ima"), dir.path().join("m"));
        fs::create_dir(&ima).unwrap();
        fs::create_dir(&files).unwrap();
        fs::write(ima.join("runtime_measurements_count"), "12\n").unwrap();
        for file in ["ascii_runtime_measurements", "ascii_runtime_measurements_staged"] {
            fs::write(ima.join(file), "").unwrap();
        }
        (dir, Shell { ima, files })
    }

    fn said(shell: &Shell, line: &str) -> String {
        let mut out = Vec::new();
        assert_eq!(shell.line(line, &mut out).unwrap(), Next::Line);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_session_ends_with_poweroff_or_the_input() {
        let (_dir, mut shell) = place();
        let mut out = Vec::new();
        shell.session(&mut &b"count\npoweroff\ncount\n"[..], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "imalab: `help` lists the commands\nimalab# 12\nimalab# ");
        let mut out = Vec::new();
        shell.session(&mut &b"\xff\n"[..], &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("\u{fffd}: no such command; `help` lists them\n"));
    }

    #[test]
    fn help_names_every_command() {
        let (_dir, shell) = place();
        let text = said(&shell, "help");
        for name in [
            "help", "ls", "cat", "echo", "write", "stage", "delete", "trim", "measure", "count", "mount",
            "dmesg", "poweroff",
        ] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
        }
    }

    #[rstest]
    #[case("stage", "ascii_runtime_measurements_staged", "A\n")]
    #[case("delete", "ascii_runtime_measurements_staged", "D\n")]
    #[case("trim 12", "ascii_runtime_measurements", "12\n")]
    fn the_list_is_driven_by_writes(#[case] line: &str, #[case] file: &str, #[case] written: &str) {
        let (_dir, shell) = place();
        assert_eq!(said(&shell, line), "");
        assert_eq!(fs::read_to_string(shell.ima.join(file)).unwrap(), written);
    }

    #[test]
    fn a_kernel_without_staging_is_named() {
        let (_dir, shell) = place();
        fs::remove_file(shell.ima.join("ascii_runtime_measurements_staged")).unwrap();
        assert_eq!(said(&shell, "stage"), "stage: this kernel has no staged list (CONFIG_IMA_STAGING)\n");
    }

    #[rstest]
    #[case("trim", "trim: usage: trim N\n")]
    #[case("measure", "measure: usage: measure NAME\n")]
    #[case("measure a/b", "measure: a name, not a path\n")]
    #[case("cat", "cat: usage: cat FILE\n")]
    #[case("cat /nonexistent", "cat: No such file or directory (os error 2)\n")]
    #[case("write x", "write: usage: write TEXT FILE\n")]
    #[case("frob 1", "frob: no such command; `help` lists them\n")]
    #[case("   ", "")]
    #[case("echo a  b", "a  b\n")]
    fn what_is_wrong_is_said(#[case] line: &str, #[case] text: &str) {
        let (_dir, shell) = place();
        assert_eq!(said(&shell, line), text);
    }

    #[test]
    fn text_is_written_and_shown() {
        let (dir, shell) = place();
        let file = dir.path().join("f");
        let file = file.to_str().unwrap();
        assert_eq!(said(&shell, &format!("write two words {file}")), "");
        assert_eq!(said(&shell, &format!("cat {file}")), "two words\n");
        assert_eq!(said(&shell, &format!("echo other > {file}")), "");
        assert_eq!(said(&shell, &format!("cat {file}")), "other\n");
    }

    #[test]
    fn measuring_leaves_no_file() {
        let (_dir, shell) = place();
        assert_eq!(said(&shell, "measure a"), "");
        assert_eq!(fs::read_dir(&shell.files).unwrap().count(), 0);
    }

    #[test]
    fn names_are_listed_in_order() {
        let (_dir, shell) = place();
        let text = said(&shell, &format!("ls {}", shell.ima.display()));
        assert_eq!(
            text,
            "ascii_runtime_measurements\nascii_runtime_measurements_staged\nruntime_measurements_count\n"
        );
    }
}
