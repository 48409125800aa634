//! `imalab-kernels`, with a kernel so small that it builds in an instant.

mod damage;
mod foreign;
mod lab;
mod patches;
mod travel;
mod tree;

use std::fs;
use std::io::Read;
use std::path::Path;

use lab::{Lab, wait_at};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn path_builds_once_and_prints_the_path_alone() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let first = lab.run(&["path", "tiny"]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let path = String::from_utf8(first.stdout).unwrap();
    assert_eq!(fs::read_to_string(path.trim_end()).unwrap(), "kernel\n");
    // A warm call needs neither source nor compiler run.
    fs::remove_dir_all(lab.cache("sources")).unwrap();
    let second = lab.run(&["path"]);
    assert_eq!(String::from_utf8(second.stdout).unwrap(), path);
    assert_eq!(lab.builds(), 1);
}

#[test]
fn a_build_is_described_beside_the_image() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let path = String::from_utf8(lab.run(&["path"]).stdout).unwrap();
    let folder = Path::new(path.trim_end()).parent().unwrap();
    let meta: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["release"], "7.9.9");
    assert_eq!(meta["source"]["tarball"]["url"], "https://example.org/linux-7.9.tar");
    assert_eq!(fs::read_to_string(folder.join("config")).unwrap(), "CONFIG_IMA=y\n");
    for name in ["System.map", "vmlinux", "build.log"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    assert!(!folder.join("tree").exists());
}

#[test]
fn two_builds_at_once_make_one_kernel() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let gate = lab.gate();
    let first = lab.command(&["path"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let open = wait_at(&gate);
    let mut second = lab.command(&["path"]);
    let mut second =
        second.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    assert!(line.starts_with("waiting for another imalab that is busy with building kernel tiny"), "{line}");
    drop(open);
    let outputs = [first.wait_with_output().unwrap(), second.wait_with_output().unwrap()];
    assert!(outputs.iter().all(|output| output.status.success()));
    assert_eq!(outputs[0].stdout, outputs[1].stdout);
    assert_eq!(lab.builds(), 1);
}

#[test]
fn ctrl_c_ends_a_build_and_leaves_nothing() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let gate = lab.gate();
    let mut child = lab.command(&["path"]).spawn().unwrap();
    let _open = wait_at(&gate);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(lab.cached(), Vec::<String>::new());
}

#[test]
fn a_killed_command_leaves_no_process_and_no_half_kernel() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let gate = lab.gate();
    // Every process of the build inherits this end, so the other one ends with the last of them.
    let (mut reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut child = lab.command(&["path"]).spawn().unwrap();
    drop(writer);
    let open = wait_at(&gate);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.read_to_end(&mut Vec::new()).unwrap();
    drop(open);
    let cached = lab.cached();
    assert!(cached.iter().all(|name| name.ends_with(".unfinished")), "{cached:?}");

    fs::remove_file(&gate).unwrap();
    let output = lab.run(&["path"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lab.cached().len(), 1);
    assert!(!lab.cached()[0].ends_with(".unfinished"));
}

#[test]
fn a_symbol_that_did_not_stick_stops_the_build() {
    let lab = Lab::new("CONFIG_IMA=y\nCONFIG_DROPPED=y\n");
    let output = lab.run(&["build"]);
    assert_eq!(output.status.code(), Some(96));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("base.config:2: CONFIG_DROPPED should be y, and the final .config has n"),
        "{stderr}"
    );
    assert!(stderr.contains("Kconfig:1: depends on NOTHING"), "{stderr}");
    assert_eq!(lab.builds(), 0);
    assert_eq!(lab.cached(), ["linux-7.9.failed.log"]);
}

#[test]
fn a_failed_build_shows_the_compilers_words_and_keeps_the_log() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    fs::write(lab.home("broken"), "").unwrap();
    let output = lab.run(&["build"]);
    assert_eq!(output.status.code(), Some(96));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("ima.c:1: error: broken"), "{stderr}");
    assert!(stderr.contains("linux-7.9.failed.log"), "{stderr}");
    let log = fs::read_to_string(lab.cache("kernels/linux-7.9.failed.log")).unwrap();
    assert!(log.contains("ima.c:1: error: broken"));
    fs::remove_file(lab.home("broken")).unwrap();
    assert!(lab.run(&["build"]).status.success());
}

#[test]
fn another_config_is_another_kernel() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let first = lab.run(&["path"]).stdout;
    let fragment = lab.cache("../../checkout/kernel-config/fragments/base.config");
    fs::write(&fragment, "CONFIG_IMA=n\n").unwrap();
    let second = lab.run(&["path"]).stdout;
    assert_ne!(first, second);
    fs::write(&fragment, "CONFIG_IMA=y\n").unwrap();
    assert_eq!(lab.run(&["path"]).stdout, first);
    assert_eq!(lab.builds(), 2);
}

#[test]
fn a_name_that_does_not_exist_is_a_usage_error_with_those_that_do() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    let output = lab.run(&["build", "9.9"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "error: no kernel is called \"9.9\"; there are tiny\n");
}

#[test]
fn without_a_network_a_kernel_built_earlier_will_do() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.as_debian_package();
    let built = lab.run(&["path"]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    fs::remove_file(lab.cache("apt/offers.json")).unwrap();
    let offline = |arguments: &[&str]| {
        // Nothing listens on port 1 (tcpmux) of this machine.
        lab.command(arguments).env("IMALAB_DEBIAN_MIRROR", "http://127.0.0.1:1/debian").output().unwrap()
    };
    let output = offline(&["path"]);
    assert_eq!(output.stdout, built.stdout);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("going on with linux-source-7.9 7.9.9-1 from the cache"), "{stderr}");

    fs::remove_dir_all(lab.cache("kernels")).unwrap();
    let output = offline(&["path"]);
    assert_eq!(output.status.code(), Some(96));
    assert!(String::from_utf8(output.stderr).unwrap().contains("127.0.0.1"));
}

#[test]
fn a_line_that_is_no_longer_offered_is_a_usage_error() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.as_debian_package();
    let kernels = lab.cache("../../checkout/kernel-config/kernels.yaml");
    let text = fs::read_to_string(&kernels).unwrap().replace("7.2", "8.0");
    fs::write(&kernels, text).unwrap();
    let output = lab.run(&["path"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: no suite offers linux-source-8.0 or a newer line; there are linux-source-7.9 (7.9.9-1 in sid)\n"
    );
}

#[test]
fn the_list_says_what_is_built() {
    let lab = Lab::new("CONFIG_IMA=y\n");
    lab.run(&["build"]);
    let output = lab.run(&["list", "--json"]);
    let listing: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listing["schema"], 1);
    let kernel = &listing["kernels"][0];
    assert_eq!(kernel["name"], "tiny");
    assert_eq!(kernel["default"], true);
    assert!(Path::new(kernel["image"].as_str().unwrap()).exists());
}
