//! Shows a file's bytes to a person.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Bytes in a line of a hex dump.
const ROW: usize = 16;

/// Shows bytes that come in portions: text as it is, anything else as a hex dump. The first portion decides.
#[derive(Debug, Default)]
pub(super) struct Dump {
    form: Option<Form>,
    /// Bytes not yet shown: less than a row.
    row: Vec<u8>,
    offset: usize,
    ends_line: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Hex,
}

impl Dump {
    pub(super) fn add(&mut self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        let form = *self.form.get_or_insert_with(|| if is_text(bytes) { Form::Text } else { Form::Hex });
        self.ends_line = bytes.ends_with(b"\n");
        if form == Form::Text {
            return out.write_all(bytes);
        }
        self.row.extend_from_slice(bytes);
        let whole = self.row.len() / ROW * ROW;
        let rest = self.row.split_off(whole);
        for row in self.row.chunks(ROW) {
            writeln!(out, "{}", hex_row(self.offset, row))?;
            self.offset += ROW;
        }
        self.row = rest;
        Ok(())
    }

    /// Shows what is left; a prompt follows on a line of its own.
    pub(super) fn finish(self, out: &mut impl Write) -> io::Result<()> {
        match self.form {
            Some(Form::Hex) if !self.row.is_empty() => writeln!(out, "{}", hex_row(self.offset, &self.row)),
            Some(Form::Text) if !self.ends_line => writeln!(out),
            _ => Ok(()),
        }
    }
}

/// UTF-8 (perhaps cut at the end of the portion) without control characters other than tab and line feed.
fn is_text(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

fn hex_row(offset: usize, row: &[u8]) -> String {
    let mut line = format!("{offset:08x} ");
    for index in 0..ROW {
        // Writing to a string does not fail.
        let _ = match row.get(index) {
            Some(byte) => write!(line, " {byte:02x}"),
            None => write!(line, "   "),
        };
    }
    line.push_str("  ");
    line.extend(row.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }));
    line
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shown(portions: &[Vec<u8>]) -> String {
        let mut out = Vec::new();
        let mut dump = Dump::default();
        for portion in portions {
            dump.add(portion, &mut out).unwrap();
        }
        dump.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[rstest]
    #[case(vec![], "")]
    #[case(vec!["a\tb\n".into()], "a\tb\n")]
    #[case(vec!["a".into(), "b".into()], "ab\n")]
    #[case(vec![b"h\xc3".to_vec(), b"\xa9\n".to_vec()], "h\u{e9}\n")]
    #[case(vec![b"\x0a\0\0\0ima".to_vec()],
        "00000000  0a 00 00 00 69 6d 61                             ....ima\n")]
    #[case(vec![b"\x00123456789".to_vec(), b"abcdef".to_vec(), b"ghi".to_vec()],
        "00000000  00 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  .123456789abcdef\n\
         00000010  67 68 69                                         ghi\n")]
    fn text_as_it_is_and_all_else_in_hex(#[case] portions: Vec<Vec<u8>>, #[case] text: &str) {
        assert_eq!(shown(&portions), text);
    }
}
