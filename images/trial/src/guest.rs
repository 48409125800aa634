//! The little that such a guest needs.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::chown;

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Owner of the files that are measured, and of no others.
const OWNER: u32 = 4242;

const POLICY: &str = "/sys/kernel/security/ima/policy";

const LISTS: &str = "/sys/kernel/security/integrity/ima";

const MOUNTS: [(&str, &str); 5] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/var"), ("tmpfs", "/tmp")];

pub(crate) fn set_up() -> Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place)?;
        // devtmpfs may be there already.
        let _ = mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>);
    }
    mount(Some("securityfs"), "/sys/kernel/security", Some("securityfs"), MsFlags::empty(), None::<&str>)?;
    fs::create_dir_all("/var/lib")?;
    fs::write(POLICY, format!("measure func=FILE_CHECK mask=MAY_READ fowner={OWNER}\n"))?;
    Ok(())
}

/// Files that were measured.
#[derive(Default)]
pub(crate) struct Files {
    made: u64,
}

impl Files {
    fn make(&mut self) -> Result<String> {
        self.made += 1;
        let path = format!("/tmp/file-{}", self.made);
        fs::write(&path, &path)?;
        chown(&path, Some(OWNER), None)?;
        Ok(path)
    }

    /// Has so many new files measured.
    pub(crate) fn measure(&mut self, files: u32) -> Result<()> {
        for _ in 0..files {
            let path = self.make()?;
            File::open(path)?.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    }

    /// Has a violation of a file seen: it is measured while it is open for writing.
    pub(crate) fn violate(&mut self) -> Result<()> {
        let path = self.make()?;
        let writer = File::options().append(true).open(&path)?;
        File::open(&path)?.read_to_end(&mut Vec::new())?;
        drop(writer);
        Ok(())
    }
}

/// Records that the kernel holds, current and staged.
pub(crate) fn records_held() -> Result<u64> {
    let count = fs::read_to_string(format!("{LISTS}/runtime_measurements_count"))?.trim().parse::<u64>()?;
    let staged = match fs::read(format!("{LISTS}/binary_runtime_measurements_sha1_staged")) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        staged => staged?,
    };
    Ok(count + u64::from(!staged.is_empty()))
}

/// Says something to the host.
pub(crate) fn say(text: &str) {
    let mut console = std::io::stdout();
    // A console that is gone is heard by nobody.
    let _ = writeln!(console, "trial: {text}").and_then(|()| console.flush());
}

/// Ends the machine.
pub(crate) fn power_off() {
    let _ = reboot(RebootMode::RB_POWER_OFF);
}
