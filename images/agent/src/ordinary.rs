//! The interpreter as an ordinary process: nothing is mounted, no policy is loaded, nothing is powered off.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use imalab_wire::frame::decode_program;
use imalab_wire::{Message, VERSION};
use nix::sys::prctl::set_child_subreaper;

use crate::port::Port;
use crate::{clock, console, supervise};

const USAGE: &str = "imalab-agent --program FILE --port FILE [--boot N]
Carries out a program outside of a guest, or one boot of it, and writes the frames to a file or pipe.
As PID 1 it takes no arguments: the program comes through fw_cfg, the frames leave by a virtio port.";

/// Carries out the program in a file; returns 2 for wrong arguments and 1 when it could not be carried out.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    console::report_panics();
    let Some(Arguments { program, port, boot }) = parse(args) else {
        console::line(USAGE);
        return ExitCode::from(2);
    };
    match run(&program, &port, boot) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            console::line(&format!("fault: {text}"));
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Arguments {
    program: PathBuf,
    port: PathBuf,
    boot: u16,
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Option<Arguments> {
    let (mut program, mut port, mut boot) = (None, None, 0);
    while let Some(arg) = args.next() {
        let place = match arg.to_str()? {
            "--program" => &mut program,
            "--port" => &mut port,
            "--boot" => {
                boot = args.next()?.to_str()?.parse().ok()?;
                continue;
            }
            _ => return None,
        };
        *place = Some(PathBuf::from(args.next()?));
    }
    Some(Arguments { program: program?, port: port?, boot })
}

fn run(program: &Path, port: &Path, boot: u16) -> Result<(), String> {
    let bytes =
        std::fs::read(program).map_err(|error| format!("cannot read {}: {error}", program.display()))?;
    let program = decode_program(&bytes).map_err(|error| format!("{}: {error}", program.display()))?;
    if !program.setup.policy.is_empty() {
        return Err("this program loads an IMA policy, which only PID 1 of a guest does".to_owned());
    }
    if !program.setup.files.is_empty() {
        return Err("this program brings files, which only PID 1 of a guest writes".to_owned());
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
        Message::Hello { version: VERSION, token: program.token, boot, release, at_ns: clock::now_ns() };
    port.message(&hello).map_err(|error| error.to_string())?;
    supervise::run(program, boot, &mut port).map_err(|error| error.to_string())?;
    port.done().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Option<Arguments> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn both_files_are_needed_and_nothing_else_is_known() {
        let expected = |boot| Some(Arguments { program: "a".into(), port: "b".into(), boot });
        assert_eq!(parsed(&["--port", "b", "--program", "a"]), expected(0));
        assert_eq!(parsed(&["--port", "b", "--boot", "2", "--program", "a"]), expected(2));
        for wrong in [
            &[][..],
            &["--program", "a"],
            &["--program"],
            &["--port", "b", "--program", "a", "c"],
            &["--port", "b", "--program", "a", "--boot", "x"],
        ] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }
}
