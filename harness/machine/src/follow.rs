//! What QEMU writes to a file, as it comes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Makes an empty file at `path`, and gives a socket on which whatever is written to the file arrives. It ends when the
/// other end of the pipe `alive` is closed and the file was read to its end.
///
/// # Errors
/// When the file, the watch on it or the thread cannot be had.
pub(crate) fn follow(path: &Path, alive: OwnedFd) -> io::Result<UnixStream> {
    File::create(path)?;
    let mut file = File::open(path)?;
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    watch.add_watch(path, AddWatchFlags::IN_MODIFY)?;
    let (host, mut out) = UnixStream::pair()?;
    thread::Builder::new().name("follow".into()).spawn(move || {
        loop {
            let over = wait(&watch, &alive);
            // What was written before the writer's end was seen is there by now.
            if io::copy(&mut file, &mut out).is_err() || over {
                // Nobody listens any more, or there is nothing more to hear.
                return;
            }
        }
    })?;
    Ok(host)
}

/// Waits until something was written; whether nobody can write any more.
fn wait(watch: &Inotify, alive: &OwnedFd) -> bool {
    let mut both =
        [PollFd::new(alive.as_fd(), PollFlags::empty()), PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
    match poll(&mut both, PollTimeout::NONE) {
        Ok(_) => {}
        Err(Errno::EINTR) => return false,
        Err(_) => return true,
    }
    let over = both[0].any().unwrap_or(true);
    // What they say is known; they only have to be taken.
    let _ = watch.read_events();
    over
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_written_arrives_at_once_and_the_end_when_the_writer_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let (alive, writers) = io::pipe().unwrap();
        let mut seen = follow(&path, alive.into()).unwrap();
        let mut file = File::options().write(true).open(&path).unwrap();
        let mut bytes = [0; 3];
        for part in [b"one", b"two"] {
            file.write_all(part).unwrap();
            seen.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, part);
        }
        file.write_all(b"last").unwrap();
        drop(writers);
        let mut rest = String::new();
        seen.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "last");
    }

    #[test]
    fn a_writer_that_never_came_is_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let (alive, writers) = io::pipe().unwrap();
        let mut seen = follow(&folder.path().join("agent"), alive.into()).unwrap();
        drop(writers);
        assert_eq!(seen.read(&mut [0; 1]).unwrap(), 0);
    }
}
