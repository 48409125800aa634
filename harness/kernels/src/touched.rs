//! Which files a patch names, so that they can be put where git applies it. What git makes of it is asked of git.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Files that patches name. A line of a patch may look like a header, so there may be names of no file among them; names
/// that lead out of a tree, or into `.git`, are not.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct TouchedFiles {
    /// Those that are changed or removed.
    pub(crate) present: BTreeSet<PathBuf>,
    /// Those that are made.
    pub(crate) made: BTreeSet<PathBuf>,
}

impl TouchedFiles {
    /// Whether there is none, as in a cover letter.
    pub(crate) fn is_empty(&self) -> bool {
        self.present.is_empty() && self.made.is_empty()
    }

    /// Every one.
    pub(crate) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.present.iter().chain(&self.made)
    }

    /// Adds what the text `patch` names, in the order in which patches are applied. `strip` is how many folders before a
    /// name are not the tree's, as with `patch -p`.
    pub(crate) fn add(&mut self, patch: &[u8], strip: usize) {
        // The file of a `diff --git` line, until another line says what becomes of it.
        let mut pending: Option<PathBuf> = None;
        for line in patch.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(names) = line.strip_prefix(b"diff --git ") {
                self.there(pending.take());
                pending = both(names).and_then(|name| inside(&name, strip));
            } else if line.starts_with(b"new file mode ") {
                self.made(pending.take());
            } else if let Some(name) = line.strip_prefix(b"--- ") {
                self.there(inside(&unquoted(name), strip));
            } else if let Some(name) = line.strip_prefix(b"+++ ") {
                self.made(inside(&unquoted(name), strip));
            } else if let Some(name) = of(line, &[b"rename from ", b"copy from "]) {
                self.there(inside(&unquoted(name), strip.saturating_sub(1)));
            } else if let Some(name) = of(line, &[b"rename to ", b"copy to "]) {
                self.made(inside(&unquoted(name), strip.saturating_sub(1)));
                pending = None;
            }
        }
        self.there(pending);
    }

    /// What an earlier patch makes is nothing that has to be there, and the other way round.
    fn there(&mut self, path: Option<PathBuf>) {
        self.present.extend(path.filter(|path| !self.made.contains(path)));
    }

    fn made(&mut self, path: Option<PathBuf>) {
        self.made.extend(path.filter(|path| !self.present.contains(path)));
    }
}

fn of<'a>(line: &'a [u8], prefixes: &[&[u8]]) -> Option<&'a [u8]> {
    prefixes.iter().find_map(|prefix| line.strip_prefix(*prefix))
}

/// The name that stands twice behind `diff --git`; where there are two names, other lines have them.
fn both(names: &[u8]) -> Option<Vec<u8>> {
    if names.starts_with(b"\"") {
        return Some(unquoted(names));
    }
    // Blanks in names are not quoted: "a/one name b/one name".
    let middle = names.len() / 2;
    let (first, second) = (names.get(..middle)?, names.get(middle + 1..)?);
    let tail = |name: &[u8]| Some(name.iter().position(|byte| *byte == b'/')?).map(|at| name[at..].to_vec());
    (names[middle] == b' ' && tail(first) == tail(second)).then(|| first.to_vec())
}

/// A name without what `diff` puts after a tabulator, or out of the quotes that git uses as C does.
fn unquoted(name: &[u8]) -> Vec<u8> {
    let Some(quoted) = name.strip_prefix(b"\"") else {
        return name.split(|byte| *byte == b'\t').next().unwrap_or(name).to_vec();
    };
    let mut plain = Vec::new();
    let mut bytes = quoted.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => match bytes.next() {
                Some(digit @ b'0'..=b'3') => {
                    let mut value = digit - b'0';
                    for _ in 0..2 {
                        let Some(next) = bytes.next_if(|next| (b'0'..=b'7').contains(next)) else { break };
                        value = value.wrapping_mul(8).wrapping_add(next - b'0');
                    }
                    plain.push(value);
                }
                Some(b'n') => plain.push(b'\n'),
                Some(b't') => plain.push(b'\t'),
                Some(other) => plain.push(other),
                None => break,
            },
            other => plain.push(other),
        }
    }
    plain
}

/// The path in a tree, without the first `strip` folders.
fn inside(name: &[u8], strip: usize) -> Option<PathBuf> {
    if name == b"/dev/null" {
        return None;
    }
    let name = PathBuf::from(OsString::from_vec(name.to_vec()));
    let mut parts = name.components();
    for _ in 0..strip {
        parts.next()?;
    }
    let path = parts.as_path();
    let below =
        |part: Component<'_>| matches!(part, Component::Normal(name) if !name.eq_ignore_ascii_case(".git"));
    (path.components().all(below) && path != Path::new("")).then(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn touched(patches: &[&str]) -> TouchedFiles {
        let mut touched = TouchedFiles::default();
        for patch in patches {
            touched.add(patch.as_bytes(), 1);
        }
        touched
    }

    fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn touched_files_are_those_of_the_headers() {
        let touched = touched(&[
            "diff --git a/Makefile b/Makefile\n--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-a\n+b\n",
            "--- /dev/null\n+++ b/ima/new.c\n@@ -0,0 +1 @@\n+a\n",
            // What an earlier patch makes is nothing that has to be there.
            "--- a/ima/new.c\t2026-01-01\n+++ b/ima/new.c\t2026-01-01\n",
            "--- linux-7.2.orig/mm/shmem.c\t2026-01-01\n+++ linux-7.2/mm/shmem.c\t2026-01-01\n",
        ]);
        assert_eq!(touched.present, paths(&["Makefile", "mm/shmem.c"]));
        assert_eq!(touched.made, paths(&["ima/new.c"]));
    }

    #[rstest]
    #[case::out_of_the_tree("--- a/../../etc/passwd\n+++ b//../etc/passwd\n")]
    #[case::absolute("--- /etc/passwd\n+++ /../etc/passwd\n")]
    #[case::git("--- a/.git/config\n+++ b/.GIT/hooks/post-applypatch\n")]
    #[case::in_between("--- a/kernel/../../x\n")]
    fn names_that_lead_elsewhere_are_none(#[case] patch: &str) {
        let touched = touched(&[patch]);
        assert!(touched.all().all(|path| path.starts_with("etc")), "{touched:?}");
    }

    #[test]
    fn what_has_no_lines_is_touched_too() {
        let touched = touched(&["diff --git a/run b/run\nold mode 100644\nnew mode 100755\n\
             diff --git a/empty file b/empty file\nnew file mode 100644\nindex 0000000..e69de29\n\
             diff --git \"a/\\303\\244\" \"b/\\303\\244\"\nindex 1..2 100644\nGIT binary patch\n\
             diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n"]);
        assert_eq!(touched.present, paths(&["run", "ä", "old"]));
        assert_eq!(touched.made, paths(&["empty file", "new"]));
    }
}
