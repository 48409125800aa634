use super::*;
use rstest::rstest;

const DIFF: &str = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";

fn found(subject: &str, patch: &str) -> Found {
    let name = title(subject, 1);
    Found { mail: Mail { name, content: Vec::new(), strip: 1 }, subject: subject.into(), patch: patch.into() }
}

fn names(found: Vec<Found>, order: Order) -> Result<Vec<String>> {
    Ok(ordered(found, order)?.into_iter().map(|mail| mail.name).collect())
}

#[test]
fn mails_out_of_order_are_put_in_order_and_called_by_their_numbers() {
    let mails = vec![
        found("[PATCH v2 10/10] ima: last", DIFF),
        found("[PATCH v2 00/10] ima: cover", ""),
        found("Re: [PATCH v2 2/10] ima: b", DIFF),
        found("[PATCH v2 02/10] ima: b", DIFF),
        found("[PATCH v2 2/10] ima: b", DIFF),
        found("[PATCH v2 1/10] ima: a", DIFF),
    ];
    let names = names(mails, Order::Subject).unwrap();
    assert_eq!(names, ["1/10 \"ima: a\"", "2/10 \"ima: b\"", "10/10 \"ima: last\""]);
}

#[test]
fn without_numbers_the_place_counts() {
    let mails = vec![found("[PATCH] b", DIFF), found("a", DIFF)];
    assert_eq!(names(mails, Order::Subject).unwrap(), ["\"b\"", "\"a\""]);
    let mails = vec![found("[PATCH 2/2] b", DIFF), found("[PATCH 1/2] a", DIFF)];
    assert_eq!(names(mails, Order::Place).unwrap(), ["2/2 \"b\"", "1/2 \"a\""]);
}

#[rstest]
#[case::two_series(
    &[("[PATCH v2 1/1] a", DIFF), ("[PATCH v3 1/2] a", DIFF)],
    "patches of several series (v2 of 1, v3 of 2); one is wanted"
)]
#[case::twice(
    &[("[PATCH 1/2] a", DIFF), ("[PATCH 1/2] a", "diff --git a/x b/x\n"), ("[PATCH 2/2] b", DIFF)],
    "patch 1 is there twice, and they differ"
)]
#[case::no_patch(
    &[("[PATCH 0/2] a", ""), ("hello", "")],
    "no patch there; looked for mails with diffs, in a file or in files that end in .patch, .diff, .eml, .mbox"
)]
#[case::a_patch_that_cannot_be_read(
    &[("[PATCH 1/2] a", DIFF), ("[PATCH 2/2] b", "<html>")],
    "2/2 \"b\" has no patch that git can read"
)]
fn what_is_no_series(#[case] mails: &[(&str, &str)], #[case] message: &str) {
    let mails = mails.iter().map(|(subject, patch)| found(subject, patch)).collect();
    assert_eq!(names(mails, Order::Subject).unwrap_err().to_string(), message);
}

#[test]
fn a_quilt_series_lists_patches_with_their_levels() {
    let text = "# ours\na.patch\n\nsub/b.patch -p0 # why\n  c.patch -pab\n";
    let expected =
        [("a.patch", 1), ("sub/b.patch", 0), ("c.patch", 1)].map(|(name, strip)| (name.into(), strip));
    assert_eq!(quilt(text).unwrap(), expected);
    assert_eq!(
        quilt("a.patch -R\n").unwrap_err().to_string(),
        "series: a.patch has the option -R, and only -p followed by a number is known"
    );
}

#[test]
fn nothing_outside_of_a_folder_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().canonicalize().unwrap().join("series");
    fs::create_dir(&inside).unwrap();
    fs::write(inside.join("a.patch"), DIFF).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", inside.join("out.patch")).unwrap();
    std::os::unix::fs::symlink("a.patch", inside.join("in.patch")).unwrap();
    assert_eq!(within(&inside, "./in.patch").unwrap(), inside.join("a.patch"));
    for name in ["out.patch", "../secret", "/etc/shadow", "missing.patch"] {
        let error = within(&inside, name).unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("root:"), "{error}");
    }
}

#[rstest]
#[case("/tmp/v2.mbox", "v2")]
#[case("/tmp/v2.mbox.gz", "v2")]
#[case("/tmp/linux-7.2", "linux-7.2")]
#[case("/tmp/0001-a.patch", "0001-a")]
#[case("/tmp/.patch", ".patch")]
fn a_series_is_called_after_its_file(#[case] path: &str, #[case] name: &str) {
    assert_eq!(name_of(Path::new(path)), name);
}
