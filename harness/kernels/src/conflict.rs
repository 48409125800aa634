//! A patch that does not apply, shown hunk by hunk beside what the tree has there.

use std::fmt;
use std::path::{Path, PathBuf};

/// A patch that does not apply, and what is in its way.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Conflict {
    /// The patch.
    pub(super) patch: String,
    /// Its hunks that do not fit.
    pub(super) hunks: Vec<Hunk>,
    /// What git says.
    pub(super) complaints: Vec<String>,
}

/// A hunk that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hunk {
    file: PathBuf,
    /// The hunk, its header first.
    lines: Vec<String>,
    /// What the file has where the hunk belongs: line number and text.
    there: Vec<(usize, String)>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not apply", self.patch)?;
        for complaint in &self.complaints {
            write!(f, "\n  {complaint}")?;
        }
        for hunk in &self.hunks {
            write!(f, "\n\n{}: this hunk does not fit:", hunk.file.display())?;
            for line in &hunk.lines {
                write!(f, "\n    {line}")?;
            }
            write!(f, "\n  the tree has there:")?;
            for (number, line) in &hunk.there {
                write!(f, "\n    {number:5} {line}")?;
            }
            if hunk.there.is_empty() {
                write!(f, "\n    nothing: the file ends before")?;
            }
        }
        Ok(())
    }
}

/// Takes the text of a `.rej` file apart.
pub(super) fn rejected(file: &Path, text: &str, before: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    for line in text.lines() {
        if let Some((from, count)) = header(line) {
            let lines = before.lines().enumerate().skip(from.saturating_sub(1)).take(count);
            let there = lines.map(|(at, line)| (at + 1, line.to_owned())).collect();
            hunks.push(Hunk { file: file.to_path_buf(), lines: vec![line.to_owned()], there });
        } else if let Some(hunk) = hunks.last_mut() {
            hunk.lines.push(line.to_owned());
        }
    }
    hunks
}

/// First line and number of lines of the old file, from a hunk's header: `@@ -402,7 +402,9 @@`.
fn header(line: &str) -> Option<(usize, usize)> {
    let old = line.strip_prefix("@@ -")?.split(' ').next()?;
    match old.split_once(',') {
        Some((from, count)) => Some((from.parse().ok()?, count.parse().ok()?)),
        None => Some((old.parse().ok()?, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_hunks_are_shown_beside_what_is_there() {
        let text =
            "diff a/f b/f\t(rejected hunks)\n@@ -2,2 +2,3 @@ f()\n two\n+new\n three\n@@ -9 +10 @@\n-x\n+y\n";
        let hunks = rejected(Path::new("f"), text, "one\nzwei\ndrei\n");
        assert_eq!(hunks.len(), 2);
        assert_eq!(hunks[0].lines, ["@@ -2,2 +2,3 @@ f()", " two", "+new", " three"]);
        assert_eq!(hunks[0].there, [(2, "zwei".to_owned()), (3, "drei".to_owned())]);
        assert_eq!(hunks[1].there, []);
    }
}
