//! What a package brings fits what the program does.

use std::path::Path;

use imalab_logkeeper::Config;

const UNIT: &str = include_str!("../package/logkeeper.service");

/// The values of a key of the unit.
fn values(key: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_makes_the_folder_of_shards() {
    let folder = Path::new("/var/lib").join(values("StateDirectory").concat());
    assert_eq!(folder, Config::default().shards);
    assert_eq!(values("StateDirectoryMode"), ["0700"]);
}

#[test]
fn the_watchdog_is_twice_as_patient_as_the_longest_wait_for_a_look() {
    let minutes: u64 = values("WatchdogSec").concat().strip_suffix("min").unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let with = |seconds: u64| {
        std::fs::write(&path, format!("look-seconds = {seconds}\n")).unwrap();
        Config::read(&path).is_ok()
    };
    assert!(with(minutes * 60 / 2) && !with(minutes * 60 / 2 + 1));
}

#[test]
fn the_configuration_that_is_installed_is_the_usual_one() {
    let shown = include_str!("../package/config.toml").replace("\n#", "\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, shown).unwrap();
    let usual = Config::default();
    let config = Config::read(&path).unwrap();
    assert_eq!(config, Config { generation: Some(usual.shards.clone()), ..usual });
}
