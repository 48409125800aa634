//! The keeper is killed at each of its system calls, one after the other, and the log that it leaves is handed to the host.
//!
//! A process that is traced stops at the beginning and at the end of each system call. The keeper is killed at the first such stop
//! after its start, its successor at the second, and so on, until one comes to rest alive. Between two of them files are measured.
//! Calls that change nothing are passed over, unless all are asked for.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::KEEPER;
use crate::guest::{self, Result, say};
use crate::port::PORT;
use crate::traced::{End, Stops, run_until};

pub(crate) fn story(all: bool) -> Result<()> {
    guest::set_up()?;
    let stops = if all { Stops::All } else { Stops::Changes };
    let mut files = guest::Files::default();
    let mut stop = 1;
    loop {
        files.measure(2)?;
        if stop % 5 == 0 {
            files.violate()?;
        }
        match run_until(Command::new(KEEPER).arg("run").stdin(Stdio::null()), stop, stops)? {
            End::Killed => {
                say(&format!("killed at stop {stop}"));
                stop += 1;
            }
            End::AtRest { stops } => {
                say(&format!("killed={} stops={stops}", stop - 1));
                break;
            }
            End::Ended(status) => {
                return Err(format!("the keeper ended by itself at stop {stop}: {status}").into());
            }
        }
    }
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
