//! Text that a guest may have written, made safe to show.

use std::borrow::Cow;

/// The text with every character escaped that could move a cursor, switch colours or reorder what stands
/// beside it: control characters and the bidirectional controls of Unicode Standard Annex 9. A tab becomes a blank.
///
/// Line breaks are escaped too: callers show one line at a time.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => safe.push(' '),
            c if needs_escape(c) => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// The lines of a text, each [`printable`].
pub(crate) fn printable_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(printable)
}

fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    fn escapes_what_could_act_on_a_terminal(#[case] raw: &str, #[case] shown: &str) {
        assert_eq!(printable(raw), shown);
    }
}
