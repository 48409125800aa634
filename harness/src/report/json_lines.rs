//! A suite as JSON lines, an event a line, as it comes: what `--json-lines` writes, and what a journal keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read as _, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Escaping;
use super::document::{self, ReasonText};
use super::input;
use super::json::{ReadError, SCHEMA};
use super::live::LiveForm;
use crate::event::SuiteEvent;
use crate::run_id::RunId;
use imalab_check::outcome::{AcceleratorUsed, Boot, Outcome, RunResult, Shard, SuiteResult};
use imalab_files::atomic::FileError;
use imalab_language::lane::Lane;

/// What the line of the plan says it is.
const KIND: &str = "imalab results";

/// How a file of such lines begins.
pub(super) const HEAD: &[u8] = b"{\"event\":\"";

/// One line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "a line is written at once and never kept")]
enum Line<'a> {
    ProbeStarted {
        kernel: &'a str,
    },
    Probed {
        kernel: &'a str,
        release: Option<&'a str>,
        outcome: Option<Outcome>,
        reason: Option<ReasonText<'a>>,
        findings: usize,
    },
    Planned(Plan<'a>),
    RunStarted {
        place: u64,
        run: &'a RunId,
    },
    RunSlow {
        place: u64,
        run: &'a RunId,
        seconds: u64,
    },
    RunEnded {
        run: document::Run<'a>,
    },
    Stopping {
        why: &'static str,
        running: usize,
    },
    Finished {
        runs: usize,
        wall_ms: u64,
        interrupted: bool,
        not_begun: Option<u64>,
    },
}

/// The line that says what is going to run.
#[derive(Debug, Serialize)]
struct Plan<'a> {
    kind: &'static str,
    schema: u32,
    runs: usize,
    kernels: &'a [String],
    accelerator: &'a AcceleratorUsed,
    lane: Lane,
    strategy: Option<&'a str>,
    boot: Boot,
    boot_reason: &'a str,
    jobs: usize,
    seed: u64,
    shard: Option<&'a Shard>,
}

impl<'a> Line<'a> {
    fn of(event: SuiteEvent<'a>) -> Line<'a> {
        match event {
            SuiteEvent::ProbeStarted { kernel } => Line::ProbeStarted { kernel },
            SuiteEvent::Probed { kernel, answer: Ok(known) } => Line::Probed {
                kernel,
                release: Some(&known.release),
                outcome: None,
                reason: None,
                findings: known.findings.len(),
            },
            SuiteEvent::Probed { kernel, answer: Err((outcome, reason)) } => {
                let reason = Some(ReasonText::of(reason));
                Line::Probed { kernel, release: None, outcome: Some(outcome), reason, findings: 0 }
            }
            SuiteEvent::Planned(suite) => Line::Planned(Plan {
                kind: KIND,
                schema: SCHEMA,
                runs: suite.runs.len(),
                kernels: &suite.context.kernels,
                accelerator: &suite.context.accelerator,
                lane: suite.context.lane,
                strategy: suite.context.strategy.as_deref(),
                boot: suite.context.boot,
                boot_reason: &suite.context.boot_reason,
                jobs: suite.context.jobs,
                seed: suite.context.seed,
                shard: suite.shard.as_ref(),
            }),
            SuiteEvent::RunStarted { id, place } => Line::RunStarted { place, run: id },
            SuiteEvent::RunSlow { id, place, elapsed } => {
                Line::RunSlow { place, run: id, seconds: elapsed.as_secs() }
            }
            SuiteEvent::RunEnded(run) => Line::RunEnded { run: document::Run::of(run) },
            SuiteEvent::Stopping { why, running } => Line::Stopping { why: why.name(), running },
            SuiteEvent::Finished(suite) => Line::Finished {
                runs: suite.runs.len(),
                wall_ms: suite.wall_ms,
                interrupted: suite.interrupted,
                not_begun: suite.not_begun,
            },
        }
    }
}

/// An event as a line, with its line end; nothing in it acts on a terminal.
///
/// # Errors
/// None that a caller could bring about.
pub(super) fn line(event: SuiteEvent<'_>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    {
        let mut out = Escaping::json(&mut text);
        serde_json::to_writer(&mut out, &Line::of(event))?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(text)
}

/// Writes each event as it comes.
pub(super) struct JsonLines<W>(W);

impl<W: Write> JsonLines<W> {
    pub(super) fn new(out: W) -> JsonLines<W> {
        JsonLines(out)
    }
}

impl<W: Write> LiveForm for JsonLines<W> {
    fn event(&mut self, event: SuiteEvent<'_>) -> io::Result<()> {
        self.0.write_all(&line(event)?)?;
        self.0.flush()
    }
}

/// What is read of a line; the other events say nothing of a run's end.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Read {
    Planned {
        kind: String,
        schema: u32,
        runs: u64,
        shard: Option<Shard>,
    },
    RunStarted {
        place: u64,
    },
    RunEnded {
        run: Box<RunResult>,
    },
    Finished {
        wall_ms: u64,
        interrupted: bool,
        #[serde(default)]
        not_begun: Option<u64>,
    },
    #[serde(other)]
    Other,
}

/// Whether a file holds such lines, and not results as a document.
pub(super) fn is_one(path: &Path) -> Result<bool, FileError> {
    let mut head = Vec::new();
    let input = input::open(path, input::RESULTS)?;
    input
        .take(HEAD.len() as u64)
        .read_to_end(&mut head)
        .map_err(|error| FileError::new("read", path, error))?;
    Ok(head == HEAD)
}

/// Reads the results back. A last line that was cut off is left out: the call was killed while it wrote it.
///
/// # Errors
/// When the file cannot be read, or is no such file.
pub(super) fn read(path: &Path) -> Result<SuiteResult, ReadError> {
    let input = input::open(path, input::RESULTS)?;
    let mut lines = io::BufReader::new(input).split(b'\n');
    let malformed = |source| ReadError::Malformed { path: path.to_owned(), source };
    let mut next = || -> Result<Option<Vec<u8>>, ReadError> {
        Ok(lines.next().transpose().map_err(|error| FileError::new("read", path, error))?)
    };
    let (mut runs, mut begun, mut planned, mut end) = (BTreeMap::new(), BTreeSet::new(), None, None);
    while let Some(line) = next()? {
        let read: Read = match serde_json::from_slice(&line) {
            Ok(read) => read,
            // Nothing comes after what was being written when the call was killed.
            Err(error) if error.is_eof() && next()?.is_none() => break,
            Err(error) => return Err(malformed(error)),
        };
        match read {
            Read::Planned { kind, schema, .. } if (kind.as_str(), schema) != (KIND, SCHEMA) => {
                return Err(ReadError::Schema { path: path.to_owned(), found: schema });
            }
            Read::Planned { runs, shard, .. } => planned = Some((runs, shard)),
            Read::RunStarted { place } => {
                begun.insert(place);
            }
            Read::RunEnded { run } => {
                begun.insert(run.place);
                runs.insert(run.place, *run);
            }
            Read::Finished { wall_ms, interrupted, not_begun } => {
                end = Some((wall_ms, interrupted, not_begun))
            }
            Read::Other => {}
        }
    }
    let Some((planned, shard)) = planned else {
        return Err(malformed(serde::de::Error::custom("it does not say what was planned")));
    };
    let runs: Vec<RunResult> = runs.into_values().collect();
    // A call that did not come to its end says nothing of it.
    let added = || {
        let wall_ms = runs.iter().fold(0, |sum: u64, run| sum.saturating_add(run.wall_ms));
        (wall_ms, true, Some(planned.saturating_sub(begun.len() as u64)))
    };
    let (wall_ms, interrupted, not_begun) = end.unwrap_or_else(added);
    Ok(SuiteResult { schema: SCHEMA, runs, wall_ms, interrupted, not_begun, shard })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::event::{PlannedSuite, Stop, SuiteContext};
    use imalab_check::outcome::Reason;
    use imalab_language::finding::KernelDied;

    fn died() -> Reason {
        let line = "Kernel panic - not syncing: \u{202e}lost".to_owned();
        Reason::of(KernelDied::Panic { line, function: None, called_from: None, functions: Vec::new() })
    }

    pub(crate) fn run(place: u64) -> RunResult {
        serde_json::from_value(serde_json::json!({
            "scenario": "stage/once", "parameters": {}, "kernel": "k", "release": null, "interface": null,
            "lane": "free", "accelerator": null, "seed": 1, "repeat": 1, "place": place, "outcome": "failed",
            "reason": died(), "checks": [], "console_tail": [], "wall_ms": 1, "boot_ms": null,
            "guest_ms": null, "dir": null, "bundle": null, "repro": null
        }))
        .unwrap()
    }

    pub(in super::super) fn planned(places: &[u64]) -> PlannedSuite {
        let context = SuiteContext {
            kernels: vec!["k (7.3.4)".to_owned()],
            accelerator: AcceleratorUsed { name: "tcg".to_owned(), reason: "asked for".to_owned() },
            lane: Lane::Free,
            strategy: None,
            boot: Boot::Cold,
            boot_reason: "asked for".to_owned(),
            jobs: 2,
            seed: 1,
        };
        let runs = places.iter().map(|place| (*place, RunId::of(&run(*place)))).collect();
        PlannedSuite { context, runs, shard: None }
    }

    #[test]
    fn every_event_is_a_line() {
        let (plan, ended) = (planned(&[0, 1]), run(1));
        let id = RunId::of(&ended);
        let suite = SuiteResult {
            schema: SCHEMA,
            runs: vec![run(1)],
            wall_ms: 7,
            interrupted: true,
            not_begun: Some(1),
            shard: None,
        };
        let events = [
            SuiteEvent::ProbeStarted { kernel: "k" },
            SuiteEvent::Probed { kernel: "k", answer: Err((Outcome::KernelDied, &died())) },
            SuiteEvent::Planned(&plan),
            SuiteEvent::RunStarted { id: &id, place: 1 },
            SuiteEvent::RunSlow { id: &id, place: 1, elapsed: Duration::from_millis(60_900) },
            SuiteEvent::Stopping { why: Stop::Signal, running: 1 },
            SuiteEvent::RunEnded(&ended),
            SuiteEvent::Finished(&suite),
        ];
        let text: Vec<u8> = events.iter().flat_map(|event| line(*event).unwrap()).collect();
        insta::assert_snapshot!(String::from_utf8(text.clone()).unwrap());
        assert!(text.starts_with(HEAD));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        fs::write(&path, text).unwrap();
        assert_eq!(read(&path).unwrap(), suite);
    }

    #[test]
    fn what_a_killed_call_wrote_is_read_up_to_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let plan = planned(&[0, 1, 2, 3, 4]);
        let (one, two) = (run(1), run(0));
        let (id, begins) = (RunId::of(&run(2)), RunId::of(&one));
        let events = [
            SuiteEvent::Planned(&plan),
            SuiteEvent::RunStarted { id: &begins, place: 1 },
            SuiteEvent::RunStarted { id: &id, place: 2 },
            SuiteEvent::RunEnded(&one),
            SuiteEvent::RunEnded(&two),
        ];
        let text: Vec<u8> = events.iter().flat_map(|event| line(*event).unwrap()).collect();
        fs::write(&path, &text).unwrap();
        let suite = read(&path).unwrap();
        assert_eq!(suite.runs.iter().map(|run| run.place).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((suite.interrupted, suite.not_begun), (true, Some(2)), "one was on its way");
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        assert_eq!(read(&path).unwrap().runs.len(), 1);
        fs::write(&path, [&text[..text.len() / 2], b"\n", &text[..]].concat()).unwrap();
        assert!(read(&path).is_err(), "that is not where a call was killed");
        fs::write(&path, line(SuiteEvent::RunEnded(&one)).unwrap()).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("is not a result of imalab"));
    }
}
