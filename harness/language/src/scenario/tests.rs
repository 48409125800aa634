mod invalid;
mod known_defect;
mod known_limit;

use std::fmt::Write;
use std::path::Path;

use insta::assert_snapshot;
use miette::{GraphicalReportHandler, GraphicalTheme};
use rstest::rstest;

use super::*;
use invalid::with_steps;
pub(super) use invalid::{Knows, invalid};

/// The scenarios of this repository.
fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios"))
}

/// Lines are not wrapped: where they are goes by features of `textwrap` that other crates of the workspace turn on.
fn shown(error: &dyn miette::Diagnostic) -> String {
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .with_wrap_lines(false)
        .render_report(&mut out, error)
        .unwrap();
    out
}

#[test]
fn errors_point_at_the_place_and_say_what_was_expected() {
    let mut out = String::new();
    for (name, _, text) in invalid() {
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
#[case::nothing("", &[])]
#[case::one("kernel-says: a ${what}\n", &["a b"])]
#[case::several("kernel-says: [\"${what}\", \"c: d\"]\n", &["b", "c: d"])]
fn what_the_kernel_must_say_is_one_or_several(#[case] head: &str, #[case] expected: &[&str]) {
    let text = format!("summary: s\npromise: p\nmatrix: {{what: [b]}}\n{head}steps:\n  - stage\n");
    assert_eq!(parse("it", "it.yaml", &text).unwrap().variants[0].kernel_says, expected);
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
