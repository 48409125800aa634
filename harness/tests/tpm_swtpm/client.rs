//! Readings and quotes through tss-esapi.

use imalab::ima::Bank;
use imalab::tpm::client::Client;

use crate::rig::*;

#[test]
fn a_reading_counts_updates() {
    let mut rig = Rig::started(&Bank::ALL);
    let mut client = Client::new(rig.port());
    let before = client.read(1).unwrap();
    rig.qemu.command(&extend(&Bank::ALL, 1));
    let after = client.read(2).unwrap();
    assert_eq!(after.update_counter - before.update_counter, 4);
    assert_eq!(after.mark, 2);
}
