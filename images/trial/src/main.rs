//! PID 1 of a guest in which the log keeper is killed at each of its system calls, one after the other, and the log that it leaves is
//! handed to the host.
//!
//! A process that is traced stops at the beginning and at the end of each system call. The keeper is killed at the first such stop
//! after its start, its successor at the second, and so on, until one comes to rest alive. How much a keeper finds to do depends on
//! where the one before was killed: so each stop is gone through as the one before, until none leads to a stop that was not seen yet.
//! Between two of them files are measured. Calls that change nothing are passed over, unless `trial=all` stands on the kernel's
//! command line. Nothing is judged here, but that a keeper which rests has left nothing in the kernel.

mod guest;
mod traced;

use std::fs::File;
use std::process::{Command, Stdio};

use guest::{Result, say};
use traced::{End, Stops, run_until};

const KEEPER: &str = "/bin/logkeeper";

/// Where the host reads the log.
const PORT: &str = "/dev/vport0p1";

fn main() {
    if let Err(error) = story() {
        say(&format!("failed: {error}"));
    }
    guest::power_off();
}

fn story() -> Result<()> {
    guest::set_up()?;
    let all =
        std::fs::read_to_string("/proc/cmdline")?.split_ascii_whitespace().any(|word| word == "trial=all");
    let stops = if all { Stops::All } else { Stops::Changes };
    let mut files = guest::Files::default();
    let (mut stop, mut before, mut killed, mut most) = (1, 0, 0, 0);
    // `before`: the stop at which the one before was killed; 0: at the last one that was tried.
    while before < stop {
        if before > 0 {
            let end = keep(&mut files, before, stops)?;
            killed += u64::from(end.is_none());
        }
        match keep(&mut files, stop, stops)? {
            None => {
                say(&format!("killed at stop {stop} behind {before}"));
                (stop, killed) = (stop + 1, killed + 1);
            }
            Some(came_by) => (before, most) = (before + 1, most.max(came_by)),
        }
    }
    say(&format!("killed={killed} stops={most}"));
    // What is measured last is read from the kernel.
    files.measure(3)?;
    for command in ["status", "verify"] {
        let output = Command::new(KEEPER).arg(command).output()?;
        say(&format!("{command}: {}", output.status));
        for line in [output.stdout, output.stderr]
            .concat()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            say(&format!("{command}: {}", String::from_utf8_lossy(line)));
        }
    }
    let port = File::options().write(true).open(PORT)?;
    let status = Command::new(KEEPER).arg("cat").stdout(port).status()?;
    say(&format!("cat: {status}"));
    say("done");
    Ok(())
}

/// Has files measured and runs a keeper until `stop`; gives how many stops it came by if it had nothing left to do before that.
fn keep(files: &mut guest::Files, stop: u64, stops: Stops) -> Result<Option<u64>> {
    files.measure(2)?;
    if stop.is_multiple_of(5) {
        files.violate()?;
    }
    match run_until(Command::new(KEEPER).arg("run").stdin(Stdio::null()), stop, stops)? {
        End::Killed => Ok(None),
        End::AtRest { stops } => match guest::records_held()? {
            0 => Ok(Some(stops)),
            held => Err(format!("the keeper rests and {held} records are in the kernel").into()),
        },
        End::Ended(status) => Err(format!("the keeper ended by itself at stop {stop}: {status}").into()),
    }
}
