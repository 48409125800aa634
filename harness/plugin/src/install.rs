// SPDX-License-Identifier: GPL-2.0-or-later
//! How QEMU loads the plugin.

#![expect(unsafe_code, reason = "QEMU calls us by a C interface")]

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imalab_schedule::{Order, OrderError};

use crate::lane;
use crate::qemu::{Id, Info, Missing, Qemu};

/// Why the plugin does not load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("takes order=FILE, and for tests late=MICROSECONDS")]
    Arguments,
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Order { path: PathBuf, source: OrderError },
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("only for the emulation of whole machines")]
    UserMode,
    #[error("loaded twice")]
    Twice,
}

/// QEMU calls this first; what is not 0 ends it.
///
/// # Safety
/// As QEMU's documentation has it: `info` lives as long as the call, `argv` has `argc` strings.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    // SAFETY: the caller's promise.
    let arguments: Vec<&OsStr> =
        (0..count).map(|at| unsafe { OsStr::from_bytes(CStr::from_ptr(*argv.add(at)).to_bytes()) }).collect();
    // SAFETY: the caller's promise.
    let info = unsafe { &*info };
    match install(id, info, &arguments) {
        Ok(()) => 0,
        Err(refusal) => {
            // QEMU's own words are only that there was an error.
            eprintln!("imalab's plugin: {refusal}");
            1
        }
    }
}

fn install(id: Id, info: &Info, arguments: &[&OsStr]) -> Result<(), Refusal> {
    if !info.system_emulation {
        return Err(Refusal::UserMode);
    }
    let (order, late) = read_order(arguments)?;
    let qemu = Qemu::load()?;
    let processors = u32::try_from(info.processors).unwrap_or(1);
    lane::start(id, qemu, order, processors, late).map_err(|lane::Started| Refusal::Twice)
}

/// The order, and how late the processors' thread is to be ([`crate::threads::watch`]).
fn read_order(arguments: &[&OsStr]) -> Result<(Order, Duration), Refusal> {
    let (argument, late) = match arguments {
        [argument] => (argument, Duration::ZERO),
        [argument, late] => (argument, microseconds(late).ok_or(Refusal::Arguments)?),
        _ => return Err(Refusal::Arguments),
    };
    let path = argument.as_bytes().strip_prefix(b"order=").ok_or(Refusal::Arguments)?;
    let path = Path::new(OsStr::from_bytes(path));
    let text = fs::read(path).map_err(|source| Refusal::Read { path: path.to_owned(), source })?;
    let order = Order::parse(&text).map_err(|source| Refusal::Order { path: path.to_owned(), source })?;
    Ok((order, late))
}

fn microseconds(argument: &OsStr) -> Option<Duration> {
    let number = argument.to_str()?.strip_prefix("late=")?.parse().ok()?;
    Some(Duration::from_micros(number))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(&[], "takes order=FILE")]
    #[case::another(&["seed=7"], "takes order=FILE")]
    #[case::two(&["order=/a", "order=/b"], "takes order=FILE")]
    #[case::no_number(&["order=/a", "late=x"], "takes order=FILE")]
    #[case::three(&["order=/a", "late=1", "late=2"], "takes order=FILE")]
    #[case::no_file(&["order=/nowhere/order"], "cannot read /nowhere/order")]
    fn what_is_no_order_is_refused(#[case] arguments: &[&str], #[case] told: &str) {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let refusal = read_order(&arguments).unwrap_err().to_string();
        assert!(refusal.starts_with(told), "{refusal}");
    }

    #[test]
    fn an_order_is_read_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("order");
        let argument = OsStr::new("order=").to_owned();
        let argument = [argument.as_bytes(), path.as_os_str().as_bytes()].concat();
        let arguments = [OsStr::from_bytes(&argument)];
        fs::write(&path, "{}").unwrap();
        assert!(matches!(read_order(&arguments), Err(Refusal::Order { .. })));
        // The schema that this plugin reads.
        let text = r#"{"schema":SCHEMA,"points":[],"begin":null,"waits":[],"tick":null,"ends":[],"stop":null,"from":null,"strategy":"none","gate":null,"report":"/r"}"#;
        fs::write(&path, text.replace("SCHEMA", &imalab_schedule::SCHEMA.to_string())).unwrap();
        let (order, late) = read_order(&arguments).unwrap();
        assert_eq!((order.report.as_path(), late), (Path::new("/r"), Duration::ZERO));
        let (_, late) = read_order(&[arguments[0], OsStr::new("late=300")]).unwrap();
        assert_eq!(late, Duration::from_micros(300));
    }
}
