//! What a package brings fits what the program does.

use std::path::Path;

use imalab_logkeeper::Config;

const UNIT: &str = include_str!("../package/logkeeper.service");
const VIEW: &str = include_str!("../package/logkeeper-view.service");

/// The values of a key of the keeper's unit.
fn values(key: &str) -> Vec<&'static str> {
    values_of(UNIT, key)
}

fn values_of(unit: &'static str, key: &str) -> Vec<&'static str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
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

#[test]
fn the_units_allow_the_mounts_that_are_made() {
    for call in ["fsopen", "fsconfig", "fsmount"] {
        assert!(values("SystemCallFilter").concat().split(' ').any(|allowed| allowed == call), "{call}");
    }
    assert!(values_of(VIEW, "SystemCallFilter").concat().contains("@mount"));
    for unit in [UNIT, VIEW] {
        assert!(values_of(unit, "CapabilityBoundingSet").concat().contains("CAP_SYS_ADMIN"));
    }
}

/// systemd.exec(5): each of these gives a service a mount namespace, out of which nothing that it mounts is seen.
#[test]
fn what_the_view_mounts_is_seen_by_others() {
    for key in VIEW.lines().filter_map(|line| Some(line.split_once('=')?.0)) {
        let own_mounts = key.starts_with("Private")
            || key.starts_with("Protect")
            || key.ends_with("Paths")
            || key.starts_with("Bind")
            || key.starts_with("Root")
            || key.ends_with("Directory")
            || key == "DynamicUser";
        assert!(!own_mounts, "{key}");
    }
}
