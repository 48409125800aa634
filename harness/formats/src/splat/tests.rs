use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Every complaint of a case: kind, line, title, and the excerpt's last line and length.
#[rstest]
#[case("null_pointer_oops", include_str!("cases/null_pointer_oops.txt"))]
#[case("old_oops", include_str!("cases/old_oops.txt"))]
#[case("bug", include_str!("cases/bug.txt"))]
#[case("warnings", include_str!("cases/warnings.txt"))]
#[case("lockdep", include_str!("cases/lockdep.txt"))]
#[case("stalls", include_str!("cases/stalls.txt"))]
#[case("sanitizers", include_str!("cases/sanitizers.txt"))]
#[case("memory", include_str!("cases/memory.txt"))]
#[case("caller_prefix", include_str!("cases/caller_prefix.txt"))]
#[case("double_fault", include_str!("cases/double_fault.txt"))]
#[case("clean", include_str!("cases/clean.txt"))]
fn finds(#[case] name: &str, #[case] console: &str) {
    let lines: Vec<&str> = console.lines().collect();
    let told: Vec<String> = find(&lines)
        .into_iter()
        .map(|splat| {
            format!(
                "{:?} at {}, {} lines to {:?}: {}",
                splat.kind,
                splat.line_index,
                splat.excerpt.len(),
                splat.excerpt.last().unwrap(),
                splat.title
            )
        })
        .collect();
    insta::assert_snapshot!(name, told.join("\n"));
}

#[test]
fn a_panic_is_told_from_an_oops() {
    let panic = "[    3.127402] Kernel panic - not syncing: Fatal exception";
    assert_eq!(recognise(panic), Some(Kind::Panic));
    let oops = "[    3.127402] BUG: kernel NULL pointer dereference, address: 0";
    assert_eq!(recognise(oops), Some(Kind::Oops));
}

#[test]
fn an_excerpt_is_bounded() {
    let mut lines = vec!["WARNING: at foo+0x1/0x2, CPU#0: agent/5"];
    lines.extend(std::iter::repeat_n(" bar+0x1/0x2", 500));
    lines.push("WARNING: at baz+0x1/0x2, CPU#0: agent/5");
    let found = find(&lines);
    assert_eq!(found.iter().map(|splat| splat.excerpt.len()).collect::<Vec<_>>(), [EXCERPT, 1]);
}

#[rstest]
#[case::quoted_in_a_message("agent: read \"Kernel panic - not syncing\"")]
#[case::user_space("[    1.0] systemd[1]: WARNING: is not for us")]
#[case::a_bracket_that_is_no_time("[agent] WARNING: own words")]
#[case::end_marker("[    1.0] ---[ end Kernel panic - not syncing: x ]---")]
fn passes_over(#[case] line: &str) {
    assert_eq!(recognise(line), None);
}

proptest! {
    #[test]
    fn any_text_gives_excerpts_within_it(lines in proptest::collection::vec("\\PC{0,40}|BUG: x|WARNING: y|====[=]{40}", 0..40)) {
        let found = find(&lines);
        let mut end = 0;
        for splat in found {
            prop_assert!(splat.line_index >= end);
            end = splat.line_index + splat.excerpt.len();
            prop_assert!(end <= lines.len());
            prop_assert_eq!(&splat.excerpt[..], &lines[splat.line_index..end]);
        }
    }
}
