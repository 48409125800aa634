//! Series of patches: a folder of mails under `kernel-config/patches`, with the kernels that they are for.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use super::catalogue::Line;
use crate::stop::Stop;

/// The file that says what the patches beside it are for.
const DESCRIPTION: &str = "series.yaml";

/// `a/` and `b/`, or the folders that somebody ran `diff` on.
pub(crate) const STRIP: usize = 1;

/// Patches that belong together, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Its folder under `kernel-config/patches`, or what the user calls it.
    pub(crate) name: String,
    /// Kernels that it is for.
    pub(crate) kernels: Range,
    /// Series that cannot be in the same kernel.
    pub(crate) excludes: Excludes,
    /// The patches as mails.
    pub(crate) mails: Vec<Mail>,
    /// Whether it is the user's: what is wrong with it is no failure of ours.
    pub(crate) users: bool,
}

impl Series {
    /// What a message calls a patch of it.
    pub(crate) fn title(&self, mail: &Mail) -> String {
        format!("{}/{}", self.name, mail.name)
    }

    /// Makes the user's mistake out of `error` when the series is the user's.
    pub(crate) fn blame(&self, error: anyhow::Error) -> anyhow::Error {
        if self.users && !error.is::<Stop>() { Stop::Usage(format!("{error:#}")).into() } else { error }
    }
}

/// One patch, as a mail in the form of `git format-patch` or plain.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// File name, or its number and subject within a mailbox.
    pub(crate) name: String,
    /// The mail.
    pub(crate) content: Vec<u8>,
    /// How many folders before a file's name are not the tree's, as with `patch -p`.
    pub(crate) strip: usize,
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

/// Series that cannot be in the same kernel as another.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Excludes {
    /// Their names.
    series: Vec<String>,
    /// Why.
    because: String,
}

/// What `series.yaml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    kernels: Range,
    #[serde(default)]
    excludes: Excludes,
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
    let text = fs::read_to_string(&path).map_err(|error| {
        Stop::Usage(format!("the series {name}: cannot read {}: {error}", path.display()))
    })?;
    let options = serde_saphyr::options! { strict_booleans: true };
    let description: Description = serde_saphyr::from_str_with_options(&text, options)
        .map_err(|error| Stop::Usage(format!("{} cannot be used: {error}", path.display())))?;
    let mails = mails_of(&folder)?;
    if mails.is_empty() {
        return Err(Stop::Usage(format!("{} has no patch", folder.display())).into());
    }
    let Description { kernels, excludes, .. } = description;
    Ok(Series { name: name.to_owned(), kernels, excludes, mails, users: false })
}

/// Refuses series of which one excludes another.
///
/// # Errors
/// [`Stop::Usage`] that names both, and why.
pub(crate) fn fit_together(all: &[Series]) -> Result<(), Stop> {
    for Series { name, excludes, .. } in all {
        if let Some(other) = all.iter().find(|other| excludes.series.contains(&other.name)) {
            return Err(Stop::Usage(format!(
                "the series {name} and {} cannot be in one kernel: {}",
                other.name, excludes.because
            )));
        }
    }
    Ok(())
}

/// The patches in a folder, by name.
fn mails_of(folder: &Path) -> Result<Vec<Mail>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut mails = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            mails.push(Mail { name, content, strip: STRIP });
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
    fn series_that_exclude_each_other_are_refused_with_the_reason() {
        let series = |name: &str, excluded: &[&str]| Series {
            name: name.to_owned(),
            kernels: Range::default(),
            excludes: Excludes {
                series: excluded.iter().map(|name| (*name).to_owned()).collect(),
                because: "a list has one head".to_owned(),
            },
            mails: Vec::new(),
            users: false,
        };
        let (base, one, other) = (series("base", &[]), series("one", &["other"]), series("other", &[]));
        assert!(fit_together(&[base.clone(), one.clone()]).is_ok());
        // Said by one of them, in any order.
        for all in [[base.clone(), one.clone(), other.clone()], [other, base, one]] {
            let error = fit_together(&all).unwrap_err().to_string();
            assert_eq!(error, "the series one and other cannot be in one kernel: a list has one head");
        }
    }

    #[test]
    fn what_a_series_of_this_checkout_excludes_is_there() {
        let patches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel-config/patches");
        for entry in fs::read_dir(&patches).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let excludes = load(&patches, &name).unwrap().excludes;
            assert_eq!(excludes.series.is_empty(), excludes.because.is_empty(), "{name}");
            for other in excludes.series {
                assert!(patches.join(&other).is_dir(), "{name} excludes {other}");
            }
        }
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
