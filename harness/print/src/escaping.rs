//! The edge where text leaves the process: nothing passes it that could act on a terminal.

use std::io::{self, Write};

use crate::printable::{acts, printable};

/// Longest line that is held back to be looked at as a whole, in bytes; a longer one goes out in pieces.
const LINE: usize = 64 * 1024;

/// How a character is written that is not passed on.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// As Rust would.
    Text,
    /// As JSON does, so that the document stays the same.
    Json,
}

/// Passes lines of text on, escaped.
#[derive(Debug)]
pub struct Escaping<W: Write> {
    out: W,
    form: Form,
    line: Vec<u8>,
}

impl<W: Write> Escaping<W> {
    /// Of text for a reader.
    pub fn text(out: W) -> Escaping<W> {
        Escaping { out, form: Form::Text, line: Vec::new() }
    }

    /// Of JSON, in which such characters stand in strings alone.
    pub fn json(out: W) -> Escaping<W> {
        Escaping { out, form: Form::Json, line: Vec::new() }
    }

    fn pass(&mut self) -> io::Result<()> {
        // What a character was cut in two of comes with the next piece.
        let whole = match std::str::from_utf8(&self.line) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.line.len(),
        };
        let rest = self.line.split_off(whole);
        let text = String::from_utf8_lossy(&self.line);
        let safe = match self.form {
            Form::Text => printable(&text).into_owned(),
            Form::Json => json(&text),
        };
        self.out.write_all(safe.as_bytes())?;
        self.line = rest;
        Ok(())
    }
}

fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            let mut units = [0; 2];
            safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            self.line.extend_from_slice(text);
            if ends || self.line.len() > LINE {
                self.pass()?;
            }
            if ends {
                self.out.write_all(b"\n")?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass()?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Escaping<W> {
    fn drop(&mut self) {
        // Who needs to know flushes.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut escaping = Escaping::text(&mut out);
        pieces.iter().for_each(|piece| escaping.write_all(piece).unwrap());
        drop(escaping);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_stay_lines_and_nothing_acts() {
        assert_eq!(passed(&[b"one\n\x1b[2Jtwo\n\nend"]), "one\n\\u{1b}[2Jtwo\n\nend");
    }

    #[test]
    fn a_character_in_two_pieces_is_one() {
        assert_eq!(
            passed(&[b"\xc2", b"\x9b1\n", b"\xe2\x80", b"\xae", b"\xff\n"]),
            "\\u{9b}1\n\\u{202e}\u{fffd}\n"
        );
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({ "name": "\u{9b}2J\u{202e}\u{7f}\u{e0001}\u{1b}", "ü": ["x\ny"] });
        let mut out = Vec::new();
        let mut escaping = Escaping::json(&mut out);
        serde_json::to_writer_pretty(&mut escaping, &value).unwrap();
        drop(escaping);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.replace('\n', "").chars().any(acts), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
