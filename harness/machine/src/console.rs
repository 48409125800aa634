//! The serial console: raw to a file, line by line to the run's stream.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::thread::{self, JoinHandle};

use imalab_trace::{Flood, Sender, What};

/// Longest line that is told in one piece, in bytes; a longer one is told in several. printk's own limit is
/// `CONSOLE_LOG_MAX`, 2048 (kernel/printk/internal.h), before each line's prefix.
pub const MAX_LINE: usize = 4096;

/// Most bytes that are kept of a console, 32 MiB, whatever lines they make.
pub const MOST: u64 = 32 * 1024 * 1024;

/// Cuts a console's bytes into lines: without carriage returns, escape sequences and other control
/// characters but tab, lossily decoded.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and calls `line` with each line that they complete.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        for &byte in bytes {
            if byte == b'\n' {
                line(clean(&self.partial));
                self.partial.clear();
                continue;
            }
            if self.partial.len() == MAX_LINE {
                line(clean(&self.partial));
                self.partial.clear();
            }
            self.partial.push(byte);
        }
    }

    /// What is left without a line end when the console has ended.
    #[must_use]
    pub fn finish(self) -> Option<String> {
        (!self.partial.is_empty()).then(|| clean(&self.partial))
    }
}

/// Where a byte stands in an escape sequence (ECMA-48, 5.3 and 5.4).
#[derive(Clone, Copy)]
enum Escape {
    Outside,
    /// After ESC.
    Begun,
    /// In a control sequence: parameters up to a final byte of 0x40 to 0x7e.
    Control,
}

fn clean(raw: &[u8]) -> String {
    let mut state = Escape::Outside;
    let mut kept = Vec::with_capacity(raw.len());
    for &byte in raw {
        state = match (state, byte) {
            (_, 0x1b) => Escape::Begun,
            (Escape::Begun, b'[') => Escape::Control,
            // Intermediate bytes (0x20 to 0x2f) stand before the final one.
            (Escape::Begun, 0x20..=0x2f) => Escape::Begun,
            (Escape::Begun, _) | (Escape::Control, 0x40..=0x7e) => Escape::Outside,
            (Escape::Control, 0x20..=0x3f) => Escape::Control,
            (Escape::Outside | Escape::Control, b'\t' | 0x20..=0x7e | 0x80..) => {
                kept.push(byte);
                Escape::Outside
            }
            (state, _) => state,
        };
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Starts the thread that reads `console` until it ends, appends every byte to the file `log` and sends every
/// line to `events`: up to [`MOST`] bytes, beyond which nothing is kept. `begun` is what the console has said already:
/// it goes to `log`, and what of it makes no whole line is part of the next.
///
/// The thread's result is the first failure to write to `log` (a full disk): the guest is read on
/// nevertheless, since a console that nobody reads stops it.
///
/// # Errors
/// When `log` cannot be created or no thread be started.
pub fn capture(
    console: impl Read + Send + 'static,
    log: &Path,
    begun: Vec<u8>,
    events: Sender,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let log = File::create(log)?;
    thread::Builder::new().name("console".into()).spawn(move || read(console, log, &begun, &events))
}

fn read(mut console: impl Read, mut log: impl Write, begun: &[u8], events: &Sender) -> io::Result<()> {
    let mut lines = Lines::default();
    lines.push(begun, drop);
    let mut written = log.write_all(begun);
    let mut buffer = vec![0; 16 * 1024];
    // When nobody listens any more, the guest must still not block on its console.
    let tell = |line| drop(events.send(What::Console(line)));
    let mut left = MOST.saturating_sub(begun.len() as u64);
    loop {
        let bytes = match console.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // QEMU died with bytes of ours unread.
            Err(_) => break,
        };
        if left == 0 {
            continue;
        }
        let kept = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if written.is_ok() {
            written = log.write_all(kept);
        }
        lines.push(kept, tell);
        left -= kept.len() as u64;
        if left == 0 {
            let text = format!("more than {} MiB on its console", MOST / (1024 * 1024));
            events.cut_off(Flood::Console, text);
        }
    }
    lines.finish().map(tell);
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use imalab_trace::{Host, channel};

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk, |line| found.push(line));
        }
        found.extend(lines.finish());
        found
    }

    #[rstest]
    #[case::nothing(b"", &[])]
    #[case::serial_line_ends(b"one\r\ntwo\r\n", &["one", "two"])]
    #[case::no_last_line_end(b"one\ntw", &["one", "tw"])]
    #[case::empty_lines(b"\r\n\n", &["", ""])]
    #[case::firmware_clears_the_screen(b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\n", &["SeaBIOS"])]
    #[case::colours(b"\x1b[1;31mred\x1b[0m end\n", &["red end"])]
    #[case::character_set(b"\x1b(Bplain\n", &["plain"])]
    #[case::cut_escape(b"text\x1b[12\nnext\n", &["text", "next"])]
    #[case::control_characters(b"a\x00b\x07c\td\x7f\n", &["abc\td"])]
    #[case::not_utf8(b"caf\xc3\xa9 \xff\n", &["caf\u{e9} \u{fffd}"])]
    fn cuts(#[case] bytes: &[u8], #[case] expected: &[&str]) {
        assert_eq!(lines(&[bytes]), expected);
    }

    #[test]
    fn an_endless_line_comes_in_bounded_pieces() {
        let found = lines(&[&vec![b'x'; 2 * MAX_LINE + 1]]);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, MAX_LINE, 1]);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..400) {
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(lines(&[first, second]), lines(&[&bytes]));
        }

        #[test]
        fn printable_text_is_kept(text in "[ -~\u{a1}-\u{ff}]{0,200}") {
            prop_assert_eq!(lines(&[format!("{text}\r\n").as_bytes()]), [text]);
        }
    }

    #[test]
    fn the_log_has_every_byte() {
        let (events, seen) = channel();
        let mut log = Vec::new();
        read(&b"\x1b[2Jone\r\ntwo"[..], &mut log, b"", &events).unwrap();
        drop(events);
        assert_eq!(log, b"\x1b[2Jone\r\ntwo");
        let told: Vec<_> = seen.iter().collect();
        assert_eq!(told, [What::Console("one".into()), What::Console("two".into())]);
    }

    #[test]
    fn a_console_goes_on_where_it_was() {
        let (events, seen) = channel();
        let mut log = Vec::new();
        read(&b"two\nthree\n"[..], &mut log, b"zero\none, ", &events).unwrap();
        drop(events);
        assert_eq!(log, b"zero\none, two\nthree\n");
        let told: Vec<_> = seen.iter().collect();
        assert_eq!(told, [What::Console("one, two".into()), What::Console("three".into())]);
    }

    #[test]
    fn an_endless_console_is_cut_off_and_read_on() {
        let (events, seen) = channel();
        let mut log = Vec::new();
        // Nothing of it is a character that is kept.
        let console = io::repeat(0).take(MOST + 100_000);
        read(console, &mut log, b"", &events).unwrap();
        drop(events);
        assert_eq!(log.len() as u64, MOST);
        let text = "more than 32 MiB on its console".to_owned();
        let told: Vec<What> = seen.iter().filter(|what| !matches!(what, What::Console(_))).collect();
        assert_eq!(told, [What::Host(Host::Flooded { by: Flood::Console, text })]);
    }

    #[test]
    fn a_full_disk_does_not_stop_the_guest() {
        let (events, seen) = channel();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = read(&b"one\ntwo\n"[..], full, b"", &events).unwrap_err();
        drop(events);
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(seen.iter().count(), 2);
    }
}
