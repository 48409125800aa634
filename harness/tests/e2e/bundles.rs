//! A scenario that fails, and the bundle that shows it again.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use imalab::report::words;
use imalab_check::outcome::Outcome;
use imalab_language::finding::Pattern;
use nix::sys::signal::Signal;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::lab::{Lab, files, initramfs, kernel};
use crate::machinery::{BOOTING, TellingSwtpm, send};

pub(crate) const WRONG: &str = "summary: Expects what does not happen.
promise: none, it is wrong
steps:
  - measure: 1
  - stage: {expect: EBUSY}
  - save: {expect: any}
  - delete: {expect: any}
";

#[test]
fn a_failure_is_shown_again_by_its_bundle() {
    let lab = Lab::new();
    let folder = lab.path("mine");
    fs::create_dir_all(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/wrong.yaml"), WRONG).unwrap();
    let image = lab.path("bzImage");
    fs::copy(kernel(), &image).unwrap();
    let mut command = lab.with("test", &image, &initramfs());
    command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json"));
    lab.run(&mut command).exits(100).says(&["FAILED", "mine/wrong", "EBUSY", "repro"]);
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::Failed);
    let reason = result.reason.unwrap();
    let expected = Pattern { code: Some("steps/unexpected-success".to_owned()), ..Pattern::default() };
    assert!(expected.matches(&reason.finding), "{reason:?}");
    let told = words::finding(&reason.finding);
    let bundle = result.bundle.unwrap();
    assert!(bundle.starts_with(lab.cache().canonicalize().unwrap()), "{}", bundle.display());
    assert!(result.repro.unwrap().contains(bundle.to_str().unwrap()));

    // Without a machine, and with one.
    lab.run(lab.bare(["recheck"]).arg(&bundle)).exits(100).says(&["FAILED", &told]);
    let repro = || {
        let mut command = lab.bare(["repro"]);
        command.arg(&bundle).arg("--cache").arg(lab.cache());
        command
    };
    // The scenario may be gone or another one by now: the bundle has its own.
    fs::remove_dir_all(&folder).unwrap();
    lab.run(&mut repro()).exits(100).says(&["FAILED", &told]);

    // A signal is a signal, not a failure of the surroundings.
    let told = TellingSwtpm::new(&lab);
    let mut command = repro();
    command.args(["--accel", "tcg", "--swtpm"]).arg(&told.program);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    told.wait_for_commands(BOOTING);
    send(child.id(), Signal::SIGINT);
    lab.ended(child).exits(130);

    // Kernels are known by their digests: one that was changed, in the cache or where it was, is not taken.
    let mut bytes = fs::read(&image).unwrap();
    bytes.push(0);
    fs::write(&image, &bytes).unwrap();
    lab.run(&mut repro()).exits(100).says(&["FAILED", "EBUSY"]);
    fs::remove_dir_all(lab.cache().join("kernels")).unwrap();
    lab.run(&mut repro()).exits(2).says(&["the bundle's kernel", "sha256", "kernel import", "--image"]);
    lab.run(repro().arg("--image").arg(kernel())).exits(100).says(&["FAILED", "EBUSY"]);

    // A bundle that was cut short, or whose evidence is another, is an error that says where.
    let trace = bundle.join("trace.jsonl");
    let text = fs::read(&trace).unwrap();
    fs::write(&trace, &text[..text.len() / 2]).unwrap();
    lab.run(lab.bare(["recheck"]).arg(&bundle)).exits(2).says(&["is not what its run left", "trace.jsonl"]);
    fs::write(bundle.join("bundle.json"), "{").unwrap();
    lab.run(&mut repro()).exits(2).says(&["bundle.json"]);
}

/// Runs what fails, with more arguments; gives its bundle, moved to where nobody made it.
fn moved(lab: &Lab, more: &[&str]) -> PathBuf {
    let folder = lab.path("mine");
    fs::create_dir_all(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/wrong.yaml"), WRONG).unwrap();
    let mut command = lab.with("test", &kernel(), &initramfs());
    command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json")).args(more);
    lab.run(&mut command).exits(100);
    fs::remove_dir_all(&folder).unwrap();
    let elsewhere = lab.path("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let place = elsewhere.join("bundle");
    fs::rename(lab.result().bundle.unwrap(), &place).unwrap();
    place
}

/// `repro` of a bundle with another cache, in another folder.
fn repro_elsewhere(lab: &Lab, bundle: &Path) -> Command {
    let mut command = lab.bare(["repro"]);
    command.arg(bundle).current_dir(bundle.parent().unwrap());
    command.env("XDG_CACHE_HOME", lab.path("other")).env("HOME", lab.path("home"));
    command
}

#[test]
fn a_bundle_that_carries_all_is_shown_again_with_another_cache_and_folder() {
    let lab = Lab::new();
    let bundle = moved(&lab, &["--bundle", "full"]);
    lab.run(&mut repro_elsewhere(&lab, &bundle)).exits(100).says(&["FAILED", "EBUSY"]);
    // What is carried is evidence as any other.
    let carried = files(&bundle.join("carried")).into_iter().find(|path| path.ends_with("file")).unwrap();
    let mut bytes = fs::read(&carried).unwrap();
    bytes.push(0);
    fs::write(&carried, bytes).unwrap();
    lab.run(&mut repro_elsewhere(&lab, &bundle)).exits(2).says(&["is not what its run left", "carried/"]);
}

#[test]
fn a_bundle_that_carries_nothing_finds_kernel_and_image_in_another_cache_or_names_them() {
    let lab = Lab::new();
    let bundle = moved(&lab, &[]);
    assert!(!bundle.join("carried").exists());
    // The paths that it names are still there, and nobody looks at them.
    lab.run(&mut repro_elsewhere(&lab, &bundle)).exits(2).says(&[
        "kernel under-test",
        "kernel import",
        "--bundle full",
    ]);
    let other = lab.path("other/imalab");
    let put = |room: &str, file: PathBuf| {
        let folder = file.parent().unwrap().to_path_buf();
        fs::create_dir_all(other.join(room)).unwrap();
        symlink(&folder, other.join(room).join("found")).unwrap();
    };
    put("kernels", kernel());
    lab.run(&mut repro_elsewhere(&lab, &bundle))
        .exits(2)
        .says(&["the bundle's initramfs is not here", "--initramfs"]);
    put("images", initramfs());
    lab.run(&mut repro_elsewhere(&lab, &bundle)).exits(100).says(&["FAILED", "EBUSY"]);
}

/// Stands in for kbuild.
const MAKEFILE: &str = "VERSION = 7\nPATCHLEVEL = 9\nallnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) .config\n\tmkdir -p include/config\n\
    \techo 7.9.9 > include/config/kernel.release\nbzImage:\n\tmkdir -p arch/x86/boot\n\techo it > arch/x86/boot/bzImage\n\
    \ttouch vmlinux System.map\n";

#[test]
fn a_kernel_is_built_again_when_its_name_means_the_same_here_and_has_to_be_the_bundles() {
    let lab = Lab::new();
    let bundle = moved(&lab, &[]);
    let (root, tree) = (lab.path("checkout"), lab.path("linux-7.9"));
    for folder in
        [root.join("scenarios"), root.join("kernel-config/fragments"), root.join("harness"), tree.clone()]
    {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(tree.join("Makefile"), MAKEFILE).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--create", "--file", "linux-7.9.tar", "linux-7.9"]).current_dir(lab.path("."));
    assert!(tar.status().unwrap().success());
    let tarball = lab.path("linux-7.9.tar");
    let digest = hex::encode(Sha256::digest(fs::read(&tarball).unwrap()));
    let sources = lab.path("other/imalab/sources");
    fs::create_dir_all(&sources).unwrap();
    fs::rename(&tarball, sources.join(format!("linux-7.9-{}", &digest[..16]))).unwrap();
    fs::write(root.join("kernel-config/fragments/base.config"), "CONFIG_A=y\n").unwrap();
    let source = format!("{{tarball: {{url: \"https://example.org/linux-7.9.tar\", sha256: \"{digest}\"}}}}");
    let catalogue = format!(
        "default: tiny\ndebian_suites: []\nkernels:\n  tiny: {{source: {source}, fragments: [base]}}\n"
    );
    fs::write(root.join("kernel-config/kernels.yaml"), catalogue).unwrap();
    let here = |command: &mut Command| {
        command
            .env("IMALAB_CHECKOUT", &root)
            .env("XDG_CACHE_HOME", lab.path("other"))
            .env("HOME", lab.path("."));
        lab.run(command)
    };
    let path = here(&mut lab.bare(["kernel", "path"]));
    let built = PathBuf::from(path.exits(0).text.lines().find(|line| line.ends_with("bzImage")).unwrap());
    let meta: Value = serde_json::from_slice(&fs::read(built.with_file_name("meta.json")).unwrap()).unwrap();
    let file = bundle.join("bundle.json");
    let mut seal: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    seal["kernel"]["name"] = "tiny".into();
    seal["kernel"]["key"] = meta["key"].clone();
    let mut repro = |sha256: &str, key: &Value| {
        seal["kernel"]["image"]["sha256"] = sha256.into();
        seal["kernel"]["key"] = key.clone();
        fs::write(&file, seal.to_string()).unwrap();
        here(&mut repro_elsewhere(&lab, &bundle))
    };
    // It is built, and the image is looked for next.
    fs::remove_dir_all(built.parent().unwrap()).unwrap();
    let whole = repro(meta["bzimage_sha256"].as_str().unwrap(), &meta["key"]);
    whole.exits(2).says(&["building it again", "the bundle's initramfs is not here"]);
    let ended = repro(&"0".repeat(64), &meta["key"]);
    ended.exits(2).says(&["the bundle's kernel tiny", "was built", "and its sha256 is"]);
    let ended = repro(&"0".repeat(64), &"another".into());
    ended.exits(2).says(&["the bundle's kernel tiny", "compiler"]);
    assert!(!ended.text.contains("building it again"), "{}", ended.text);
}
