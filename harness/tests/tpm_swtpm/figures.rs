//! What the tap costs: `cargo test -p imalab --test tpm_swtpm -- --ignored --nocapture figures`.

use std::time::{Duration, Instant};

use imalab::ima::Bank;
use imalab::tpm::client::Client;
use imalab::tpm::link::Link;

use crate::rig::*;

/// The median of `count` runs.
fn median(count: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let begin = Instant::now();
            run();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[count / 2]
}

#[test]
#[ignore = "figures, not a check"]
fn figures() {
    let plain = Swtpm::start();
    let mut direct = Qemu::attach(plain.control.try_clone().unwrap().into());
    direct.init();
    direct.command(&startup());
    let mut rig = Rig::started(&Bank::ALL);
    for (what, sent) in [("GetRandom", random(8)), ("PCR_Extend, 4 banks", extend(&Bank::ALL, 1))] {
        let plain = median(2000, || drop(direct.command(&sent)));
        let tapped = median(2000, || drop(rig.qemu.command(&sent)));
        println!("{what}: {plain:?} without the tap, {tapped:?} through it");
    }
    println!("mark: {:?}", median(2000, || drop(rig.qemu.command(&mark(1)))));
    let mut client = Client::new(rig.port());
    println!("client, first reading with connecting: {:?}", median(1, || drop(client.read(1).unwrap())));
    println!("client, reading of 4 banks: {:?}", median(500, || drop(client.read(1).unwrap())));
    println!("client, quote of 4 banks: {:?}", median(100, || drop(client.quote(1).unwrap())));
    for banks in [&Bank::ALL[..], &[Bank::Sha256]] {
        let start = median(20, || {
            let swtpm = Swtpm::start();
            Link::open(swtpm.control, PATIENCE).unwrap().set_banks(banks).unwrap();
        });
        println!("swtpm, from nothing to {} verified banks, and its end: {start:?}", banks.len());
    }
}
