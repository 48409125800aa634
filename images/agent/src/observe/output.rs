//! What a program prints: its lines, as far as it may say any, and who waits for which.

use std::collections::VecDeque;

use imalab_wire::MAX_SAID;

/// Bytes of a line that are kept.
const LINE: usize = 400;

/// The lines of both streams, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// What has no end yet, of each stream.
    begun: [Vec<u8>; 2],
    /// Lines that no wait has come by.
    unread: VecDeque<String>,
    /// Bytes of all lines.
    said: u64,
}

/// A stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Output = 0,
    Errors = 1,
}

impl Lines {
    /// Takes in what was printed, and gives the lines that are whole by it. `Err`: standard error has more than may be said.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8]) -> Result<Vec<String>, ()> {
        let mut lines = Vec::new();
        for byte in bytes {
            let begun = &mut self.begun[stream as usize];
            if *byte == b'\n' {
                let line = std::mem::take(begun);
                lines.extend(self.line(stream, &line)?);
            } else if begun.len() < LINE {
                begun.push(*byte);
            }
        }
        Ok(lines)
    }

    /// What was begun is a line too where the stream has ended.
    pub(super) fn end(&mut self, stream: Stream) -> Option<String> {
        let line = std::mem::take(&mut self.begun[stream as usize]);
        if line.is_empty() { None } else { self.line(stream, &line).ok().flatten() }
    }

    fn line(&mut self, stream: Stream, line: &[u8]) -> Result<Option<String>, ()> {
        let over = self.said + line.len() as u64 + 1 > MAX_SAID;
        match (stream, over) {
            (Stream::Errors, true) => return Err(()),
            // It may be anything, and goes out as data.
            (Stream::Output, true) => return Ok(None),
            _ => {}
        }
        let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && c != '\t');
        let line = match (stream, std::str::from_utf8(line).ok().filter(is_text)) {
            (_, Some(text)) => text.to_owned(),
            (Stream::Output, None) => return Ok(None),
            (Stream::Errors, None) => line.escape_ascii().to_string(),
        };
        self.said += line.len() as u64 + 1;
        self.unread.push_back(line.clone());
        Ok(Some(line))
    }

    /// Comes by the first line with this text in it.
    pub(super) fn find(&mut self, text: &str) -> bool {
        let Some(at) = self.unread.iter().position(|line| line.contains(text)) else { return false };
        self.unread.drain(..=at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_come_by_once_and_in_order() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(Stream::Output, b"one\ntw").unwrap(), ["one"]);
        assert_eq!(lines.take(Stream::Errors, b"error\n").unwrap(), ["error"]);
        assert_eq!(lines.take(Stream::Output, b"o\nthree").unwrap(), ["two"]);
        assert_eq!(lines.end(Stream::Output).as_deref(), Some("three"));
        assert!(lines.find("err") && !lines.find("one") && lines.find("two") && lines.find("three"));
        assert!(!lines.find("three"));
    }

    #[test]
    fn what_is_no_text_is_no_line_of_the_output() {
        let mut lines = Lines::default();
        assert!(lines.take(Stream::Output, b"\x01\xff\n").unwrap().is_empty());
        assert_eq!(lines.take(Stream::Errors, b"\x01\xff\n").unwrap(), ["\\x01\\xff"]);
    }

    #[test]
    fn a_flood_of_lines_has_an_end() {
        let mut lines = Lines::default();
        let line = [vec![b'a'; 10_000], vec![b'\n']].concat();
        let flood = |lines: &mut Lines, stream| (0..10_000).find(|_| lines.take(stream, &line).is_err());
        assert_eq!(flood(&mut lines, Stream::Output), None);
        let kept: usize = lines.unread.iter().map(|line| line.len() + 1).sum();
        assert!(kept as u64 <= MAX_SAID && lines.unread.iter().all(|line| line.len() == LINE));
        assert_eq!(flood(&mut lines, Stream::Errors), Some(0));
    }
}
