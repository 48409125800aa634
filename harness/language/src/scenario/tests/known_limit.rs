//! Known limits as they are written.

use rstest::rstest;

use super::super::{KnownLimit, Lost};
use super::*;

fn limit(lost: &str) -> Vec<Option<KnownLimit>> {
    let text = format!(
        "summary: s\npromise: p\nmatrix:\n  n: [0, 3]\nsteps:\n  - kexec\nknown-limit:\n  kernels: {{from: \"7.2\"}}\n  why: w\n  lost: {lost}\n"
    );
    let scenario = parse("it", "it.yaml", &text).unwrap();
    scenario.variants.into_iter().map(|variant| variant.known_limit).collect()
}

#[rstest]
#[case("{records: 2}", [Some((1, Some(2))), Some((1, Some(2)))])]
#[case("{records: all, kexec: 3}", [Some((3, None)), Some((3, None))])]
#[case("{records: \"${n}\"}", [None, Some((1, Some(3)))])]
fn says_which_kexec_loses_how_many(#[case] lost: &str, #[case] expected: [Option<(u16, Option<u64>)>; 2]) {
    let found = limit(lost).into_iter().map(|limit| limit.map(|limit| limit.lost));
    let expected = expected.map(|lost| lost.map(|(kexec, records)| Lost { kexec, records }));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}
