//! A guest of `images/trial`: what it said, what it handed over, and what crossed the tap.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use imalab_formats::ima::Bank;
use imalab_formats::tpm::command::{Command as Tpm, parse, response_code};
use imalab_trace::What;

use crate::qemu::boot;

/// Longer than a guest takes that starts the keeper some hundred times, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(900);

/// A guest that has ended.
pub(crate) struct Trial {
    /// Its console.
    pub(crate) said: String,
    /// What it wrote to its port.
    pub(crate) sent: Vec<u8>,
    /// What PCR 10 was extended with, in the bank of SHA-256.
    pub(crate) extends: Vec<Vec<u8>>,
}

/// What the environment names.
pub(crate) fn given(name: &str) -> PathBuf {
    let path = std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask check`, which builds it and sets it"));
    path.into()
}

/// Runs the guest to its end. Both are the names of variables.
pub(crate) fn run(kernel: &str, initramfs: &str, command_line: &str) -> Trial {
    let (kernel, initramfs) = (given(kernel), given(initramfs));
    let folder = tempfile::tempdir().unwrap();
    let (console, sent) = (folder.path().join("console"), folder.path().join("sent"));
    let arguments = [
        "-kernel",
        kernel.to_str().unwrap(),
        "-initrd",
        initramfs.to_str().unwrap(),
        "-append",
        &format!("console=ttyS0 quiet panic=-1 {command_line}"),
        "-no-reboot",
        "-serial",
        &format!("file:{}", console.display()),
        "-device",
        "virtio-serial-pci",
        "-chardev",
        &format!("file,id=log,path={}", sent.display()),
        "-device",
        "virtserialport,chardev=log",
    ];
    let (tap, qemu, qmp, events, _swtpm) = boot(&Bank::ALL, &arguments);
    // What came by until the end of the tap, which ends with its machine.
    let end = Instant::now() + PATIENCE;
    let mut extends = Vec::new();
    while let Ok(what) = events.recv_timeout(end.saturating_duration_since(Instant::now())) {
        match what {
            What::Tpm(exchange) => {
                if let Ok(Tpm::PcrExtend { pcr: 10, digests }) = parse(&exchange.command)
                    && response_code(&exchange.answer) == Ok(0)
                {
                    let sha256 = digests.iter().find(|(alg, _)| *alg == Bank::Sha256.tpm_alg());
                    extends.push(sha256.unwrap().1.to_vec());
                }
            }
            What::Host(_) => break,
            _ => {}
        }
    }
    assert!(qemu.ended());
    drop((tap, qmp, qemu));
    let said = String::from_utf8_lossy(&std::fs::read(&console).unwrap()).into_owned();
    assert!(!said.contains("Call Trace:"), "the kernel complains:\n{said}");
    Trial { said, sent: std::fs::read(&sent).unwrap(), extends }
}

impl Trial {
    /// Each of these was said.
    pub(crate) fn must_say(&self, expected: &[&str]) {
        for expected in expected {
            assert!(self.said.contains(&format!("trial: {expected}")), "no `{expected}` in:\n{}", self.said);
        }
    }
}
