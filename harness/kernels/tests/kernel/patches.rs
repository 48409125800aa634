//! Kernels with series of patches.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::fs;
use std::path::Path;

use rstest::rstest;

use crate::lab::{Lab, mail};

/// What the kernel `name` was made of: its bzImage is a copy of `kernel/fork.c`.
fn built(lab: &Lab, name: &str) -> String {
    let output = lab.run(&["path", name]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(String::from_utf8(output.stdout).unwrap().trim_end()).unwrap()
}

fn refused(lab: &Lab, name: &str) -> String {
    let output = lab.run(&["path", name]);
    assert_eq!(output.status.code(), Some(96));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn kernels_of_one_source_share_a_tree_and_not_their_patches() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.add_series("first", "{from: \"7.9\"}", &[("kernel/fork.c", "kernel", "first"), ("ima.c", "", "ima")]);
    lab.add_series("second", "{before: \"8.0\"}", &[("kernel/fork.c", "first", "second")]);
    lab.add_kernel("tiny+first", &["first"]);
    lab.add_kernel("tiny+both", &["first", "second"]);
    assert_eq!(built(&lab, "tiny+both"), "second\n");
    assert_eq!(built(&lab, "tiny"), "kernel\n");
    assert_eq!(built(&lab, "tiny+first"), "first\n");
    assert_eq!(lab.builds(), 3);
    let trees = fs::read_dir(lab.cache("builds")).unwrap().flatten().map(|entry| entry.path());
    let trees: Vec<_> = trees.filter(|path| path.is_dir()).collect();
    let [tree] = trees.as_slice() else { panic!("{trees:?}") };
    assert!(tree.join("tree/ima.c").exists());
    // Files that no build needs to write keep their age, or all would be compiled again.
    let age = |file: &str| fs::metadata(tree.join("tree").join(file)).unwrap().modified().unwrap();
    assert!(age("Kbuild") < age("kernel/fork.c"));
    assert_eq!(lab.cached().len(), 3);
}

#[test]
fn a_shared_tree_that_was_left_in_the_middle_is_made_anew() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.add_series("first", "{}", &[("kernel/fork.c", "kernel", "first")]);
    lab.add_kernel("tiny+first", &["first"]);
    built(&lab, "tiny+first");
    let mut folder = fs::read_dir(lab.cache("builds")).unwrap().flatten().map(|entry| entry.path());
    let folder = folder.find(|path| path.is_dir()).unwrap();
    fs::remove_file(folder.join("whole")).unwrap();
    fs::write(folder.join("tree/kernel/fork.c"), "half\n").unwrap();
    assert_eq!(built(&lab, "tiny"), "kernel\n");
}

#[test]
fn what_the_source_has_already_is_passed_over() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let changes = [
        ("kernel/fork.c", "mm", "sched"),
        ("kernel/fork.c", "sched", "kernel"),
        ("kernel/fork.c", "kernel", "new"),
    ];
    lab.add_series("merged-in-part", "{}", &changes);
    lab.add_kernel("tiny+merged", &["merged-in-part"]);
    let output = lab.run(&["path", "tiny+merged"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("merged-in-part/0001-change.patch is in linux-7.9 already"), "{stderr}");
    assert!(stderr.contains("merged-in-part/0002-change.patch is in linux-7.9 already"), "{stderr}");
    assert!(!stderr.contains("0003"), "{stderr}");
    assert_eq!(built(&lab, "tiny+merged"), "new\n");
}

#[test]
fn a_conflict_is_shown_hunk_by_hunk() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.add_series("old", "{}", &[("kernel/fork.c", "mm", "sched"), ("gone.c", "a", "b")]);
    lab.add_kernel("tiny+old", &["old"]);
    let stderr = refused(&lab, "tiny+old");
    let shown = "\
old/0001-change.patch does not apply

kernel/fork.c: this hunk does not fit:
    @@ -1 +1 @@
    -mm
    +sched
  the tree has there:
        1 kernel
";
    assert!(stderr.contains(shown), "{stderr}");
    assert_eq!(lab.builds(), 0);
}

#[rstest]
#[case::too_old("{from: \"8.0\"}", "the series other is for kernels from 8.0, and this is 7.9")]
#[case::too_new("{before: \"7.9\"}", "the series other is for kernels before 7.9, and this is 7.9")]
fn a_series_for_other_kernels_is_refused(#[case] range: &str, #[case] message: &str) {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.add_series("other", range, &[("kernel/fork.c", "kernel", "new")]);
    lab.add_kernel("tiny+other", &["other"]);
    let stderr = refused(&lab, "tiny+other");
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn a_changed_patch_is_another_kernel() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.add_series("first", "{}", &[("kernel/fork.c", "kernel", "first")]);
    lab.add_kernel("tiny+first", &["first"]);
    assert_eq!(built(&lab, "tiny+first"), "first\n");
    lab.add_series("first", "{}", &[("kernel/fork.c", "kernel", "again")]);
    assert_eq!(built(&lab, "tiny+first"), "again\n");
    assert!(Path::new(&lab.cache("builds")).is_dir());
}

#[rstest]
#[case::mailbox(true)]
#[case::folder(false)]
fn a_series_of_ones_own_is_applied_to_a_copy(#[case] mailbox: bool) {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let mails = [mail(1, "kernel/fork.c", "kernel", "mine"), mail(2, "kernel/fork.c", "mine", "my second")];
    let path = lab.home(if mailbox { "v2.mbox" } else { "v2" });
    if mailbox {
        fs::write(&path, mails.concat()).unwrap();
    } else {
        fs::create_dir(&path).unwrap();
        fs::write(
            path.join("0000-cover-letter.patch"),
            "From: A <a@example.org>\nSubject: [PATCH 0/2]\n\nHi.\n",
        )
        .unwrap();
        for (mail, name) in mails.iter().zip(["0001-a.patch", "0002-b.patch"]) {
            fs::write(path.join(name), mail).unwrap();
        }
    }
    let series = path.to_str().unwrap();
    let output = lab.run(&["build", "tiny", "--series", series]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("tiny+v2: Linux 7.9.9"));
    assert_eq!(fs::read_to_string(lines.next().unwrap().trim()).unwrap(), "my second\n");
    assert_eq!(built(&lab, "tiny"), "kernel\n");
}

#[test]
fn a_series_goes_over_a_tree_of_ones_own_too() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let tree = lab.tree();
    for arguments in [&["init", "--quiet"][..], &["add", "--all"]] {
        let git = std::process::Command::new("git").arg("-C").arg(&tree).args(arguments).status();
        assert!(git.unwrap().success());
    }
    let build = |change: &str| {
        let series = lab.home("my.mbox");
        fs::write(&series, mail(1, "kernel/fork.c", "kernel", change)).unwrap();
        let (tree, series) = (tree.to_str().unwrap(), series.to_str().unwrap());
        let output = lab.run(&["build", "--tree", tree, "--series", series]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.starts_with("tree+my: Linux 7.9.9"), "{stdout}");
        fs::read_to_string(stdout.lines().nth(1).unwrap().trim()).unwrap()
    };
    assert_eq!(build("mine"), "mine\n");
    assert_eq!(build("my next"), "my next\n");
    assert_eq!(fs::read_to_string(tree.join("kernel/fork.c")).unwrap(), "kernel\n");
}

#[test]
fn a_series_that_is_not_there_is_a_usage_error() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let output = lab.run(&["build", "--series", "nowhere.mbox"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("--series nowhere.mbox: cannot find it"), "{stderr}");
}
