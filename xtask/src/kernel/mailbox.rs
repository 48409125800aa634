//! Applying mails as `git am` does: in a scratch repository that holds nothing but the files they touch.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::series::{self, Mail, Series};
use crate::guard;
use crate::process;

/// Contents of files by their path in a tree; `None` for one that is not there.
pub(crate) type Contents = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What came of a series.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Patches that were applied.
    pub(crate) now: usize,
    /// Names of those that the tree had already.
    pub(crate) before: Vec<String>,
}

/// A patch that does not apply, and what is in its way.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Conflict {
    /// The patch.
    patch: String,
    /// Its hunks that do not fit.
    hunks: Vec<Hunk>,
    /// What git says.
    complaints: Vec<String>,
}

/// A hunk that does not fit.
#[derive(Debug, PartialEq, Eq)]
struct Hunk {
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

/// A scratch repository; the caller removes its folder.
pub(crate) struct Trial<'a> {
    folder: PathBuf,
    log: &'a Path,
}

impl<'a> Trial<'a> {
    /// Makes the folder, with `contents` as the first commit.
    pub(crate) fn start(folder: &Path, contents: &Contents, log: &'a Path) -> Result<Self> {
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let trial = Self { folder: folder.to_path_buf(), log };
        for (path, content) in contents {
            if let Some(content) = content {
                write(&folder.join(path), content)?;
            }
        }
        trial.must(&["init", "--quiet", "--template="])?;
        // Past any .gitignore among the files.
        trial.must(&["add", "--all", "--force", "--", "."])?;
        trial.must(&["commit", "--quiet", "--allow-empty", "--no-verify", "--message=the tree"])?;
        Ok(trial)
    }

    /// Applies a series. A run of its patches that do not apply, and that the tree has already, is passed over; so is
    /// a mail without a patch.
    ///
    /// # Errors
    /// [`Conflict`] for the first patch that does neither.
    pub(crate) fn apply(&self, series: &Series) -> Result<Applied> {
        let mut applied = Applied::default();
        let mut left = series.mails.as_slice();
        while let Some((mail, rest)) = left.split_first() {
            if series::touched([mail]).is_empty() {
                left = rest;
                continue;
            }
            let Some(complaints) = self.am(mail)? else {
                applied.now += 1;
                left = rest;
                continue;
            };
            let conflict = self.conflict(&format!("{}/{}", series.name, mail.name), complaints)?;
            self.reset()?;
            let mut there = None;
            for count in 1..=left.len() {
                if self.has(&left[..count])? {
                    there = Some(count);
                    break;
                }
            }
            let Some(count) = there else { return Err(conflict.into()) };
            applied.before.extend(left[..count].iter().map(|mail| mail.name.clone()));
            left = &left[count..];
        }
        Ok(applied)
    }

    /// What the files are now.
    pub(crate) fn contents(&self, paths: impl IntoIterator<Item = PathBuf>) -> Result<Contents> {
        paths.into_iter().map(|path| Ok((path.clone(), read(&self.folder.join(&path))?))).collect()
    }

    /// `git am`; what git complains about when that does not work.
    fn am(&self, mail: &Mail) -> Result<Option<Vec<String>>> {
        let file = self.mail_file(mail)?;
        let mut complaints = Vec::new();
        let mut command = self.git(&["am", "--quiet", "--reject", "--keep-non-patch", "--whitespace=nowarn"]);
        command.arg("--no-gpg-sign").arg(&file);
        let done = process::run_logged(&mut command, self.log, |line| {
            if line.starts_with("error: ") || line.starts_with("fatal: ") {
                complaints.push(line.to_owned());
            }
        })?;
        Ok((!done.success()).then_some(complaints))
    }

    /// Whether the tree has what these mails do: taken back one by one, each fits. Leaves the tree as it was.
    fn has(&self, mails: &[Mail]) -> Result<bool> {
        let mut all = true;
        for mail in mails.iter().rev().filter(|mail| !series::touched([*mail]).is_empty()) {
            let file = self.mail_file(mail)?;
            let mut command = self.git(&["apply", "--reverse", "--index", "--whitespace=nowarn"]);
            all = process::run_logged(command.arg(&file), self.log, |_| {})?.success();
            if !all {
                break;
            }
        }
        self.reset()?;
        Ok(all)
    }

    /// Gathers what `git am --reject` has left.
    fn conflict(&self, patch: &str, complaints: Vec<String>) -> Result<Conflict> {
        let mut hunks = Vec::new();
        let listed = process::stdout_of(&mut self.git(&["ls-files", "-z", "--others"]))?;
        for path in listed.split('\0').filter(|path| path.ends_with(".rej")).map(Path::new) {
            let text = fs::read(self.folder.join(path)).context("cannot read what git has left")?;
            let file = path.with_extension("");
            // The file as it was before hunks that did fit.
            let before = process::stdout_of(&mut self.git(&["show", &format!("HEAD:{}", file.display())]));
            hunks.extend(rejected(&file, &String::from_utf8_lossy(&text), &before.unwrap_or_default()));
        }
        // What git says of a hunk is shown by the hunk.
        let of_a_hunk = |line: &String| {
            line.starts_with("error: patch failed: ") || line.starts_with("error: while searching for:")
        };
        let complaints = complaints.into_iter().filter(|line| !of_a_hunk(line)).collect();
        Ok(Conflict { patch: patch.to_owned(), hunks, complaints })
    }

    fn reset(&self) -> Result<()> {
        // Nothing to quit when `git am` has refused the mail altogether.
        process::run_logged(&mut self.git(&["am", "--quit"]), self.log, |_| {})?;
        self.must(&["reset", "--quiet", "--hard"])?;
        self.must(&["clean", "--quiet", "-d", "--force"])
    }

    fn mail_file(&self, mail: &Mail) -> Result<PathBuf> {
        let file = self.folder.join(".git/mail");
        fs::write(&file, &mail.content).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn must(&self, arguments: &[&str]) -> Result<()> {
        if !process::run_logged(&mut self.git(arguments), self.log, |_| {})?.success() {
            bail!("git {} failed; see {}", arguments[0], self.log.display());
        }
        Ok(())
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = guard::command("git");
        // Nothing of the user's: a commit here is nobody's, and goes away with the folder.
        command.env_clear();
        command.envs(["PATH", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("LC_ALL", "C").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("HOME", &self.folder).arg("-C").arg(&self.folder);
        command.args(["-c", "user.name=imalab", "-c", "user.email=imalab@localhost"]);
        command.args(["-c", "core.autocrlf=false", "-c", "gc.auto=0"]).args(arguments);
        command
    }
}

/// The mails of a mailbox, or of a folder with a patch a file; `scratch` is a folder to work in.
pub(crate) fn read_series(path: &Path, scratch: &Path, log: &Path) -> Result<Series> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mails = if path.is_dir() && !path.join("cur").is_dir() {
        series::mails_of(path)?
    } else {
        split(path, scratch, log)?
    };
    if series::touched(&mails).is_empty() {
        bail!("{} has no patch", path.display());
    }
    Ok(Series { name, kernels: series::Range::default(), mails })
}

/// The mails of a mailbox or a maildir, by `git mailsplit`.
fn split(path: &Path, scratch: &Path, log: &Path) -> Result<Vec<Mail>> {
    let folder = scratch.join("mails");
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = guard::command("git");
    // A single mail need not begin as those of a mailbox do.
    command.args(["mailsplit", "-b"]).arg(format!("-o{}", folder.display())).arg(path);
    if !process::run_logged(&mut command, log, |_| {})?.success() {
        bail!("{} is no mailbox that git mailsplit can read", path.display());
    }
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let mail = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Mail { name, content })
    };
    files.iter().map(mail).collect()
}

/// Takes the text of a `.rej` file apart.
fn rejected(file: &Path, text: &str, before: &str) -> Vec<Hunk> {
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

/// The content of a file, if it is there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file, and makes the folders above it.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
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
