//! `--add`: files that a user brings into the guest.

use std::fs;

use imalab_check::outcome::Outcome;

use crate::lab::{Lab, initramfs, kernel};

#[test]
fn files_of_a_directory_are_in_the_guest() {
    let lab = Lab::new();
    let (scenarios, root) = (lab.path("own"), lab.path("root"));
    fs::create_dir_all(scenarios.join("own")).unwrap();
    fs::create_dir_all(root.join("agent")).unwrap();
    fs::write(root.join("agent/config"), "every = 5\n").unwrap();
    let text = "summary: An agent's file is there.\npromise: none\nsteps:\n  - open: {as: a, file: /agent/config}\n  \
                - read: {from: a, expect: {value: 10}}\n  - close: a\n  - measure: 1\n";
    fs::write(scenarios.join("own/file.yaml"), text).unwrap();
    let test = || {
        let mut command = lab.with("test", &kernel(), &initramfs());
        command.arg("--scenarios").arg(&scenarios).arg("--json").arg(lab.path("results.json"));
        command
    };
    lab.run(test().arg("--add").arg(&root)).exits(0);
    assert_eq!(lab.result().outcome, Outcome::Passed);
    lab.run(&mut test()).exits(100).says(&["ENOENT"]);
    lab.run(test().arg("--add").arg(lab.path("none"))).exits(2).says(&["--add: cannot read", "none"]);
}
