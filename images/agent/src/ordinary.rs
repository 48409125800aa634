//! The interpreter as an ordinary process: nothing is mounted, no policy is loaded, nothing is powered off.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::ExitCode;

use imalab_wire::frame::decode_program;
use imalab_wire::{Message, VERSION};
use nix::sys::prctl::set_child_subreaper;

use crate::port::Port;
use crate::{clock, console, supervise};

const USAGE: &str = "imalab-agent --program FILE --port FILE
Carries out a program outside of a guest and writes the frames to a file or pipe.
As PID 1 it takes no arguments: the program comes through fw_cfg, the frames leave by a virtio port.";

/// Carries out the program in a file; returns 2 for wrong arguments and 1 when it could not be carried out.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    console::report_panics();
    let Some((program, port)) = parse(args) else {
        console::line(USAGE);
        return ExitCode::from(2);
    };
    match run(&program, &port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            console::line(&format!("fault: {text}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Option<(PathBuf, PathBuf)> {
    let (mut program, mut port) = (None, None);
    while let Some(arg) = args.next() {
        let place = match arg.to_str()? {
            "--program" => &mut program,
            "--port" => &mut port,
            _ => return None,
        };
        *place = Some(PathBuf::from(args.next()?));
    }
    Some((program?, port?))
}

fn run(program: &PathBuf, port: &PathBuf) -> Result<(), String> {
    let bytes =
        std::fs::read(program).map_err(|error| format!("cannot read {}: {error}", program.display()))?;
    let program = decode_program(&bytes).map_err(|error| format!("{}: {error}", program.display()))?;
    if !program.setup.policy.is_empty() {
        return Err("this program loads an IMA policy, which only PID 1 of a guest does".to_owned());
    }
    let device = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(port)
        .map_err(|error| format!("cannot open {}: {error}", port.display()))?;
    set_child_subreaper(true).map_err(|errno| format!("cannot adopt orphans: {errno}"))?;
    let mut port = Port::new(device.into());
    let release = crate::pid1::release();
    let hello =
        Message::Hello { version: VERSION, token: program.token, boot: 0, release, at_ns: clock::now_ns() };
    port.message(&hello).map_err(|error| error.to_string())?;
    supervise::run(&program, &mut port).map_err(|error| error.to_string())?;
    port.done().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Option<(PathBuf, PathBuf)> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn both_files_are_needed_and_nothing_else_is_known() {
        assert_eq!(parsed(&["--port", "b", "--program", "a"]), Some(("a".into(), "b".into())));
        for wrong in [&[][..], &["--program", "a"], &["--program"], &["--port", "b", "--program", "a", "c"]] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }
}
