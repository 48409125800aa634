//! What this program says: the one place where text of others reaches the terminal.

use std::borrow::Cow;
use std::io::Write;

/// The text with every character escaped that could move a cursor, switch colours or reorder what stands beside it:
/// control characters and the bidirectional controls of Unicode Standard Annex 9. Line breaks stay, since messages of
/// ours have several lines; a tab becomes a blank.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\t' => safe.push(' '),
            letter if needs_escape(letter) => safe.extend(letter.escape_default()),
            letter => safe.push(letter),
        }
    }
    Cow::Owned(safe)
}

fn needs_escape(letter: char) -> bool {
    letter.is_control() && letter != '\n'
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `eprintln!` with all of the text [`printable`].
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {
        $crate::say::line(&format!($($part)*))
    };
}

pub use say;

/// `println!` with all of the text [`printable`]: names and notes of a catalogue, words of a guest in a reason.
#[macro_export]
macro_rules! tell {
    ($($part:tt)*) => {
        $crate::say::answer(&format!($($part)*))
    };
}

pub use tell;

/// Writes a line to standard output.
pub fn answer(text: &str) {
    // A reader who has seen enough (`| head`) is no error.
    let _ = writeln!(std::io::stdout(), "{}", printable(text));
}

/// Writes a line to standard error.
pub fn line(text: &str) {
    eprintln!("{}", printable(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::path::Path;

    #[rstest]
    #[case("plain text, ünïcode\nand more", "plain text, ünïcode\nand more")]
    #[case("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}")]
    #[case("a\rb\tc", "a\\rb c")]
    #[case("\u{9b}2J", "\\u{9b}2J")]
    #[case("abc\u{202e}txt.exe", "abc\\u{202e}txt.exe")]
    fn what_could_act_on_a_terminal_is_escaped(#[case] raw: &str, #[case] shown: &str) {
        assert_eq!(printable(raw), shown);
    }

    #[test]
    fn nothing_else_writes_to_standard_error() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![here.join("src"), here.join("../../xtask/src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.file_name().unwrap() != "say.rs" {
                    let text = std::fs::read_to_string(&path).unwrap();
                    assert!(!text.contains("eprint"), "{}: use say!", path.display());
                }
            }
        }
    }
}
