//! What is there: names in a directory, the kernel's release.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use nix::sys::utsname::uname;

use super::{Failure, Report};
use crate::uplink::Uplink;

pub(super) fn run<U: Uplink>(path: &str, report: &mut Report<'_, U>) -> Result<i64, Failure> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        names.push(entry?.file_name());
    }
    names.sort();
    for name in &names {
        report.data(name.as_bytes())?;
        report.data(b"\n")?;
    }
    Ok(i64::try_from(names.len()).unwrap_or(i64::MAX))
}

/// As [`run`], each name behind its mode.
pub(super) fn modes<U: Uplink>(path: &str, report: &mut Report<'_, U>) -> Result<i64, Failure> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        names.push((entry.file_name(), entry.metadata()?.mode()));
    }
    names.sort();
    for (name, mode) in &names {
        report.data(format!("{mode:o} ").as_bytes())?;
        report.data(name.as_bytes())?;
        report.data(b"\n")?;
    }
    Ok(i64::try_from(names.len()).unwrap_or(i64::MAX))
}

pub(super) fn release<U: Uplink>(report: &mut Report<'_, U>) -> Result<i64, Failure> {
    report.data(uname()?.release().as_bytes())?;
    Ok(0)
}
