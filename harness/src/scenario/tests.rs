use std::fmt::Write;
use std::path::Path;

use insta::assert_snapshot;
use miette::{GraphicalReportHandler, GraphicalTheme};
use rstest::rstest;

use super::*;

/// The scenarios of this repository.
fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"))
}

fn shown(error: &dyn miette::Diagnostic) -> String {
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .with_width(110)
        .render_report(&mut out, error)
        .unwrap();
    out
}

/// Puts steps below a head that is right.
fn with_steps(steps: &str) -> String {
    format!("summary: s\npromise: p\nsteps:\n{steps}")
}

/// What is wrong, and the text that has it wrong.
fn invalid() -> Vec<(&'static str, String)> {
    let steps = |name, text: &str| (name, with_steps(text));
    let whole = |name, text: &str| (name, text.to_owned());
    let head = |name, text: &str| (name, format!("summary: s\npromise: p\n{text}steps:\n  - stage\n"));
    vec![
        steps("unknown verb", "  - measure: 3\n  - stge\n"),
        steps("unknown verb with fields", "  - messure: {files: 3}\n"),
        steps("unknown field of a step", "  - measure: {file: 3}\n"),
        head("unknown field of the scenario", "sumary: t\n"),
        steps("unknown errno", "  - stage: {expect: EEXISTS}\n"),
        steps("errno in lower case", "  - stage: {expect: eexist}\n"),
        steps("count where none is read", "  - stage: {expect: {records: 1}}\n"),
        steps("records of something measured", "  - measure: {files: 2, expect: {records: 1}}\n"),
        head("unknown bank", "machine:\n  banks: [sha1, sha265]\n"),
        head("no bank", "machine:\n  banks: []\n"),
        head("bank twice", "machine:\n  banks: sha1+sha256+sha1\n"),
        head("unknown capability", "needs: [stageing]\n"),
        head("unknown field of the machine", "machine: {cpu: 2}\n"),
        head("too many processors", "machine: {cpus: 65}\n"),
        head("two words as one", "machine:\n  kernel-args: [\"quiet debug\"]\n"),
        steps("unknown parameter", "  - measure: ${files}\n"),
        whole(
            "unknown parameter beside another",
            "summary: s\npromise: p\nmatrix: {files: [1, 2]}\nsteps:\n  - measure: ${fils}\n",
        ),
        whole(
            "parameter of the wrong type",
            "summary: s\npromise: p\nmatrix: {n: [a]}\nsteps:\n  - measure: ${n}\n",
        ),
        head("matrix value twice", "matrix: {n: [1, 1]}\n"),
        head("matrix without values", "matrix: {n: []}\n"),
        head("matrix with a list as a value", "matrix: {n: [[1]]}\n"),
        head(
            "matrix too large",
            "matrix:\n  a: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n  b: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n  c: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n",
        ),
        steps("text for a number", "  - measure: many\n"),
        steps("negative number", "  - measure: -1\n"),
        steps("fraction", "  - measure: 1.5\n"),
        steps("number beyond 64 bits", "  - trim: 99999999999999999999\n"),
        steps("trim without a number", "  - trim\n"),
        steps("list for a step", "  - [stage]\n"),
        steps("two verbs in a step", "  - stage:\n    save:\n"),
        head("duplicate key", "summary: t\n"),
        whole("no steps", "summary: s\npromise: p\n"),
        whole("empty steps", "summary: s\npromise: p\nsteps: []\n"),
        whole("steps that are no list", "summary: s\npromise: p\nsteps: stage\n"),
        whole("no summary", "promise: p\nsteps:\n  - stage\n"),
        whole("number for the summary", "summary: 7\npromise: p\nsteps:\n  - stage\n"),
        whole("empty file", ""),
        whole("a list for a scenario", "- stage\n"),
        whole("two documents", "summary: s\npromise: p\nsteps:\n  - stage\n---\nsummary: t\n"),
        whole("tab", "summary: s\npromise: p\nsteps:\n\t- stage\n"),
        whole("unclosed bracket", "summary: s\npromise: p\nneeds: [staging\nsteps:\n  - stage\n"),
        whole("merge key", "summary: s\npromise: p\nmachine:\n  <<: {cpus: 2}\nsteps:\n  - stage\n"),
        whole("unknown alias", "summary: s\npromise: p\nsteps: *none\n"),
        head("task twice", "tasks:\n  main:\n    - save\n"),
        head("name of a task", "tasks:\n  Other Task:\n    - save\n"),
        head("unknown task's field", "task:\n  other:\n    - save\n"),
        steps("barrier alone", "  - barrier: here\n"),
        head(
            "barrier with uneven parties",
            "tasks:\n  a:\n    - barrier: x\n    - barrier: x\n  b:\n    - barrier: x\n",
        ),
        steps("delete of what nobody saved", "  - measure: 3\n  - stage\n  - delete\n"),
        steps(
            "delete of what was staged after the save",
            "  - stage\n  - save\n  - delete\n  - stage\n  - delete\n",
        ),
        steps(
            "raw delete of what nobody saved",
            "  - open: {as: w, file: staged-binary, flags: write}\n  - write: {to: w, text: \"D\\n\"}\n",
        ),
        steps(
            "raw trim",
            "  - open: {as: w, file: binary, flags: write}\n  - write: {to: w, text: \"5\\n\"}\n",
        ),
        steps("descriptor that is not open", "  - open: {as: list, file: binary}\n  - read: lst\n"),
        steps("descriptor twice", "  - open: {as: r, file: binary}\n  - open: {as: r, file: ascii}\n"),
        steps("close twice", "  - open: {as: r, file: binary}\n  - close: r\n  - close: r\n"),
        steps("unknown file", "  - open: {as: r, file: binry}\n"),
        steps("relative path", "  - open: {as: r, file: m/f}\n"),
        steps("bank of a counter", "  - open: {as: r, file: count, bank: sha1}\n"),
        steps("unknown flags", "  - open: {as: r, file: binary, flags: rw}\n"),
        steps(
            "records of half a list",
            "  - open: {as: r, file: binary}\n  - read: {from: r, limit: 10, expect: {records: 1}}\n",
        ),
        steps(
            "number for text",
            "  - open: {as: w, file: binary, flags: write}\n  - write: {to: w, text: 1}\n",
        ),
        head(
            "new records beside another task",
            "tasks:\n  a:\n    - measure: {files: 1, expect: {new-records: 1}}\n",
        ),
        head("all records beside another task", "tasks:\n  a:\n    - trim: all\n"),
        steps(
            "repeat in repeat",
            "  - repeat:\n      times: 2\n      steps:\n        - repeat: {times: 2, steps: [stage]}\n",
        ),
        steps(
            "too many steps",
            "  - repeat:\n      times: 1000\n      steps: [save, save, save, save, save]\n",
        ),
        head(
            "check of a known defect",
            "known-defect:\n  kernels: {from: \"7.2\"}\n  breaks: b\n  shows: {check: replya, finding: f}\n",
        ),
        head(
            "kernel of a known defect",
            "known-defect:\n  kernels: {from: new}\n  breaks: b\n  shows: {check: steps, finding: f}\n",
        ),
    ]
}

#[test]
fn errors_point_at_the_place_and_say_what_was_expected() {
    let mut out = String::new();
    for (name, text) in invalid() {
        let error = match parse("it", "it.yaml", &text) {
            Err(error) => error,
            Ok(_) => panic!("{name}: taken as right:\n{text}"),
        };
        writeln!(out, "## {name}\n{error}\n{}", shown(&error)).unwrap();
    }
    assert_snapshot!(out);
}

#[test]
fn a_file_too_large_is_refused_before_it_is_read() {
    let text = format!("summary: {}\n", "x".repeat(MAX_BYTES));
    let error = parse("it", "it.yaml", &text).unwrap_err();
    assert!(error.to_string().contains("bytes"), "{error}");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "summary: s\npromise: p\nmatrix:\n  a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n".to_owned();
    let mut last = 'a';
    for name in 'b'..='j' {
        let ten = vec![format!("*{last}"); 10].join(", ");
        writeln!(text, "  {name}: &{name} [{ten}]").unwrap();
        last = name;
    }
    let error = parse("it", "it.yaml", &text).unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("summary: s\npromise: p\nsteps: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    let error = parse("it", "it.yaml", &text).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
}

#[test]
fn the_matrix_multiplies_and_keeps_the_types_of_its_values() {
    let text = "summary: s\npromise: p\n\
        matrix:\n  files: [1, 20]\n  flush: [\"\", ima_flush_htable]\n\
        machine:\n  kernel-args: [\"${flush}\", \"name=a${files}b\", \"$${files}\"]\n\
        steps:\n  - measure: ${files}\n";
    let scenario = parse("it", "it.yaml", text).unwrap();
    let seen: Vec<_> = scenario
        .variants
        .iter()
        .map(|variant| (variant.parameters["files"].as_str(), variant.machine.kernel_args.join(" ")))
        .collect();
    let expected = [
        ("1", "name=a1b ${files}"),
        ("1", "ima_flush_htable name=a1b ${files}"),
        ("20", "name=a20b ${files}"),
        ("20", "ima_flush_htable name=a20b ${files}"),
    ];
    assert_eq!(seen, expected.map(|(files, args)| (files, args.to_owned())));
    assert!(matches!(
        scenario.variants[3].tasks[0].steps[0].verb,
        Verb::Measure { files: Files { count: 20, .. }, .. }
    ));
}

#[rstest]
#[case::bare("  - trim: 4\n", "  - trim: {records: 4}\n")]
#[case::nothing("  - stage\n", "  - stage: {}\n")]
#[case::colon("  - stage\n", "  - stage:\n")]
fn steps_have_short_forms(#[case] short: &str, #[case] long: &str) {
    let steps = |text: &str| parse("it", "it.yaml", &with_steps(text)).unwrap().variants[0].tasks.clone();
    assert_eq!(steps(short), steps(long));
}

#[test]
fn a_bare_n_stays_text() {
    let text = "summary: s\npromise: p\nmatrix: {letter: [n, y, on, off]}\nsteps:\n  - measure: {salt: \"${letter}\"}\n";
    let scenario = parse("it", "it.yaml", text).unwrap();
    let letters: Vec<_> = scenario.variants.iter().map(|v| v.parameters["letter"].clone()).collect();
    assert_eq!(letters, ["n", "y", "on", "off"]);
}

#[test]
fn every_scenario_of_the_repository_is_right() {
    match load_all(folder()) {
        Ok(scenarios) => assert!(scenarios.len() >= 20, "{}", scenarios.len()),
        Err(errors) => {
            let all: Vec<_> = errors.iter().map(|error| shown(error)).collect();
            panic!("{}", all.join("\n"));
        }
    }
}

#[rstest]
#[case::parent("../secret")]
#[case::absolute("/etc/passwd")]
#[case::parent_within("stage/../../secret")]
#[case::empty("")]
#[case::hidden("stage/.once")]
#[case::nul("stage/on\0ce")]
fn ids_stay_within_the_folder(#[case] id: &str) {
    assert!(matches!(load(folder(), id), Err(LoadError::Refused { .. })));
}

#[test]
fn an_id_that_is_none_of_ours_is_a_read_error() {
    assert!(matches!(load(folder(), "stage/never"), Err(LoadError::Read { .. })));
    assert_eq!(load(folder(), "stage/once").unwrap().id, "stage/once");
}

#[test]
fn links_fifos_and_other_text_are_refused_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let good = with_steps("  - stage\n");
    std::fs::create_dir(at("sub")).unwrap();
    std::fs::write(at("sub/good.yaml"), &good).unwrap();
    std::fs::write(at("notes.txt"), "ignored").unwrap();
    assert_eq!(load_all(dir.path()).unwrap()[0].id, "sub/good");

    std::os::unix::fs::symlink(at("sub/good.yaml"), at("link.yaml")).unwrap();
    std::os::unix::fs::symlink(at("sub"), at("folder")).unwrap();
    nix::unistd::mkfifo(&at("fifo.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(at("Name.yaml"), &good).unwrap();
    std::fs::write(at("other.yml"), &good).unwrap();
    std::fs::write(at("latin.yaml"), b"summary: s\npromise: caf\xe9\n").unwrap();
    let mut errors: Vec<_> = load_all(dir.path())
        .unwrap_err()
        .iter()
        .map(|error| error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"))
        .collect();
    errors.sort();
    assert_snapshot!(errors.join("\n"));
    assert!(matches!(load(dir.path(), "link"), Err(LoadError::Read { .. })));
    assert!(matches!(load(dir.path(), "folder/good"), Err(LoadError::Refused { .. })));
}

mod known_defect {
    use super::*;
    use crate::outcome::{CheckResult, Verdict};

    fn defect() -> KnownDefect {
        KnownDefect {
            kernels: KernelRange { from: Some(Version(7, 2, 0)), before: Some(Version(7, 5, 0)) },
            breaks: "a promise".to_owned(),
            link: None,
            shows: vec![
                Sign { check: "steps".to_owned(), finding: "expected 0 new records, found 3".to_owned() },
                Sign { check: "model".to_owned(), finding: "was recorded again".to_owned() },
            ],
        }
    }

    fn result(check: &str, verdict: Verdict, findings: &[&str]) -> CheckResult {
        let findings = findings.iter().map(|finding| (*finding).to_owned()).collect();
        CheckResult { check: check.to_owned(), verdict, findings }
    }

    fn model() -> CheckResult {
        result("model", Verdict::Failed, &["step 5: /m/f-1 was recorded again"])
    }

    const SHOWS: &str = "step 5: expected 0 new records, found 3";

    #[test]
    fn shows_as_stated_only_when_nothing_else_does() {
        let replay = result("replay", Verdict::Passed, &["all"]);
        let steps = result("steps", Verdict::Failed, &[SHOWS]);
        assert_eq!(defect().judge("7.3.4", &[replay.clone(), steps.clone(), model()]), Showing::AsStated);
        assert!(matches!(defect().judge("7.3.4", &[replay.clone(), steps]), Showing::Otherwise(_)));
        assert_eq!(defect().judge("7.3.4", std::slice::from_ref(&replay)), Showing::Gone);
    }

    #[rstest]
    #[case::other_check(result("replay", Verdict::Failed, &[SHOWS]))]
    #[case::other_way(result("steps", Verdict::Failed, &["step 5: expected 0 new records, found 2"]))]
    #[case::more(result("steps", Verdict::Failed, &[SHOWS, "step 2: expected ok, found EBUSY"]))]
    #[case::did_not_run(result("steps", Verdict::CouldNotRun, &[SHOWS]))]
    fn anything_else_is_otherwise(#[case] failed: CheckResult) {
        let also = result("steps", Verdict::Failed, &[SHOWS]);
        assert!(matches!(defect().judge("7.3.4", &[also, model(), failed]), Showing::Otherwise(_)));
    }

    #[rstest]
    #[case::first("7.2.0", true)]
    #[case::candidate("7.2-rc1", true)]
    #[case::between("7.4.12-imalab+", true)]
    #[case::before("7.1.99", false)]
    #[case::after("7.5.0", false)]
    #[case::unversioned("next-20260101", true)]
    fn concerns_its_kernels_alone(#[case] release: &str, #[case] concerned: bool) {
        let steps = result("steps", Verdict::Failed, &[SHOWS]);
        let expected = if concerned { Showing::AsStated } else { Showing::NotConcerned };
        assert_eq!(defect().judge(release, &[steps, model()]), expected);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = parse("it", "it.yaml", &text);
    }

    #[test]
    fn any_damage_to_a_scenario_is_read_or_refused(at in 0usize..400, with in "\\PC{0,3}") {
        let good = std::fs::read_to_string(folder().join("banks/each.yaml")).unwrap();
        let cut = good.char_indices().map(|(at, _)| at).nth(at).unwrap_or(good.len());
        let damaged = format!("{}{with}{}", &good[..cut], &good[cut..].chars().skip(1).collect::<String>());
        if let Err(error) = parse("it", "it.yaml", &damaged) {
            proptest::prop_assert!(error.line as usize <= damaged.lines().count() + 1);
            shown(&error);
        }
    }
}
