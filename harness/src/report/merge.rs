//! Puts the results of a suite's parts together, or those of whole suites of different kernels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::json::{self, ReadError};
use super::{journal, json_lines};
use crate::run_id::PROBE;
use imalab_check::outcome::{RunResult, Shard, SuiteResult};

/// Name of the results in a folder of `--out`.
pub const RESULTS: &str = "results.json";

/// Why parts are no whole.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum MergeError {
    /// One cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Read(#[from] ReadError),
    /// One ran a whole suite.
    #[error("{} is not part of a suite: it was run with no `--partition`", .0.display())]
    Whole(PathBuf),
    /// Two whole suites ran on the same kernel.
    #[error("kernel {kernel} is there twice: {} and {}", one.display(), other.display())]
    SameKernel {
        /// Its name.
        kernel: String,
        /// One of them.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// Parts of different suites.
    #[error("{} and {} are parts of different suites", one.display(), other.display())]
    #[diagnostic(help("all parts need the same scenarios, kernels, repetitions, seed and way to partition"))]
    Different {
        /// One of them.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A part is there twice.
    #[error("part {index} of {of} is there twice: {} and {}", one.display(), other.display())]
    Twice {
        /// Which, from 1.
        index: u32,
        /// Parts.
        of: u32,
        /// One of them.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// Parts are missing.
    #[error("of {of} parts {}", missing(.first, *count))]
    Missing {
        /// The first of them, from 1.
        first: Vec<u32>,
        /// How many.
        count: u32,
        /// Parts.
        of: u32,
    },
    /// A part that no suite has.
    #[error("{}: part {index} of {of} cannot be", path.display())]
    NoPart {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        index: u32,
        /// Parts.
        of: u32,
    },
    /// A run is missing or there twice though every part is there.
    #[error("the parts hold {found} different runs, {} of them twice; the suite has {planned}", doubled)]
    #[diagnostic(help("a part that was interrupted has to be run again"))]
    Runs {
        /// Runs of the whole suite.
        planned: u64,
        /// Different places of the suite that the parts hold.
        found: u64,
        /// Runs whose place another run has.
        doubled: u64,
    },
    /// No part at all.
    #[error("there is nothing to merge")]
    Nothing,
}

/// Missing parts that are named.
const NAMED: usize = 10;

fn missing(first: &[u32], count: u32) -> String {
    let named = first.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    match count as usize - first.len() {
        0 => format!("these are missing: {named}"),
        more => format!("these are missing: {named} and {more} more"),
    }
}

/// Reads the results of each folder (or file) and puts them together.
///
/// # Errors
/// [`MergeError`], for the first thing that keeps the parts from being the whole suite, each run once.
pub fn merge(places: &[PathBuf]) -> Result<SuiteResult, MergeError> {
    let mut read = Vec::new();
    for place in places {
        read.push(read_one(place)?);
    }
    if let [(_, suite)] = read.as_slice()
        && suite.shard.is_none()
    {
        // A whole suite, or what a killed call left: there is nothing to put it together with.
        return Ok(suite.clone());
    }
    if read.len() > 1 && read.iter().all(|(_, suite)| suite.shard.is_none()) {
        return side_by_side(read);
    }
    let mut parts = Vec::new();
    for (file, suite) in read {
        let shard = suite.shard.clone().ok_or_else(|| MergeError::Whole(file.clone()))?;
        parts.push((file, shard, suite));
    }
    complete(&parts.iter().map(|(file, shard, _)| (file.as_path(), shard)).collect::<Vec<_>>())?;
    let planned = parts.first().map_or(0, |(_, shard, _)| shard.planned);
    let wall_ms = parts.iter().map(|(.., suite)| suite.wall_ms).max().unwrap_or(0);
    let interrupted = parts.iter().any(|(.., suite)| suite.interrupted);
    let runs: Vec<RunResult> = parts.into_iter().flat_map(|(.., suite)| suite.runs).collect();
    // Every part may have found something wrong when it asked a kernel what it can do: told once.
    let (probes, mut runs): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.scenario == PROBE);
    runs.sort_by_key(|run| run.place);
    let found = runs.iter().map(|run| run.place).collect::<BTreeSet<_>>().len() as u64;
    if found != planned || runs.len() as u64 != planned {
        return Err(MergeError::Runs { planned, found, doubled: runs.len() as u64 - found });
    }
    let mut told: Vec<RunResult> = Vec::new();
    for probe in probes {
        let same = |other: &RunResult| other.kernel == probe.kernel && other.reason == probe.reason;
        if !told.iter().any(same) {
            told.push(probe);
        }
    }
    runs.extend(told);
    // No run of the whole is missing.
    Ok(SuiteResult { schema: json::SCHEMA, runs, wall_ms, interrupted, not_begun: Some(0), shard: None })
}

/// The results of a folder or file: those of a call that came to its end, else what a killed one left.
///
/// # Errors
/// When there are none, or they cannot be read.
pub fn read(place: &Path) -> Result<SuiteResult, ReadError> {
    read_one(place).map(|(_, suite)| suite)
}

/// The same, with its file.
fn read_one(place: &Path) -> Result<(PathBuf, SuiteResult), ReadError> {
    let file = if place.is_dir() { place.join(RESULTS) } else { place.to_owned() };
    let left = journal::beside(&file);
    let file = if !file.exists() && left.exists() { left } else { file };
    let suite = if json_lines::is_one(&file)? { json_lines::read(&file)? } else { json::read(&file)? };
    Ok((file, suite))
}

/// Whole suites, each of kernels of its own: one after the other.
fn side_by_side(suites: Vec<(PathBuf, SuiteResult)>) -> Result<SuiteResult, MergeError> {
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    for (number, (other, suite)) in suites.iter().enumerate() {
        for kernel in suite.runs.iter().map(|run| &run.kernel) {
            let by = *ran.entry(kernel.clone()).or_insert(number);
            if by != number {
                let (one, other) = (suites[by].0.clone(), other.clone());
                return Err(MergeError::SameKernel { kernel: kernel.clone(), one, other });
            }
        }
    }
    let wall_ms = suites.iter().map(|(_, suite)| suite.wall_ms).max().unwrap_or(0);
    let interrupted = suites.iter().any(|(_, suite)| suite.interrupted);
    let not_begun = suites.iter().map(|(_, suite)| suite.not_begun).sum();
    let mut runs: Vec<RunResult> = suites.into_iter().flat_map(|(_, suite)| suite.runs).collect();
    for (place, run) in (0..).zip(&mut runs) {
        run.place = place;
    }
    Ok(SuiteResult { schema: json::SCHEMA, runs, wall_ms, interrupted, not_begun, shard: None })
}

/// Whether these are all parts of one suite, each once.
fn complete(parts: &[(&Path, &Shard)]) -> Result<(), MergeError> {
    let Some((first, whole)) = parts.first() else { return Err(MergeError::Nothing) };
    let mut seen: BTreeMap<u32, &Path> = BTreeMap::new();
    for (path, shard) in parts {
        if shard.index == 0 || shard.index > shard.of {
            let (index, of) = (shard.index, shard.of);
            return Err(MergeError::NoPart { path: path.to_path_buf(), index, of });
        }
        let of = |shard: &Shard| (shard.by, shard.of, shard.planned, shard.suite.clone());
        if of(shard) != of(whole) {
            return Err(MergeError::Different { one: first.to_path_buf(), other: path.to_path_buf() });
        }
        if let Some(one) = seen.insert(shard.index, path) {
            let (one, other) = (one.to_path_buf(), path.to_path_buf());
            return Err(MergeError::Twice { index: shard.index, of: shard.of, one, other });
        }
    }
    // Each is within, and none is there twice.
    let count = whole.of - u32::try_from(seen.len()).unwrap_or(whole.of);
    // Whoever wrote the shards chose how many there are: no more is looked at than is told.
    let first: Vec<u32> = (1..=whole.of).filter(|index| !seen.contains_key(index)).take(NAMED).collect();
    if count == 0 { Ok(()) } else { Err(MergeError::Missing { first, count, of: whole.of }) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::event::SuiteEvent;
    use imalab_check::outcome::Reason;
    use imalab_language::finding::{Finding, Skip};

    fn part(index: u32, of: u32, suite: &str, places: &[u64]) -> serde_json::Value {
        let run = |place: &u64| {
            json!({
                "scenario": "stage/once", "parameters": {}, "kernel": "k", "release": null, "interface": null,
                "lane": "free", "accelerator": null, "seed": 1, "repeat": 1, "place": place, "outcome": "passed",
                "reason": null, "checks": [], "console_tail": [], "wall_ms": 1, "boot_ms": null, "guest_ms": null,
                "dir": null, "bundle": null, "repro": null
            })
        };
        let runs: Vec<_> = places.iter().map(run).collect();
        let shard = json!({ "by": "slice", "index": index, "of": of, "planned": 4, "suite": suite });
        json!({ "schema": json::SCHEMA, "runs": runs, "wall_ms": 7 * index, "interrupted": false, "shard": shard })
    }

    fn merged(parts: &[serde_json::Value]) -> Result<SuiteResult, String> {
        let folder = tempfile::tempdir().unwrap();
        let places: Vec<PathBuf> = (0..)
            .zip(parts)
            .map(|(number, part)| {
                let place = folder.path().join(format!("{number}"));
                std::fs::create_dir(&place).unwrap();
                std::fs::write(place.join(RESULTS), part.to_string()).unwrap();
                place
            })
            .collect();
        merge(&places).map_err(|error| error.to_string())
    }

    #[test]
    fn the_parts_are_the_whole_in_its_order() {
        let suite = merged(&[part(2, 2, "s", &[1, 3]), part(1, 2, "s", &[0, 2])]).unwrap();
        assert_eq!(suite.runs.iter().map(|run| run.place).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!((suite.wall_ms, suite.shard), (14, None));
    }

    #[rstest]
    #[case::missing(&[part(1, 3, "s", &[0, 3])], "of 3 parts these are missing: 2, 3")]
    #[case::of_all_that_there_are(
        &[part(1, u32::MAX, "s", &[0])],
        "of 4294967295 parts these are missing: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 4294967284 more"
    )]
    #[case::none_of_them(&[part(3, 2, "s", &[0])], "part 3 of 2 cannot be")]
    #[case::twice(&[part(1, 2, "s", &[0, 2]), part(1, 2, "s", &[0, 2])], "part 1 of 2 is there twice")]
    #[case::different(&[part(1, 2, "s", &[0, 2]), part(2, 2, "t", &[1, 3])], "are parts of different suites")]
    #[case::interrupted(&[part(1, 2, "s", &[0, 2]), part(2, 2, "s", &[1])], "the suite has 4")]
    #[case::doubled(&[part(1, 2, "s", &[0, 2]), part(2, 2, "s", &[1, 2])], "1 of them twice")]
    #[case::none(&[], "nothing to merge")]
    fn what_is_no_whole_is_refused(#[case] parts: &[serde_json::Value], #[case] why: &str) {
        let error = merged(parts).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    fn whole(kernel: &str, places: &[u64]) -> serde_json::Value {
        let mut whole = part(1, 1, "s", places);
        whole["shard"] = serde_json::Value::Null;
        for run in whole["runs"].as_array_mut().unwrap() {
            run["kernel"] = kernel.into();
        }
        whole
    }

    #[test]
    fn what_each_part_found_when_it_asked_a_kernel_is_told_once() {
        let probed = |mut part: serde_json::Value, kernel: &str| {
            let reason = Reason::of(Skip::NoKernel { kernel: kernel.to_owned() });
            let mut probe = part["runs"][0].clone();
            probe["scenario"] = PROBE.into();
            probe["outcome"] = "failed".into();
            probe["reason"] = serde_json::to_value(reason).unwrap();
            probe["place"] = 4.into();
            part["runs"].as_array_mut().unwrap().insert(0, probe);
            part
        };
        let (one, other) = (part(1, 2, "s", &[0, 2]), part(2, 2, "s", &[1, 3]));
        let told = |suite: SuiteResult| -> Vec<String> {
            let probes = suite.runs.into_iter().filter(|run| run.scenario == PROBE);
            probes
                .filter_map(|run| match run.reason?.finding {
                    Finding::Skip(Skip::NoKernel { kernel }) => Some(kernel),
                    _ => None,
                })
                .collect()
        };
        let suite = merged(&[probed(one.clone(), "trim"), probed(other.clone(), "trim")]).unwrap();
        assert_eq!(suite.runs.len(), 5);
        assert_eq!(told(suite), ["trim"]);
        // And what one alone found is not lost.
        assert_eq!(told(merged(&[one.clone(), probed(other.clone(), "trim")]).unwrap()), ["trim"]);
        let suite = merged(&[probed(one, "trim"), probed(other, "it died")]).unwrap();
        assert_eq!(told(suite), ["trim", "it died"]);
    }

    #[test]
    fn suites_of_different_kernels_go_side_by_side() {
        let suite = merged(&[whole("6.1", &[0, 1]), whole("7.3", &[0])]).unwrap();
        let runs: Vec<_> = suite.runs.iter().map(|run| (run.kernel.as_str(), run.place)).collect();
        assert_eq!(runs, [("6.1", 0), ("6.1", 1), ("7.3", 2)]);
        let error = merged(&[whole("6.1", &[0]), whole("7.3", &[0]), whole("6.1", &[0])]).unwrap_err();
        assert!(error.contains("kernel 6.1 is there twice"), "{error}");
        let error = merged(&[whole("6.1", &[0]), part(1, 1, "s", &[0, 1, 2, 3])]).unwrap_err();
        assert!(error.contains("is not part of a suite"), "{error}");
    }

    #[test]
    fn what_a_killed_call_left_is_read_in_place_of_its_results() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal::Journal::of(Some(&folder.path().join(RESULTS)));
        journal.event(SuiteEvent::Planned(&json_lines::tests::planned(&[0])));
        let suite: SuiteResult = serde_json::from_value(whole("6.1", &[0])).unwrap();
        journal.event(SuiteEvent::RunEnded(&suite.runs[0]));
        drop(journal);
        let merged = merge(&[folder.path().to_owned()]).unwrap();
        assert!(merged.interrupted);
        assert_eq!(merged.runs, suite.runs);
    }

    #[test]
    fn a_whole_suite_is_no_part_and_stays_as_it_is_alone() {
        let whole = whole("6.1", &[0]);
        let error = merged(&[whole.clone(), part(1, 1, "s", &[0])]).unwrap_err();
        assert!(error.contains("no `--partition`"), "{error}");
        assert_eq!(merged(&[whole]).unwrap().runs.len(), 1);
    }
}
