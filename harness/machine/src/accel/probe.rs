//! Runs a small guest that needs what a kernel needs of a processor: protected mode, paging, memory.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Accel;
use crate::child::{self, ChildError, Exit};

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

/// Where the firmware's last 64 KiB are seen below 1 MiB.
const LOW: u32 = 0xf_0000;
/// Selectors of the table in [`rom`].
const CODE: u8 = 0x08;
const DATA: u8 = 0x10;

/// The guest: enters protected mode, turns paging on and adds up 1 MiB of memory four times, then says so. Real
/// mode alone shows nothing: KVM may emulate it instruction by instruction on a host whose processor never
/// enters the guest, or enters it so slowly that no kernel comes up.
fn rom() -> Vec<u8> {
    let table: u32 = 0x80;
    let pointer: u8 = 0x98;
    #[rustfmt::skip]
    let code: &[u8] = &[
        0xfa,                                           // 00 cli
        0x2e, 0x66, 0x0f, 0x01, 0x16, pointer, 0x00,    // 01 lgdtl %cs:pointer
        0x0f, 0x20, 0xc0,                               // 08 mov %cr0, %eax
        0x66, 0x83, 0xc8, 0x01,                         // 0b or $PE, %eax
        0x0f, 0x22, 0xc0,                               // 0f mov %eax, %cr0
        0x66, 0xea, 0x1a, 0x00, 0x0f, 0x00, CODE, 0x00, // 12 ljmpl $CODE, $LOW + 0x1a
        0xb8, DATA, 0x00, 0x00, 0x00,                   // 1a mov $DATA, %eax
        0x8e, 0xd8,                                     // 1f mov %eax, %ds
        0x8e, 0xc0,                                     // 21 mov %eax, %es
        0x8e, 0xd0,                                     // 23 mov %eax, %ss
        0xbf, 0x00, 0x00, 0x01, 0x00,                   // 25 mov $0x10000, %edi: the page directory
        0xb8, 0x83, 0x00, 0x00, 0x00,                   // 2a mov $(P|RW|PS), %eax: 4 MiB each, identical
        0xb9, 0x00, 0x04, 0x00, 0x00,                   // 2f mov $1024, %ecx
        0x89, 0x07,                                     // 34 mov %eax, (%edi)
        0x83, 0xc7, 0x04,                               // 36 add $4, %edi
        0x05, 0x00, 0x00, 0x40, 0x00,                   // 39 add $0x400000, %eax
        0xe2, 0xf4,                                     // 3e loop 34
        0xb8, 0x00, 0x00, 0x01, 0x00,                   // 40 mov $0x10000, %eax
        0x0f, 0x22, 0xd8,                               // 45 mov %eax, %cr3
        0x0f, 0x20, 0xe0,                               // 48 mov %cr4, %eax
        0x83, 0xc8, 0x10,                               // 4b or $PSE, %eax
        0x0f, 0x22, 0xe0,                               // 4e mov %eax, %cr4
        0x0f, 0x20, 0xc0,                               // 51 mov %cr0, %eax
        0x0d, 0x00, 0x00, 0x00, 0x80,                   // 54 or $PG, %eax
        0x0f, 0x22, 0xc0,                               // 59 mov %eax, %cr0
        0xba, 0x04, 0x00, 0x00, 0x00,                   // 5c mov $4, %edx
        0xbf, 0x00, 0x00, 0x10, 0x00,                   // 61 mov $0x100000, %edi
        0xb9, 0x00, 0x00, 0x04, 0x00,                   // 66 mov $0x40000, %ecx
        0x01, 0x0f,                                     // 6b add %ecx, (%edi)
        0x83, 0xc7, 0x04,                               // 6d add $4, %edi
        0x49,                                           // 70 dec %ecx
        0x75, 0xf8,                                     // 71 jne 6b
        0x4a,                                           // 73 dec %edx
        0x75, 0xeb,                                     // 74 jne 61
        0xb0, MAGIC,                                    // 76 mov $MAGIC, %al
        0xe6, PORT,                                     // 78 out %al, $PORT
        0xf4,                                           // 7a hlt
        0xeb, 0xfd,                                     // 7b jmp 7a
    ];
    // Flat segments (Intel SDM volume 3, 3.4.5): none, code, data; then the limit and place of the table.
    let segments: [u64; 3] = [0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff];
    let mut tables: Vec<u8> = segments.iter().flat_map(|segment| segment.to_le_bytes()).collect();
    tables.extend([23, 0]);
    tables.extend((LOW + table).to_le_bytes());

    let mut rom = vec![0; ROM_SIZE];
    rom[..code.len()].copy_from_slice(code);
    let at = table as usize;
    rom[at..at + tables.len()].copy_from_slice(&tables);
    // jmp to offset 0: the instruction pointer wraps at 64 KiB.
    rom[RESET_VECTOR..RESET_VECTOR + 3].copy_from_slice(&[0xe9, 0x0d, 0x00]);
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
            Probe::Fails(format!(
                "its guest did not get through 1 MiB of memory within {} s",
                patience.as_secs_f64()
            ))
        }
    }
}

fn source(error: &ChildError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
