//! The tap's port: libtss2's and tpm2-tools' way to the guest's TPM.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use imalab_formats::ima::Bank;
use imalab_trace::Origin;
use rstest::rstest;
use sha2::{Digest, Sha256};

use crate::rig::*;

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn tpm2_tools_read_the_pcrs() {
    let mut rig = Rig::started(&[Bank::Sha1, Bank::Sha256]);
    rig.qemu.command(&extend(&[Bank::Sha1, Bank::Sha256], 1));
    let read = tool(rig.port(), "tpm2_pcrread", &["sha1:10+sha256:10"]);
    let text = String::from_utf8(read.stdout).unwrap();
    assert!(read.status.success(), "{text}");
    let value = Sha256::new().chain_update([0; 32]).chain_update([1; 32]).finalize();
    assert!(text.contains(&hex::encode_upper(value)), "{text}");
}

#[test]
fn commands_of_all_sides_never_mix() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    let port = rig.port();
    let rounds = 200;
    std::thread::scope(|scope| {
        for size in [3, 5] {
            scope.spawn(move || {
                let mut kept = connect(port);
                for round in 0..rounds {
                    // Some keep their connection, some connect anew as libtss2 does.
                    let mut fresh;
                    let stream = if round % 3 == 0 {
                        fresh = connect(port);
                        &mut fresh
                    } else {
                        &mut kept
                    };
                    stream.write_all(&random(size)).unwrap();
                    assert_eq!(answer(stream).len(), 12 + usize::from(size));
                }
            });
        }
        for _ in 0..rounds {
            assert_eq!(rig.qemu.command(&random(7)).len(), 12 + 7);
        }
    });
    let mut seen = 0;
    while let Ok(imalab_trace::What::Tpm(exchange)) = rig.events.try_recv() {
        let size = usize::from(exchange.command[11]);
        assert_eq!(exchange.answer.len(), 12 + size);
        assert_eq!(exchange.origin == Origin::Guest, size == 7);
        seen += 1;
    }
    assert_eq!(seen, 3 * rounds);
}

#[rstest]
#[case::init(&[0, 0, 0, 2, 0, 0, 0, 1])]
#[case::shutdown(&[0, 0, 0, 3])]
#[case::hash_start(&[0, 0, 0, 6])]
#[case::cancel(&[0, 0, 0, 9])]
#[case::state_blob(&[0, 0, 0, 0x0d, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9])]
#[case::stop(&[0, 0, 0, 0x0e])]
#[case::data_fd(&[0, 0, 0, 0x10])]
#[case::buffer_size(&[0, 0, 0, 0x11, 0, 0, 16, 0])]
#[case::unknown(&[0xff, 0xff, 0xff, 0xff])]
fn control_requests_on_the_port_cannot_touch_the_tpm(#[case] request: &[u8]) {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.qemu.command(&extend(&[Bank::Sha256], 1));
    let before = imalab_machine::tpm::client::Client::new(rig.port()).read(0).unwrap();
    let mut control = connect(rig.port() + 1);
    control.write_all(request).unwrap();
    let mut result = [0; 4];
    control.read_exact(&mut result).unwrap();
    assert_eq!(result, 0x0au32.to_be_bytes());
    assert_eq!(code(&rig.qemu.command(&random(8))), 0);
    assert_eq!(imalab_machine::tpm::client::Client::new(rig.port()).read(0).unwrap(), before);
}

#[rstest]
#[case(&[0, 0, 0, 5, 2], 0)]
#[case(&[0, 0, 0, 5, 9], 0x3d)]
fn the_ports_locality_is_its_own(#[case] request: &[u8], #[case] expected: u32) {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    let mut control = connect(rig.port() + 1);
    control.write_all(request).unwrap();
    let mut result = [0; 4];
    control.read_exact(&mut result).unwrap();
    assert_eq!(result, expected.to_be_bytes());
    let mut stream = connect(rig.port());
    stream.write_all(&random(8)).unwrap();
    answer(&mut stream);
    assert_eq!(rig.exchange().locality, if expected == 0 { 2 } else { 0 });
    rig.qemu.command(&random(8));
    assert_eq!(rig.exchange().locality, 0);
}

#[rstest]
#[case::cut(&[0x80, 1, 0, 0, 0, 12])]
#[case::oversize(&[0x80, 1, 0, 1, 0, 0, 0, 0, 1, 0x7b, 0, 8])]
#[case::two_at_once(&[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8, 0x80, 1])]
fn a_malformed_command_on_the_port_ends_its_connection_only(#[case] bytes: &[u8]) {
    let mut rig = Rig::started(&[Bank::Sha256]);
    rig.forget();
    let mut stream = connect(rig.port());
    stream.write_all(bytes).unwrap();
    assert_eq!(code(&answer(&mut stream)), 0x142);
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(code(&rig.qemu.command(&random(8))), 0);
    assert_eq!(rig.exchange().origin, Origin::Guest);
}

#[test]
fn a_silent_connection_holds_nobody_up() {
    let mut rig = Rig::started(&[Bank::Sha256]);
    let _silent: Vec<_> = (0..20).flat_map(|_| [connect(rig.port()), connect(rig.port() + 1)]).collect();
    assert_eq!(code(&rig.qemu.command(&random(8))), 0);
    imalab_machine::tpm::client::Client::new(rig.port()).read(0).unwrap();
    rig.shutdown();
}

#[test]
fn many_taps_at_once_have_ports_of_their_own() {
    let rigs: Vec<Rig> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..6).map(|_| scope.spawn(|| Rig::started(&[Bank::Sha256]))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ports: BTreeSet<u16> = rigs.iter().flat_map(|rig| [rig.port(), rig.port() + 1]).collect();
    assert_eq!(ports.len(), 12);
}
