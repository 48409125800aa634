//! What `kexec_load(2)` takes: an x86 boot image in pieces, each with the physical address where it has to be.
//!
//! By the 64-bit boot protocol (`Documentation/arch/x86/boot.rst`), in places that a machine of 64 MiB has, however its
//! memory is divided; a kernel is entered with the address of its boot parameters in a register.

use nix::errno::Errno;

/// The running kernel's boot parameters (`arch/x86/kernel/ksysfs.c`).
pub(super) const RUNNING: &str = "/sys/kernel/boot_params/data";

/// Where the pieces go; all in the first 640 KiB but for the kernel and the archive.
const STUB: u64 = 0x1_0000;
const PARAMETERS: u64 = 0x2_0000;
const COMMAND_LINE: u64 = 0x3_0000;
const PAGE: u64 = 4096;

/// The setup header in an image and in boot parameters alike, and what of it matters here (boot.rst, "The Real-Mode
/// Kernel Header").
const HEADER: usize = 0x1f1;
const JUMP: usize = 0x201;
const MAGIC: usize = 0x202;
const LOADER: usize = 0x210;
const ARCHIVE: usize = 0x218;
const ARCHIVE_SIZE: usize = 0x21c;
const LINE: usize = 0x228;
const LOAD_FLAGS: usize = 0x236;
const CHAIN: usize = 0x250;
const PREFERRED: usize = 0x258;
const INIT_SIZE: usize = 0x260;
/// Upper halves of addresses, before the header.
const UPPER: std::ops::Range<usize> = 0xc0..0xcc;
/// A boot loader that has no number.
const UNDEFINED: u8 = 0xff;
/// `XLF_KERNEL_64`: the image can be entered in long mode, [`LONG_MODE`] bytes from its start.
const KERNEL_64: u8 = 1;
const LONG_MODE: u64 = 0x200;

/// Pieces, and where to go on.
pub(super) struct Image {
    pub(super) entry: u64,
    pub(super) segments: Vec<(u64, Vec<u8>)>,
}

/// The pieces of a boot image.
///
/// # Errors
/// `ENOEXEC` when it is none, or none for this protocol.
pub(super) fn image(kernel: &[u8], running: &[u8], line: &[u8], archive: Vec<u8>) -> Result<Image, Errno> {
    let header_end = MAGIC + usize::from(*kernel.get(JUMP).ok_or(Errno::ENOEXEC)?);
    let header = kernel.get(HEADER..header_end).ok_or(Errno::ENOEXEC)?;
    let longest = INIT_SIZE + 4;
    if kernel.get(MAGIC..MAGIC + 4) != Some(b"HdrS") || header_end < longest || running.len() < header_end {
        return Err(Errno::ENOEXEC);
    }
    if kernel[LOAD_FLAGS] & KERNEL_64 == 0 {
        return Err(Errno::ENOEXEC);
    }
    let sectors = match kernel[HEADER] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let code = kernel.get((sectors + 1) * 512..).ok_or(Errno::ENOEXEC)?;
    let number = |at: usize| u64::from(u32::from_le_bytes([0, 1, 2, 3].map(|i| kernel[at + i])));
    let base = number(PREFERRED) | number(PREFERRED + 4) << 32;
    // It unpacks itself there.
    let above = base.checked_add(number(INIT_SIZE)).ok_or(Errno::ENOEXEC)?.next_multiple_of(PAGE);

    let mut parameters = running.to_vec();
    parameters[HEADER..header_end].copy_from_slice(header);
    parameters[UPPER].fill(0);
    parameters[CHAIN..CHAIN + 8].fill(0);
    parameters[LOADER] = UNDEFINED;
    let mut put = |at: usize, value: u64| {
        let value = u32::try_from(value).map_err(|_| Errno::EFBIG)?;
        parameters[at..at + 4].copy_from_slice(&value.to_le_bytes());
        Ok::<(), Errno>(())
    };
    put(ARCHIVE, above)?;
    put(ARCHIVE_SIZE, archive.len() as u64)?;
    put(LINE, COMMAND_LINE)?;

    let segments = vec![
        (STUB, stub(PARAMETERS, base + LONG_MODE)),
        (PARAMETERS, parameters),
        (COMMAND_LINE, line.to_vec()),
        (base, code.to_vec()),
        (above, archive),
    ];
    Ok(Image { entry: STUB, segments })
}

/// `mov rsi, parameters; mov rax, entry; jmp rax`
fn stub(parameters: u64, entry: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0xbe];
    code.extend(parameters.to_le_bytes());
    code.extend([0x48, 0xb8]);
    code.extend(entry.to_le_bytes());
    code.extend([0xff, 0xe0]);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image with one setup sector beyond the first.
    fn kernel() -> Vec<u8> {
        let mut kernel = vec![0x11; 2048];
        kernel[HEADER] = 1;
        kernel[JUMP] = 0x66;
        kernel[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        kernel[LOAD_FLAGS] = KERNEL_64;
        kernel[PREFERRED..PREFERRED + 8].copy_from_slice(&0x100_0000u64.to_le_bytes());
        kernel[INIT_SIZE..INIT_SIZE + 4].copy_from_slice(&0x12_3456u32.to_le_bytes());
        kernel[1024] = 0x22;
        kernel
    }

    #[test]
    fn pieces_lie_where_the_parameters_say() {
        let running = vec![0xee; 4096];
        let made = image(&kernel(), &running, b"quiet\0", vec![7; 10]).unwrap();
        assert_eq!(made.entry, STUB);
        let places: Vec<(u64, usize)> = made.segments.iter().map(|(at, bytes)| (*at, bytes.len())).collect();
        let expected =
            [(STUB, 22), (PARAMETERS, 4096), (COMMAND_LINE, 6), (0x100_0000, 1024), (0x112_4000, 10)];
        assert_eq!(places, expected);
        let parameters = &made.segments[1].1;
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| parameters[at + i]));
        assert_eq!((number(ARCHIVE), number(ARCHIVE_SIZE), number(LINE)), (0x112_4000, 10, 0x3_0000));
        assert_eq!((number(CHAIN), number(CHAIN + 4), parameters[LOADER]), (0, 0, 0xff));
        // The memory map is the running kernel's.
        assert_eq!(parameters[0x2d0], 0xee);
        assert_eq!(made.segments[3].1[0], 0x22);
        assert_eq!(made.segments[0].1[..10], [0x48, 0xbe, 0, 0, 2, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_no_boot_image_is_refused() {
        let running = vec![0; 4096];
        let refused =
            |kernel: &[u8]| image(kernel, &running, b"\0", Vec::new()).err() == Some(Errno::ENOEXEC);
        assert!(refused(b""));
        assert!(refused(&[0; 4096]));
        assert!(refused(&kernel()[..0x240]));
        let mut old = kernel();
        old[LOAD_FLAGS] = 0;
        assert!(refused(&old));
        let mut short = kernel();
        short[JUMP] = 0x20;
        assert!(refused(&short));
    }
}
