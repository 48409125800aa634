//! Templates: which fields a record's data has, and what each holds.

/// Built-in templates and their formats (`builtin_templates`, `security/integrity/ima/ima_template.c`).
const BUILTIN: [(&str, &str); 8] = [
    (LEGACY, "d|n"),
    ("ima-ng", "d-ng|n-ng"),
    ("ima-sig", "d-ng|n-ng|sig"),
    ("ima-ngv2", "d-ngv2|n-ng"),
    ("ima-sigv2", "d-ngv2|n-ng|sig"),
    ("ima-buf", "d-ng|n-ng|buf"),
    ("ima-modsig", "d-ng|n-ng|sig|d-modsig|modsig"),
    ("evm-sig", "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode"),
];

/// The one template whose data carry no total length in the binary list, and whose digest is computed
/// otherwise than everybody else's (`ima_measurements_show`, `ima_calc_field_array_hash_tfm`).
pub(super) const LEGACY: &str = "ima";

/// Bytes of the file digest in a record of the template `ima`.
///
/// The kernel writes it without a length. It is a SHA-1 digest; an MD5 one (`ima_hash=md5`) would be 16 bytes
/// that nothing in the list tells apart, which is why every reader of this form assumes 20.
pub(super) const LEGACY_DIGEST: usize = 20;

/// Longest file name in a record of the template `ima`, bytes (`IMA_EVENT_NAME_LEN_MAX`, `ima.h`).
pub(super) const LEGACY_NAME_MAX: usize = 255;

/// What a field holds, which decides how the kernel prints it (`supported_fields`, `ima_template.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A bare digest: `d`.
    Digest,
    /// `<algorithm>:` or `<type>:<algorithm>:`, a NUL, a digest: `d-ng`, `d-ngv2`, `d-modsig`.
    TaggedDigest,
    /// Text with its NUL: `n`, `n-ng`, `xattrnames`.
    Text,
    /// Bytes: `sig`, `buf`, `modsig`, `evmsig`, `xattrlengths`, `xattrvalues`.
    Bytes,
    /// An unsigned number of this many bytes: `iuid`, `igid`, `imode`.
    Number(usize),
}

/// What the field `id` holds; `None` for an identifier that no kernel up to 7.3 has.
pub fn field_kind(id: &str) -> Option<FieldKind> {
    Some(match id {
        "d" => FieldKind::Digest,
        "d-ng" | "d-ngv2" | "d-modsig" => FieldKind::TaggedDigest,
        "n" | "n-ng" | "xattrnames" => FieldKind::Text,
        "sig" | "buf" | "modsig" | "evmsig" | "xattrlengths" | "xattrvalues" => FieldKind::Bytes,
        // i_uid_read and i_gid_read give 32 bits, i_mode is an umode_t (ima_template_lib.c).
        "iuid" | "igid" => FieldKind::Number(4),
        "imode" => FieldKind::Number(2),
        _ => return None,
    })
}

/// The format of the template `name`: field identifiers with `|` between them.
///
/// A template that was made with `ima_template_fmt=` has no name, and the list shows its format instead
/// (`ima_measurements_show`). `None`: the name tells nothing about the fields.
pub fn format_of(name: &str) -> Option<&str> {
    if let Some((_, format)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
        return Some(format);
    }
    (name.contains('|') || field_kind(name).is_some()).then_some(name)
}

/// Whether `name` is a template's of a kernel up to 7.3, or a format of fields that one has. No digest covers a template's
/// name: what stands under an unknown one cannot be read, and who changed it left no trace.
pub fn is_known_template(name: &str) -> bool {
    format_of(name).is_some_and(|format| format.split('|').all(|id| field_kind(id).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ima", Some("d|n"))]
    #[case("ima-ng", Some("d-ng|n-ng"))]
    #[case("d-ng|n-ng|imode", Some("d-ng|n-ng|imode"))]
    #[case("d-ng|made-up", Some("d-ng|made-up"))]
    #[case("n-ng", Some("n-ng"))]
    #[case("ima-tomorrow", None)]
    fn formats(#[case] name: &str, #[case] format: Option<&str>) {
        assert_eq!(format_of(name), format);
    }

    #[rstest]
    #[case("ima", true)]
    #[case("evm-sig", true)]
    #[case("d-ng|n-ng|imode", true)]
    #[case("d-ng|made-up", false)]
    #[case("ima-tomorrow", false)]
    #[case("|", false)]
    fn known_templates(#[case] name: &str, #[case] known: bool) {
        assert_eq!(is_known_template(name), known);
    }

    #[test]
    fn every_field_of_a_built_in_template_is_known() {
        for (name, format) in BUILTIN {
            assert!(format.split('|').all(|id| field_kind(id).is_some()), "{name}");
        }
    }
}
