//! Kernels and images that cannot do what is asked of them.

use std::fs;

use imalab_check::outcome::Outcome;
use rstest::rstest;

use crate::lab::{Lab, SHORT, initramfs, kernel, why};

#[test]
fn a_kernel_that_panics_early_died() {
    let lab = Lab::new();
    let ended = lab.run(lab.test().args(["--kernel-arg", "rdinit=/nope", SHORT]));
    ended.exits(101).says(&["KERNEL DIED", "Kernel panic - not syncing", "console, last lines"]);
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::KernelDied);
    assert!(why(&result).contains("Kernel panic - not syncing"), "{}", why(&result));
    assert_eq!(result.reason.as_ref().unwrap().finding.code(), "kernel-died/panic");
    assert!(result.console_tail.iter().any(|line| line.contains("panic")), "{:#?}", result.console_tail);
}

#[rstest]
#[case::ima("initcall_blacklist=security_initcall_late", "CONFIG_IMA=y")]
#[case::tpm("initcall_blacklist=init_tis", "CONFIG_TCG_TIS=y")]
fn what_a_kernel_lacks_skips_the_scenario(#[case] word: &str, #[case] option: &str) {
    let lab = Lab::new();
    let out = lab.path("out");
    let ended = lab.run(lab.test().args(["--kernel-arg", word, SHORT, "--out"]).arg(&out));
    ended.exits(4).says(&["skipped", "lacks", option, "nothing ran"]);
    assert!(out.join("results.json").exists());
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::Skipped);
    assert!(why(&result).contains(option), "{}", why(&result));
}

#[test]
fn what_qemu_refuses_is_told_in_its_words() {
    let lab = Lab::new();
    // More than the guest has memory.
    let huge = lab.path("huge");
    fs::File::create(&huge).unwrap().set_len(300 << 20).unwrap();
    lab.run(lab.test_of(&kernel(), &huge).arg(SHORT)).exits(96).says(&[
        "INFRA",
        "initrd is too large",
        "--dry-run",
    ]);
    let result = lab.result();
    assert_eq!(result.outcome, Outcome::Infra);
    let reason = why(&result);
    assert!(reason.contains("QEMU ended at its start"), "{reason}");
    assert!(!reason.contains('\n'), "a reason is one line: {reason}");
    // The same for a person at a console.
    let (input, _open) = std::io::pipe().unwrap();
    let ended = lab.run(lab.with("shell", &kernel(), &huge).stdin(input));
    ended.exits(96).says(&["QEMU ended at its start (exit code 1)", "initrd"]);
}

#[test]
fn half_a_kernel_dies() {
    let lab = Lab::new();
    let half = lab.path("half");
    fs::write(&half, &fs::read(kernel()).unwrap()[..1_000_000]).unwrap();
    lab.run(lab.test_of(&half, &initramfs()).arg(SHORT)).exits(101).says(&["KERNEL DIED"]);
    assert_eq!(lab.result().outcome, Outcome::KernelDied);
}

#[test]
fn a_kernel_without_its_agent_has_no_init() {
    let lab = Lab::new();
    let garbage = lab.path("garbage");
    fs::write(&garbage, [0x5a; 100_000]).unwrap();
    lab.run(lab.test_of(&kernel(), &garbage).arg(SHORT)).exits(101).says(&["KERNEL DIED", "init"]);
    assert_eq!(lab.result().outcome, Outcome::KernelDied);
}
