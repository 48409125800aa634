//! The configuration: written by an administrator, read by the keeper, changed by nobody else.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::Deserialize;

use crate::interface::Flavour;
use crate::keeper::{Old, Settings};
use crate::trust::{Untrusted, trust_file};

/// Longest configuration that is read, bytes.
const LONGEST: u64 = 64 << 10;

/// A look is what keeps the watchdog of `logkeeper.service` quiet, and this half of its time.
const LOOK_SECONDS_MOST: u64 = 120;

/// What an administrator decides. Each key may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where shards are.
    pub shards: PathBuf,
    /// Where the generation is, if not there.
    pub generation: Option<PathBuf>,
    /// How records are taken out, if not as the kernel offers.
    pub flavour: Option<Flavour>,
    /// Records are taken when the kernel has so many; 0: however many it has.
    pub every_records: u64,
    /// Records are taken when so many seconds have gone by; 0: however many have.
    pub every_seconds: u64,
    /// Records are taken when a kernel was loaded to go on in.
    pub before_kexec: bool,
    /// Seconds between two looks at the kernel's counter.
    pub look_seconds: u64,
    /// The PCR that records extend: `CONFIG_IMA_MEASURE_PCR_IDX`, unless the policy has `pcr=`.
    pub pcr: u32,
    /// What becomes of shards of an earlier boot.
    pub old_shards: Old,
    /// The kernel's folder.
    pub lists: PathBuf,
    /// The TPM that says how often it was reset.
    pub tpm: PathBuf,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            shards: "/var/lib/ima-log".into(),
            generation: None,
            flavour: None,
            every_records: 1000,
            every_seconds: 3600,
            before_kexec: true,
            look_seconds: 1,
            pcr: 10,
            old_shards: Old::Archive,
            lists: "/sys/kernel/security/integrity/ima".into(),
            tpm: "/dev/tpmrm0".into(),
        }
    }
}

/// A configuration that is not followed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others could have written it.
    #[error("{}: {why}", .path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// In which way.
        why: Untrusted,
    },
    /// It is longer than any configuration.
    #[error("{}: expected a file of at most 64 KiB", .0.display())]
    TooLong(PathBuf),
    /// It is not what a configuration is.
    #[error("{}: {error}", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// A value cannot be.
    #[error("{}: `{key}`: {why}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is expected.
        why: &'static str,
    },
}

impl Config {
    /// Reads the configuration at `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; also for keys that are not known, since they may be known to a later version and be about what is kept.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let read = |error| ConfigError::Read { path: path.to_owned(), error };
        let options = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::options().read(true).custom_flags(options.bits()).open(path).map_err(read)?;
        let about = file.metadata().map_err(read)?;
        trust_file(&about).map_err(|why| ConfigError::Untrusted { path: path.to_owned(), why })?;
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(read)?;
        if text.len() as u64 > LONGEST {
            return Err(ConfigError::TooLong(path.to_owned()));
        }
        Config::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text)
            .map_err(|error| ConfigError::Form { path: path.to_owned(), error: Box::new(error) })?;
        let value = |key, why| Err(ConfigError::Value { path: path.to_owned(), key, why });
        if config.pcr >= imalab_ima::PCR_LIMIT {
            return value("pcr", "expected the index of a PCR");
        }
        if !(1..=LOOK_SECONDS_MOST).contains(&config.look_seconds) {
            return value("look-seconds", "expected 1 to 120");
        }
        for (key, path) in [("shards", &config.shards), ("lists", &config.lists), ("tpm", &config.tpm)] {
            if !path.is_absolute() {
                return value(key, "expected an absolute path");
            }
        }
        if config.generation.as_ref().is_some_and(|path| !path.is_absolute()) {
            return value("generation", "expected an absolute path");
        }
        Ok(config)
    }

    /// What the keeper's steps go by.
    pub fn settings(&self) -> Settings {
        Settings { flavour: self.flavour, pcr: self.pcr, old: self.old_shards }
    }

    /// The folder of the generation.
    pub fn generation_folder(&self) -> &Path {
        self.generation.as_deref().unwrap_or(&self.shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("config.toml"), text)
    }

    #[test]
    fn what_is_left_out_is_as_usual() {
        assert_eq!(parse("").unwrap(), Config::default());
        let config = parse("flavour = \"trim\"\nevery-records = 5\nold-shards = \"remove\"\n").unwrap();
        assert_eq!((config.flavour, config.every_records), (Some(Flavour::Trim), 5));
        assert_eq!(config.settings().old, Old::Remove);
    }

    #[rstest]
    #[case("every-record = 5", "unknown field `every-record`")]
    #[case("flavour = \"both\"", "unknown variant `both`")]
    #[case("every-records = -1", "invalid value: integer `-1`")]
    #[case("shards = 1", "invalid type: integer `1`")]
    #[case("shards = \"here\"", "`shards`: expected an absolute path")]
    #[case("generation = \"here\"", "`generation`: expected an absolute path")]
    #[case("pcr = 64", "`pcr`: expected the index of a PCR")]
    #[case("look-seconds = 0", "`look-seconds`: expected 1 to 120")]
    #[case("look-seconds = 121", "`look-seconds`: expected 1 to 120")]
    #[case("every-records = 5\nevery-records = 6", "duplicate key")]
    #[case("every-records", "TOML parse error at line 1")]
    fn anything_else_is_refused(#[case] text: &str, #[case] message: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with("config.toml: ") && error.contains(message), "{error}");
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "every-records = 7\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(Config::read(&path).unwrap().every_records, 7);
        for mode in [0o664, 0o646] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Config::read(&path).unwrap_err().to_string();
            assert!(error.ends_with("others than its owner may write to it"), "{error}");
        }
        let link = folder.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Config::read(&link), Err(ConfigError::Read { .. })));
        assert!(matches!(Config::read(folder.path()), Err(ConfigError::Untrusted { .. })));
        fs::write(&path, vec![b'#'; 70_000]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Config::read(&path).unwrap_err().to_string().ends_with("at most 64 KiB"));
    }
}
