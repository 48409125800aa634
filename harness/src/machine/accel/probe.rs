//! Runs a guest of four instructions.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Accel;
use crate::machine::child::{self, ChildError, Exit};

/// What the guest writes to QEMU's `isa-debug-exit` device.
const MAGIC: u8 = 0x2a;
/// The device ends QEMU with this code (QEMU `hw/misc/debugexit.c`): `value << 1 | 1`.
const EXIT: i32 = (MAGIC as i32) << 1 | 1;
/// Where the device is, QEMU's default.
const PORT: u8 = 0xf4;

/// A firmware has a multiple of 64 KiB (QEMU `hw/i386/x86.c`, x86_bios_rom_init()).
const ROM_SIZE: usize = 64 * 1024;
/// An x86 processor begins 16 bytes below the end of the address space, in real mode.
const RESET_VECTOR: usize = ROM_SIZE - 16;

/// What came of the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The guest ran.
    Runs,
    /// It did not, for this reason.
    Fails(String),
}

fn rom() -> Vec<u8> {
    let code = [
        0xb0, MAGIC, // mov al, MAGIC
        0xe6, PORT, // out PORT, al
        0xf4, // hlt
        0xeb, 0xfd, // jmp to the hlt
    ];
    let mut rom = vec![0; ROM_SIZE];
    rom[RESET_VECTOR..RESET_VECTOR + code.len()].copy_from_slice(&code);
    rom
}

/// Runs the guest on `accel`. Always back within `patience` and the time that QEMU's death takes.
#[must_use]
pub fn run(qemu: &Path, accel: Accel, patience: Duration) -> Probe {
    let mut file = match tempfile::NamedTempFile::new() {
        Ok(file) => file,
        Err(error) => return Probe::Fails(format!("the probe's guest could not be written: {error}")),
    };
    if let Err(error) = file.write_all(&rom()) {
        return Probe::Fails(format!("the probe's guest could not be written: {error}"));
    }
    let mut command = Command::new(qemu);
    command.args(["-machine", "pc", "-accel"]).arg(accel.to_string()).arg("-bios").arg(file.path());
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "16M"]);
    command.arg("-device").arg(format!("isa-debug-exit,iobase={PORT:#x},iosize=1"));
    let child = match child::spawn(command, Vec::new()) {
        Ok(child) => child,
        Err(error @ ChildError::Missing { .. }) => return Probe::Fails(error.to_string()),
        Err(error) => return Probe::Fails(format!("{error}: {}", source(&error))),
    };
    match child.wait(patience) {
        Some(Exit::Code(EXIT)) => Probe::Runs,
        Some(exit) => {
            let output = child.output();
            let last = output.lines().last().unwrap_or("it said nothing").to_owned();
            Probe::Fails(format!("QEMU ended ({exit}): {last}"))
        }
        None => {
            child.kill();
            Probe::Fails(format!("its guest executed nothing within {} s", patience.as_secs_f64()))
        }
    }
}

fn source(error: &ChildError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
