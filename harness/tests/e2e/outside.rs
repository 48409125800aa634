//! Where there is no checkout: what imalab carries, and what counts more.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use imalab_check::outcome::Outcome;
use nix::sys::signal::Signal;

use crate::bundles::WRONG;
use crate::lab::{Lab, SHORT, initramfs, kernel};
use crate::machinery::{send, within};

/// Makes a checkout with the scenario `own/wrong` and a kernel that only its tree has.
fn checkout(root: &Path) {
    for folder in ["scenarios/own", "kernel-config/fragments", "harness"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("harness/Cargo.toml"), "").unwrap();
    fs::write(root.join("scenarios/own/wrong.yaml"), WRONG).unwrap();
    fs::write(root.join("kernel-config/fragments/base.config"), "CONFIG_A=y\n").unwrap();
    let catalogue =
        "default: own\ndebian_suites: []\nkernels:\n  own: {source: {tree: linux}, fragments: [base]}\n";
    fs::write(root.join("kernel-config/kernels.yaml"), catalogue).unwrap();
}

#[test]
fn a_scenario_is_run_where_there_is_no_checkout() {
    let lab = Lab::new();
    let mut command = lab.bare(["test", SHORT, "--image"]);
    command.arg(kernel()).arg("--initramfs").arg(initramfs()).arg("--cache").arg(lab.cache());
    lab.run(command.arg("--json").arg(lab.path("results.json")))
        .exits(0)
        .says(&["stage/empty-list on image"]);
    assert_eq!(lab.result().outcome, Outcome::Passed);
}

#[test]
fn a_checkout_counts_more_than_what_is_carried_and_a_folder_more_than_both() {
    let lab = Lab::new();
    let list = |more: &[&str]| {
        let mut command = lab.bare(["list"]);
        command.args(more).env("XDG_CACHE_HOME", lab.path("home"));
        command
    };
    lab.run(&mut list(&[])).exits(0).says(&[SHORT]);
    let root = lab.path("checkout");
    checkout(&root);
    let mut inside = list(&[]);
    let ended = lab.run(inside.current_dir(root.join("scenarios")));
    ended.exits(0).says(&["own/wrong"]);
    assert!(!ended.text.contains(SHORT), "{}", ended.text);
    fs::create_dir_all(lab.path("mine/here")).unwrap();
    fs::write(lab.path("mine/here/other.yaml"), WRONG).unwrap();
    let mine = lab.path("mine");
    let mut given = list(&["--scenarios", mine.to_str().unwrap()]);
    let ended = lab.run(given.current_dir(&root));
    ended.exits(0).says(&["here/other"]);
    assert!(!ended.text.contains("own/wrong"), "{}", ended.text);
}

#[test]
fn a_kernel_that_nobody_has_is_refused_with_those_that_there_are() {
    let lab = Lab::new();
    let mut command = lab.bare(["test", SHORT, "--kernel", "mainlane", "--initramfs"]);
    command.arg(initramfs()).arg("--cache").arg(lab.cache());
    lab.run(&mut command).exits(2).says(&["no kernel is called \"mainlane\"", "mainline", "6.12+rfc-v2"]);
}

#[test]
fn a_signal_while_a_kernel_is_built_ends_the_build() {
    let lab = Lab::new();
    let root = lab.path("checkout");
    checkout(&root);
    let (tree, gate) = (root.join("linux"), lab.path("gate"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir_all(tree.join("kernel")).unwrap();
    // Stands in for kbuild: it says at the gate that it builds, and never ends by itself.
    let makefile = format!(
        "VERSION = 7\nPATCHLEVEL = 9\nallnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) $(O)/.config\nolddefconfig:\nbzImage:\n\
         \techo building > {}\n\tcat {}\n",
        gate.display(),
        gate.display()
    );
    for (name, text) in [("Makefile", makefile.as_str()), ("Kbuild", ""), ("Kconfig", "")] {
        fs::write(tree.join(name), text).unwrap();
    }
    let mut command = lab.bare(["test", "own/wrong", "--initramfs"]);
    command.arg(initramfs()).arg("--cache").arg(lab.cache()).current_dir(&root);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = within(crate::lab::PATIENCE, move || fs::read_to_string(gate).unwrap());
    if said.as_deref() != Some("building\n") {
        send(child.id(), Signal::SIGKILL);
        panic!("{}", lab.output(child).text);
    }
    send(child.id(), Signal::SIGINT);
    lab.ended(child).exits(130).says(&["stopping and clearing up"]);
}
