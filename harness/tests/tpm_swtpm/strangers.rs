//! Who is let in at the tap's port, and who is not.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use imalab_formats::ima::Bank;
use imalab_machine::tpm::client::Client;
use imalab_trace::{Host, What};
use nix::unistd::Uid;

use crate::rig::*;

/// Debian's and every other system's user without any rights.
const NOBODY: u32 = 65_534;

/// A script that another user runs; it says `ready` when it is done and then waits to be ended. None where this user cannot
/// become another.
fn stranger(script: &str) -> Option<(Owned, BufReader<std::process::ChildStdout>)> {
    if !Uid::effective().is_root() {
        eprintln!("not run: another user's processes can be started by root alone");
        return None;
    }
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{script}\necho ready; read")]).uid(NOBODY).gid(NOBODY);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child: Child = spawn(command, Vec::new());
    let output = BufReader::new(child.stdout.take().unwrap());
    Some((Owned(child), output))
}

fn wait_for(output: &mut impl BufRead) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "{lines:?}");
        match line.trim() {
            "ready" => return lines,
            line => lines.push(line.to_owned()),
        }
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[test]
fn another_user_reaches_neither_the_tpm_nor_the_port() {
    for mut rig in [Rig::started(&[Bank::Sha256]), Rig::closed(&[Bank::Sha256])] {
        rig.qemu.command(&extend(&[Bank::Sha256], 1));
        rig.forget();
        let (data, control) = (rig.port(), rig.port() + 1);
        let command = escaped(&extend(&[Bank::Sha256], 2));
        // Each asks, and prints how many bytes it got.
        let script = format!(
            "trap '' PIPE; exec 2>/dev/null
             exec 3<>/dev/tcp/127.0.0.1/{data}; printf '{command}' >&3; timeout 5 head -c 100 <&3 | wc -c
             exec 4<>/dev/tcp/127.0.0.1/{control}; printf '\\0\\0\\0\\1' >&4; timeout 5 head -c 100 <&4 | wc -c"
        );
        let Some((_child, mut output)) = stranger(&script) else { return };
        assert_eq!(wait_for(&mut output), ["0", "0"]);
        assert_eq!(rig.events.try_recv().ok(), None, "the TPM saw nothing of it");
        let value = Client::new(rig.port()).read(0).unwrap().values[0].digest.clone();
        rig.qemu.command(&extend(&[Bank::Sha256], 2));
        assert_ne!(Client::new(rig.port()).read(0).unwrap().values[0].digest, value);
    }
}

#[test]
fn idle_connections_of_another_user_take_nobodys_place() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    let (data, control) = (rig.port(), rig.port() + 1);
    let script = format!(
        "ulimit -n 1024; for i in {{1..300}}; do
             exec {{a}}<>/dev/tcp/127.0.0.1/{data} {{b}}<>/dev/tcp/127.0.0.1/{control}
         done 2>&1"
    );
    let Some((_child, mut output)) = stranger(&script) else { return };
    assert_eq!(wait_for(&mut output), [""; 0]);
    let begin = Instant::now();
    Client::new(rig.port()).quote(1).unwrap();
    assert!(tool(rig.port(), "tpm2_pcrread", &["sha256:10"]).status.success());
    assert_eq!(code(&rig.qemu.command(&random(8))), 0);
    assert!(begin.elapsed() < PATIENCE);
    rig.shutdown();
}

#[test]
fn a_run_lets_nobody_in_but_itself() {
    let rig = Rig::closed(&[Bank::Sha256]);
    let read = tool(rig.port(), "tpm2_pcrread", &["sha256:10"]);
    assert!(!read.status.success() && read.stdout.is_empty(), "{read:?}");
    Client::new(rig.port()).quote(1).unwrap();
}

#[test]
fn what_its_user_extends_by_the_port_is_told_as_that() {
    let rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", rig.port())).unwrap();
    stream.write_all(&extend(&[Bank::Sha256], 1)).unwrap();
    assert_eq!(code(&answer(&mut stream)), 0);
    rig.exchange();
    let expected = "TPM2_PCR_Extend of PCR 10 came through the harness's own port, not from the guest";
    assert_eq!(rig.event(), What::Host(Host::TpmTrouble { text: expected.into() }));
    // One that the TPM refuses changes nothing: no authorization at all.
    let mut refused = extend(&[Bank::Sha256], 1);
    refused[1] = 1;
    stream.write_all(&refused).unwrap();
    let mut header = [0; 10];
    stream.read_exact(&mut header).unwrap();
    assert_ne!(code(&header), 0);
    rig.exchange();
    assert_eq!(rig.events.try_recv().ok(), None);
}
