//! `--gdb`: machines that wait for a debugger.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use clap::Args;
use miette::miette;

use super::Failure;
use crate::event::{Listener, SuiteEvent};
use crate::report::print;
use crate::report::run_dir::shell_word;
use imalab_language::lane::Lane;
use imalab_run::Kernel;

/// Where QEMU listens unless another port is given, which is where it does by itself.
const PORT: &str = "1234";

#[derive(Args, Clone, Copy)]
pub(super) struct Debugger {
    /// Have each machine wait for a debugger at its first instruction, on PORT of this host alone (default: 1234): one machine
    /// after the other, without time limits. Ctrl-C ends the wait
    #[arg(long = "gdb", value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

impl Debugger {
    /// The port, where machines wait, once it is seen to be free.
    pub(super) fn port(self, lane: Lane, forked: bool) -> Result<Option<u16>, Failure> {
        let Some(port) = self.port else { return Ok(None) };
        if lane == Lane::Deterministic || forked {
            return Err(Failure::usage(miette!(
                help = "a debugger stops what counts instructions there, and a saved machine is past its first one",
                "--gdb goes neither with the deterministic lane nor with --boot fork"
            )));
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => Ok(Some(port)),
            Err(error) => Err(Failure::usage(miette!(
                help = "--gdb=PORT takes another one",
                "port {port} cannot be listened on for a debugger: {error}"
            ))),
        }
    }
}

/// What to type into another terminal, for a machine with this kernel.
fn line(image: &Path, port: u16) -> String {
    let vmlinux = image.with_file_name("vmlinux");
    if vmlinux.is_file() {
        let vmlinux = shell_word(&vmlinux.to_string_lossy());
        return format!("gdb {vmlinux} -ex 'target remote 127.0.0.1:{port}'");
    }
    format!("gdb -ex 'target remote 127.0.0.1:{port}'   # there is no vmlinux beside {}", image.display())
}

/// Says that a machine waits, and for what.
pub(super) fn tell(image: &Path, port: u16) {
    print::note(&format!(
        "the machine waits for a debugger, which lets it go on (`continue`); Ctrl-C ends the wait\n  {}",
        line(image, port)
    ));
}

/// Says so of each run that begins, besides what another listener makes of it.
pub(super) struct Telling<'a, L> {
    pub(super) kernels: &'a [Kernel],
    pub(super) port: Option<u16>,
    pub(super) to: &'a mut L,
}

impl<L: Listener> Listener for Telling<'_, L> {
    fn event(&mut self, event: SuiteEvent<'_>) {
        let begun = match &event {
            SuiteEvent::RunStarted { id, .. } => self.kernels.iter().find(|kernel| kernel.name == id.kernel),
            _ => None,
        };
        self.to.event(event);
        if let (Some(kernel), Some(port)) = (begun, self.port) {
            tell(&kernel.image, port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_the_symbols_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("bzImage");
        let without = line(&image, 1);
        assert!(
            without.starts_with("gdb -ex 'target remote 127.0.0.1:1'   # there is no vmlinux"),
            "{without}"
        );
        std::fs::write(folder.path().join("vmlinux"), "").unwrap();
        let with = format!("gdb {} -ex 'target remote 127.0.0.1:1'", folder.path().join("vmlinux").display());
        assert_eq!(line(&image, 1), with);
    }

    #[test]
    fn a_port_that_is_taken_and_a_lane_that_counts_are_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let debugger = Debugger { port: Some(port) };
        let message = |asked: Result<_, Failure>| asked.err().map(|failure| failure.error.to_string());
        assert!(message(debugger.port(Lane::Free, false)).unwrap().contains("cannot be listened on"));
        drop(taken);
        assert_eq!(debugger.port(Lane::Free, false).ok(), Some(Some(port)));
        assert!(message(debugger.port(Lane::Deterministic, false)).unwrap().contains("deterministic"));
        assert!(message(debugger.port(Lane::Free, true)).unwrap().contains("--boot fork"));
        assert_eq!(Debugger { port: None }.port(Lane::Deterministic, true).ok(), Some(None));
    }
}
