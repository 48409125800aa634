//! `imalab-verify`: the offline verifier by itself. It needs no TPM, no QEMU and no library of the system.

use std::process::ExitCode;

use clap::Parser;
use imalab_verify::{VerifyArgs, command};

/// Verify a measurement list offline, against PCR values or a quote
#[derive(Parser)]
#[command(name = "imalab-verify", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    args: VerifyArgs,
}

const EXIT_CODES: &str = "Exit codes: 0 holds; 100 does not hold; 4 nothing or not all was compared; 2 usage or input error; \
96 the verdict could not be written.";

fn main() -> ExitCode {
    imalab_print::panics();
    match Cli::try_parse() {
        Ok(cli) => ExitCode::from(command(&cli.args)),
        Err(error) if imalab_print::arguments(&error) => ExitCode::from(2),
        Err(_) => ExitCode::SUCCESS,
    }
}
