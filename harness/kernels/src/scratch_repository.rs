//! Applying patches as `git am` does: in a scratch repository that holds nothing but the files they touch.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use super::conflict::{self, Conflict};
use super::content::{self, Contents, Entry};
use super::git;
use super::series::{Mail, Series};
use super::touched::TouchedFiles;
use crate::cache;
use crate::process::{self, stdout_of};

/// What came of a series.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Patches that were applied.
    pub(crate) now: usize,
    /// Titles of those that the tree had already.
    pub(crate) before: Vec<String>,
}

/// What applying patches has come to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Of each series.
    pub(crate) applied: Vec<Applied>,
    /// What stands where something has changed.
    pub(crate) changed: Contents,
}

/// A mail's patch.
struct Patch {
    title: String,
    text: Vec<u8>,
    strip: usize,
}

impl Patch {
    /// Whether the mail is a cover letter or the like.
    fn is_none(&self) -> bool {
        let mut touched = TouchedFiles::default();
        touched.add(&self.text, self.strip);
        let hunk = |line: &[u8]| line.starts_with(b"@@ -") || line.starts_with(b"diff --git ");
        touched.is_empty() && !self.text.split(|byte| *byte == b'\n').any(hunk)
    }
}

/// Applies `series` one after the other in the folder `scratch`, which is made and removed; `pristine` gives what a tree has
/// where they touch it. A run of patches that do not apply, and that the tree has already, is passed over; so is a mail
/// without a patch.
///
/// # Errors
/// [`Conflict`] for the first patch that does neither, or for one that makes what no tree may have; as a
/// [`Stop::Usage`](crate::stop::Stop::Usage) when it is the user's.
pub(crate) fn run(
    scratch: &Path,
    log: &Path,
    series: &[Series],
    pristine: impl FnOnce(&TouchedFiles) -> Result<Contents>,
) -> Result<Outcome> {
    cache::remove(scratch)?;
    let mut repository = ScratchRepository::open(scratch, log)?;
    let mut patches = Vec::new();
    let mut touched = TouchedFiles::default();
    for one in series {
        let decoded =
            one.mails.iter().map(|mail| repository.decode(one, mail)).collect::<Result<Vec<_>>>()?;
        for patch in &decoded {
            touched.add(&patch.text, patch.strip);
        }
        patches.push(decoded);
    }
    repository.fill(&pristine(&touched)?)?;
    let mut applied = Vec::new();
    for (one, patches) in series.iter().zip(&patches) {
        applied.push(repository.apply(patches).map_err(|error| one.blame(error))?);
    }
    let changed = repository.changed().map_err(|error| match series {
        [.., last] => last.blame(error),
        [] => error,
    })?;
    cache::remove(scratch)?;
    Ok(Outcome { applied, changed })
}

/// A scratch repository.
struct ScratchRepository<'a> {
    folder: PathBuf,
    log: &'a Path,
    /// The commit before all patches.
    first: String,
}

impl<'a> ScratchRepository<'a> {
    fn open(folder: &Path, log: &'a Path) -> Result<Self> {
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let repository = Self { folder: folder.to_path_buf(), log, first: String::new() };
        repository.must(&["init", "--quiet", "--template="])?;
        Ok(repository)
    }

    /// Takes the patch out of a mail; whatever encoding the mail has, the patch is plain.
    fn decode(&self, series: &Series, mail: &Mail) -> Result<Patch> {
        let (file, text) = (self.folder.join(".git/mail"), self.folder.join(".git/patch"));
        fs::write(&file, &mail.content).with_context(|| format!("cannot write {}", file.display()))?;
        mailinfo(&self.folder, &file, &text, self.log)
            .with_context(|| format!("cannot read {}", series.title(mail)))?;
        let text = fs::read(&text).with_context(|| format!("cannot read {}", text.display()))?;
        Ok(Patch { title: series.title(mail), text, strip: mail.strip })
    }

    /// Makes `contents` the first commit.
    fn fill(&mut self, contents: &Contents) -> Result<()> {
        for (path, entry) in contents {
            if let Some(entry) = entry {
                content::write(&self.folder, path, entry)?;
            }
        }
        // Past any .gitignore among the files.
        self.must(&["add", "--all", "--force", "--", "."])?;
        self.commit("the tree")?;
        self.first = stdout_of(&mut self.git(&["rev-parse", "HEAD"]))?.trim().to_owned();
        Ok(())
    }

    fn apply(&self, patches: &[Patch]) -> Result<Applied> {
        let mut applied = Applied::default();
        let mut left = patches;
        while let Some((patch, rest)) = left.split_first() {
            if patch.is_none() {
                left = rest;
                continue;
            }
            let Some(complaints) = self.try_one(patch)? else {
                self.commit(&patch.title)?;
                applied.now += 1;
                left = rest;
                continue;
            };
            let conflict = self.conflict(&patch.title, complaints)?;
            self.reset()?;
            let mut there = None;
            for count in 1..=left.len() {
                if self.has(&left[..count])? {
                    there = Some(count);
                    break;
                }
            }
            let Some(count) = there else { return Err(conflict.into()) };
            applied.before.extend(left[..count].iter().map(|patch| patch.title.clone()));
            left = &left[count..];
        }
        Ok(applied)
    }

    /// What git says has changed since the first commit.
    fn changed(&self) -> Result<Contents> {
        let mut git = self.git(&["diff", "--raw", "-z", "--no-renames", "--no-abbrev"]);
        let list = stdout_of(git.args([self.first.as_str(), "HEAD"]))?;
        let mut changed = Contents::new();
        let mut fields = list.split('\0').filter(|field| !field.is_empty());
        while let (Some(header), Some(path)) = (fields.next(), fields.next()) {
            // ":100644 100755 <old> <new> M" (git-diff-files(1), "Raw output format").
            let words: Vec<&str> = header.split(' ').collect();
            let [_, mode, _, blob, _] = words.as_slice() else { bail!("git diff said {header:?}") };
            let path = PathBuf::from(path);
            let entry = match *mode {
                "000000" => None,
                "120000" => Some(Entry::Link(self.link(&path, blob)?)),
                "160000" => return Err(refused(&path, "is a submodule, and those are not followed")),
                mode => Some(Entry::File { content: self.blob(blob)?, executable: mode == "100755" }),
            };
            changed.insert(path, entry);
        }
        Ok(changed)
    }

    fn link(&self, path: &Path, blob: &str) -> Result<std::ffi::OsString> {
        use std::os::unix::ffi::OsStringExt;
        let target = std::ffi::OsString::from_vec(self.blob(blob)?);
        if !content::stays_inside(path, Path::new(&target)) {
            let what = format!("becomes a symbolic link to {}, which is not in the tree", target.display());
            return Err(refused(path, &what));
        }
        Ok(target)
    }

    fn blob(&self, name: &str) -> Result<Vec<u8>> {
        let mut command = self.git(&["cat-file", "blob", name]);
        let output = command.stdin(Stdio::null()).output().context("cannot run git")?;
        if !output.status.success() {
            bail!("git cat-file failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output.stdout)
    }

    /// `git apply`; what git complains about when that does not work.
    fn try_one(&self, patch: &Patch) -> Result<Option<Vec<String>>> {
        let file = self.patch_file(patch)?;
        let mut complaints = Vec::new();
        let mut command = self.git(&["apply", "--index", "--reject", "--whitespace=nowarn"]);
        command.arg(format!("-p{}", patch.strip)).arg(&file);
        let done = process::run_logged(&mut command, self.log, |line| {
            if line.starts_with("error: ") || line.starts_with("fatal: ") {
                complaints.push(line.to_owned());
            }
        })?;
        Ok((!done.success()).then_some(complaints))
    }

    /// Whether the tree has what these patches do: taken back one by one, each fits. Leaves the tree as it was.
    fn has(&self, patches: &[Patch]) -> Result<bool> {
        let mut all = true;
        for patch in patches.iter().rev().filter(|patch| !patch.is_none()) {
            let file = self.patch_file(patch)?;
            let mut command = self.git(&["apply", "--reverse", "--index", "--whitespace=nowarn"]);
            command.arg(format!("-p{}", patch.strip)).arg(&file);
            all = process::run_logged(&mut command, self.log, |_| {})?.success();
            if !all {
                break;
            }
        }
        self.reset()?;
        Ok(all)
    }

    /// Gathers what `git apply --reject` has left.
    fn conflict(&self, patch: &str, complaints: Vec<String>) -> Result<Conflict> {
        let mut hunks = Vec::new();
        let listed = stdout_of(&mut self.git(&["ls-files", "-z", "--others"]))?;
        for path in listed.split('\0').filter(|path| path.ends_with(".rej")).map(Path::new) {
            let Some(Entry::File { content: text, .. }) = content::read(&self.folder, path)? else {
                continue;
            };
            let file = path.with_extension("");
            // The file as it was before hunks that did fit.
            let before = stdout_of(&mut self.git(&["show", &format!("HEAD:{}", file.display())]));
            hunks.extend(conflict::rejected(
                &file,
                &String::from_utf8_lossy(&text),
                &before.unwrap_or_default(),
            ));
        }
        // What git says of a hunk is shown by the hunk.
        let of_a_hunk = |line: &String| {
            line.starts_with("error: patch failed: ") || line.starts_with("error: while searching for:")
        };
        let complaints = complaints.into_iter().filter(|line| !of_a_hunk(line)).collect();
        Ok(Conflict { patch: patch.to_owned(), hunks, complaints })
    }

    fn commit(&self, message: &str) -> Result<()> {
        self.must(&["commit", "--quiet", "--allow-empty", "--no-verify", "--cleanup=verbatim", "-m", message])
    }

    fn reset(&self) -> Result<()> {
        self.must(&["reset", "--quiet", "--hard"])?;
        self.must(&["clean", "--quiet", "-d", "--force"])
    }

    fn patch_file(&self, patch: &Patch) -> Result<PathBuf> {
        let file = self.folder.join(".git/patch");
        fs::write(&file, &patch.text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn must(&self, arguments: &[&str]) -> Result<()> {
        if !process::run_logged(&mut self.git(arguments), self.log, |_| {})?.success() {
            bail!("git {} failed; see {}", arguments[0], self.log.display());
        }
        Ok(())
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = git::command(&self.folder);
        command.args(arguments);
        command
    }
}

/// Runs `git mailinfo` on the mail in `file`: the patch goes to `patch`, and what comes back is the subject as it stands. A
/// file that is a patch and no mail is taken as it is.
pub(super) fn mailinfo(folder: &Path, file: &Path, patch: &Path, log: &Path) -> Result<String> {
    let mail = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let message = patch.with_extension("message");
    let mut subject = String::new();
    let mut command = git::command(folder);
    command.args(["mailinfo", "-k", "-n"]).arg(&message).arg(patch);
    let done = process::run_logged_from(&mut command, mail.into(), log, |line| {
        if let Some(text) = line.strip_prefix("Subject: ") {
            text.clone_into(&mut subject);
        }
    })?;
    if !done.success() {
        bail!("git mailinfo takes it for no mail");
    }
    Ok(subject)
}

fn refused(path: &Path, what: &str) -> anyhow::Error {
    anyhow!("these patches are not taken: {} {what}", path.display())
}
