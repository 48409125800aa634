//! `imalab shell`.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use clap::Args;
use miette::miette;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::Failure;
use super::machines::MachineArgs;
use crate::report::{self, Exit};
use imalab_formats::ima::Bank;
use imalab_language::plan::Shape;
use imalab_language::vocabulary::DEFAULT_POLICY;
use imalab_run::RunContext;

#[derive(Args)]
pub(super) struct ShellArgs {
    #[command(flatten)]
    machines: MachineArgs,
    /// Virtual CPUs
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: u8,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=65_536))]
    memory_mib: u32,
    /// Active PCR banks
    #[arg(long, value_name = "BANK,...", value_delimiter = ',', default_value = "sha1,sha256")]
    banks: Vec<Bank>,
    /// Append WORD to the kernel command line (repeatable)
    #[arg(long = "kernel-arg", value_name = "WORD", allow_hyphen_values = true)]
    kernel_args: Vec<String>,
}

/// Opens a console in a guest.
pub(super) fn shell(args: &ShellArgs) -> Result<Exit, Failure> {
    let machines = args.machines.ready()?;
    let [kernel] = machines.kernels.as_slice() else {
        return Err(Failure::usage(miette!("`shell` takes one kernel")));
    };
    let (scratch, interrupts) = args.machines.surroundings.claim()?;
    let mut banks = args.banks.clone();
    banks.sort();
    banks.dedup();
    let shape =
        Shape { cpus: args.cpus, memory_mib: args.memory_mib, banks, kernel_args: args.kernel_args.clone() };
    let context = RunContext {
        kernel: &kernel.image,
        initramfs: &machines.initramfs,
        kernels: &[],
        accel: args.machines.surroundings.accelerator().accel,
        qemu: &args.machines.surroundings.qemu,
        swtpm: &args.machines.surroundings.swtpm,
        timeout_scale: 1.0,
        scratch: &scratch,
        interrupts: &interrupts,
        seeded: None,
        forks: None,
        debugger: None,
    };
    let ready = |port| {
        // A terminal that is gone ends the console by itself.
        let _ = report::print::line(&format!(
            "TPM: TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port={port}   leave: Ctrl-] or `poweroff`"
        ));
    };
    let terminal = RawTerminal::of(io::stdin()).map_err(Failure::setup)?;
    let output: Box<dyn Write> = Box::new(io::stdout());
    let input: Box<dyn Read + Send> = Box::new(io::stdin());
    let done = imalab_run::shell(&shape, DEFAULT_POLICY, context, input, output, ready);
    drop(terminal);
    done.map_err(Failure::setup)?;
    Ok(if interrupts.seen() { Exit::Interrupted } else { Exit::Passed })
}

/// A terminal that passes every key on; set back when dropped.
struct RawTerminal<F: AsFd> {
    terminal: F,
    before: Termios,
}

impl<F: AsFd + IsTerminal> RawTerminal<F> {
    /// Nothing when it is no terminal.
    fn of(terminal: F) -> io::Result<Option<RawTerminal<F>>> {
        if !terminal.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&terminal, SetArg::TCSANOW, &raw)?;
        Ok(Some(RawTerminal { terminal, before }))
    }
}

impl<F: AsFd> Drop for RawTerminal<F> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}
