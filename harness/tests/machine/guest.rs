//! Kernels of a few instructions, so that a whole machine runs without a kernel build.

use std::path::{Path, PathBuf};

use imalab_machine::accel::Accel;
use imalab_machine::command::MachineSpec;

/// What the guest does after it has printed.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Halts for ever, with interrupts off.
    Halt,
    /// Resets the machine through the keyboard controller, as Linux does after a panic with `panic=-1`.
    Reset,
    /// Prints line ends for ever.
    Flood,
    /// Halts for ever, with interrupts on, after one of the timer of its interrupt controller that it never ended.
    HaltInService,
}

/// The vector of that interrupt.
pub(crate) const TIMER_VECTOR: u8 = 0xec;

/// Where the code of [`in_service`] has to stand in the image.
const IN_SERVICE: usize = 0x278;

/// Reaches the interrupt controller from real mode by a segment that protected mode gave four gigabytes, has its timer fire
/// once, and returns from the interrupt without writing to its EOI register (Intel SDM volume 3, "Signaling
/// Interrupt Servicing Completion").
fn in_service() -> Vec<u8> {
    const HANDLER: u8 = 0xf7;
    const SEGMENTS: u8 = 0xf8;
    const POINTER: u8 = 0x08;
    #[rustfmt::skip]
    let mut code = vec![
        0x31, 0xc0,                                     // 278 xor %ax, %ax
        0x8e, 0xc0,                                     // 27a mov %ax, %es
        0x26, 0xc7, 0x06, 0xb0, 0x03, HANDLER, 0x02,    // 27c movw $handler, %es:4 * TIMER_VECTOR
        0x26, 0x8c, 0x1e, 0xb2, 0x03,                   // 283 mov %ds, %es:4 * TIMER_VECTOR + 2
        0x66, 0x31, 0xc0,                               // 288 xor %eax, %eax
        0x8c, 0xd8,                                     // 28b mov %ds, %ax
        0x66, 0xc1, 0xe0, 0x04,                         // 28d shl $4, %eax
        0x66, 0x05, SEGMENTS, 0x02, 0x00, 0x00,         // 291 add $segments, %eax
        0x66, 0xa3, POINTER + 2, 0x03,                  // 297 mov %eax, pointer + 2
        0x66, 0x0f, 0x01, 0x16, POINTER, 0x03,          // 29b lgdtl pointer
        0x0f, 0x20, 0xc0,                               // 2a1 mov %cr0, %eax
        0x0c, 0x01,                                     // 2a4 or $PE, %al
        0x0f, 0x22, 0xc0,                               // 2a6 mov %eax, %cr0
        0xbb, 0x08, 0x00,                               // 2a9 mov $8, %bx
        0x8e, 0xe3,                                     // 2ac mov %bx, %fs
        0x24, 0xfe,                                     // 2ae and $~PE, %al
        0x0f, 0x22, 0xc0,                               // 2b0 mov %eax, %cr0
        0xb0, 0xff,                                     // 2b3 mov $0xff, %al: nothing of the older controllers
        0xe6, 0x21,                                     // 2b5 out %al, $0x21
        0xe6, 0xa1,                                     // 2b7 out %al, $0xa1
        0x66, 0xbb, 0x00, 0x00, 0xe0, 0xfe,             // 2b9 mov $0xfee00000, %ebx
        // Spurious vector and enabled; the timer's divisor of one, its vector, and its count.
        0x64, 0x67, 0x66, 0xc7, 0x83, 0xf0, 0x00, 0x00, 0x00, 0xff, 0x01, 0x00, 0x00,
        0x64, 0x67, 0x66, 0xc7, 0x83, 0xe0, 0x03, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00,
        0x64, 0x67, 0x66, 0xc7, 0x83, 0x20, 0x03, 0x00, 0x00, TIMER_VECTOR, 0x00, 0x00, 0x00,
        0x64, 0x67, 0x66, 0xc7, 0x83, 0x80, 0x03, 0x00, 0x00, 0xe8, 0x03, 0x00, 0x00,
        0xfb,                                           // 2f3 sti
        0xf4,                                           // 2f4 hlt
        0xeb, 0xfd,                                     // 2f5 jmp to it
        0xcf,                                           // 2f7 iret
    ];
    code.extend([0, 0x00cf_9200_0000_ffff_u64].iter().flat_map(|segment| segment.to_le_bytes()));
    code.extend([15, 0, 0, 0, 0, 0]); // the table's limit, and its place
    code
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
    if let Then::Flood = then {
        code.extend([0xb0, 0x0a, 0xee, 0xeb, 0xfd]); // mov al, 0x0a; next: out dx, al; jmp next
    }
    if let Then::HaltInService = then {
        assert_eq!(CODE + code.len(), IN_SERVICE);
        code.extend(in_service());
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
        deterministic: None,
        debugger: None,
    }
}
