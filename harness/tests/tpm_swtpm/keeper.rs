//! The log keeper on a real kernel, killed at each of its system calls: what it kept and what the kernel still holds are, together, the
//! records that crossed the tap, once each and in their order.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use imalab_formats::ima::{Bank, parse_log};
use imalab_formats::tpm::command::{Command as Tpm, parse, response_code};
use imalab_trace::What;
use rstest::rstest;

use crate::qemu::boot;

/// Longer than a guest takes that starts the keeper some hundred times, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(900);

fn given(name: &str) -> PathBuf {
    let path = std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask check`, which builds it and sets it"));
    path.into()
}

#[rstest]
#[case::stage("IMALAB_KEEPER_STAGE")]
#[case::trim("IMALAB_KEEPER_TRIM")]
fn killed_at_each_system_call(#[case] initramfs: &str) {
    let (kernel, initramfs) = (given("IMALAB_KERNEL"), given(initramfs));
    let folder = tempfile::tempdir().unwrap();
    let (console, log) = (folder.path().join("console"), folder.path().join("log"));
    let arguments = [
        "-kernel",
        kernel.to_str().unwrap(),
        "-initrd",
        initramfs.to_str().unwrap(),
        "-append",
        "console=ttyS0 quiet panic=-1",
        "-no-reboot",
        "-serial",
        &format!("file:{}", console.display()),
        "-device",
        "virtio-serial-pci",
        "-chardev",
        &format!("file,id=log,path={}", log.display()),
        "-device",
        "virtserialport,chardev=log",
    ];
    let (tap, qemu, qmp, events, _swtpm) = boot(&[Bank::Sha1, Bank::Sha256], &arguments);
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
    let said = std::fs::read_to_string(&console).unwrap();
    for expected in ["trial: verify: exit status: 0", "trial: cat: exit status: 0", "trial: done"] {
        assert!(said.contains(expected), "no `{expected}` in:\n{said}");
    }
    let killed =
        said.split("trial: killed=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(killed.is_some_and(|killed| killed >= 15), "{said}");
    let records = parse_log(&std::fs::read(&log).unwrap(), Bank::Sha1).unwrap();
    let kept: Vec<Vec<u8>> =
        records.iter().map(|record| record.extend_digest(Bank::Sha256).as_bytes().to_vec()).collect();
    assert_eq!(kept.len(), extends.len(), "{said}");
    assert!(kept == extends, "each record was extended when it says that it was");
    println!("{} records, killed {} times", kept.len(), killed.unwrap_or_default());
}
