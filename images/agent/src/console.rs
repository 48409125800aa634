//! Lines on the console, for what has to be seen even where there is no port.

use std::io::Write;
use std::os::fd::AsFd;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::tcdrain;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Makes `/dev/console` standard input, output and error. The kernel does so only if the node is in the image.
pub(crate) fn attach() -> nix::Result<()> {
    let console = open("/dev/console", OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stdin(&console)?;
    dup2_stdout(&console)?;
    dup2_stderr(&console)
}

/// Prints a line that begins with the agent's name.
pub(crate) fn line(text: &str) {
    // One write, so that lines of the kernel do not end up within it. Where the console itself fails there is
    // no better place left to say so.
    let _ = std::io::stderr().write_all(format!("imalab-agent: {text}\n").as_bytes());
}

/// Waits until the lines have left for the host.
pub(crate) fn drain() {
    // Not a terminal, or gone: nothing to wait for.
    let _ = tcdrain(std::io::stderr().as_fd());
}

/// Makes a panic of this process or of a task it forks a line on the console. It then aborts; that PID 1 died is a
/// kernel panic, which the harness recognises.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        line(&format!("fault: {}", info.to_string().replace('\n', ": ")));
        drain();
        std::process::abort();
    }));
}
