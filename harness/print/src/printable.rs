//! Text that somebody else may have written, made safe to show.

use std::borrow::Cow;

/// The text with every character escaped that could move a cursor, switch colours, hide, or reorder what stands
/// beside it: control characters, line and paragraph separators, the bidirectional controls of Unicode Standard Annex 9, and
/// characters without a width. A tab becomes a blank.
///
/// Line breaks are escaped too: callers show one line at a time.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => safe.push(' '),
            c if acts(c) => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// The lines of a text, each [`printable`].
pub fn printable_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(printable)
}

/// A whole text of lines, each [`printable`], and no more of it than a reader wants of one message.
pub fn message(text: &str) -> String {
    let safe = printable_lines(text).collect::<Vec<_>>().join("\n");
    shortened(&safe, MESSAGE)
}

/// Most bytes of one message.
const MESSAGE: usize = 4096;

/// At most so many bytes of a text, and how many more there were.
pub fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most);
    format!("{}... ({} more bytes)", &text[..end], text.len() - end)
}

/// Whether a terminal does anything with it but show it.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("plain text, ünïcode", "plain text, ünïcode")]
    #[case("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}")]
    #[case("a\rb\nc\td", "a\\rb\\nc d")]
    #[case("\u{9b}2J", "\\u{9b}2J")]
    #[case("abc\u{202e}txt.exe", "abc\\u{202e}txt.exe")]
    #[case("a\u{200b}b\u{2028}c\u{feff}", "a\\u{200b}b\\u{2028}c\\u{feff}")]
    fn escapes_what_could_act_on_a_terminal(#[case] raw: &str, #[case] shown: &str) {
        assert_eq!(printable(raw), shown);
    }

    #[test]
    fn a_message_keeps_its_lines_and_has_an_end() {
        assert_eq!(message("one\n\u{1b}two\n"), "one\n\\u{1b}two");
        let long = message(&"ü".repeat(100_000));
        assert!(long.len() < MESSAGE + 40 && long.ends_with("(195904 more bytes)"), "{}", long.len());
    }
}
