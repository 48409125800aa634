//! The process that answers: it knows nothing that its successor would not find out again, so it may die at any moment.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::files::{Content, Shown, answer, attributes_of};
use super::log::Whole;
use super::wire::{LONGEST_REQUEST, Request, refuse, resend};
use crate::config::Config;
use crate::interface::{Files, NotOffered};
use crate::keeper::Keeper;
use crate::machine::{Machine, MachineError};
use crate::problem::Problem;
use crate::stored::Stored;
use crate::system_calls::SystemCalls;

/// How long a reader waits for the lock or the TPM before it is told `EBUSY`: a keeper holds it for milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two tries; flock(2) has no deadline.
const PAUSE: u8 = 10;

/// Least time between two looks.
const LEAST: Duration = Duration::from_millis(10);

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody has a use for it any more: whoever started it is gone.
    Orphaned,
    /// Its file system has ended, or its requests cannot be had again.
    Disconnected,
}

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The machine is not as the configuration says.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// There is no list.
    #[error(transparent)]
    Kernel(#[from] NotOffered),
    /// The log cannot be shown.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// A call failed.
    #[error("cannot {0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// The kernel's files cannot be had without what is bound over them.
    #[error("{}: expected a securityfs, and the right to mount another one (CAP_SYS_ADMIN)", .0.display())]
    NotAlone(std::path::PathBuf),
    /// There is a view already.
    #[error("another process has {}", super::mount::PLACE)]
    Another,
    /// The process that answers ends whatever is done.
    #[error("the process that answers was killed or has failed {0} times within a minute")]
    KeepsEnding(usize),
    /// It has said why it cannot go on.
    #[error("the process that answers has ended with exit code {0}")]
    Ended(u8),
}

/// Says which call failed.
pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> ViewError {
    move |error| ViewError::System(doing, error)
}

/// The kernel's files that are shown as one log.
pub(crate) fn shown(machine: &Machine) -> Result<Vec<Shown>, ViewError> {
    let lists = machine.lists();
    let entries =
        lists.entries().map_err(io::Error::from).map_err(system("look at the measurement lists"))?;
    let mut shown: Vec<Shown> = entries
        .into_iter()
        // A link leads to what is bound over the file behind it.
        .filter(|(name, _)| !lists.is_link(name))
        .filter_map(|(name, about)| {
            let content = Content::of(&name)?;
            Some(Shown { name, content, attributes: attributes_of(&about) })
        })
        .collect();
    // A successor has to give each file the number that it had.
    shown.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(shown)
}

struct Reader {
    keeper: Keeper<Machine>,
    whole: Whole<Stored>,
    /// What was said last of why there is nothing more to be read.
    said: String,
    /// When the keeper may be kept waiting again: it has at least as much time as a look takes.
    next_look: Instant,
    /// Whether the last reader waited for the lock in vain: the next one does not wait again.
    in_vain: bool,
}

/// Answers what comes by `device` until it is over. `alive` is closed at its other end with whoever started this.
///
/// # Errors
///
/// [`ViewError`] when there is no log to show.
pub fn serve(config: &Config, device: &File, alive: &File, resumed: bool) -> Result<End, ViewError> {
    let mut machine = Machine::open(config)?;
    let names =
        machine.list_files().map_err(io::Error::from).map_err(system("look at the measurement lists"))?;
    let files = Files::of(&names, None)?;
    let shown = shown(&machine)?;
    let keeper = Keeper::new(machine, files, config.settings());
    let mut reader = Reader {
        keeper,
        whole: Whole::default(),
        said: String::new(),
        next_look: Instant::now(),
        in_vain: false,
    };
    if resumed {
        match write_once(device, &resend()) {
            Ok(()) => {}
            // A kernel that does not send anything again has readers wait for what nobody will answer.
            Err(_) => return Ok(End::Disconnected),
        }
    } else {
        reader.first_look(alive)?;
    }
    if writeln!(&*alive, "ready").is_err() {
        return Ok(End::Orphaned);
    }
    let mut buffer = vec![0; LONGEST_REQUEST];
    loop {
        match wait(device.as_fd(), alive.as_fd()) {
            Next::Request => {}
            Next::Orphaned => return Ok(End::Orphaned),
            Next::Disconnected => return Ok(End::Disconnected),
        }
        let count = match (&*device).read(&mut buffer) {
            Ok(count) => count,
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // The reader was killed, or another call of ours was interrupted.
                Some(Errno::ENOENT | Errno::EINTR | Errno::EAGAIN) => continue,
                _ => return Ok(End::Disconnected),
            },
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        let answer = match Request::decode(bytes) {
            Some(request) => {
                answer(&request, &shown, |content, offset, size| reader.read(content, offset, size))
            }
            None => refuse(bytes),
        };
        if let Some(answer) = answer {
            // ENOENT: the reader was killed meanwhile.
            let _ = write_once(device, &answer);
        }
    }
}

enum Next {
    Request,
    Orphaned,
    Disconnected,
}

fn wait(device: BorrowedFd<'_>, alive: BorrowedFd<'_>) -> Next {
    let mut waiting = [PollFd::new(device, PollFlags::POLLIN), PollFd::new(alive, PollFlags::empty())];
    // An error is a signal that came meanwhile.
    while poll(&mut waiting, PollTimeout::NONE).is_err() {}
    let came = |index: usize| waiting[index].revents().unwrap_or(PollFlags::empty());
    if came(0).contains(PollFlags::POLLIN) {
        Next::Request
    } else if came(1).is_empty() {
        Next::Disconnected
    } else {
        Next::Orphaned
    }
}

/// An answer is taken whole or not at all.
fn write_once(mut device: &File, bytes: &[u8]) -> io::Result<()> {
    loop {
        match device.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written.map(|_| ()),
        }
    }
}

impl Reader {
    /// Looks until there is a log: what passes by itself is waited for, since nobody reads yet.
    fn first_look(&mut self, alive: &File) -> Result<(), ViewError> {
        loop {
            match self.look_once() {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(problem) if problem.passes() => self.say(&problem.to_string()),
                Err(problem) => return Err(problem.into()),
            }
            let mut waiting = [PollFd::new(alive.as_fd(), PollFlags::empty())];
            if poll(&mut waiting, PollTimeout::from(1000_u16)) == Ok(1) {
                return Ok(());
            }
        }
    }

    /// Whether the keeper let us look.
    fn look_once(&mut self) -> Result<bool, Problem> {
        let lock = self.keeper.system().try_share().map_err(|error| Problem::Lock(error.to_string()))?;
        let Some(_lock) = lock else { return Ok(false) };
        let begun = Instant::now();
        let looked = self.whole.look(&mut self.keeper);
        self.next_look = Instant::now() + begun.elapsed().max(LEAST);
        looked.map(|()| true)
    }

    /// Looks for what is behind all that is known.
    fn look(&mut self) -> Result<(), Errno> {
        // The keeper tries now and then, and a reader that never stops would keep it out.
        let rest = self.next_look.saturating_duration_since(Instant::now());
        let _ = poll(&mut [], PollTimeout::try_from(rest).unwrap_or(PollTimeout::ZERO));
        let end = Instant::now() + PATIENCE;
        loop {
            match self.look_once() {
                Ok(true) => {
                    (self.in_vain, self.said) = (false, String::new());
                    return Ok(());
                }
                Ok(false) | Err(Problem::Undecided) if !self.in_vain && Instant::now() < end => {
                    let _ = poll(&mut [], PollTimeout::from(PAUSE));
                }
                Ok(false) | Err(Problem::Undecided) => {
                    self.in_vain = true;
                    self.say("the keeper holds the lock, or cannot tell where records are");
                    return Err(Errno::EBUSY);
                }
                Err(problem) => {
                    self.say(&problem.to_string());
                    let busy = matches!(problem, Problem::Kernel { errno: Errno::EBUSY, .. });
                    return Err(if busy { Errno::EBUSY } else { Errno::EIO });
                }
            }
        }
    }

    fn say(&mut self, text: &str) {
        if self.said != text {
            eprintln!("logkeeper: view: {text}");
            text.clone_into(&mut self.said);
        }
    }

    fn read(&mut self, content: Content, offset: u64, size: usize) -> Result<Vec<u8>, Errno> {
        let text = match content {
            Content::Log(form) => {
                if offset >= self.whole.size(form) {
                    self.look()?;
                }
                let mut bytes = vec![0; size];
                let count = self.whole.read_at(form, offset, &mut bytes).map_err(|error| {
                    self.say(&format!("cannot read the log: {error}"));
                    Errno::EIO
                })?;
                bytes.truncate(count);
                return Ok(bytes);
            }
            Content::Count => {
                self.look()?;
                format!("{}\n", self.whole.records())
            }
            Content::Violations => self.keeper.system().lists().text("violations")?,
        };
        let rest = usize::try_from(offset).ok().and_then(|offset| text.as_bytes().get(offset..));
        let rest = rest.unwrap_or_default();
        Ok(rest[..rest.len().min(size)].to_vec())
    }
}
