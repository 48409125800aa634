//! Names of TPM response codes (TPM 2.0 Library Part 2, 6.6).

/// Bit 7: the code is of format one, and tells of a handle, a parameter or a session (6.6.2, table 15).
const FORMAT_ONE: u32 = 0x080;
/// Of format one, bit 6: a parameter, whose number is in bits 8 to 11.
const PARAMETER: u32 = 0x040;
/// Of format one, in bits 8 to 11: a session, whose number is in the lower three of them.
const SESSION: u32 = 0x800;
/// Of format zero: a warning, which may be over when the command is sent again.
const WARNING: u32 = 0x900;
/// Of format zero: an error.
const ERROR: u32 = 0x100;

/// Format one, by the lower six bits (table 17).
const OF_FORMAT_ONE: &[(u32, &str)] = &[
    (0x01, "ASYMMETRIC"),
    (0x02, "ATTRIBUTES"),
    (0x03, "HASH"),
    (0x04, "VALUE"),
    (0x05, "HIERARCHY"),
    (0x07, "KEY_SIZE"),
    (0x08, "MGF"),
    (0x09, "MODE"),
    (0x0a, "TYPE"),
    (0x0b, "HANDLE"),
    (0x0c, "KDF"),
    (0x0d, "RANGE"),
    (0x0e, "AUTH_FAIL"),
    (0x0f, "NONCE"),
    (0x10, "PP"),
    (0x12, "SCHEME"),
    (0x15, "SIZE"),
    (0x16, "SYMMETRIC"),
    (0x17, "TAG"),
    (0x18, "SELECTOR"),
    (0x1a, "INSUFFICIENT"),
    (0x1b, "SIGNATURE"),
    (0x1c, "KEY"),
    (0x1d, "POLICY_FAIL"),
    (0x1f, "INTEGRITY"),
    (0x20, "TICKET"),
    (0x21, "RESERVED_BITS"),
    (0x22, "BAD_AUTH"),
    (0x23, "EXPIRED"),
    (0x24, "POLICY_CC"),
    (0x25, "BINDING"),
    (0x26, "CURVE"),
    (0x27, "ECC_POINT"),
];

/// Errors and warnings of format zero (tables 16 and 18), as far as an extend or what surrounds it gets them.
const OF_FORMAT_ZERO: &[(u32, &str)] = &[
    (0x100, "INITIALIZE"),
    (0x101, "FAILURE"),
    (0x103, "SEQUENCE"),
    (0x120, "DISABLED"),
    (0x121, "EXCLUSIVE"),
    (0x124, "AUTH_TYPE"),
    (0x125, "AUTH_MISSING"),
    (0x126, "POLICY"),
    (0x127, "PCR"),
    (0x128, "PCR_CHANGED"),
    (0x12d, "UPGRADE"),
    (0x12e, "TOO_MANY_CONTEXTS"),
    (0x12f, "AUTH_UNAVAILABLE"),
    (0x130, "REBOOT"),
    (0x131, "UNBALANCED"),
    (0x142, "COMMAND_SIZE"),
    (0x143, "COMMAND_CODE"),
    (0x144, "AUTHSIZE"),
    (0x145, "AUTH_CONTEXT"),
    (0x901, "CONTEXT_GAP"),
    (0x902, "OBJECT_MEMORY"),
    (0x903, "SESSION_MEMORY"),
    (0x904, "MEMORY"),
    (0x905, "SESSION_HANDLES"),
    (0x906, "OBJECT_HANDLES"),
    (0x907, "LOCALITY"),
    (0x908, "YIELDED"),
    (0x909, "CANCELED"),
    (0x90a, "TESTING"),
    (0x920, "NV_RATE"),
    (0x921, "LOCKOUT"),
    (0x922, "RETRY"),
    (0x923, "NV_UNAVAILABLE"),
];

/// The code with its name: `TPM_RC_VALUE for handle 1 (0x184)`.
pub fn name(code: u32) -> String {
    let of = |codes: &[(u32, &'static str)], code| {
        codes.iter().find(|(one, _)| *one == code).map(|(_, name)| *name)
    };
    if code & FORMAT_ONE == 0 {
        let kind = if code & WARNING == WARNING { "an unknown warning" } else { "an unknown error" };
        return match of(OF_FORMAT_ZERO, code) {
            Some(name) => format!("TPM_RC_{name} ({code:#x})"),
            None if code & ERROR == 0 => format!("response code {code:#x}"),
            None => format!("{kind} ({code:#x})"),
        };
    }
    let name = of(OF_FORMAT_ONE, code & 0x03f)
        .map_or_else(|| "an unknown error".to_owned(), |name| format!("TPM_RC_{name}"));
    let number = (code >> 8) & 0xf;
    let place = match (code & PARAMETER != 0, number) {
        (_, 0) => String::new(),
        (true, number) => format!(" for parameter {number}"),
        (false, _) if code & SESSION != 0 => format!(" for session {}", number & 7),
        (false, number) => format!(" for handle {number}"),
    };
    format!("{name}{place} ({code:#x})")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case(0x907, "TPM_RC_LOCALITY (0x907)")]
    #[case(0x184, "TPM_RC_VALUE for handle 1 (0x184)")]
    #[case(0x1c4, "TPM_RC_VALUE for parameter 1 (0x1c4)")]
    #[case(0x98e, "TPM_RC_AUTH_FAIL for session 1 (0x98e)")]
    #[case(0x101, "TPM_RC_FAILURE (0x101)")]
    #[case(0x922, "TPM_RC_RETRY (0x922)")]
    #[case(0x08b, "TPM_RC_HANDLE (0x8b)")]
    #[case(0x1bf, "an unknown error for handle 1 (0x1bf)")]
    #[case(0x17f, "an unknown error (0x17f)")]
    #[case(0x97f, "an unknown warning (0x97f)")]
    #[case(0, "response code 0x0")]
    fn a_code_is_told_with_its_name(#[case] code: u32, #[case] name: &str) {
        assert_eq!(super::name(code), name);
    }
}
