//! What a run leaves on disk: everything below `--out`, or a bundle for a run that did not pass.

use std::path::{Path, PathBuf};

use crate::report::run_dir::{BUNDLE, Bundle, KernelUsed, OutDir, RunDir, TRACE};
use crate::report::{chain, trace};
use crate::run_id::RunId;
use imalab_check::Digest;
use imalab_check::outcome::{Outcome, RunResult};
use imalab_files::atomic::FileError;
use imalab_formats::ima::{AsciiLine, Bank, ByteOrder, LogReader};
use imalab_language::plan::Plan;
use imalab_run::Ran;
use imalab_trace::{Host, What};

/// Where runs leave their evidence.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// `--out`: every run has a folder there.
    pub out: Option<PathBuf>,
    /// Where bundles go without `--out`.
    pub bundles: PathBuf,
    /// Folder of the scenarios, for the text of the one that was run.
    pub scenarios: PathBuf,
    /// Whether bundles carry kernels and image.
    pub carries: bool,
    /// Where `repro` looks for kernels and images: below this folder.
    pub cache: PathBuf,
}

impl Store {
    /// Makes the folder of `--out`, so that a place that cannot be is told before the first run, and removes what killed calls
    /// left half-written.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare(&self) -> Result<(), FileError> {
        let place = self.out.as_deref().unwrap_or(&self.bundles);
        match OutDir::create(place) {
            Ok(place) => place.remove_abandoned(),
            Err(error) if self.out.is_some() => return Err(error),
            // Told where there is something to be kept.
            Err(_) => {}
        }
        Ok(())
    }

    /// Keeps what `ran` left and notes in `result` where, or why not: whatever goes wrong here, what was found stands. `text` is the
    /// scenario's, `used` what a bundle says of the kernel.
    pub fn keep(
        &self,
        result: &mut RunResult,
        plan: &Plan,
        (ran, digest): (&Ran, &Digest<'_>),
        scenario: Option<&str>,
        used: impl FnOnce(&RunResult) -> Result<KernelUsed, FileError>,
    ) {
        let passed = matches!(result.outcome, Outcome::Passed | Outcome::KnownDefect | Outcome::KnownLimit);
        // A run that a signal ended shows nothing that could be shown again.
        let bundled = !passed && result.outcome != Outcome::Interrupted;
        let place = match &self.out {
            Some(out) => out,
            None if bundled => &self.bundles,
            None => return,
        };
        let dir = match OutDir::create(place).and_then(|place| place.run(&RunId::of(result))) {
            Ok(dir) => dir,
            Err(error) => {
                result.not_stored = Some(chain(&error));
                return;
            }
        };
        if self.out.is_some() {
            result.dir = Some(dir.path().to_owned());
        }
        if bundled {
            result.bundle = Some(dir.path().to_owned());
            result.repro = Some(dir.repro(&[]));
        }
        let used = if bundled { used(result).map(Some) } else { Ok(None) };
        let mut trouble = Trouble::default();
        if let Ok(Some(used)) = &used {
            match self.carries {
                true => drop(trouble.note(dir.carry(used))),
                false => result.repro = Some(dir.repro(&self.beside(used))),
            }
        }
        evidence(&dir, plan, ran, digest, &mut trouble);
        if let Some(text) = scenario {
            trouble.note(dir.write_scenario(text));
        }
        trouble.note(dir.write_timeline(result, plan, &ran.trace, digest.histories(), scenario));
        let used = trouble.note(used).flatten();
        result.not_stored = trouble.text();
        trouble.note(dir.write_result(result));
        if let Some(used) = used {
            trouble.note(Bundle::of(result, used, &dir).and_then(|bundle| dir.write_bundle(&bundle)));
        }
        result.not_stored = trouble.text();
        if bundled && !dir.path().join(BUNDLE).exists() {
            // What there is can be looked at all the same.
            (result.dir, result.bundle, result.repro) = (Some(dir.path().to_owned()), None, None);
        }
    }
}

impl Store {
    /// What `repro` would not find by itself.
    fn beside<'a>(&self, used: &'a KernelUsed) -> Vec<(&'static str, &'a Path)> {
        let cache = self.cache.canonicalize().unwrap_or_else(|_| self.cache.clone());
        let found = |path: &Path| path.canonicalize().is_ok_and(|path| path.starts_with(&cache));
        let files = [("--image", used.image.path.as_path()), ("--initramfs", used.initramfs.path.as_path())];
        files.into_iter().filter(|(_, path)| !found(path)).collect()
    }
}

/// Writes each file for itself: where one does not fit, a smaller one may.
fn evidence(dir: &RunDir, plan: &Plan, ran: &Ran, digest: &Digest<'_>, trouble: &mut Trouble) {
    trouble.note(dir.write_plan(plan));
    trouble.note(trace::write(&dir.path().join(TRACE), &ran.trace));
    trouble.note(dir.write_console(&ran.console));
    trouble.note(dir.write_tpm(&ran.trace));
    trouble.note(dir.write_commands(&ran.commands));
    if let Some(Ok(schedule)) = &ran.schedule {
        trouble.note(dir.write_schedule(schedule));
    }
    trouble.note(dir.write_log(digest.records()));
    trouble.note(dir.write_records(digest.histories()));
    // Up to the first record whose fields have no text.
    trouble.note(dir.write_lines(digest.records().map_while(|record| line(&record))));
    let last = ran.trace.notable().rev().find_map(|event| match &event.what {
        What::Pcrs(reading) => Some(reading),
        _ => None,
    });
    if let Some(reading) = last {
        trouble.note(dir.write_pcrs(reading));
    }
    for event in ran.trace.notable() {
        match &event.what {
            What::Quote(quote) => trouble.note(dir.write_quote(quote)),
            What::Host(Host::Processors { text, .. }) => trouble.note(dir.write_processors(text)),
            _ => None,
        };
    }
}

/// What could not be written: the first of it is told, and how much more there was.
#[derive(Default)]
struct Trouble {
    first: Option<String>,
    more: usize,
}

impl Trouble {
    fn note<T>(&mut self, done: Result<T, FileError>) -> Option<T> {
        match done {
            Ok(value) => Some(value),
            Err(error) => {
                match self.first {
                    Some(_) => self.more += 1,
                    None => self.first = Some(chain(&error)),
                }
                None
            }
        }
    }

    fn text(&self) -> Option<String> {
        self.first.as_ref().map(|first| match self.more {
            0 => first.clone(),
            more => format!("{first} (and {more} more)"),
        })
    }
}

/// A record in the view of SHA-1 as a line; nothing of one that no list showed.
fn line(record: &[u8]) -> Option<Vec<u8>> {
    match LogReader::new(record, Bank::Sha1).next_record() {
        Ok(Some(record)) => Some(AsciiLine::of(record, ByteOrder::Little).ok()?.to_bytes()),
        Ok(None) => Some(Vec::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_first_trouble_is_told_and_the_rest_is_counted() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.note(Ok(1)), Some(1));
        assert_eq!(trouble.text(), None);
        let full =
            |name| Err::<(), _>(FileError::new("write", Path::new(name), io::ErrorKind::StorageFull.into()));
        assert_eq!(trouble.note(full("a")), None);
        assert_eq!(trouble.text().unwrap(), "cannot write a: no storage space");
        trouble.note(full("b"));
        assert_eq!(trouble.text().unwrap(), "cannot write a: no storage space (and 1 more)");
    }
}
