//! The client of the agent: decodes its frames into events.
//!
//! The agent only sends, so all that this does is to read until QEMU closes its end. A stream without
//! [`Message::Done`](imalab_wire::Message::Done) is for the run to judge; damage is an event of its own.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use imalab_wire::frame::Decoder;

use imalab_trace::{Flood, Host, Sender, What};

/// Most bytes that a guest may send in one run, frames and all, whatever they hold.
pub const BUDGET: u64 = Flood::Data.quota().bytes + 256 * 1024 * 1024;

/// Bytes to read at once; QEMU writes at most what the guest's driver gives it in one buffer, 32 KiB.
const PORTION: usize = 64 * 1024;

/// Starts a thread that turns what arrives at the host's end of the agent's channel into events, until that is
/// closed on the other side. `kexecs`: the guest may go on in another kernel, whose agent sends on the same channel.
///
/// # Errors
/// When no thread can be started.
pub fn listen(channel: UnixStream, kexecs: bool, events: Sender) -> io::Result<JoinHandle<()>> {
    let decoder = if kexecs { Decoder::across_kexecs() } else { Decoder::new() };
    std::thread::Builder::new()
        .name("guest".to_owned())
        .spawn(move || read_frames(channel, decoder, BUDGET, |what| drop(events.send(what))))
}

/// Reads the stream to its end. After the first thing that is wrong it is read on, so that QEMU never blocks,
/// and ignored.
fn read_frames(mut channel: impl Read, mut decoder: Decoder, budget: u64, mut send: impl FnMut(What)) {
    let mut read = 0u64;
    let mut sound = true;
    let mut buffer = vec![0; PORTION];
    loop {
        let bytes = match channel.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => &buffer[..len],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                if sound {
                    send(bad(format!("at byte {read}: the agent's channel cannot be read: {error}")));
                }
                return;
            }
        };
        if !sound {
            continue;
        }
        read += bytes.len() as u64;
        if read > budget {
            sound = false;
            let text = format!("more than {budget} bytes from its agent");
            send(What::Host(Host::Flooded { by: Flood::Data, text }));
            continue;
        }
        if let Err(text) = decode(&mut decoder, bytes, &mut send) {
            sound = false;
            send(bad(text));
        }
    }
    if let (true, Err(error)) = (sound, decoder.finish()) {
        send(bad(error.to_string()));
    }
}

fn decode(decoder: &mut Decoder, mut bytes: &[u8], send: &mut impl FnMut(What)) -> Result<(), String> {
    while !bytes.is_empty() {
        bytes = &bytes[decoder.push(bytes)..];
        while let Some(frame) = decoder.next() {
            send(What::Guest(frame.map_err(|error| error.to_string())?.1));
        }
    }
    Ok(())
}

fn bad(text: String) -> What {
    What::Host(Host::BadFrame { text })
}

#[cfg(test)]
mod tests {
    use imalab_wire::{Message, frame};
    use rstest::rstest;
    use std::io::Write;

    use super::*;
    use imalab_trace::channel;

    fn messages() -> [Message; 3] {
        [
            Message::TaskStarted { task: 0, pid: 5 },
            Message::TaskEnded { task: 0, status: 0 },
            Message::Done { ops: 0, frames: 2 },
        ]
    }

    fn stream() -> Vec<u8> {
        (0..).zip(messages()).flat_map(|(seq, message)| frame::encode(seq, &message).unwrap()).collect()
    }

    fn seen(bytes: &[u8], budget: u64) -> Vec<What> {
        let mut seen = Vec::new();
        read_frames(bytes, Decoder::new(), budget, |what| seen.push(what));
        seen
    }

    #[test]
    fn messages_become_events_until_the_channel_is_closed() {
        let (mut guest, host) = UnixStream::pair().unwrap();
        let (events, received) = channel();
        let thread = listen(host, false, events).unwrap();
        for byte in stream() {
            guest.write_all(&[byte]).unwrap();
        }
        guest.write_all(&[0; 256]).unwrap();
        drop(guest);
        thread.join().unwrap();
        assert!(received.iter().eq(messages().map(What::Guest)));
    }

    #[test]
    fn a_guest_goes_on_in_another_kernel_only_where_that_was_asked_for() {
        let hello = |boot| Message::Hello {
            version: imalab_wire::VERSION,
            token: 1,
            boot,
            release: String::new(),
            at_ns: 0,
        };
        for kexecs in [true, false] {
            let (mut guest, host) = UnixStream::pair().unwrap();
            let (events, received) = channel();
            let thread = listen(host, kexecs, events).unwrap();
            for boot in 0..2 {
                guest.write_all(&frame::encode(0, &hello(boot)).unwrap()).unwrap();
            }
            drop(guest);
            thread.join().unwrap();
            let seen: Vec<What> = received.iter().collect();
            assert_eq!(seen[0], What::Guest(hello(0)));
            match (kexecs, &seen[1..]) {
                (true, [What::Guest(second)]) => assert_eq!(*second, hello(1)),
                (false, [What::Host(Host::BadFrame { text })]) => {
                    assert!(text.contains("frame number 0, expected 1"), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_run_that_listens_no_more_does_not_block_the_guest() {
        let (mut guest, host) = UnixStream::pair().unwrap();
        let (events, received) = channel();
        drop(received);
        let thread = listen(host, false, events).unwrap();
        guest.write_all(&stream()).unwrap();
        guest.write_all(&[7; 4 * 1024 * 1024]).unwrap();
        drop(guest);
        thread.join().unwrap();
    }

    #[rstest]
    #[case::flipped(|bytes: &mut Vec<u8>| bytes[47] ^= 1, 1, "at byte 27: checksum")]
    #[case::cut(|bytes: &mut Vec<u8>| bytes.truncate(30), 1, "at byte 27: ended within a frame, 3 bytes into it")]
    #[case::after_done(|bytes: &mut Vec<u8>| bytes.push(7), 3, "that is no padding follows the end")]
    fn damage_is_one_event_after_what_was_sound(
        #[case] damage: fn(&mut Vec<u8>),
        #[case] sound: usize,
        #[case] text: &str,
    ) {
        let mut bytes = stream();
        damage(&mut bytes);
        let seen = seen(&bytes, BUDGET);
        assert!(seen[..sound].iter().cloned().eq(messages().map(What::Guest).into_iter().take(sound)));
        match &seen[sound..] {
            [What::Host(Host::BadFrame { text: found })] => assert!(found.contains(text), "{found}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_guest_may_not_send_without_end() {
        let bytes = stream();
        assert_eq!(seen(&bytes, bytes.len() as u64).len(), 3);
        let text = format!("more than {} bytes from its agent", bytes.len() - 1);
        let more = What::Host(Host::Flooded { by: Flood::Data, text });
        assert_eq!(seen(&bytes, bytes.len() as u64 - 1), [more]);
    }

    #[test]
    fn a_stream_that_ends_between_frames_is_for_the_run_to_judge() {
        let bytes = frame::encode(0, &messages()[0]).unwrap();
        assert_eq!(seen(&bytes, BUDGET), [What::Guest(messages()[0].clone())]);
        assert_eq!(seen(&[], BUDGET), []);
    }

    #[test]
    fn a_channel_that_fails_is_told() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let mut seen = Vec::new();
        read_frames(Failing, Decoder::new(), BUDGET, |what| seen.push(what));
        assert_eq!(seen, [bad("at byte 0: the agent's channel cannot be read: connection reset".to_owned())]);
    }
}
