//! Series that somebody else has made: in whatever form they come, and whatever they try.

#![expect(clippy::unwrap_used, reason = "what the tests share is not inside of a test function")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rstest::rstest;

use crate::lab::{Lab, mail};

/// Builds the kernel with `series`; exit code, standard output and standard error.
fn build(lab: &Lab, series: &[&Path], more: &[&str]) -> (Option<i32>, String, String) {
    let mut arguments = vec!["build"];
    for path in series {
        arguments.extend(["--series", path.to_str().unwrap()]);
    }
    arguments.extend(more);
    let output = lab.run(&arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What the bzImage of a build that went well is: a copy of `kernel/fork.c`.
fn built(lab: &Lab, series: &[&Path]) -> String {
    let (code, stdout, stderr) = build(lab, series, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    fs::read_to_string(stdout.lines().nth(1).unwrap().trim()).unwrap()
}

/// The tree that builds with a series share.
fn shared_tree(lab: &Lab) -> PathBuf {
    let folders = fs::read_dir(lab.cache("builds")).unwrap().flatten().map(|entry| entry.path());
    folders.into_iter().find(|path| path.is_dir()).unwrap().join("tree")
}

fn three() -> [String; 3] {
    let changes = [("kernel", "one"), ("one", "two"), ("two", "three")];
    let mut number = 0;
    changes.map(|(old, new)| {
        number += 1;
        mail(number, "kernel/fork.c", old, new)
            .replace(&format!("[PATCH {number}]"), &format!("[PATCH v2 {number}/3]"))
    })
}

fn gzip(text: &str) -> Vec<u8> {
    let mut child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

fn base64(mail: &str) -> String {
    let (head, body) = mail.split_once("\n\n").unwrap();
    let mut child = Command::new("base64").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), body.as_bytes()).unwrap();
    let body = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let mime =
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64";
    format!("{head}\n{mime}\n\n{body}\n")
}

/// Puts the three patches at a path in the form `form`.
fn as_form(lab: &Lab, form: &str) -> PathBuf {
    let [one, two, three] = three();
    let cover =
        "From 0 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH v2 0/3] ima\n\nHi.\n\n";
    let reply = format!(
        "From 0 Mon Sep 17 00:00:00 2001\nFrom: B <b@example.org>\nSubject: Re: [PATCH v2 2/3] ima\n\n\
         Rather:\n\n{}",
        two.split_once("---\n").unwrap().1.replace("two", "other")
    );
    let path = lab.home("posted");
    let plain = |mail: &str| mail.split_once("\n---\n").unwrap().1.to_owned();
    let folder = |files: &[(&str, &str)]| {
        for (name, text) in files {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        path.clone()
    };
    let file = |name: &str, content: &[u8]| {
        fs::write(lab.home(name), content).unwrap();
        lab.home(name)
    };
    match form {
        "out of order" => {
            file("posted.mbox", [&three, cover, &two, &one].map(str::to_owned).concat().as_bytes())
        }
        "thread" => {
            file("posted.mbox", [cover, &reply, &two, &one, &three].map(str::to_owned).concat().as_bytes())
        }
        "gz" => file("posted.mbox.gz", &gzip(&[&one[..], &two, &three].concat())),
        "base64" => file("posted.mbox", [&one, &two, &three].map(|mail| base64(mail)).concat().as_bytes()),
        "carriage returns" => {
            file("posted.mbox", [&one[..], &two, &three].concat().replace('\n', "\r\n").as_bytes())
        }
        "diff" => file("posted.diff", plain(&one.replace("+one", "+three")).as_bytes()),
        "other folders" => file(
            "posted.patch",
            b"Index: linux/kernel/fork.c\n=====\n--- linux.orig/kernel/fork.c\t2026-01-01\n\
              +++ linux/kernel/fork.c\t2026-01-02\n@@ -1 +1 @@\n-kernel\n+three\n",
        ),
        "eml" => folder(&[
            ("z.eml", &one),
            ("a.eml", &two),
            ("m.eml", &three),
            ("b.eml", cover),
            ("notes.txt", "x"),
        ]),
        "maildir" => folder(&[("cur/7:2,S", &three), ("cur/9:2,", &one), ("new/1", &two)]),
        "quilt" => folder(&[
            ("series", "# ours\nz.patch\nsub/b.patch -p0\nc.diff\n"),
            ("z.patch", &plain(&one)),
            ("sub/b.patch", &plain(&two).replace("a/kernel", "kernel").replace("b/kernel", "kernel")),
            ("c.diff", &plain(&three)),
            ("unused.patch", "no patch"),
        ]),
        other => unreachable!("{other}"),
    }
}

#[rstest]
#[case("out of order")]
#[case("thread")]
#[case("gz")]
#[case("base64")]
#[case("carriage returns")]
#[case("diff")]
#[case("other folders")]
#[case("eml")]
#[case("maildir")]
#[case("quilt")]
fn every_form_in_which_patches_are_posted(#[case] form: &str) {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = as_form(&lab, form);
    assert_eq!(built(&lab, &[&path]), "three\n");
    assert!(build(&lab, &[&path], &[]).1.starts_with("tiny+posted: Linux 7.9.9"));
}

#[test]
fn two_series_are_applied_one_after_the_other() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let (first, second) = (lab.home("first.patch"), lab.home("second.patch"));
    fs::write(&first, mail(1, "kernel/fork.c", "kernel", "first")).unwrap();
    fs::write(&second, mail(1, "kernel/fork.c", "first", "second")).unwrap();
    assert_eq!(built(&lab, &[&first, &second]), "second\n");
    let (code, _, stderr) = build(&lab, &[&second, &first], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("second/\"ima: Change kernel/fork.c\" does not apply"), "{stderr}");
}

#[test]
fn a_series_that_is_no_good_is_the_users_mistake() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = lab.home("posted.mbox");
    let [one, _, three] = three();
    fs::write(&path, [one, three].concat()).unwrap();
    let (code, _, stderr) = build(&lab, &[&path], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("warning: of 3 patches, these are not there: 2"), "{stderr}");
    assert!(stderr.contains("posted/3/3 \"ima: Change kernel/fork.c\" does not apply"), "{stderr}");
    assert!(stderr.contains("the tree has there:\n        1 one"), "{stderr}");

    let folder = lab.home("empty");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("README"), "x").unwrap();
    let (code, _, stderr) = build(&lab, &[&folder], &[]);
    assert_eq!((code, stderr.contains("no patch there")), (Some(2), true), "{stderr}");

    nix::unistd::mkfifo(&folder.join("0001-a.patch"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (code, _, stderr) = build(&lab, &[&folder], &[]);
    assert_eq!((code, stderr.contains("0001-a.patch is no file")), (Some(2), true), "{stderr}");
    let (code, _, _) = build(&lab, &[Path::new("/dev/zero")], &[]);
    assert_eq!(code, Some(2));
    assert_eq!(lab.builds(), 0);
}

#[test]
fn bombs_are_refused_in_bounded_time() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let refused = |path: &Path, message: &str| {
        let (code, _, stderr) = build(&lab, &[path], &[]);
        assert_eq!((code, stderr.contains(message)), (Some(2), true), "{stderr}");
    };
    // Two gigabytes of zeros.
    let bomb = lab.home("bomb.mbox.gz");
    let packed = "head -c 2G /dev/zero | gzip -1 > \"$0\"";
    assert!(Command::new("sh").args(["-c", packed]).arg(&bomb).status().unwrap().success());
    refused(&bomb, "more than 128 MiB of patches");
    let crowd = lab.home("crowd.mbox");
    fs::write(&crowd, "From a Thu Jan  1 00:00:00 2026\nSubject: a\n\nb\n\n".repeat(3000)).unwrap();
    refused(&crowd, "more than 2000 mails");
    let binary = lab.home("binary.patch");
    fs::write(
        &binary,
        "diff --git a/x b/x\nnew file mode 100644\nGIT binary patch\nliteral 99999999999\nzc\n\n",
    )
    .unwrap();
    refused(&binary, "is a binary patch, and those are not taken");
    let module = lab.home("module.patch");
    fs::write(
        &module,
        "diff --git a/sub b/sub\nnew file mode 160000\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n\
         +Subproject commit 1234567890123456789012345678901234567890\n",
    )
    .unwrap();
    refused(&module, "sub is a submodule");
}

#[test]
fn a_build_that_writes_without_end_is_bounded() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = lab.home("loud.patch");
    fs::write(&path, mail(1, "kernel/fork.c", "kernel", "mine")).unwrap();
    fs::write(lab.home("loud"), "").unwrap();
    let (code, _, stderr) = build(&lab, &[&path], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.len() < 200_000, "{}", stderr.len());
    let log = fs::metadata(lab.cache("kernels/linux-7.9.failed.log")).unwrap();
    assert!(log.len() <= (64 << 20) + (1 << 20), "{}", log.len());
}

#[test]
fn a_series_that_does_not_compile_is_the_users_mistake() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = as_form(&lab, "gz");
    fs::write(lab.home("broken"), "").unwrap();
    let (code, _, stderr) = build(&lab, &[&path], &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("ima.c:1: error: broken"), "{stderr}");
}

/// A patch that makes the symbolic link `path` to `target`.
fn linking(path: &str, target: &str) -> String {
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 120000\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n\
         +{target}\n\\ No newline at end of file\n"
    )
}

#[test]
fn nothing_outside_the_tree_is_read_through_a_link() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let secret = lab.home("secret");
    fs::write(&secret, "the secret\n").unwrap();
    let path = lab.home("posted.patch");
    for target in [secret.to_str().unwrap(), "../../../../etc/shadow"] {
        fs::write(&path, linking("kernel/stolen", target)).unwrap();
        let (code, _, stderr) = build(&lab, &[&path], &[]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("kernel/stolen becomes a symbolic link to"), "{stderr}");
        assert!(fs::symlink_metadata(shared_tree(&lab).join("kernel/stolen")).is_err());
    }
    // Over a tree of one's own too, whose own links lead wherever they lead.
    let tree = lab.tree();
    symlink(&secret, tree.join("kernel/mine")).unwrap();
    assert!(Command::new("git").arg("-C").arg(&tree).args(["init", "--quiet"]).status().unwrap().success());
    assert!(Command::new("git").arg("-C").arg(&tree).args(["add", "."]).status().unwrap().success());
    let change = "--- a/kernel/mine\n+++ b/kernel/mine\n@@ -1 +1 @@\n-the secret\n+other\n";
    fs::write(&path, change).unwrap();
    let (code, _, stderr) = build(&lab, &[&path], &["--tree", tree.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(!stderr.contains("the secret\n  the tree"), "{stderr}");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "the secret\n");
}

#[test]
fn links_and_modes_stay_what_they_are() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = lab.home("posted.patch");
    let text = linking("kernel/link.c", "fork.c")
        + "diff --git a/scripts/run b/scripts/run\nnew file mode 100755\n--- /dev/null\n+++ b/scripts/run\n\
           @@ -0,0 +1 @@\n+#!/bin/sh\n\
           diff --git a/Kbuild b/Kbuild\nold mode 100644\nnew mode 100755\n\
           diff --git a/kernel/empty.c b/kernel/empty.c\nnew file mode 100644\nindex 0000000..e69de29\n\
           diff --git a/kernel/fork.c b/kernel/other.c\nsimilarity index 100%\ncopy from kernel/fork.c\n\
           copy to kernel/other.c\n";
    fs::write(&path, text).unwrap();
    built(&lab, &[&path]);
    let tree = shared_tree(&lab);
    assert_eq!(fs::read_link(tree.join("kernel/link.c")).unwrap(), Path::new("fork.c"));
    let runs = |file: &str| fs::metadata(tree.join(file)).unwrap().mode() & 0o111 != 0;
    assert!(runs("scripts/run") && runs("Kbuild") && !runs("kernel/fork.c"));
    assert_eq!(fs::read_to_string(tree.join("kernel/empty.c")).unwrap(), "");
    assert_eq!(fs::read_to_string(tree.join("kernel/other.c")).unwrap(), "kernel\n");

    // And all of it goes again; a link makes way for a folder.
    fs::write(&path, mail(1, "kernel/link.c/below.c", "", "x")).unwrap();
    built(&lab, &[&path]);
    assert!(tree.join("kernel/link.c/below.c").is_file());
    assert!(!runs("Kbuild") && !tree.join("kernel/other.c").exists());
    fs::write(&path, linking("kernel/link.c", "fork.c")).unwrap();
    built(&lab, &[&path]);
    assert!(tree.join("kernel/link.c").is_symlink());
}

#[rstest]
#[case::up("a/../../escaped", "../escaped")]
#[case::git("a/.git/hooks/post-commit", ".git/hooks/post-commit")]
#[case::over_a_link("a/kernel/out/escaped", "kernel/out/escaped")]
fn nothing_is_written_outside_the_tree(#[case] name: &str, #[case] shown: &str) {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let tree = lab.tree();
    let outside = lab.home("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, tree.join("kernel/out")).unwrap();
    for arguments in [["init", "--quiet"], ["add", "."]] {
        assert!(Command::new("git").arg("-C").arg(&tree).args(arguments).status().unwrap().success());
    }
    // A hook of the tree's own must not run either.
    let hook = tree.join(".git/hooks/post-commit");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch {}/hook-ran\n", outside.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let path = lab.home("posted.patch");
    let other = name.replacen("a/", "b/", 1);
    let text = format!(
        "diff --git {name} {other}\nnew file mode 100755\n--- /dev/null\n+++ {other}\n@@ -0,0 +1 @@\n+escaped\n"
    );
    fs::write(&path, mail(1, "kernel/fork.c", "kernel", "mine") + &text).unwrap();
    let (code, _, stderr) = build(&lab, &[&path], &["--tree", tree.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains(shown), "{stderr}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!tree.join("../escaped").exists() && !lab.cache("escaped").exists());
}

#[test]
fn nothing_of_the_users_git_has_a_say() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let hooks = lab.home("hooks");
    fs::create_dir(&hooks).unwrap();
    for name in ["pre-commit", "post-commit", "applypatch-msg", "post-index-change"] {
        let hook = hooks.join(name);
        fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", lab.home("hook-ran").display())).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = format!(
        "[core]\n\thooksPath = {}\n\tautocrlf = true\n[commit]\n\tgpgSign = true\n[mailinfo]\n\tscissors = true\n",
        hooks.display()
    );
    fs::write(lab.home(".gitconfig"), config).unwrap();
    let path = as_form(&lab, "out of order");
    let mut command = lab.command(&["build", "--series", path.to_str().unwrap()]);
    let output = command.env("GIT_DIR", lab.home("nowhere")).env("GIT_WORK_TREE", "/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!lab.home("hook-ran").exists());
}

#[test]
fn symbols_of_a_series_can_be_set_and_have_to_stick() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = as_form(&lab, "gz");
    let (code, stdout, stderr) =
        build(&lab, &[&path], &["--kconfig", "IMA_NEW", "--kconfig", "CONFIG_IMA=n"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("tiny+posted+IMA_NEW+IMA-n: Linux"), "{stdout}");
    let config = Path::new(stdout.lines().nth(1).unwrap().trim()).with_file_name("config");
    assert_eq!(fs::read_to_string(config).unwrap(), "CONFIG_IMA=n\nCONFIG_IMA_NEW=y\n");

    let (code, _, stderr) = build(&lab, &[&path], &["--kconfig", "DROPPED"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("--kconfig: CONFIG_DROPPED should be y, and the final .config has n"),
        "{stderr}"
    );
    for (asked, message) in [
        ("IMA=", "\"IMA=\" is not a symbol"),
        ("I MA", "\"I MA\" is not a symbol"),
        ("IMA=y\nCONFIG_X=y", "is more than a line"),
    ] {
        let (code, _, stderr) = build(&lab, &[], &["--kconfig", asked]);
        assert_eq!((code, stderr.contains(message)), (Some(2), true), "{stderr}");
    }
}

#[test]
fn names_of_a_stranger_reach_the_terminal_escaped() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let folder = lab.home("p\u{1b}[2J\u{202e}");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("0001-\u{1b}]0;x\u{7}.patch"), mail(1, "kernel/fork.c", "mm", "\u{1b}[31m"))
        .unwrap();
    let (code, _, stderr) = build(&lab, &[&folder], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("does not apply"), "{stderr}");
    assert!(!stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{stderr:?}");
}
