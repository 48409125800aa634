//! Series of patches: a folder of mails under `kernel-config/patches`, with the kernels that they are for.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::catalogue::Line;

/// The file that says what the patches beside it are for.
const DESCRIPTION: &str = "series.yaml";

/// Patches that belong together, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Its folder under `kernel-config/patches`, or what the user calls it.
    pub(crate) name: String,
    /// Kernels that it is for.
    pub(crate) kernels: Range,
    /// The patches as mails.
    pub(crate) mails: Vec<Mail>,
}

/// One patch as a mail, in the form of `git format-patch`.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// File name, or its number within a mailbox.
    pub(crate) name: String,
    /// The mail.
    pub(crate) content: Vec<u8>,
}

/// Version lines that a series is for; an end that is not given is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// The first one.
    #[serde(default)]
    from: Option<Line>,
    /// The first one after it for which the series is no longer.
    #[serde(default)]
    before: Option<Line>,
}

/// What `series.yaml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    kernels: Range,
    /// What a reader should know; not read by any program.
    #[serde(rename = "notes")]
    _notes: String,
}

impl Range {
    /// Whether a kernel of this line is one that the series is for.
    pub(crate) fn has(self, line: Line) -> bool {
        self.from.is_none_or(|from| from <= line) && self.before.is_none_or(|before| line < before)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.before) {
            (None, None) => write!(f, "any kernel"),
            (Some(from), None) => write!(f, "kernels from {from}"),
            (None, Some(before)) => write!(f, "kernels before {before}"),
            (Some(from), Some(before)) => write!(f, "kernels from {from} and before {before}"),
        }
    }
}

/// Reads the series `name` under `patches`: its description and every `*.patch`, by name.
///
/// # Errors
/// When the folder is not there, has no patch, or is not described.
pub(crate) fn load(patches: &Path, name: &str) -> Result<Series> {
    let folder = patches.join(name);
    let path = folder.join(DESCRIPTION);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let options = serde_saphyr::options! { strict_booleans: true };
    let description: Description = serde_saphyr::from_str_with_options(&text, options)
        .map_err(|error| anyhow!("{} cannot be used: {error}", path.display()))?;
    let mails = mails_of(&folder)?;
    if mails.is_empty() {
        bail!("{} has no patch", folder.display());
    }
    Ok(Series { name: name.to_owned(), kernels: description.kernels, mails })
}

/// The patches in a folder, by name.
pub(crate) fn mails_of(folder: &Path) -> Result<Vec<Mail>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut mails = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            mails.push(Mail { name, content });
        }
    }
    mails.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mails)
}

/// The version line of the kernel in `tree`, as its top Makefile has it.
pub(crate) fn line_of(tree: &Path) -> Result<Line> {
    let path = tree.join("Makefile");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let value = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix('=').map(str::trim))
    };
    let version = value("VERSION").zip(value("PATCHLEVEL"));
    let (major, minor) = version.with_context(|| format!("{} names no version", path.display()))?;
    format!("{major}.{minor}").parse().map_err(|error: String| anyhow!("{}: {error}", path.display()))
}

/// Files that a mail touches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Those that it changes or removes.
    pub(crate) present: BTreeSet<PathBuf>,
    /// Those that it makes.
    pub(crate) made: BTreeSet<PathBuf>,
}

impl Touched {
    /// Whether there is none, as in a cover letter.
    pub(crate) fn is_empty(&self) -> bool {
        self.present.is_empty() && self.made.is_empty()
    }

    /// Every one.
    pub(crate) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.present.iter().chain(&self.made)
    }
}

/// The files that `mails` touch together. A line of a patch may look like a header, so there may be names of no file
/// among them; names that lead out of a tree are not.
pub(crate) fn touched<'a>(mails: impl IntoIterator<Item = &'a Mail>) -> Touched {
    let mut touched = Touched::default();
    for mail in mails {
        for line in String::from_utf8_lossy(&mail.content).lines() {
            if let Some(path) = line.strip_prefix("--- a/").and_then(inside) {
                if !touched.made.contains(&path) {
                    touched.present.insert(path);
                }
            } else if let Some(path) = line.strip_prefix("rename from ").and_then(inside) {
                touched.present.insert(path);
            } else if let Some(path) =
                line.strip_prefix("+++ b/").or_else(|| line.strip_prefix("rename to ")).and_then(inside)
                && !touched.present.contains(&path)
            {
                touched.made.insert(path);
            }
        }
    }
    touched
}

/// A path below a tree; `diff` may put a time stamp after a tabulator.
fn inside(name: &str) -> Option<PathBuf> {
    let path = Path::new(name.split('\t').next().unwrap_or(name));
    let below = path.components().all(|part| matches!(part, Component::Normal(_)));
    (below && !path.as_os_str().is_empty()).then(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn line(text: &str) -> Line {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("6.11", false)]
    #[case("6.12", true)]
    #[case("6.13", true)]
    #[case("7.0", false)]
    fn a_range_has_its_first_line_and_not_its_last(#[case] kernel: &str, #[case] has: bool) {
        let range = Range { from: Some(line("6.12")), before: Some(line("7.0")) };
        assert_eq!(range.has(line(kernel)), has);
        assert_eq!(range.to_string(), "kernels from 6.12 and before 7.0");
        assert!(Range::default().has(line(kernel)));
    }

    #[test]
    fn touched_files_are_those_of_the_headers() {
        let mail = |text: &str| Mail { name: "m".into(), content: text.into() };
        let mails = [
            mail("diff --git a/Makefile b/Makefile\n--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-a\n+b\n"),
            mail("--- /dev/null\n+++ b/ima/new.c\n@@ -0,0 +1 @@\n+a\n"),
            // What an earlier patch makes is nothing that has to be there.
            mail("--- a/ima/new.c\t2026-01-01\n+++ b/ima/new.c\t2026-01-01\n"),
            mail("--- a/../../etc/passwd\n+++ b//etc/passwd\n"),
        ];
        let touched = touched(&mails);
        assert_eq!(touched.present, BTreeSet::from([PathBuf::from("Makefile")]));
        assert_eq!(touched.made, BTreeSet::from([PathBuf::from("ima/new.c")]));
    }

    #[test]
    fn the_line_of_a_tree_is_in_its_makefile() {
        let folder = tempfile::tempdir().unwrap();
        let makefile = folder.path().join("Makefile");
        fs::write(&makefile, "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n").unwrap();
        assert_eq!(line_of(folder.path()).unwrap(), line("6.12"));
        fs::write(&makefile, "all:\n").unwrap();
        assert!(line_of(folder.path()).unwrap_err().to_string().ends_with("names no version"));
    }
}
