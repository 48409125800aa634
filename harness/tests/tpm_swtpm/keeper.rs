//! The log keeper on a real kernel, killed at each of its system calls: what it kept and what the kernel still holds are, together, the
//! records that crossed the tap, once each and in their order.

use imalab_formats::ima::{Bank, parse_log};
use rstest::rstest;

use crate::trial::run;

#[rstest]
#[case::stage("IMALAB_KEEPER_STAGE")]
#[case::trim("IMALAB_KEEPER_TRIM")]
fn killed_at_each_system_call(#[case] initramfs: &str) {
    let trial = run("IMALAB_KERNEL", initramfs, "");
    trial.must_say(&["verify: exit status: 0", "cat: exit status: 0", "done"]);
    let said = &trial.said;
    let killed =
        said.split("trial: killed=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(killed.is_some_and(|killed| killed >= 15), "{said}");
    let records = parse_log(&trial.sent, Bank::Sha1).unwrap();
    let kept: Vec<Vec<u8>> =
        records.iter().map(|record| record.extend_digest(Bank::Sha256).as_bytes().to_vec()).collect();
    assert_eq!(kept.len(), trial.extends.len(), "{said}");
    assert!(kept == trial.extends, "each record was extended when it says that it was");
    println!("{} records, killed {} times", kept.len(), killed.unwrap_or_default());
}
