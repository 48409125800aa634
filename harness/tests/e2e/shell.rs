//! `imalab shell`, driven as a person at a terminal drives it, while tpm2-tools look at the TPM.

use std::process::{Command, Stdio};

use rexpect::process::{Signal, WaitStatus};
use rexpect::session::{PtySession, spawn_command};
use sha2::{Digest, Sha256};

use crate::lab::{Lab, PATIENCE, initramfs, kernel, said};

const PROMPT: &str = "imalab# ";
const SHA256_LIST: &str = "/sys/kernel/security/integrity/ima/ascii_runtime_measurements_sha256";

/// A shell at its first prompt, and the TPM's port.
fn open(lab: &Lab) -> (PtySession, u16) {
    let mut command = lab.with("shell", &kernel(), &initramfs());
    // Which rexpect makes a terminal.
    command.stdin(Stdio::inherit());
    let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
    let mut session = spawn_command(command, Some(patience)).unwrap();
    session.exp_string("port=").unwrap();
    let (_, port) = session.exp_regex("[0-9]+ ").unwrap();
    session.exp_string(PROMPT).unwrap();
    (session, port.trim().parse().unwrap())
}

/// What `line` prints.
fn says(session: &mut PtySession, line: &str) -> String {
    session.send_line(line).unwrap();
    // The guest's terminal echoes what was typed.
    session.exp_string(line).unwrap();
    session.exp_string(PROMPT).unwrap().replace('\r', "").trim().to_owned()
}

fn count(session: &mut PtySession) -> u64 {
    says(session, "count").parse().unwrap()
}

/// PCR 10 as it follows from the template digests of the list.
fn replayed(list: &str) -> String {
    let mut pcr = [0; 32];
    for line in list.lines() {
        let digest = hex::decode(line.split(' ').nth(1).unwrap()).unwrap();
        pcr = Sha256::new().chain_update(pcr).chain_update(digest).finalize().into();
    }
    hex::encode_upper(pcr)
}

/// PCR 10 as tpm2-tools read it.
fn read(port: u16) -> String {
    let output = Command::new("tpm2_pcrread")
        .args(["-T", &format!("swtpm:host=127.0.0.1,port={port}"), "sha256:10"])
        .output()
        .unwrap_or_else(|error| {
            panic!("tpm2_pcrread: {error}; it has to be there for this check (Debian: tpm2-tools)")
        });
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    text.split("0x").nth(1).unwrap().trim().to_owned()
}

#[test]
fn a_person_drives_the_list_and_others_see_the_tpm() {
    let lab = Lab::new();
    let (mut session, port) = open(&lab);
    let before = count(&mut session);
    assert_eq!(says(&mut session, "measure one"), "");
    assert_eq!(says(&mut session, "measure two"), "");
    assert_eq!(count(&mut session), before + 2);
    let list = says(&mut session, &format!("cat {SHA256_LIST}"));
    assert_eq!(list.lines().count() as u64, before + 2, "{list}");
    assert_eq!(read(port), replayed(&list));

    assert_eq!(says(&mut session, "stage"), "");
    assert_eq!(says(&mut session, &format!("cat {SHA256_LIST}")), "");
    assert_eq!(says(&mut session, &format!("cat {SHA256_LIST}_staged")), list);
    assert_eq!(says(&mut session, "delete"), "");
    assert_eq!(count(&mut session), 0);
    assert_eq!(read(port), replayed(&list), "the TPM knows of no delete");
    assert!(says(&mut session, "frob").contains("no such command"));

    session.send_line("poweroff").unwrap();
    session.exp_eof().unwrap();
    assert!(matches!(session.process().wait().unwrap(), WaitStatus::Exited(_, 0)));
    lab.is_clean();
}

#[test]
fn a_signal_or_the_escape_key_end_it() {
    let lab = Lab::new();
    let (mut session, _) = open(&lab);
    session.send_control(']').unwrap();
    session.exp_eof().unwrap();
    assert!(matches!(session.process().wait().unwrap(), WaitStatus::Exited(_, 0)));
    lab.is_clean();

    let (mut session, _) = open(&lab);
    session.process_mut().signal(Signal::SIGTERM).unwrap();
    session.exp_eof().unwrap();
    assert!(matches!(session.process().wait().unwrap(), WaitStatus::Exited(_, 130)));
    lab.is_clean();
}
