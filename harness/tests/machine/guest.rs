//! Kernels of a few instructions, so that a whole machine runs without a kernel build.

use std::path::{Path, PathBuf};

use imalab::machine::accel::Accel;
use imalab::machine::command::MachineSpec;

/// What the guest does after it has printed.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Halts for ever, with interrupts off.
    Halt,
    /// Resets the machine through the keyboard controller, as Linux does after a panic with `panic=-1`.
    Reset,
}

/// A boot image that prints `text` on the serial port.
///
/// Its header is that of Documentation/arch/x86/boot.rst, protocol 2.6. All it does happens in the setup part,
/// in real mode, with the data segment at the image's begin.
fn image(text: &str, then: Then) -> Vec<u8> {
    const SETUP_SECTORS: u8 = 4;
    const ENTRY: usize = 0x200;
    const CODE: usize = 0x268;
    const SI_OPERAND: usize = 6;

    let mut code = vec![
        0xfa, // cli
        0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xfc, // cld
        0xbe, 0, 0,    // mov si, text
        0xac, // next: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x03, // jz done
        0xee, // out dx, al
        0xeb, 0xf8, // jmp next
    ];
    if let Then::Reset = then {
        code.extend([0xb0, 0xfe, 0xe6, 0x64]); // mov al, 0xfe; out 0x64, al
    }
    code.extend([0xf4, 0xeb, 0xfd]); // hlt; jmp to it
    let text_at = u16::try_from(CODE + code.len()).unwrap();
    code[SI_OPERAND..SI_OPERAND + 2].copy_from_slice(&text_at.to_le_bytes());
    code.extend(text.as_bytes());
    code.push(0);

    let mut image = vec![0; 512 * (1 + usize::from(SETUP_SECTORS) + 1)];
    image[0x1f1] = SETUP_SECTORS;
    image[0x1f4..0x1f8].copy_from_slice(&(512_u32 / 16).to_le_bytes()); // what follows the setup part
    image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    image[ENTRY..0x202].copy_from_slice(&[0xeb, u8::try_from(CODE - ENTRY - 2).unwrap()]); // jump
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x0206_u16.to_le_bytes());
    image[0x211] = 1; // loaded high
    image[0x214..0x218].copy_from_slice(&0x10_0000_u32.to_le_bytes());
    image[0x22c..0x230].copy_from_slice(&0x37ff_ffff_u32.to_le_bytes()); // highest initramfs address
    image[0x238..0x23c].copy_from_slice(&255_u32.to_le_bytes()); // longest command line
    image[CODE..CODE + code.len()].copy_from_slice(&code);
    image
}

/// Writes the kernel and an empty initramfs to `dir` and gives a small machine that boots them.
pub(crate) fn spec(dir: &Path, text: &str, then: Then) -> MachineSpec {
    let file = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    MachineSpec {
        cpus: 1,
        memory_mib: 64,
        accel: Accel::Tcg,
        tsc_mhz: None,
        kernel: file("bzImage", &image(text, then)),
        initramfs: file("initramfs", &[0; 512]),
        kernel_args: Vec::new(),
        program: Some(file("program", b"program")),
    }
}
