//! The port: the only place where frames are made and written.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use imalab_wire::frame::{self, TooLong};
use imalab_wire::{Message, PORT};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::PollTimeout;
use nix::sys::stat::Mode;
use nix::unistd::write;

use crate::sockets::retry;
use crate::uevent::Uevents;

/// Most bytes of frames that are written at once: the kernel takes no more than this from one `write`
/// (`port_fops_write`, `drivers/char/virtio_console.c`). A write holds whole frames, unless one alone is longer, so that
/// what a kexec leaves behind in the ring is whole frames too.
const BATCH: usize = 32 * 1024;

/// Zero bytes to send after the last frame, a write each. QEMU gives each port a ring of 128 buffers
/// (`hw/char/virtio-serial-bus.c`); twice as many writes can end only when the first 128 have been taken.
const PUSH: usize = 256;

/// How long to wait for the port to get its name, milliseconds of guest time: the kernel's driver learns of
/// ports from QEMU after it was started, and says so by a uevent.
const NAMED_WITHIN_MS: u16 = 20_000;

/// The stream to the harness.
#[derive(Debug)]
pub(crate) struct Port {
    device: OwnedFd,
    batch: Vec<u8>,
    frames: u64,
    ops: u64,
}

impl Port {
    pub(crate) fn new(device: OwnedFd) -> Self {
        Self { device, batch: Vec::with_capacity(2 * BATCH), frames: 0, ops: 0 }
    }

    /// Adds operations to the number that the last message will give.
    pub(crate) fn count_ops(&mut self, started: u32) {
        self.ops += u64::from(started);
    }

    /// Puts an encoded message into the stream; it leaves with the next [`flush`](Self::flush), or earlier.
    pub(crate) fn put(&mut self, payload: &[u8]) -> Result<(), PortError> {
        if self.batch.len() + frame::HEADER + payload.len() > BATCH {
            self.flush()?;
        }
        frame::append(&mut self.batch, self.frames, payload)?;
        self.frames += 1;
        Ok(())
    }

    pub(crate) fn message(&mut self, message: &Message) -> Result<(), PortError> {
        self.put(&frame::payload(message))
    }

    /// Writes what is in the stream; waits while the host has too much to take.
    pub(crate) fn flush(&mut self) -> Result<(), PortError> {
        let mut rest = self.batch.as_slice();
        while !rest.is_empty() {
            let written = retry(|| write(&self.device, rest)).map_err(PortError::Write)?;
            rest = &rest[written..];
        }
        self.batch.clear();
        Ok(())
    }

    /// Sends the last message and returns when the host has taken it.
    pub(crate) fn done(&mut self) -> Result<(), PortError> {
        self.message(&Message::Done { ops: self.ops, frames: self.frames })?;
        self.drain()
    }

    /// Returns when the host has taken every frame. The kernel's `write` returns before (`port_fops_write` puts
    /// the buffer into the ring and does not wait), there is no call that waits, and what is in the ring at
    /// power-off is lost: with a host that reads late, 2.6 MB of frames arrived as 0.2 MB. The ring is taken in order, so
    /// that writing it full pushes the frames out.
    pub(crate) fn drain(&mut self) -> Result<(), PortError> {
        self.flush()?;
        for _ in 0..PUSH {
            retry(|| write(&self.device, &[0])).map_err(PortError::Write)?;
        }
        Ok(())
    }
}

/// Why the stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PortError {
    #[error("writing to the port failed: {0}")]
    Write(Errno),
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Waits for the port to appear under its name, and opens it.
pub(crate) fn find() -> Result<OwnedFd, String> {
    let events =
        Uevents::listen().map_err(|errno| format!("no kernel events to wait for the port with: {errno}"))?;
    let deadline = PollTimeout::from(NAMED_WITHIN_MS);
    loop {
        if let Some(device) = named(Path::new("/sys/class/virtio-ports"), Path::new("/dev")) {
            return retry(|| open(&device, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()))
                .map_err(|errno| format!("cannot open {}: {errno}", device.display()));
        }
        match events.wait(deadline) {
            Ok(true) => {}
            Ok(false) => {
                return Err(format!(
                    "no virtio port named {PORT} came up: is there `-device virtserialport,name={PORT}`, and \
                     CONFIG_VIRTIO_CONSOLE in the kernel?"
                ));
            }
            Err(errno) => return Err(format!("waiting for the port failed: {errno}")),
        }
    }
}

/// The device of the port that has our name, if there is one by now.
fn named(class: &Path, devices: &Path) -> Option<PathBuf> {
    fs::read_dir(class).ok()?.flatten().find_map(|entry| {
        let name = fs::read(entry.path().join("name")).ok()?;
        (name.trim_ascii_end() == PORT.as_bytes()).then(|| devices.join(entry.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{self, Taken};

    #[test]
    fn a_write_holds_whole_frames() {
        // A socket that keeps apart what was written apart.
        let (ours, theirs) = sockets::pair().unwrap();
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 2 * BATCH];
            let mut writes = Vec::new();
            while let Ok(Taken::Packet { len, .. }) = sockets::receive(&ours, &mut buffer) {
                assert_eq!(&buffer[..4], frame::MAGIC);
                writes.push(len);
            }
            writes
        });
        let mut port = Port::new(theirs);
        for len in [9_000, 20_000, 10_000, 30_000, 1, 3_000] {
            port.message(&Message::Fault { text: "x".repeat(len) }).unwrap();
        }
        port.flush().unwrap();
        drop(port);
        let writes = reader.join().unwrap();
        assert!(writes.len() == 4 && writes.iter().all(|len| *len <= BATCH), "{writes:?}");
    }

    #[test]
    fn the_port_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let class = dir.path();
        assert_eq!(named(&class.join("absent"), class), None);
        for (port, name) in
            [("vport0p1", Some("other\n")), ("vport0p2", None), ("vport1p1", Some("imalab.0\n"))]
        {
            fs::create_dir(class.join(port)).unwrap();
            if let Some(name) = name {
                fs::write(class.join(port).join("name"), name).unwrap();
            }
        }
        assert_eq!(named(class, Path::new("/dev")), Some("/dev/vport1p1".into()));
    }
}
