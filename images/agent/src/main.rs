//! PID 1 of the guest; as any other process, `imalab-agent --program FILE --port FILE` runs a program here.

use std::process::ExitCode;

fn main() -> ExitCode {
    if nix::unistd::getpid().as_raw() == 1 {
        imalab_agent::pid1::run()
    } else {
        imalab_agent::ordinary::main(std::env::args_os().skip(1))
    }
}
