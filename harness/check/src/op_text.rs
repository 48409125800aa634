//! Operations and errors in a finding's words.

use imalab_wire::Op;
use nix::errno::Errno;

/// Longest part of written bytes that a finding shows.
const BYTES_SHOWN: usize = 32;

/// `EEXIST`.
pub(super) fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}

/// An operation in a finding's words.
pub(super) fn describe(op: &Op) -> String {
    match op {
        Op::Open { path, .. } => format!("open {path}"),
        Op::Read { slot, .. } => format!("read slot {slot}"),
        Op::Write { slot, bytes } => {
            let shown = bytes.get(..BYTES_SHOWN).unwrap_or(bytes).escape_ascii();
            format!("write \"{shown}\" to slot {slot}")
        }
        Op::Seek { slot, .. } => format!("seek slot {slot}"),
        Op::Close { slot } => format!("close slot {slot}"),
        Op::Measure { dir, name, count, .. } => format!("measure {count} files {dir}/{name}-*"),
        Op::List { path } | Op::ListModes { path } => format!("list {path}"),
        Op::Release => "uname".to_owned(),
        Op::Barrier { id, .. } => format!("barrier {id}"),
        Op::Mark { number, .. } => format!("mark {number}"),
        Op::Mount { target, .. } => format!("mount {target}"),
        other => format!("{other:?}"),
    }
}
