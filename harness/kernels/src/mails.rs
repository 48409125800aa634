//! Patches that a user brings: a mailbox, a maildir, a folder of mails or diffs, a quilt series, or one file of these. All
//! of it may be a stranger's.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use super::git;
use super::scratch_repository;
use super::series::{self, Mail, Series};
use super::subject::Subject;
use crate::process;
use crate::say::say;
use crate::stop::Stop;

/// The most that the patches of a series may have together, in bytes: a tenth of a kernel's source.
const LIMIT: u64 = 128 << 20;
/// The most mails that are looked at; the longest threads of the kernel's lists have some hundred.
const MAILS: usize = 2000;
/// What the names of patches end in.
const ENDINGS: &[&str] = &["patch", "diff", "eml", "mbox"];
/// The file of quilt(1) that lists patches.
const QUILT: &str = "series";

/// A mail that was found, before it is clear which patches there are, and in which order.
#[derive(Debug)]
struct Found {
    mail: Mail,
    subject: String,
    /// Whether there is a patch in it, and which.
    patch: Vec<u8>,
}

/// Who says in which order patches come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Their place: a list, or names that begin with numbers.
    Place,
    /// Their subjects, if those have numbers.
    Subject,
}

/// Reads the patches at `path`; `scratch` is an empty folder to work in.
///
/// # Errors
/// [`Stop::Usage`] when there is none, or when it cannot be told in which order they come.
pub(super) fn read(path: &Path, scratch: &Path, log: &Path) -> Result<Series> {
    let given = path;
    let path = given.canonicalize().map_err(|error| anyhow!("cannot find it: {error}"));
    let series = path.and_then(|path| {
        let mut reader = Reader { scratch, log, left: LIMIT, found: Vec::new() };
        let order = reader.read(&path)?;
        let mails = ordered(reader.found, order)?;
        let (kernels, excludes) = (series::Range::default(), series::Excludes::default());
        Ok(Series { name: name_of(&path), kernels, excludes, mails, users: true })
    });
    // Whatever it is, the user gave it; but for an interrupt, or a cache that is full.
    let full = |error: &anyhow::Error| {
        let kind = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(
            kind,
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem)
        )
    };
    series.map_err(|error: anyhow::Error| {
        if error.is::<Stop>() || full(&error) {
            error
        } else {
            Stop::Usage(format!("--series {}: {error:#}", given.display())).into()
        }
    })
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = name.rsplit_once('.').filter(|(stem, ending)| !stem.is_empty() && ENDINGS.contains(ending));
    stem.map_or(name, |(stem, _)| stem).to_owned()
}

struct Reader<'a> {
    scratch: &'a Path,
    log: &'a Path,
    /// Bytes that may still come.
    left: u64,
    found: Vec<Found>,
}

impl Reader<'_> {
    fn read(&mut self, path: &Path) -> Result<Order> {
        if !path.is_dir() {
            let content = self.content(path)?;
            self.split(&content, None, series::STRIP)?;
            return Ok(Order::Subject);
        }
        if path.join(QUILT).exists() {
            for (name, strip) in quilt(&String::from_utf8_lossy(&self.content(&within(path, QUILT)?)?))? {
                let content = self.content(&within(path, &name)?)?;
                self.split(&content, Some(&name), strip)?;
            }
            return Ok(Order::Place);
        }
        let maildir = path.join("cur").is_dir();
        let mut files = Vec::new();
        for folder in if maildir { ["cur", "new"].as_slice() } else { &[""] } {
            files.extend(files_of(&path.join(folder), maildir)?);
        }
        let mut numbered = !maildir;
        for name in files {
            let place = within(path, name.strip_prefix(path).unwrap_or(&name).to_string_lossy().as_ref())?;
            // A line break in a name would begin a line of ours.
            let shown = name.file_name().unwrap_or_default().to_string_lossy().replace('\n', "\\n");
            numbered &= shown.starts_with(|letter: char| letter.is_ascii_digit());
            let content = self.content(&place)?;
            self.split(&content, (!maildir).then_some(&shown), series::STRIP)?;
        }
        Ok(if numbered { Order::Place } else { Order::Subject })
    }

    /// The bytes of a file, unpacked when it is packed. No pipe or device is opened.
    fn content(&mut self, path: &Path) -> Result<Vec<u8>> {
        let shown = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unreadable = || format!("cannot read {shown}");
        if !fs::metadata(path).with_context(unreadable)?.is_file() {
            bail!("{shown} is no file");
        }
        let mut content = Vec::new();
        let file = File::open(path).with_context(unreadable)?;
        file.take(self.left + 1).read_to_end(&mut content).with_context(unreadable)?;
        // RFC 1952, section 2.3.1: ID1 and ID2.
        if content.starts_with(&[0x1f, 0x8b]) {
            content = unpacked(path, self.left + 1)?;
        }
        self.left = self
            .left
            .checked_sub(content.len() as u64)
            .with_context(|| format!("more than {} MiB of patches", LIMIT >> 20))?;
        Ok(content)
    }

    /// Takes a file apart into its mails; a plain patch is one. `name` is what the user knows them by, if not their
    /// subjects.
    fn split(&mut self, content: &[u8], name: Option<&str>, strip: usize) -> Result<()> {
        let folder = self.scratch.join(format!("mails-{}", self.found.len()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = self.scratch.join("content");
        let mut all = File::create(&file).with_context(|| format!("cannot make {}", file.display()))?;
        all.write_all(content).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = git::command(self.scratch);
        // A single mail need not begin as those of a mailbox do.
        command.args(["mailsplit", "-b"]).arg(format!("-o{}", folder.display())).arg(&file);
        if !process::run_logged(&mut command, self.log, |_| {})?.success() {
            bail!("{} is nothing that git mailsplit can read", name.unwrap_or("it"));
        }
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        // Numbers of four digits or more.
        files.sort_by(|a, b| a.as_os_str().len().cmp(&b.as_os_str().len()).then(a.cmp(b)));
        if self.found.len() + files.len() > MAILS {
            bail!("more than {MAILS} mails");
        }
        for file in files {
            let patch = self.scratch.join("patch");
            let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let subject = scratch_repository::mailinfo(self.scratch, &file, &patch, self.log)?;
            let patch = fs::read(&patch).with_context(|| format!("cannot read {}", patch.display()))?;
            let name = name.map_or_else(|| title(&subject, self.found.len() + 1), str::to_owned);
            if contains(&patch, b"GIT binary patch") {
                // Deflated, and so of any size; no kernel is changed by one.
                bail!("{name} is a binary patch, and those are not taken");
            }
            self.found.push(Found { mail: Mail { name, content, strip }, subject, patch });
        }
        Ok(())
    }
}

/// What a mail of a mailbox is called: as in its subject, or by its place.
fn title(subject: &str, place: usize) -> String {
    let Subject { number, text, .. } = Subject::of(subject);
    match number {
        Some((number, of)) => format!("{number}/{of} \"{text}\""),
        None if text.is_empty() => format!("mail {place}"),
        None => format!("\"{text}\""),
    }
}

/// The output of gzip(1), and no more than `limit` bytes of it.
fn unpacked(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let packed = File::open(path).context("cannot open it")?;
    let mut child = Command::new("gzip")
        .args(["--decompress", "--stdout"])
        .stdin(packed)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run gzip")?;
    let stdout = child.stdout.take().context("a child without standard output")?;
    let mut content = Vec::new();
    stdout.take(limit).read_to_end(&mut content).context("cannot read what gzip unpacks")?;
    // A pipe that nobody reads any more ends a bomb.
    let output = child.wait_with_output().context("cannot wait for gzip")?;
    if !output.status.success() && (content.len() as u64) < limit {
        bail!("gzip: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(content)
}

/// The files of a folder that are patches, by name; in a maildir all are.
fn files_of(folder: &Path, all: bool) -> Result<Vec<PathBuf>> {
    if all && !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if all || ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The path of `name` in `folder`, which no link leads out of.
fn within(folder: &Path, name: &str) -> Result<PathBuf> {
    let below =
        Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let path = folder.join(name).canonicalize();
    match path {
        _ if !below => bail!("{name} is not in the folder"),
        Ok(path) if path.starts_with(folder) => Ok(path),
        Ok(path) => bail!("{name} is a link to {}, which is not in the folder", path.display()),
        Err(error) => bail!("cannot find {name}: {error}"),
    }
}

/// The patches that a `series` file of quilt(1) lists, with how much of their names is to be stripped.
fn quilt(text: &str) -> Result<Vec<(String, usize)>> {
    let mut patches = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let Some(name) = words.next() else { continue };
        let mut strip = series::STRIP;
        for word in words {
            let level =
                word.strip_prefix("-p").map(|level| if level == "ab" { Ok(1) } else { level.parse() });
            match level {
                Some(Ok(level)) => strip = level,
                _ => {
                    bail!("{QUILT}: {name} has the option {word}, and only -p followed by a number is known")
                }
            }
        }
        patches.push((name.to_owned(), strip));
    }
    Ok(patches)
}

/// The mails with patches, in order.
fn ordered(found: Vec<Found>, order: Order) -> Result<Vec<Mail>> {
    let (mut patches, mut others) = (Vec::new(), Vec::new());
    for one in found {
        let patch =
            one.patch.windows(4).any(|bytes| bytes == b"\n@@ ") || contains(&one.patch, b"diff --git ");
        if patch { patches.push(one) } else { others.push(one) }
    }
    if patches.iter().any(|one| !Subject::of(&one.subject).reply) {
        patches.retain(|one| {
            let subject = Subject::of(&one.subject);
            if subject.reply {
                say!("{} is an answer: the patch in it is passed over", one.mail.name);
            }
            !subject.reply
        });
    }
    if patches.is_empty() {
        bail!(
            "no patch there; looked for mails with diffs, in a file or in files that end in .{}",
            ENDINGS.join(", .")
        );
    }
    if let Some(cover) = others.iter().find(|one| {
        let subject = Subject::of(&one.subject);
        !subject.reply && subject.number.is_some_and(|(number, _)| number > 0)
    }) {
        bail!("{} has no patch that git can read", cover.mail.name);
    }
    let numbers: Option<Vec<(u32, (u32, u32))>> = patches
        .iter()
        .map(|one| Subject::of(&one.subject))
        .map(|subject| Some((subject.version, subject.number?)))
        .collect();
    let Some(numbers) = numbers.filter(|_| order == Order::Subject) else {
        return Ok(patches.into_iter().map(|one| one.mail).collect());
    };
    let mut kinds: Vec<(u32, u32)> = numbers.iter().map(|(version, (_, of))| (*version, *of)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if let [_, _, ..] = kinds.as_slice() {
        let list: Vec<String> = kinds.iter().map(|(version, of)| format!("v{version} of {of}")).collect();
        bail!("patches of several series ({}); one is wanted", list.join(", "));
    }
    let mut numbered: Vec<(u32, Found)> =
        numbers.iter().map(|(_, (number, _))| *number).zip(patches).collect();
    numbered.sort_by_key(|(number, _)| *number);
    let mut double = None;
    numbered.dedup_by(|(number, one), (before, other)| {
        if number == before && one.patch != other.patch {
            double = Some(*number);
        }
        number == before
    });
    if let Some(number) = double {
        bail!("patch {number} is there twice, and they differ");
    }
    let of = kinds.first().map_or(0, |(_, of)| *of);
    // A number that no mailbox can have is not counted up to.
    let missing: Vec<String> = (1..=of.min(10_000))
        .filter(|number| numbered.binary_search_by_key(number, |(there, _)| *there).is_err())
        .take(10)
        .map(|number| number.to_string())
        .collect();
    if !missing.is_empty() {
        say!("warning: of {of} patches, these are not there: {}", missing.join(", "));
    }
    Ok(numbered.into_iter().map(|(_, one)| one.mail).collect())
}

fn contains(text: &[u8], start: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| line.starts_with(start))
}

#[cfg(test)]
#[path = "mails_tests.rs"]
mod tests;
