use std::process::{Command, Stdio};

use imalab_machine::command::script;

use crate::guest::{Then, spec};

/// Pasted as it is, the dry run boots the guest, and leaves no process and no file.
#[rstest::rstest]
#[case::with_a_tpm(true)]
#[case::without(false)]
fn the_script_runs(#[case] tpm: bool) {
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let odd = dir.path().join("it's a, \"$HOME\" folder");
    std::fs::create_dir(&odd).unwrap();
    let output = Command::new("timeout")
        .args(["120", "sh", "-c", &script(&spec(&odd, "hello from the guest\r\n", Then::Reset), tpm)])
        .env("TMPDIR", &scratch)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("hello from the guest"), "{output:?}");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "the scratch folder is gone");
}
