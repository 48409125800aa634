//! What is measured becomes tables.

use serde_json::json;

use super::*;
use imalab_check::figures::{Held, Latency};

fn suite() -> SuiteResult {
    let run = |scenario: &str, records: Option<u64>, outcome: &str| {
        let times = |held, by, us: u64| Latency::of(held, by, vec![us * 1_000, us * 3_000]);
        let latency = records.map_or(Vec::new(), |records| {
            vec![times(Held::Append, By::Delete, 40), times(Held::Writer, By::Delete, records / 10)]
        });
        let parameters = records.map_or(json!({}), |records| json!({ "records": records.to_string() }));
        let freed = if scenario == ROUND_BY_STAGING {
            json!([{ "by": "delete", "records": 1024, "kib": 300 }])
        } else {
            json!([])
        };
        json!({
            "scenario": scenario, "parameters": parameters, "kernel": "k", "release": "7.3.4",
            "interface": "upstream", "lane": "free", "accelerator": null, "seed": 1, "repeat": 1, "freed": freed,
            "outcome": outcome, "reason": null, "checks": [], "latency": latency, "console_tail": [], "wall_ms": 1,
            "boot_ms": null, "guest_ms": null, "dir": null, "bundle": null, "repro": null
        })
    };
    let runs = [
        run(ROUND_BY_STAGING, None, "passed"),
        run("held-up-by-staging", Some(100), "passed"),
        run("held-up-by-staging", Some(1000), "passed"),
        run("agents-that-trim-upstream", None, "failed"),
        run("agents-that-trim-transaction", None, "skipped"),
        run(KEXEC_STAGED, None, "passed"),
        by_banks(),
    ];
    serde_json::from_value(json!({ "schema": 2, "runs": runs, "wall_ms": 1, "interrupted": false })).unwrap()
}

/// A run with snapshots, with two banks.
fn by_banks() -> serde_json::Value {
    let times = |held, by, us: u64| Latency::of(held, by, vec![us * 1_000, us * 2_000]);
    let latency = [
        times(Held::Writer, By::Snapshot, 90),
        times(Held::Append, By::Snapshot, 80),
        times(Held::Append, By::Nothing, 2),
    ];
    json!({
        "scenario": BY_BANKS, "parameters": { "banks": "sha1+sha256" }, "kernel": "s", "release": "6.12.1",
        "interface": "snapshot", "lane": "free", "accelerator": null, "seed": 1, "repeat": 1,
        "outcome": "passed", "reason": null, "checks": [], "latency": latency, "console_tail": [], "wall_ms": 1,
        "boot_ms": null, "guest_ms": null, "dir": null, "bundle": null, "repro": null
    })
}

fn step(boot: u16, text: &str, calls: &[&'static str], records: Option<u64>) -> StepSummary {
    let (task, text, calls) = ("main".to_owned(), text.to_owned(), calls.to_vec());
    StepSummary { task, boot, text, calls, failed: None, records }
}

#[test]
fn runs_become_tables() {
    let told = |run: &RunResult| -> Result<_, ()> {
        Ok(match run.scenario.as_str() {
            ROUND_BY_STAGING => vec![
                step(0, "measure 1000 main-1", &["other"], None),
                step(0, "stage", &["open", "write", "close"], None),
                step(0, "save", &["open", "read", "close"], Some(1001)),
                step(0, "view /proc/meminfo", &["open", "read", "close"], None),
                step(0, "delete", &["open", "write", "close"], None),
            ],
            KEXEC_STAGED => vec![step(1, "view binary", &["open", "read", "close"], Some(10))],
            _ => vec![StepSummary {
                failed: Some(("open", "EBUSY".to_owned())),
                ..step(0, "open list binary read-write", &["open"], None)
            }],
        })
    };
    let compared = compare(&suite(), told).unwrap();
    insta::assert_snapshot!(compared.lines().join("\n"));
}

#[test]
fn the_scenarios_can_be_read_whatever_the_sizes() {
    for (name, text) in scenarios(&[7, 70_000]) {
        imalab_language::scenario::parse(name, &format!("{name}.yaml"), &text).unwrap();
        assert_eq!(text.contains("records: [7, 70000]"), name.starts_with("held-up"), "{name}");
    }
}
