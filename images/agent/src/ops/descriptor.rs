//! Passes descriptors from process to process.

use std::os::fd::AsFd;

use imalab_wire::{Slot, TaskId};
use nix::errno::Errno;

use super::file::need_free;
use super::{Failure, Report};
use crate::packet::Request;
use crate::slots::Slots;
use crate::uplink::Uplink;

pub(super) fn send<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    to: TaskId,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    let file = slots.get(slot)?;
    report.ask(Request::Send { to }, Some(file.as_fd()))??;
    Ok(0)
}

pub(super) fn receive<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    get(slots, slot, Request::Receive, report)
}

pub(super) fn take<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    from: TaskId,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    get(slots, slot, Request::Take { task: from }, report)
}

/// Asks PID 1 for a descriptor.
fn get<U: Uplink>(
    slots: &Slots,
    slot: Slot,
    request: Request,
    report: &mut Report<'_, U>,
) -> Result<i64, Failure> {
    need_free(slots, slot, report)?;
    let answer = report.ask(request, None)??;
    slots.put(slot, answer.descriptor.ok_or(Errno::EPROTO)?);
    Ok(0)
}
