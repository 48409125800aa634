//! PID 1: from the first mount to power-off.

use std::fs;
use std::path::Path;

use imalab_wire::{End, Message, POWER_OFF_ARGUMENT, PROGRAM_ITEM, Program, VERSION};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::utsname::uname;

use crate::port::{self, Port};
use crate::program::{Given, Item};
use crate::{clock, console, kexec, mounts, policy, setup, shell, supervise};

/// Word on the kernel's command line that asks for the shell where there is no program.
const SHELL_WORD: &str = "imalab.shell";

/// Boots, carries the program out, and powers off. Never returns: the kernel panics when PID 1 ends.
pub fn run() -> ! {
    if std::env::args_os().skip(1).any(|argument| argument == POWER_OFF_ARGUMENT) {
        power_off();
    }
    console::report_panics();
    let at_ns = clock::now_ns();
    match live(at_ns) {
        Ok(End::PowerOff) => {}
        Ok(End::Shell) => shell::serve(),
        Err(fault) => console::line(&format!("fault: {fault}")),
    }
    console::drain();
    power_off()
}

/// `uname -r`.
pub(crate) fn release() -> String {
    uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default()
}

fn live(at_ns: u64) -> Result<End, String> {
    mounts::early()?;
    // Without a console, as with `console=null`, the port still works.
    let _ = console::attach();
    let item = match Item::open() {
        Ok(Some(item)) => Ok(item),
        Ok(None) if wants_shell()? => {
            mounts::late()?;
            console::line("there is no program, so here is a shell");
            return Ok(End::Shell);
        }
        Ok(None) => Err(format!(
            "there is no program: is there `-fw_cfg name={PROGRAM_ITEM},file=...`, and CONFIG_FW_CFG_SYSFS in the \
             kernel?"
        )),
        Err(fault) => Err(fault),
    };
    let given = item.as_ref().map_err(String::clone).and_then(Item::read);
    let port = port::find();
    if let (Err(fault), Ok(Given::Program(Program { end: End::Shell, .. }))) = (&port, &given) {
        mounts::late()?;
        console::line(&format!("{fault}; nothing was carried out, here is a shell"));
        return Ok(End::Shell);
    }
    let device = match (port, &given) {
        (Ok(device), _) => device,
        (Err(no_port), Err(no_program)) => return Err(format!("{no_program}; {no_port}")),
        (Err(no_port), Ok(_)) => return Err(no_port),
    };
    let (program, at_ns) = match (given, item) {
        (Ok(Given::Program(program)), _) => (Ok(program), at_ns),
        (Ok(Given::Nothing), Ok(item)) => {
            let program = device.try_clone().map_err(|error| format!("cannot copy the port: {error}"));
            let program = program.and_then(|device| item.wait(&mut Port::new(device)));
            // What is told begins here: all before was said by the machine that was saved.
            (program, clock::now_ns())
        }
        (Err(fault), _) | (_, Err(fault)) => (Err(fault), at_ns),
    };
    let mut port = Port::new(device);
    let token = program.as_ref().map_or(0, |program| program.token);
    // Where the boot cannot be told, this is the first, and what is wrong is a fault of it.
    let which = boot();
    let boot = which.as_ref().map_or(0, |boot| *boot);
    let hello = Message::Hello { version: VERSION, token, boot, release: release(), at_ns };
    port.message(&hello).and_then(|()| port.flush()).map_err(|error| error.to_string())?;
    let result = which.and(program).and_then(|program| carry_out(program, boot, &mut port));
    if let Err(fault) = &result {
        // Where the port is what failed, the console has the text.
        let _ = port.message(&Message::Fault { text: fault.clone() }).and_then(|()| port.drain());
    }
    result
}

fn carry_out(program: Program, boot: u16, port: &mut Port) -> Result<End, String> {
    mounts::late()?;
    setup::write(&program.setup.files)?;
    // Without a policy to load, a kernel without IMA is for the steps to find out: the probe asks just that.
    if !program.setup.policy.is_empty() {
        let ima = Path::new(mounts::IMA);
        if !ima.is_dir() {
            return Err(format!("this kernel has no IMA: there is no {} (CONFIG_IMA)", mounts::IMA));
        }
        policy::load(ima, &program.setup.policy)?;
    }
    let end = program.end;
    supervise::run(program, boot, port).map_err(|error| error.to_string())?;
    port.done().map_err(|error| error.to_string())?;
    Ok(end)
}

fn wants_shell() -> Result<bool, String> {
    Ok(has_word(&command_line()?, SHELL_WORD))
}

/// Which boot of the program this is.
fn boot() -> Result<u16, String> {
    kexec::boot_of(&command_line()?)
}

fn command_line() -> Result<String, String> {
    mounts::proc()?;
    fs::read_to_string("/proc/cmdline").map_err(|error| format!("cannot read /proc/cmdline: {error}"))
}

fn has_word(line: &str, word: &str) -> bool {
    line.split_ascii_whitespace().any(|found| found == word)
}

fn power_off() -> ! {
    match reboot(RebootMode::RB_POWER_OFF) {
        Ok(never) => match never {},
        Err(errno) => panic!("cannot power off: {errno}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_matched_whole() {
        assert!(has_word("console=ttyS0 imalab.shell quiet\n", SHELL_WORD));
        assert!(!has_word("imalab.shell=0 ximalab.shell", SHELL_WORD));
    }
}
