//! Where runs leave their evidence: a folder for each below `--out`, readable with tools that are not ours.

mod bundle;
mod carried;
mod name;
mod out_dir;
mod pcrs;
mod quotes;
mod tpm_text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use bundle::{Bundle, BundleError, HashedFile, KernelUsed, hash_file};
pub use out_dir::OutDir;
pub use pcrs::pcrs_text;
pub use quotes::QUOTE_FILES;
pub use tpm_text::tpm_text;

use super::document;
use super::json::{self, ReadError, SCHEMA};
use super::trace::TraceWriter;
use super::{input, timeline};
use imalab_check::RecordHistory;
use imalab_check::outcome::RunResult;
use imalab_files::atomic::{self, FileError};
use imalab_language::plan::Plan;
use imalab_print::front;
use imalab_schedule::Report;
use imalab_trace::{PcrReading, QuoteTaken, Trace};

/// The run's result.
pub const RESULT: &str = "result.json";
/// What was to be done.
pub const PLAN: &str = "plan.json";
/// Everything that was observed.
pub const TRACE: &str = "trace.jsonl";
/// What the processors did of a machine in which nothing happened any more.
pub const PROCESSORS: &str = "processors.txt";
/// What the serial console printed, byte for byte.
pub const CONSOLE: &str = "console.log";
/// The complete measurement list in the kernel's binary form, sha1 view.
pub const LOG: &str = "log.bin";
/// The same as lines.
pub const LINES: &str = "log.txt";
/// Each record of that list with where it was at every moment, a line each.
pub const RECORDS: &str = "records.jsonl";
/// The TPM's commands and answers for a reader.
pub const TPM: &str = "tpm.txt";
/// The run as a picture.
pub const TIMELINE: &str = "timeline.html";
/// Command lines of the machine, ready to paste.
pub const COMMANDS: &str = "commands.txt";
/// In the deterministic lane, all preemptions and the hash of the schedule.
pub const SCHEDULE: &str = "schedule.json";
/// The scenario as it was run.
pub const SCENARIO: &str = "scenario.yaml";
/// What `repro` reads.
pub const BUNDLE: &str = "bundle.json";

/// Whether a file of this name is one that runs leave in their folders.
fn is_evidence(name: &str) -> bool {
    let all = [
        RESULT, PLAN, TRACE, PROCESSORS, CONSOLE, LOG, LINES, RECORDS, TPM, TIMELINE, COMMANDS, SCENARIO,
        BUNDLE,
    ];
    all.contains(&name) || name.starts_with("pcrs-")
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// [`RESULT`]'s form: a run's result with the schema's version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RunDocument {
    /// Version of this form.
    pub schema: u32,
    /// The result.
    pub run: RunResult,
}

/// [`PLAN`]'s form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// Version of this form.
    pub schema: u32,
    /// The plan.
    pub plan: Plan,
}

impl RunDir {
    /// A folder that an earlier run left.
    pub fn existing(path: &Path) -> RunDir {
        RunDir { path: path.to_owned() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts the trace.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn trace(&self) -> Result<TraceWriter, FileError> {
        TraceWriter::create(&self.path.join(TRACE))
    }

    /// Stores the console's bytes.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_console(&self, bytes: &[u8]) -> Result<(), FileError> {
        atomic::write(&self.path.join(CONSOLE), bytes)
    }

    /// Stores what the processors did.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_processors(&self, text: &str) -> Result<(), FileError> {
        atomic::write(&self.path.join(PROCESSORS), text.as_bytes())
    }

    /// Stores what was decided in the deterministic lane.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_schedule(&self, schedule: &Report) -> Result<(), FileError> {
        let path = self.path.join(SCHEDULE);
        let text =
            serde_json::to_vec(schedule).map_err(|error| FileError::new("write", &path, error.into()))?;
        atomic::write(&path, &text)
    }

    /// Reads it back; `None` where there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn read_schedule(&self) -> Result<Option<Report>, FileError> {
        let path = self.path.join(SCHEDULE);
        if path.symlink_metadata().is_err_and(|missing| missing.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let text = input::read(&path, input::SCHEDULE)?;
        let bad = |bad| FileError::new("read", &path, io::Error::new(io::ErrorKind::InvalidInput, bad));
        Report::parse(&text).map(Some).map_err(bad)
    }

    /// Stores the plan.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_plan(&self, plan: &Plan) -> Result<(), FileError> {
        json::write_document(&self.path.join(PLAN), &PlanDocument { schema: SCHEMA, plan: plan.clone() })
    }

    /// Reads the plan back.
    ///
    /// # Errors
    /// When it cannot be read or is not one of this schema.
    pub fn read_plan(&self) -> Result<Plan, ReadError> {
        let path = self.path.join(PLAN);
        let plan = json::read_document::<PlanDocument>(&path, input::PLAN)?.plan;
        match plan.unreasonable() {
            Some(what) => Err(ReadError::Unreasonable { path, what }),
            None => Ok(plan),
        }
    }

    /// Stores the result.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_result(&self, run: &RunResult) -> Result<(), FileError> {
        #[derive(Serialize)]
        struct Written<'a> {
            schema: u32,
            run: document::Run<'a>,
        }
        let written = Written { schema: SCHEMA, run: document::Run::of(run) };
        json::write_document(&self.path.join(RESULT), &written)
    }

    /// Reads the result back.
    ///
    /// # Errors
    /// When it cannot be read or is not one of this schema.
    pub fn read_result(&self) -> Result<RunResult, ReadError> {
        json::read_document::<RunDocument>(&self.path.join(RESULT), input::RESULT)
            .map(|document| document.run)
    }

    /// Stores the scenario's text as it was run.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_scenario(&self, yaml: &str) -> Result<(), FileError> {
        atomic::write(&self.path.join(SCENARIO), yaml.as_bytes())
    }

    /// Reads the scenario's text back; `None` where it cannot be read, or is longer than any that is taken.
    pub fn read_scenario(&self) -> Option<String> {
        String::from_utf8(input::read(&self.path.join(SCENARIO), input::SCENARIO).ok()?).ok()
    }

    /// Stores the complete log: the kernel's binary form, records one after the other.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_log<B: AsRef<[u8]>>(&self, records: impl IntoIterator<Item = B>) -> Result<(), FileError> {
        self.write_pieces(LOG, records)
    }

    /// Writes the same list as lines, as `ascii_runtime_measurements` shows it.
    ///
    /// # Errors
    /// When the file cannot be written whole.
    pub fn write_lines<B: AsRef<[u8]>>(&self, lines: impl IntoIterator<Item = B>) -> Result<(), FileError> {
        self.write_pieces(LINES, lines)
    }

    fn write_pieces<B: AsRef<[u8]>>(
        &self,
        name: &str,
        pieces: impl IntoIterator<Item = B>,
    ) -> Result<(), FileError> {
        atomic::write_with(&self.path.join(name), |file| {
            pieces.into_iter().try_for_each(|piece| file.write_all(piece.as_ref()))
        })
    }

    /// Stores where each record was at every moment, a JSON object a line.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_records(&self, histories: impl IntoIterator<Item = RecordHistory>) -> Result<(), FileError> {
        atomic::write_with(&self.path.join(RECORDS), |file| {
            histories.into_iter().try_for_each(|history| {
                serde_json::to_writer(&mut *file, &history)?;
                writeln!(file)
            })
        })
    }

    /// Stores the final value of PCR 10, a file `pcrs-<bank>.txt` for each bank.
    ///
    /// # Errors
    /// When one cannot be written whole.
    pub fn write_pcrs(&self, reading: &PcrReading) -> Result<(), FileError> {
        reading.values.iter().try_for_each(|value| {
            atomic::write(&self.path.join(format!("pcrs-{}.txt", value.bank)), pcrs_text(value).as_bytes())
        })
    }

    /// Stores the TPM's commands and answers for a reader.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_tpm(&self, trace: &Trace) -> Result<(), FileError> {
        atomic::write_with(&self.path.join(TPM), |file| tpm_text(trace, file))
    }

    /// Stores the picture.
    ///
    /// # Errors
    /// When it cannot be written whole, or the trace cannot be read any more.
    pub fn write_timeline(
        &self,
        result: &RunResult,
        plan: &Plan,
        trace: &Trace,
        histories: impl Iterator<Item = RecordHistory>,
        scenario: Option<&str>,
    ) -> Result<(), FileError> {
        let path = self.path.join(TIMELINE);
        let page = timeline::page(result, plan, trace, histories, scenario)
            .map_err(|error| FileError::new("draw", &path, io::Error::other(error)))?;
        atomic::write(&path, page.into_string().as_bytes())
    }

    /// Stores the command lines, one a line, quoted as a shell reads them.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_commands(&self, commands: &[Vec<String>]) -> Result<(), FileError> {
        atomic::write_with(&self.path.join(COMMANDS), |file| {
            commands.iter().try_for_each(|words| {
                let line: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
                writeln!(file, "{}", line.join(" "))
            })
        })
    }

    /// Stores a quote below `quote/`, in the forms that `tpm2_checkquote` reads.
    ///
    /// # Errors
    /// When a file cannot be written whole.
    pub fn write_quote(&self, quote: &QuoteTaken) -> Result<(), FileError> {
        quotes::write(&self.path.join("quote").join(format!("mark-{}", quote.mark)), quote)
    }

    /// Stores what `repro` needs, which turns the folder into a bundle.
    ///
    /// # Errors
    /// When it cannot be written whole.
    pub fn write_bundle(&self, bundle: &Bundle) -> Result<(), FileError> {
        json::write_document(&self.path.join(BUNDLE), bundle)
    }

    /// Reads back what `repro` needs.
    ///
    /// # Errors
    /// When the folder is no bundle, or one of another schema.
    pub fn read_bundle(&self) -> Result<Bundle, ReadError> {
        json::read_document(&self.path.join(BUNDLE), input::BUNDLE)
    }

    /// What `repro` needs, if the folder is a bundle, after comparing the sums of all that is in it, which has to be at
    /// least what is `needed`.
    ///
    /// # Errors
    /// When something is no longer what it was: whatever it says now, it is not what the run showed.
    pub fn sound_bundle(&self, needed: &[&str]) -> Result<Option<Bundle>, BundleError> {
        if self.path.join(BUNDLE).symlink_metadata().is_err() {
            return Ok(None);
        }
        let bundle = self.read_bundle()?;
        let missing = needed.iter().find(|name| !bundle.files.contains_key(**name));
        let altered = bundle.altered(self);
        match missing.map(|name| (*name).to_owned()).or(altered.first().cloned()) {
            None => Ok(Some(bundle)),
            Some(name) => {
                let more = altered.len().saturating_sub(1);
                Err(BundleError::Altered { path: self.path.clone(), name, more })
            }
        }
    }

    /// The command that shows the same again, with what has to be named beside the bundle.
    pub fn repro(&self, beside: &[(&str, &Path)]) -> String {
        let word = |path: &Path| shell_word(&path.to_string_lossy());
        let beside: String =
            beside.iter().map(|(option, path)| format!(" {option} {}", word(path))).collect();
        format!("{} repro {}{beside}", front(), word(&self.path))
    }
}

/// A word as a POSIX shell reads it back.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/tmp/out/stage-once", "/tmp/out/stage-once")]
    #[case("/tmp/my out/a", "'/tmp/my out/a'")]
    #[case("/tmp/it's", r"'/tmp/it'\''s'")]
    #[case("", "''")]
    fn a_shell_reads_the_word_back(#[case] word: &str, #[case] quoted: &str) {
        assert_eq!(shell_word(word), quoted);
        let out =
            std::process::Command::new("sh").args(["-c", &format!("printf %s {quoted}")]).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
    }
}
