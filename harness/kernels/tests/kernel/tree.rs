//! `--tree`: a developer's own kernel.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::Lab;

/// Every file below `folder` with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn build(lab: &Lab, more: &[&str]) -> String {
    let tree = lab.tree();
    let arguments = [&["build", "--tree", tree.to_str().unwrap()], more].concat();
    let output = lab.run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().find(|line| line.ends_with("bzImage")).unwrap().trim().to_owned()
}

fn config_beside(image: &str) -> String {
    fs::read_to_string(Path::new(image).with_file_name("config")).unwrap()
}

fn git(tree: &Path, arguments: &[&str]) {
    let output = Command::new("git").arg("-C").arg(tree).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_tree_without_config_is_built_with_the_fragments_and_not_written_to() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let before = files(&lab.tree());
    let image = build(&lab, &[]);
    assert_eq!(fs::read_to_string(&image).unwrap(), "kernel\n");
    assert_eq!(config_beside(&image), "CONFIG_IMA=y\n");
    assert_eq!(files(&lab.tree()), before);

    // What the developer changes is in the next build, and nothing is configured again.
    fs::write(lab.tree().join("kernel/fork.c"), "changed\n").unwrap();
    assert_eq!(build(&lab, &[]), image);
    assert_eq!(fs::read_to_string(&image).unwrap(), "changed\n");
}

#[test]
fn a_tree_configured_in_place_is_built_through_a_shadow() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let tree = lab.tree();
    fs::write(tree.join(".gitignore"), ".config\n*.o\n").unwrap();
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["add", "."]);
    fs::write(tree.join(".config"), "CONFIG_MINE=y\n# CONFIG_IMA is not set\n").unwrap();
    fs::write(tree.join("kernel/fork.o"), "object").unwrap();
    let before = files(&tree);

    let merged = build(&lab, &[]);
    assert_eq!(config_beside(&merged), "CONFIG_MINE=y\nCONFIG_IMA=y\n");
    build(&lab, &[]);
    assert_eq!(lab.configured(), 1);

    let kept = build(&lab, &["--keep-config"]);
    assert_eq!(config_beside(&kept), "CONFIG_MINE=y\n# CONFIG_IMA is not set\n");
    assert_eq!(files(&tree), before);
}

#[test]
fn what_cannot_be_built_is_said_clearly() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let tree = lab.tree();
    let run = |more: &[&str]| {
        let output = lab.run(&[&["build", "--tree", tree.to_str().unwrap()], more].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = run(&["--keep-config"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("has no .config"), "{stderr}");

    fs::write(tree.join(".config"), "CONFIG_IMA=y\n").unwrap();
    let (code, stderr) = run(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("make mrproper will do: save its .config first"), "{stderr}");
}
