//! The little that such a guest needs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::chown;

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Owner of the files that are measured, and of no others.
const OWNER: u32 = 4242;

const POLICY: &str = "/sys/kernel/security/ima/policy";

const MOUNTS: [(&str, &str); 5] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/var"), ("tmpfs", "/tmp")];

/// What `/proc` shows is needed before anything else.
pub(crate) fn mount_proc() -> Result<()> {
    fs::create_dir_all("/proc")?;
    Ok(mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)?)
}

/// Mounts what there is, and has the files of [`Files`] measured, and no others.
pub(crate) fn set_up() -> Result<()> {
    mount_all()?;
    load_policy("")
}

pub(crate) fn mount_all() -> Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place)?;
        // devtmpfs may be there already.
        let _ = mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>);
    }
    mount(Some("securityfs"), "/sys/kernel/security", Some("securityfs"), MsFlags::empty(), None::<&str>)?;
    Ok(fs::create_dir_all("/var/lib")?)
}

/// Loads a policy of these rules, and one that has the files of [`Files`] measured.
pub(crate) fn load_policy(rules: &str) -> Result<()> {
    Ok(fs::write(POLICY, format!("{rules}measure func=FILE_CHECK mask=MAY_READ fowner={OWNER}\n"))?)
}

/// The UUID of the file system at `path`, as rules of a policy name it.
pub(crate) fn uuid_of(path: &str) -> Result<String> {
    // `struct fsuuid2` and `FS_IOC_GETFSUUID` (include/uapi/linux/fs.h): its length, and so many bytes of 16.
    let mut uuid = [0_u8; 17];
    let folder = File::open(path)?;
    nix::ioctl_read!(get_fs_uuid, 0x15, 0, [u8; 17]);
    // SAFETY: the descriptor is open, and the kernel writes the 17 bytes that the request's number says.
    #[expect(unsafe_code, reason = "nobody has wrapped this request")]
    unsafe {
        get_fs_uuid(folder.as_raw_fd(), &raw mut uuid)?;
    }
    let hex: String = uuid[1..].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
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
